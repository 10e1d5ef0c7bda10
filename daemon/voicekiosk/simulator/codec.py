"""Between the wire's encodings and the one form inside: mono int16 at 24 kHz (protocol section 4)."""

from __future__ import annotations

import binascii
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voicekiosk.simulator import g711

Samples = NDArray[np.int16]
RATE_HZ = 24000


class BadAudio(ValueError):  # noqa: N818 - the name is the protocol's
    """Audio that cannot be decoded."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How one encoding looks on the wire."""

    name: str
    rate_hz: int
    chunk_bytes: int
    chunk_s: float
    law: str = ""

    def decode(self, text: str) -> Samples:
        """Decode the base64 of an `input.audio` to samples at 24 kHz; raises BadAudio."""
        try:
            data = binascii.a2b_base64(text, strict_mode=True)
        except ValueError as error:
            raise BadAudio(str(error)) from None
        if self.law:
            return upsample(g711.decode(self.law, data))
        if len(data) % 2:
            raise BadAudio("an odd number of bytes")
        return np.frombuffer(data, "<i2")

    def encode(self, samples: Samples, *, native_8k: bool = False) -> bytes:
        """Encode samples at 24 kHz; `native_8k` says that they were made from 8 kHz by `upsample`."""
        if self.law:
            return g711.encode(self.law, downsample(samples, filtered=not native_8k))
        return samples.astype("<i2", copy=False).tobytes()

    @property
    def silence(self) -> bytes:
        """One chunk of silence."""
        return self.encode(np.zeros(round(self.chunk_s * RATE_HZ), np.int16), native_8k=True)


PCM = Encoding("audio/pcm", 24000, 480, 0.010)
ENCODINGS = {
    "audio/pcm": PCM,
    "audio/pcmu": Encoding("audio/pcmu", 8000, 300, 0.0375, "ulaw"),
    "audio/pcma": Encoding("audio/pcma", 8000, 300, 0.0375, "alaw"),
}


def upsample(samples: Samples) -> Samples:
    """Go from 8 to 24 kHz by straight lines; every third sample is an original one."""
    if samples.size == 0:
        return samples
    after = np.append(samples[1:], samples[-1]).astype(np.int32)
    before = samples.astype(np.int32)
    out = np.empty((samples.size, 3), np.int16)
    out[:, 0] = samples
    out[:, 1] = (2 * before + after) // 3
    out[:, 2] = (before + 2 * after) // 3
    return out.reshape(-1)


def downsample(samples: Samples, *, filtered: bool) -> Samples:
    """Go from 24 to 8 kHz; unfiltered gives back what `upsample` was given, to the bit."""
    if not filtered:
        return np.ascontiguousarray(samples[::3])
    at = np.arange(-24, 25)
    taps = np.sinc(at / 3.4) * np.hamming(at.size)
    low = np.convolve(samples, taps / taps.sum(), "same")[::3]
    return np.clip(np.rint(low), -32768, 32767).astype(np.int16)
