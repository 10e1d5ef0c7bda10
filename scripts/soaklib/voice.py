"""What the visitors say: noise that is different at every moment, so that a sample says when it was spoken.

The microphone's signal is a function of time and of the schedule of speech alone. Whoever knows the schedule
knows every sample, before and after the kiosk's resampler.
"""

from collections import deque
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from voicekiosk.audio.resample import Resampler

Samples = NDArray[np.int16]

CARD_HZ = 48000
SERVER_HZ = 24000
LOUD = 8000
# A room's noise: under what counts as silence, over the filter's rounding.
QUIET = 60
# Longer than any question; no power of two, so that nothing in a kiosk can have the same period.
PERIOD_FRAMES = 60 * CARD_HZ + 7919

# Rolled out by a second, so that nobody has to turn back at its end.
_TABLE = np.resize(
    np.random.default_rng(20).uniform(-1.0, 1.0, PERIOD_FRAMES).astype(np.float32), PERIOD_FRAMES + CARD_HZ
)


@dataclass(frozen=True, slots=True)
class Speech:
    """One stretch of speech, from a frame of the microphone's clock to another."""

    start: int
    stop: int

    @classmethod
    def between(cls, start_s: float, stop_s: float) -> "Speech":
        """Speak from one moment of CLOCK_MONOTONIC to another."""
        return cls(round(start_s * CARD_HZ), round(stop_s * CARD_HZ))


class Mouth:
    """The schedule, and what a microphone hears of it."""

    def __init__(self) -> None:
        self._edges: deque[int] = deque(maxlen=400)

    def say(self, speech: Speech) -> None:
        """Put a stretch of speech on the schedule, after those that are there."""
        self._edges += (speech.start, speech.stop)

    def hear(self, frames: NDArray[np.int64]) -> Samples:
        """Return the microphone's frames of these numbers, which follow each other."""
        if not len(frames):
            return np.zeros(0, np.int16)
        first = int(frames[0])
        gain = np.full(len(frames), QUIET, np.float32)
        edges = list(self._edges)
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            gain[max(0, start - first) : max(0, stop - first)] = LOUD
        place = first % PERIOD_FRAMES
        noise = _TABLE[place : place + len(frames)]
        if len(noise) < len(frames):
            noise = _TABLE[(first + np.arange(len(frames))) % PERIOD_FRAMES]
        return (noise * gain).astype(np.int16)


class Expected:
    """What a server must get of a question, sample for sample, and which of it is speech."""

    def __init__(self, question: tuple[Speech, ...]) -> None:
        self.question = question
        margin = CARD_HZ // 4
        self._first = question[0].start - margin
        frames = np.arange(self._first, question[-1].stop + margin)
        mouth = Mouth()
        for speech in question:
            mouth.say(speech)
        heard = mouth.hear(frames)
        # A kiosk may begin at an even frame or at an odd one.
        self.phases = tuple(_resampled(heard[phase:]) for phase in (0, 1))

    @property
    def length(self) -> int:
        """How many positions there are."""
        return min(map(len, self.phases))

    def stretches(self) -> list[tuple[int, int]]:
        """Return where speech begins and ends, without the filter's ramps."""
        ramp = 24
        return [
            ((speech.start - self._first) // 2 + ramp, (speech.stop - self._first) // 2 - ramp)
            for speech in self.question
        ]

    def position(self, t_s: float) -> int:
        """Return the position of a moment."""
        return (round(t_s * CARD_HZ) - self._first) // 2


def _resampled(frames: Samples) -> Samples:
    resampler = Resampler(CARD_HZ, SERVER_HZ)
    delay = round(resampler.delay_s * SERVER_HZ)
    return np.concatenate([resampler.process(frames), resampler.flush()])[delay:]


def pauses(stretches: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return what lies between stretches of speech."""
    return [(stop, start) for (_, stop), (start, _) in pairwise(stretches)]
