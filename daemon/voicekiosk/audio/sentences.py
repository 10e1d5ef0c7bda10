"""Spoken sentences that the kiosk carries with it, for when there is nobody to speak them.

`scripts/sentences` makes them; an owner may put WAV files of the same names into a directory, and others
for the signs.
"""

import logging
import struct
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voicekiosk.audio.resample import Resampler

RATE_HZ: Final = 24000
LONGEST_S: Final = 15.0
SHIPPED: Final = Path(__file__).parent / "sounds"

logger = logging.getLogger(__name__)

_PCM, _MU_LAW = 1, 7


class WavError(ValueError):
    """A file is no WAV file that can be played; the text says why."""


def sentence(name: str, language: str, directory: str = "") -> bytes:
    """Return a sentence as 24 kHz PCM16: the owner's file if there is one that can be used, else ours.

    Empty when there is neither.
    """
    own = own_sound(name, directory)
    return _shipped(name, language) if own is None else own


def own_sound(name: str, directory: str, longest_s: float = LONGEST_S) -> bytes | None:
    """Return the owner's file NAME.wav as 24 kHz PCM16; None when there is none that can be used.

    One that cannot be used is told in the journal, once: some sounds come every few seconds.
    """
    if not directory:
        return None
    path = Path(directory, f"{name}.wav")
    try:
        return read_wav(path.read_bytes(), longest_s)
    except FileNotFoundError:
        return None
    except OSError as error:
        _tell(str(path), error.strerror)
    except WavError as error:
        _tell(str(path), str(error))
    return None


@lru_cache(maxsize=64)
def _tell(path: str, why: str | None) -> None:
    logger.warning("%s cannot be played: %s; until it is replaced, the kiosk's own sound is used", path, why)


@lru_cache(maxsize=4)
def _shipped(name: str, language: str) -> bytes:
    try:
        return read_wav((SHIPPED / language / f"{name}.wav").read_bytes())
    except FileNotFoundError:
        return b""


def read_wav(data: bytes, longest_s: float = LONGEST_S) -> bytes:
    """Return a WAV file's sound as 24 kHz mono PCM16.

    Takes 16 bit PCM and mu-law, any rate and number of channels, at most `longest_s`. Raises WavError.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise WavError("it is no WAV file")
    chunks = _chunks(data)
    if len(chunks.get(b"fmt ", b"")) < 16 or b"data" not in chunks:
        raise WavError("the WAV file is incomplete")
    encoding, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", chunks[b"fmt "])
    if not (1 <= channels <= 8 and 8000 <= rate_hz <= 192000):
        raise WavError(f"{channels} channels at {rate_hz} Hz; expected 1 to 8 at 8000 to 192000 Hz")
    body = chunks[b"data"]
    if (encoding, bits) == (_PCM, 16):
        samples = np.frombuffer(body[: len(body) // 2 * 2], "<i2").astype(np.int16)
    elif (encoding, bits) == (_MU_LAW, 8):
        samples = _mu_law_table()[np.frombuffer(body, np.uint8)]
    else:
        raise WavError(f"format {encoding} with {bits} bits; expected PCM with 16 bits")
    frames = samples[: len(samples) // channels * channels].reshape(-1, channels)
    if len(frames) > longest_s * rate_hz:
        raise WavError(f"it is {len(frames) / rate_hz:.1f} s long; expected at most {longest_s:g} s")
    mono = np.asarray(np.rint(frames.mean(axis=1)), np.int16) if channels > 1 else frames[:, 0]
    resampler = Resampler(rate_hz, RATE_HZ)
    sound = np.concatenate([resampler.process(mono), resampler.flush()])
    return bytes(sound.astype("<i2", copy=False).tobytes())


def _chunks(data: bytes) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    at = 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
        found.setdefault(name, data[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return found


@lru_cache(maxsize=1)
def _mu_law_table() -> NDArray[np.int16]:
    codes = ~np.arange(256, dtype=np.uint8)
    exponent, mantissa = (codes.astype(np.int32) >> 4) & 7, codes.astype(np.int32) & 15
    magnitude = (((mantissa << 3) + 132) << exponent) - 132
    return np.where(codes & 0x80, -magnitude, magnitude).astype(np.int16)
