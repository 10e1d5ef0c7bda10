"""voicekiosk's resampler and its peers, all as streams of mono int16."""

from collections.abc import Callable
from math import ceil, gcd
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchlib.peers import peer
from voicekiosk.audio.resample import Resampler

Sound = NDArray[np.int16]


class Stream(Protocol):
    """Anything that takes blocks at one rate and gives blocks at another."""

    def process(self, block: Sound) -> Sound:
        """Take a block of any length and return what is ready."""
        ...


Maker = Callable[[int, int], Stream]


def _to_int16(sound: NDArray[np.floating]) -> Sound:
    clipped: Sound = np.clip(np.rint(sound), -32768, 32767).astype(np.int16)
    return clipped


class _Soxr:
    def __init__(self, module: object, quality: str, rate_in: int, rate_out: int) -> None:
        stream = module.ResampleStream(rate_in, rate_out, 1, dtype="int16", quality=quality)  # type: ignore[attr-defined]
        self.process = stream.resample_chunk


class _SampleRate:
    def __init__(self, module: object, quality: str, rate_in: int, rate_out: int) -> None:
        self._resampler = module.Resampler(quality, channels=1)  # type: ignore[attr-defined]
        self._ratio = rate_out / rate_in

    def process(self, block: Sound) -> Sound:
        return _to_int16(self._resampler.process(block.astype(np.float32), self._ratio, end_of_input=False))


class _Upfirdn:
    """scipy.signal.upfirdn with a filter of the same promise, and the state that it does not keep itself."""

    def __init__(self, module: object, rate_in: int, rate_out: int) -> None:
        self._upfirdn = module.upfirdn  # type: ignore[attr-defined]
        factor = gcd(rate_in, rate_out)
        self._up, self._down = rate_out // factor, rate_in // factor
        lower = min(rate_in, rate_out)
        taps, beta = module.kaiserord(96, 0.05 * lower / (rate_in * self._up / 2))  # type: ignore[attr-defined]
        cutoff = 0.475 * lower
        window = ("kaiser", beta)
        self._taps = module.firwin(taps | 1, cutoff, window=window, fs=rate_in * self._up) * self._up  # type: ignore[attr-defined]
        self._needed = ceil(taps / self._up) + 1
        # Frames kept, beginning at a multiple of `down` so that the phases fit.
        self._kept = np.zeros(0)
        self._first = 0
        self._out = 0

    def process(self, block: Sound) -> Sound:
        self._kept = np.concatenate([self._kept, block])
        total = self._first + len(self._kept)
        begin = self._first // self._down * self._up
        out = self._upfirdn(self._taps, self._kept, self._up, self._down)
        end = -(-total * self._up // self._down)
        samples = out[self._out - begin : end - begin]
        self._out = end
        drop = max(0, (total - self._needed) // self._down * self._down - self._first)
        self._kept = self._kept[drop:]
        self._first += drop
        return _to_int16(samples)


def makers() -> dict[str, Maker]:
    """Return a maker of each resampler that is installed, voicekiosk's first."""
    found: dict[str, Maker] = {"voicekiosk": Resampler}
    if soxr := peer("soxr"):
        for quality in ("HQ", "VHQ"):
            found[f"soxr {quality}"] = lambda i, o, q=quality: _Soxr(soxr, q, i, o)  # type: ignore[misc]
    if samplerate := peer("samplerate"):
        for quality in ("sinc_medium", "sinc_best"):
            found[f"samplerate {quality}"] = lambda i, o, q=quality: _SampleRate(samplerate, q, i, o)  # type: ignore[misc]
    if scipy := peer("scipy.signal"):
        found["scipy upfirdn"] = lambda i, o: _Upfirdn(scipy, i, o)
    return found
