"""Microphone and loudspeaker without a card or a thread, at the pace of the event loop's clock.

They belong to the loop's thread, so a loop whose time is invented, or runs faster, has them at its pace.
"""

import asyncio
from collections.abc import Callable

import numpy as np

from voicekiosk.audio import events
from voicekiosk.audio.capture import RING_S, CaptureStream
from voicekiosk.audio.devices import Direction
from voicekiosk.audio.frames import DeviceFacts
from voicekiosk.audio.ring import Ring
from voicekiosk.audio.statistics import CaptureStatistics, PlaybackStatistics

RATE_HZ = 48000
Post = Callable[[events.AudioEvent], None]


def _facts(direction: Direction) -> DeviceFacts:
    return DeviceFacts(direction, "none", "stand-in", RATE_HZ, 1, "S16_LE", 960, 9600)


class _Card:
    def __init__(self, post: Post, period_s: float) -> None:
        self.post = post
        self.period_s = period_s
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Nothing to start."""

    def stop(self, timeout_s: float) -> bool:
        del timeout_s
        self.close()
        return True

    def open(self) -> None:
        if self._timer is None:
            self._opened()
            self._turn(asyncio.get_running_loop().time())

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._closed()

    def progress_age_s(self, now_s: float) -> None:
        del now_s

    def _turn(self, due_s: float) -> None:
        due_s += self.period_s
        self._timer = asyncio.get_running_loop().call_at(due_s, self._turn, due_s)
        self._period()

    def _opened(self) -> None: ...
    def _closed(self) -> None: ...
    def _period(self) -> None: ...


class Microphone(_Card):
    """Hears noise while somebody speaks, and next to nothing otherwise."""

    def __init__(
        self, post: Post, wake: Callable[[], None], *, period_s: float = 0.02, speaking: bool = False
    ) -> None:
        super().__init__(post, period_s)
        self.speaking = speaking
        self.stream: CaptureStream | None = None
        noise = np.random.default_rng(0)
        frames = round(RATE_HZ * period_s)
        self._speech = noise.integers(-6000, 6000, frames).astype(np.int16)
        self._silence = noise.integers(-6, 6, frames).astype(np.int16)
        self._ring = Ring(RING_S * RATE_HZ, wake)
        self._origin_s = 0.0
        self._first = 0

    def set_live(self, live: bool) -> None:
        """It always is."""

    def frame_at(self, t_s: float) -> int:
        return max(self._first, round((t_s - self._origin_s) * RATE_HZ))

    def statistics(self) -> CaptureStatistics:
        return CaptureStatistics(self._ring.written, 0, 0, 0, 1)

    def _opened(self) -> None:
        self.stream = CaptureStream(self._ring, RATE_HZ, _facts(Direction.CAPTURE))
        self._first = self._ring.written
        self._origin_s = asyncio.get_running_loop().time() - self._first / RATE_HZ
        self.post(events.MicrophoneOpened(self.stream))

    def _closed(self) -> None:
        self.post(events.MicrophoneClosed())

    def _period(self) -> None:
        self._ring.write(self._speech if self.speaking else self._silence)


class Loudspeaker(_Card):
    """Plays at the pace of sound, to nobody."""

    def __init__(self, post: Post, *, period_s: float = 0.02) -> None:
        super().__init__(post, period_s)
        self.enqueued_samples = self.played_samples = 0
        self._ended = False

    def set_volume(self, percent: int) -> None:
        """There is nothing to hear."""

    @property
    def queued_samples(self) -> int:
        return self.enqueued_samples - self.played_samples

    def play(self, pcm: bytes) -> None:
        self.enqueued_samples += len(pcm) // 2

    def end(self) -> None:
        self._ended = True

    def flush(self) -> None:
        self.enqueued_samples, self._ended = self.played_samples, False
        self.post(events.SpeakerFlushed(asyncio.get_running_loop().time(), self.played_samples))

    def statistics(self) -> PlaybackStatistics:
        return PlaybackStatistics(self.enqueued_samples, self.played_samples, 0, 0, 0, 0, 0, 0, 0, 1)

    def _opened(self) -> None:
        self.post(events.SpeakerOpened(_facts(Direction.PLAYBACK)))

    def _closed(self) -> None:
        self.post(events.SpeakerClosed())

    def _period(self) -> None:
        self.played_samples += min(self.queued_samples, round(24000 * self.period_s))
        if self._ended and not self.queued_samples:
            self._ended = False
            now_s = asyncio.get_running_loop().time()
            self.post(events.SpeakerDrained(now_s, self.played_samples))
