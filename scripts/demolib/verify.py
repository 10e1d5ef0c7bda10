"""Look for what was sent in what arrived, sample by sample. Pure numpy: no clock, no file, no device.

Two questions are asked of a reference (what should be there) and a record (what is there):

`search` asks for every single sample: each position of the reference must stand in the record within
one LSB, in order, and each sample of the record may serve one position only. What is missing is
`lost`, what stands between is `extra`.

`compare` asks for likeness: the correlation of the reference with the record at the one shift that
suits it best. A sample that is missing in the middle spoils everything after it.

Neither can be satisfied by silence: `search` refuses a reference whose samples cannot be told apart.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]

TOLERANCE = 1
"""How far a found sample may be off, in LSB: the resampler's promise however its input is cut."""
ANCHOR = 192
"""Samples that are looked up together (8 ms at 24 kHz): enough to be found in one place only."""
STRIDE = 960
PROBE = 12000
"""How much of a window's beginning tells which start phase it has."""
BLOCK, STEP = 8192, 6144
"""Samples of a record that are transformed together, and how far the next ones begin after that."""
HALF_BLOCK = 1 << 15
"""How many places are compared together where whole recordings are."""
SHORTEST_RUN = 48
"""Shorter agreement (2 ms) is chance."""


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of the reference that stands in the record without a break."""

    start: int
    stop: int
    shift: int
    """Where it stands in the record, less where it stands in the reference."""


@dataclass(frozen=True, slots=True)
class Found:
    """What of a window of the reference stands in the record."""

    wanted: int
    lost: int
    extra: int
    runs: tuple[Run, ...]

    @property
    def at(self) -> int | None:
        """Where the first found sample stands in the record."""
        return self.runs[0].start + self.runs[0].shift if self.runs else None

    @property
    def until(self) -> int | None:
        """Where the record goes on after the last found sample."""
        return self.runs[-1].stop + self.runs[-1].shift if self.runs else None


@dataclass(frozen=True, slots=True)
class Halt:
    """Silence in the record where the reference goes on, which it does afterwards."""

    at: int
    """Where it begins in the record."""
    samples: int


def search(
    reference: Samples,
    record: Samples,
    start: int = 0,
    stop: int | None = None,
    *,
    may_be_silent: bool = False,
) -> Found:
    """Find each of `reference[start:stop]` in `record`; what lies around the window only helps to find it.

    Raises ValueError when the window has 20 ms that hold nothing to tell one sample from the next, unless it
    may: then its silence is found wherever there is silence between what stands before and after it.
    """
    stop = len(reference) if stop is None else min(stop, len(reference))
    if not may_be_silent:
        _require_distinct(reference[start:stop])
    places = _Places(record)
    grid = ((at, at + ANCHOR) for at in range(0, max(len(reference) - ANCHOR, 0) + 1, STRIDE))
    shifts = places.of(reference, grid, set())
    chosen = _cover(reference, record, shifts, start, stop)
    # What is left over may be too short for the coarse grid, or stand somewhere of its own.
    holes: set[tuple[int, int]] = set()
    while new := set(_holes(chosen, start, stop)) - holes:
        holes |= new
        more = places.of(reference, (piece for hole in new for piece in _corners(*hole)), shifts)
        if more == shifts:
            break
        shifts = more
        chosen = _cover(reference, record, shifts, start, stop)
    found = sum(run.stop - run.start for run in chosen)
    between = chosen[-1].stop + chosen[-1].shift - chosen[0].start - chosen[0].shift if chosen else 0
    return Found(stop - start, stop - start - found, between - found, chosen)


def best_phase(phases: list[Samples], record: Samples, windows: list[tuple[int, int]]) -> tuple[int, Found]:
    """Search for each start phase's own window, and give the phase that lost least.

    The one that fits the window's beginning comes first, and is the answer if it lost nothing: to look for
    all of what is not there takes far longer.
    """

    def lost_at_first(phase: int) -> int:
        start, stop = windows[phase]
        stop = min(stop, start + PROBE)
        return search(phases[phase][: stop + ANCHOR], record, start, stop).lost

    order = sorted(range(len(phases)), key=lost_at_first) if len(phases) > 1 else [0]
    results: dict[int, Found] = {}
    for phase in order:
        results[phase] = search(phases[phase], record, *windows[phase])
        if (results[phase].lost, results[phase].extra) == (0, 0):
            return phase, results[phase]
    best = min(results, key=lambda phase: (results[phase].lost, results[phase].extra, phase))
    return best, results[best]


def halts(found: Found, record: Samples) -> tuple[Halt, ...]:
    """Return where the sound halted between what was found; what is not silent there is none."""
    result = []
    for before, after in pairwise(found.runs):
        first, last = before.stop + before.shift, after.start + after.shift
        samples = last - first - (after.start - before.stop)
        if samples > 0 and int(np.abs(record[first:last].astype(np.int32)).max()) <= TOLERANCE:
            result.append(Halt(first, samples))
    return tuple(result)


def compare(reference: Samples, record: Samples) -> tuple[float, int]:
    """Return the correlation at the best shift, and that shift (where the reference begins in the record).

    0.0 when the record is too short or silent.
    """
    if not len(reference) or len(record) < len(reference):
        return 0.0, 0
    shift = locate(reference, record)
    piece = record[shift : shift + len(reference)].astype(np.float64)
    wanted = reference.astype(np.float64)
    piece -= piece.mean()
    wanted -= wanted.mean()
    energy = float(np.sqrt((piece @ piece) * (wanted @ wanted)))
    return (float(piece @ wanted) / energy if energy else 0.0), shift


def locate(reference: Samples, record: Samples) -> int:
    """Return where in the record the reference fits best (least normalised squared difference)."""
    cross = _cross(reference, record)
    energy = _moving_energy(record, len(reference))
    # A loud place that is unlike must not win over a faint one that is alike.
    floor = max(float(energy.max()) * 1e-9, 1.0)
    return int(np.argmax(cross / np.sqrt(np.maximum(energy, floor))))


def last_above(samples: Samples, dbfs: float) -> int | None:
    """Return the index of the last sample over a level, None when there is none."""
    over = np.flatnonzero(np.abs(samples.astype(np.int32)) > 32768 * 10 ** (dbfs / 20))
    return int(over[-1]) if len(over) else None


def _require_distinct(samples: Samples) -> None:
    block = 480
    for index in range(0, len(samples), block):
        piece = samples[index : index + block]
        if len(piece) >= SHORTEST_RUN and int(piece.max()) - int(piece.min()) <= 2 * TOLERANCE:
            raise ValueError(f"the reference is silent from sample {index} on: nothing there could be missed")


def _cross(reference: Samples, record: Samples) -> NDArray[np.float64]:
    """Return the sliding dot product, one value for each place where the reference fits whole.

    In blocks, of which each part of the reference uses the same spectra: one transform of everything would
    take several times the memory of both.
    """
    places = len(record) - len(reference) + 1
    half = min(HALF_BLOCK, 1 << (len(record) - 1).bit_length())
    parts, blocks = -(-len(reference) // half), -(-places // half)
    padded = np.zeros((parts + blocks + 1) * half)
    padded[: len(record)] = record
    spectra = np.fft.rfft(np.lib.stride_tricks.sliding_window_view(padded, 2 * half)[::half])
    padded = np.zeros(parts * half)
    padded[: len(reference)] = reference
    wanted = np.conj(np.fft.rfft(padded.reshape(parts, half), 2 * half))
    result = np.empty(blocks * half)
    for block in range(blocks):
        total = np.einsum("pf,pf->f", spectra[block : block + parts], wanted)
        result[block * half : (block + 1) * half] = np.fft.irfft(total, 2 * half)[:half]
    return result[:places]


def _moving_energy(record: Samples, length: int) -> NDArray[np.float64]:
    total = np.concatenate([[0.0], np.cumsum(np.square(record.astype(np.float64)))])
    result: NDArray[np.float64] = total[length:] - total[:-length]
    return result


class _Places:
    """Where short pieces of a reference stand in one record."""

    def __init__(self, record: Samples) -> None:
        self._record = record
        self._energy: dict[int, NDArray[np.float64]] = {}
        self._spectra: NDArray[np.complex128] | None = None

    def of(self, reference: Samples, pieces: Iterable[tuple[int, int]], known: set[int]) -> set[int]:
        """Return `known` and each shift at which one of `pieces` of the reference stands in the record."""
        shifts = set(known)
        for first, last in pieces:
            piece = reference[first:last]
            if (
                not len(piece)
                or len(piece) > len(self._record)
                or int(piece.max()) - int(piece.min()) <= 2 * TOLERANCE
            ):
                continue
            if any(_agree(piece, self._record, first + shift) for shift in shifts):
                continue
            distance = self._moving_energy(len(piece)) - 2 * self._cross(piece)
            distance += float(np.square(piece.astype(np.float64)).sum())
            # Half a unit for each sample: the transform's rounding, far below one LSB.
            near = np.flatnonzero(distance <= len(piece) * (TOLERANCE**2 + 0.5))
            shifts.update(int(place) - first for place in near if _agree(piece, self._record, int(place)))
        return shifts

    def _cross(self, piece: Samples) -> NDArray[np.float64]:
        """Return what `_cross` does, for many short pieces: the record is transformed once."""
        if len(piece) > BLOCK - STEP + 1:
            return _cross(piece, self._record)
        if self._spectra is None:
            padded = np.zeros(-(-len(self._record) // STEP) * STEP + BLOCK - STEP)
            padded[: len(self._record)] = self._record
            windows = np.lib.stride_tricks.sliding_window_view(padded, BLOCK)[::STEP]
            self._spectra = np.fft.rfft(windows)
        spectra = self._spectra * np.conj(np.fft.rfft(piece.astype(np.float64), BLOCK))
        result: NDArray[np.float64] = np.fft.irfft(spectra, BLOCK)[:, :STEP].ravel()
        return result[: len(self._record) - len(piece) + 1]

    def _moving_energy(self, length: int) -> NDArray[np.float64]:
        if length not in self._energy:
            self._energy[length] = _moving_energy(self._record, length)
        return self._energy[length]


def _cover(reference: Samples, record: Samples, shifts: set[int], start: int, stop: int) -> tuple[Run, ...]:
    runs = [run for shift in sorted(shifts) for run in _runs_at(reference, record, shift)]
    return tuple(_in_order(runs, start, stop))


def _holes(chosen: tuple[Run, ...], start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield the stretches of the window that no run covers and that are long enough to be looked for."""
    edges = [start, *(edge for run in chosen for edge in (run.start, run.stop)), stop]
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        if last - first >= SHORTEST_RUN:
            yield first, last


