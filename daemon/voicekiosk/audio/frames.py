"""What a card was opened with, and how its frames become mono int16 and back."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voicekiosk.audio.devices import Direction


@dataclass(frozen=True, slots=True)
class SampleLayout:
    """Where the sixteen bits that we keep lie in a sample of the card's."""

    # Bytes of one sample of one channel, and of those below the top sixteen bits that count.
    width: int
    offset: int


# In order of preference. Each is little endian with its most significant bits where we look.
LAYOUTS = {
    "S16_LE": SampleLayout(2, 0),
    "S32_LE": SampleLayout(4, 2),
    "S24_3LE": SampleLayout(3, 1),
    "S24_LE": SampleLayout(4, 1),
}


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What a PCM was really opened with."""

    direction: Direction
    # The name ALSA knows it by, and the words of the configuration that led to it.
    pcm_name: str
    setting: str
    rate_hz: int
    channels: int
    format: str
    period_frames: int
    buffer_frames: int
    # What the maker calls the card; empty for a name of ALSA's configuration.
    card: str = ""

    @property
    def period_s(self) -> float:
        """How much time a period is."""
        return self.period_frames / self.rate_hz

    def __str__(self) -> str:
        return (
            f"{self.pcm_name}, {self.rate_hz} Hz, {self.channels} ch, {self.format}, "
            f"period {1000 * self.period_frames / self.rate_hz:g} ms, "
            f"buffer {1000 * self.buffer_frames / self.rate_hz:g} ms"
        )


class ToMono:
    """Turns a card's frames into mono int16: one channel, or the mean of all. Allocates nothing that grows.

    Samples wider than sixteen bits are cut, not rounded: half a step at -90 dBFS is far below the noise
    of any microphone, and a cut is a view of the bytes that costs nothing.
    """

    def __init__(self, facts: DeviceFacts, channel: int | str) -> None:
        """Prepare for blocks of at most one period of `facts`; `channel` counts from 0, or is "mix"."""
        self._channels = facts.channels
        self._layout = LAYOUTS[facts.format]
        self._frame_bytes = facts.channels * self._layout.width
        self._channel = 0 if facts.channels == 1 else channel
        self._mono = np.empty(facts.period_frames, np.int16)
        self._sum = np.empty(facts.period_frames, np.float32)

    def __call__(self, data: bytes) -> NDArray[np.int16]:
        """Return the frames in `data`; valid until the next call."""
        frames = len(data) // self._frame_bytes
        layout = self._layout
        block: NDArray[np.int16] = np.ndarray(
            (frames, self._channels), "<i2", data, layout.offset, (self._frame_bytes, layout.width)
        )
        if isinstance(self._channel, int):
            return block[:, self._channel]
        total, mono = self._sum[:frames], self._mono[:frames]
        np.copyto(total, block[:, 0])
        for index in range(1, self._channels):
            np.add(total, block[:, index], out=total)
        np.multiply(total, np.float32(1 / self._channels), out=total)
        np.rint(total, out=total)
        np.copyto(mono, total, casting="unsafe")
        return mono


class FromMono:
    """Turns mono int16 into a card's frames, the same in every channel."""

    def __init__(self, facts: DeviceFacts) -> None:
        """Prepare for blocks of at most the card's buffer."""
        layout = LAYOUTS[facts.format]
        self._frame_bytes = facts.channels * layout.width
        self._bytes = np.zeros(facts.buffer_frames * self._frame_bytes, np.uint8)
        self._frames: NDArray[np.int16] = np.ndarray(
            (facts.buffer_frames, facts.channels),
            "<i2",
            self._bytes.data,
            layout.offset,
            (self._frame_bytes, layout.width),
        )

    def __call__(self, mono: NDArray[np.int16]) -> NDArray[np.uint8]:
        """Return `mono` as the card wants it; valid until the next call."""
        self._frames[: len(mono)] = mono[:, np.newaxis]
        return self._bytes[: len(mono) * self._frame_bytes]
