"""How loud a block of mono int16 is, and whether a microphone gives any signal at all.

0 dBFS is the largest value an int16 can have, so a sine at full scale has a peak of 0.0 and an RMS of
-3.0 dBFS (as sox and ffmpeg count).
"""

from math import log10

import numpy as np
from numpy.typing import NDArray

# What silence is given as: a number, so that it can be compared, averaged and written as JSON.
FLOOR_DBFS = -120.0

_FULL_SCALE = 32768.0


def rms_dbfs(block: NDArray[np.int16]) -> float:
    """Return the RMS level, `FLOOR_DBFS` for silence and for nothing."""
    if len(block) == 0:
        return FLOOR_DBFS
    # Nine times as fast as the mean of squares; int16 would overflow.
    values = block.astype(np.float32)
    power = float(np.dot(values, values)) / len(block)
    return max(FLOOR_DBFS, 10 * log10(power / _FULL_SCALE**2)) if power > 0 else FLOOR_DBFS


def peak_of(block: NDArray[np.int16]) -> int:
    """Return the magnitude of the largest sample of a block that has one: 0 to 32768."""
    # Without abs: it takes another array, and the abs of -32768 is -32768.
    return max(int(np.maximum.reduce(block)), -int(np.minimum.reduce(block)))


def dbfs_of(peak: int) -> float:
    """Return a magnitude as a level, `FLOOR_DBFS` for silence."""
    return 20 * log10(peak / _FULL_SCALE) if peak > 0 else FLOOR_DBFS


def peak_dbfs(block: NDArray[np.int16]) -> float:
    """Return the level of the largest sample, `FLOOR_DBFS` for silence and for nothing."""
    return dbfs_of(peak_of(block)) if len(block) else FLOOR_DBFS


def is_constant(block: NDArray[np.int16]) -> bool:
    """Tell whether all samples are the same, as from a muted or broken microphone."""
    return len(block) == 0 or bool(np.maximum.reduce(block) == np.minimum.reduce(block))


class ConstantSignal:
    """Tells when a signal has not moved for `limit_frames`: "microphone silent (muted?)".

    Even a good microphone in a quiet room moves by a bit or two; one that is muted in hardware, or a card
    without one, gives the same value for ever. Counts frames, however they are cut into blocks.
    """

    __slots__ = ("_value", "constant_frames", "limit_frames")

    def __init__(self, limit_frames: int) -> None:
        self.limit_frames = limit_frames
        # How many frames at the end of the signal are the same.
        self.constant_frames = 0
        self._value = 0

    def feed(self, block: NDArray[np.int16]) -> bool:
        """Take the next block; tell whether the signal has stood still for `limit_frames` or longer."""
        if len(block) > 0:
            value = int(block[-1])
            # Nearly always the last two differ, and a look at two samples costs a tenth of one at all.
            # Otherwise, backwards from the end, the place of the first that differs; 0 when none does.
            differ = len(block) > 1 and block[-2] != value
            same = 1 if differ else int((block[::-1] != value).argmax())
            if same > 0:
                self.constant_frames = same
            elif value == self._value:
                self.constant_frames += len(block)
            else:
                self.constant_frames = len(block)
            self._value = value
        return self.constant_frames >= self.limit_frames

    def reset(self) -> None:
        """Forget the signal, as when the microphone was opened anew."""
        self.constant_frames = 0