def _agree(piece: Samples, record: Samples, place: int) -> bool:
    if place < 0 or place + len(piece) > len(record):
        return False
    other = record[place : place + len(piece)]
    return bool(np.all(np.abs(piece.astype(np.int32) - other) <= TOLERANCE))


def _runs_at(reference: Samples, record: Samples, shift: int) -> Iterator[Run]:
    """Yield where the reference, moved by `shift`, agrees with the record long enough to be no chance."""
    first, last = max(0, -shift), min(len(reference), len(record) - shift)
    if last - first < SHORTEST_RUN:
        return
    piece = record[first + shift : last + shift].astype(np.int32)
    same = np.abs(piece - reference[first:last]) <= TOLERANCE
    edges = np.flatnonzero(np.diff(np.concatenate([[False], same, [False]]).astype(np.int8)))
    for start, stop in edges.reshape(-1, 2):
        if stop - start >= SHORTEST_RUN:
            yield Run(first + int(start), first + int(stop), shift)


def _in_order(runs: list[Run], start: int, stop: int) -> Iterator[Run]:
    """Choose runs that cover the window one after another, each sample of the record used once."""
    position, free = start, None
    while position < stop:
        best: Run | None = None
        for run in runs:
            begin = max(run.start, position)
            if free is not None:
                begin = max(begin, free - run.shift)
            end = min(run.stop, stop)
            if begin >= end:
                continue
            # The earliest beginning; of several, the one that goes furthest.
            if best is None or (begin, -end) < (best.start, -best.stop):
                best = Run(begin, end, run.shift)
        if best is None:
            return
        yield best
        position, free = best.stop, best.stop + best.shift


def _corners(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield pieces at the beginning, in the middle and at the end of a hole."""
    # Half of it at most: the hole holds the damaged sample too.
    length = min(ANCHOR, max(SHORTEST_RUN, (stop - start) // 2))
    for first in (start, (start + stop - length) // 2, stop - length):
        yield first, first + length


def breaks(found: Found) -> list[str]:
    """Describe in words what is wrong between the runs, for a person."""
    words = []
    for before, after in pairwise(found.runs):
        missing = after.start - before.stop
        inserted = after.start + after.shift - before.stop - before.shift - missing
        words.append(f"at sample {before.stop}: {missing} missing, {max(inserted, 0)} too many")
    return words
