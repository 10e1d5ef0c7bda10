"""Streaming resampling of mono int16 between any two rates: a polyphase windowed-sinc FIR in numpy.

The filter is a Kaiser-windowed sinc, flat to 0.9 of the lower rate's Nyquist frequency and down by 96 dB from
that frequency on, so nothing folds back at all. Its delay is a whole number of input frames: 2.6 ms when
the lower rate is 24 kHz, 3.9 ms at 16 kHz, 7.8 ms at 8 kHz.

Output `n` lies at input time ``n * down / up`` and is given as soon as the newest frame it depends on is in.
So after `i` frames in, exactly ``ceil(i * up / down)`` samples are out: 480 for each 960 from 48 to 24 kHz.

However the input is cut, the output is the same to the bit, on every machine. Coefficients are rounded to
multiples of a power of two that is coarse enough for every product, and every sum of products, to be a
multiple of it below 2 ** 53. float64 adds such numbers without rounding, so the order in which a BLAS
adds them, with fused multiply-add or without, cannot matter. (float32 would save 0.3 ms per second of
audio and lose that.)

How a block becomes one matrix product: a *group* of consecutive outputs depends on one window of the input.
The group's matrix has a column per output, with that output's taps at the rows of the frames they belong
to. The next group's window begins a whole number of frames later and meets the same phases, so the same
matrix. The windows of all groups in a block are the rows of one product; what a cut left of a group is
part of one.
"""

from math import ceil, frexp, gcd

import numpy as np
from numpy.typing import NDArray

# Edges in parts of the lower Nyquist frequency. 96 dB is what 16 bits can show.
_PASS_EDGE = 0.9
_STOP_EDGE = 1.0
_ATTENUATION_DB = 96.0

# Measured: a product is cheapest with 16 to 48 outputs to the group. Ratios with more phases than that
# take one group for all of them while it stays small, and several from there on.
_GROUP_OUT = 32
_LARGEST_GROUP_OUT = 320

# Longer blocks are done in pieces, so that the work memory is fixed.
_PIECE_S = 0.1


