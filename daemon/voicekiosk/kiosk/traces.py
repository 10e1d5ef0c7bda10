"""Levels over time in a bounded space: what the recorder keeps of microphone and loudspeaker.

Pure: a few numbers of each block, and nothing from which a word could be made again.
"""

from array import array
from collections import deque

import numpy as np
from numpy.typing import NDArray

from voicekiosk.audio.levels import dbfs_of, peak_of
from voicekiosk.kiosk.utterance import RATE_HZ
from voicekiosk.service.recording import Level

BIN_S = 0.05
BINS = 1024
"""The first minute of a turn in steps of 50 ms; two in steps of 100 ms, and so on."""
MOST_PENDING = 8192

Piece = tuple[float, int]
"""How long a piece of sound lasts, and the magnitude of its largest sample."""


def pieces(block: NDArray[np.int16], rate_hz: int) -> list[Piece]:
    """Cut a block into pieces of at most two bins, each with its peak."""
    step = max(1, round(2 * BIN_S * rate_hz))
    if 0 < len(block) <= step:
        # Nearly always: what the microphone wakes us with, and what the service sends.
        return [(len(block) / rate_hz, peak_of(block))]
    cut = (block[start : start + step] for start in range(0, len(block), step))
    return [(len(part) / rate_hz, peak_of(part)) for part in cut]


class Trace:
    """Peaks from `begin_s` on. When the bins run out, each gets twice as long."""

    __slots__ = ("_begin_s", "_bins", "bin_s")

    def __init__(self, begin_s: float) -> None:
        self._begin_s = begin_s
        self.bin_s = BIN_S
        # The largest magnitude of each, plus one; 0 where nothing was measured.
        self._bins = array("H")

    def add(self, at_s: float, length_s: float, peak: int) -> None:
        """Note a peak between `at_s` and `length_s` later; what lies before the beginning is left out."""
        first = (at_s - self._begin_s) / self.bin_s
        if first < 0:
            return
        while first >= BINS:
            self._fold()
            first /= 2
        last = min(BINS - 1, max(int(first), int(first + length_s / self.bin_s - 0.5)))
        bins = self._bins
        if last >= len(bins):
            bins.extend([0] * (last + 1 - len(bins)))
        for index in range(int(first), last + 1):
            if bins[index] <= peak:
                bins[index] = peak + 1

    def cut(self, at_s: float) -> None:
        """Forget what was noted for later than `at_s`: it was never heard."""
        del self._bins[max(0, int((at_s - self._begin_s) / self.bin_s)) :]

    def level(self) -> Level:
        """Return it for a report."""
        dbfs = [round(dbfs_of(value - 1)) if value else None for value in self._bins]
        return Level(bin_s=self.bin_s, dbfs=dbfs)

    def _fold(self) -> None:
        even, odd = self._bins[::2], self._bins[1::2]
        odd.extend([0] * (len(even) - len(odd)))
        self._bins = array("H", map(max, even, odd))
        self.bin_s *= 2


class Playing:
    """When that which is queued for the loudspeaker will be heard: one piece after the other.

    The loudspeaker says when a reply begins; until then its pieces wait here.
    """

    __slots__ = ("_pending", "_until_s")

    def __init__(self) -> None:
        self._pending: deque[Piece] = deque(maxlen=MOST_PENDING)
        self._until_s: float | None = None

    def queued(self, pcm: bytes, trace: Trace, now_s: float) -> None:
        """Take 24 kHz `pcm` that was queued."""
        self._pending.extend(pieces(np.frombuffer(pcm, "<i2"), RATE_HZ))
        if self._until_s is not None:
            self._place(trace, max(self._until_s, now_s))

    def started(self, trace: Trace, t_s: float) -> None:
        """Take the moment at which the first sample of what waits was handed to the card."""
        self._place(trace, t_s)

    def stopped(self) -> None:
        """Note that the loudspeaker is silent: what waited for it was thrown away, or has been heard."""
        self._pending.clear()
        self._until_s = None

    def _place(self, trace: Trace, at_s: float) -> None:
        for length_s, peak in self._pending:
            trace.add(at_s, length_s, peak)
            at_s += length_s
        self._pending.clear()
        self._until_s = at_s