class Resampler:
    """Turns a stream of blocks at `rate_in` into one at `rate_out`, times `gain`.

    Equal rates pass through. Belongs to one thread; nothing blocks, and nothing but the output is
    allocated after the constructor. The tables take 80 kB from 48 kHz and 0.7 MB from 11025 Hz to
    24 kHz; between rates with no factor in common (44101 Hz) they take up to 60 MB.
    """

    def __init__(self, rate_in: int, rate_out: int, gain: float = 1.0) -> None:
        if rate_in < 1 or rate_out < 1 or not 0 < gain < 1e6:
            raise ValueError(
                f"resampler: expected rates and a gain above 0, got {rate_in}, {rate_out}, {gain}"
            )
        self.rate_in = rate_in
        self.rate_out = rate_out
        self._up, self._down = _ratio(rate_in, rate_out)
        # The filter's group delay; the output is shifted by it against the input.
        self.delay_frames_in = _delay_frames(rate_in, rate_out)
        self._history_frames = 2 * self.delay_frames_in
        # One matrix for a group of whole cycles of `up` phases, or several that make one cycle together.
        self._matrices = _matrices(rate_in, rate_out, gain)
        rows, self._group_out = self._matrices[0].shape
        self._group_in = self._group_out * self._down // self._up
        self._piece_frames = ceil(rate_in * _PIECE_S)
        most_groups = 1 + (self._piece_frames // self._group_in if len(self._matrices) == 1 else 0)
        # The last frames of the past, then those of the piece at hand.
        self._buffer = np.zeros(self._history_frames + self._piece_frames)
        self._windows = np.empty((most_groups, rows))
        self._sums = np.empty((most_groups, self._group_out))
        self.reset()

    def __repr__(self) -> str:
        return f"<Resampler from {self.rate_in} to {self.rate_out} Hz, delay {self.delay_s * 1e3:.1f} ms>"

    @property
    def delay_s(self) -> float:
        """The filter's group delay: how far the output is shifted against the input."""
        return self.delay_frames_in / self.rate_in

    def reset(self) -> None:
        """Forget all input, as if nothing had ever been given."""
        self._buffer.fill(0)
        # Where the next output lies, counted from the next input frame, in 1/up of a frame.
        self._ahead = 0
        # Which of the `up` phases the next output has.
        self._phase = 0
        self._fed = False

    def process(self, block: NDArray[np.int16]) -> NDArray[np.int16]:
        """Take `block`, of any length, and return all samples that are now complete, in a new array."""
        frames = len(block)
        samples = np.empty(self._complete(frames), np.int16)
        done = 0
        for start in range(0, frames, self._piece_frames):
            done += self._piece(block[start : start + self._piece_frames], samples[done:])
        self._fed |= frames > 0
        return samples

    def flush(self) -> NDArray[np.int16]:
        """Return what is still in the filter, as if silence followed, and start afresh."""
        tail = self.process(np.zeros(self._history_frames if self._fed else 0, np.int16))
        self.reset()
        return tail

    def _complete(self, frames: int) -> int:
        """Count the outputs that `frames` more input frames complete."""
        return max(0, -((self._ahead - frames * self._up) // self._down))

    def _piece(self, piece: NDArray[np.int16], out: NDArray[np.int16]) -> int:
        frames = len(piece)
        count = self._complete(frames)
        self._buffer[self._history_frames : self._history_frames + frames] = piece
        done = 0
        while done < count:
            sums = self._some(count - done)
            np.rint(sums, out=sums)
            np.minimum(sums, 32767.0, out=sums)
            np.maximum(sums, -32768.0, out=sums)
            np.copyto(out[done : done + len(sums)], sums, casting="unsafe")
            done += len(sums)
            self._ahead += len(sums) * self._down
            self._phase = (self._phase + len(sums)) % self._up
        self._ahead -= frames * self._up
        self._buffer[: self._history_frames] = self._buffer[frames : frames + self._history_frames]
        return count

    def _some(self, most: int) -> NDArray[np.float64]:
        """Compute the next outputs, at most `most`: as many whole groups as there are, or part of one."""
        start = self._ahead // self._up
        index, column = divmod(self._phase, self._group_out)
        matrix = self._matrices[index]
        groups = most // self._group_out
        if len(self._matrices) == 1 and column == 0 and groups > 0:
            windows = self._windows[:groups]
            stride = self._buffer.itemsize
            shape, strides = windows.shape, (self._group_in * stride, stride)
            # Copied, as rows that overlap in memory would be multiplied without BLAS.
            np.copyto(windows, np.ndarray(shape, np.float64, self._buffer, start * stride, strides))
            return np.matmul(windows, matrix, out=self._sums[:groups]).reshape(-1)
        end = min(column + most, matrix.shape[1])
        first = index * self._group_out
        top = _newest(first + column, self._up, self._down) - _newest(first, self._up, self._down)
        bottom = (
            top
            + _newest(first + end - 1, self._up, self._down)
            - _newest(first + column, self._up, self._down)
        )
        part = matrix[top : bottom + self._history_frames + 1, column:end]
        window = self._buffer[start : start + len(part)]
        return np.matmul(window, part, out=self._sums[0, : end - column])


def _ratio(rate_in: int, rate_out: int) -> tuple[int, int]:
    """Return `rate_out` / `rate_in` in lowest terms."""
    factor = gcd(rate_in, rate_out)
    return rate_out // factor, rate_in // factor


def _newest(output: int, up: int, down: int) -> int:
    """Return the newest input frame that an output depends on."""
    return output * down // up


def _delay_frames(rate_in: int, rate_out: int) -> int:
    """Return half the length of the filter, in input frames: Kaiser's formula for the transition band."""
    if rate_in == rate_out:
        return 0
    transition_hz = (_STOP_EDGE - _PASS_EDGE) * min(rate_in, rate_out) / 2
    return ceil((_ATTENUATION_DB - 7.95) / 14.36 / transition_hz * rate_in / 2)


def _taps(rate_in: int, rate_out: int) -> NDArray[np.float64]:
    """Return the low-pass at `up` times the input rate, each of its phases with a gain of 1 at DC."""
    up, _ = _ratio(rate_in, rate_out)
    half = _delay_frames(rate_in, rate_out) * up
    cutoff = (_PASS_EDGE + _STOP_EDGE) / 2 * min(rate_in, rate_out) / rate_in
    taps = np.sinc(cutoff * np.arange(-half, half + 1) / up)
    taps *= np.kaiser(2 * half + 1, 0.1102 * (_ATTENUATION_DB - 8.7))
    for phase in range(up):
        taps[phase::up] /= taps[phase::up].sum()
    return taps


def _matrices(rate_in: int, rate_out: int, gain: float) -> list[NDArray[np.float64]]:
    """Lay the taps out as one matrix per group of outputs: rows are frames, columns are outputs."""
    up, down = _ratio(rate_in, rate_out)
    taps = _taps(rate_in, rate_out) * gain
    # 32768 times the sum of a phase's |taps| has to stay below 2 ** 53 steps.
    largest = max(float(np.abs(taps[phase::up]).sum()) for phase in range(up))
    step = 2.0 ** (frexp(largest)[1] + 15 - 52)
    taps = np.rint(taps / step) * step

    outputs = up * max(1, _GROUP_OUT // up)
    group_out = outputs if outputs <= _LARGEST_GROUP_OUT else _GROUP_OUT
    matrices = []
    for first in range(0, outputs, group_out):
        columns = np.arange(first, min(first + group_out, outputs))
        oldest = _newest(first, up, down) - 2 * _delay_frames(rate_in, rate_out)
        rows = np.arange(oldest, _newest(int(columns[-1]), up, down) + 1)
        tap = columns * down - rows[:, np.newaxis] * up
        inside = (tap >= 0) & (tap < len(taps))
        matrices.append(np.where(inside, taps[np.where(inside, tap, 0)], 0.0))
    return matrices
