"""What the demo's visitor says: real recordings and a spoken sentence, in a room that is never quite silent.

The faint noise of the room matters: in digital silence nobody could tell a lost sample from a kept one.
"""

import subprocess
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voicekiosk.audio.resample import Resampler

Samples = NDArray[np.int16]

RATE_HZ = 48000
RECORDINGS = Path("/usr/share/sounds/alsa")
"""Debian's alsa-utils brings a person saying "front center", "rear left" and so on."""
ROOM_LSB = 12.0
"""The room's noise: -69 dBFS, far below what anybody takes for speech."""


@dataclass(frozen=True, slots=True)
class Clip:
    """Something said at the microphone."""

    words: str
    samples: Samples
    path: Path

    @property
    def seconds(self) -> float:
        return len(self.samples) / RATE_HZ


def recording(name: str) -> Samples:
    """Return one of alsa-utils' recordings, such as "Front_Center"."""
    return _read(RECORDINGS / f"{name}.wav")


def spoken(words: str) -> Samples:
    """Return `words` as espeak-ng says them."""
    result = subprocess.run(
        ["espeak-ng", "-v", "en", "-s", "150", "--stdout", words], capture_output=True, check=True, timeout=30
    )
    # espeak-ng writes to a pipe before it knows how long the sound is: the sizes in its header are not true.
    at = result.stdout.index(b"data") + 8
    rate_hz = int.from_bytes(result.stdout[24:28], "little")
    return _to_rate(np.frombuffer(result.stdout[at : len(result.stdout) // 2 * 2], "<i2"), rate_hz)


def clip(folder: Path, name: str, words: str, *parts: Samples | float, seed: int) -> Clip:
    """Put voices and pauses (in seconds) one after another into a room, and write that as a WAV file."""
    pieces = [
        np.zeros(round(part * RATE_HZ), np.int16) if isinstance(part, int | float) else part for part in parts
    ]
    voice = np.concatenate(pieces).astype(np.float64)
    # 3 dB of room for the noise, and a voice that no later gain can clip.
    voice *= min(1.0, 0.7 * 32767 / max(float(np.abs(voice).max()), 1.0))
    noise = np.random.default_rng(seed).normal(0, ROOM_LSB, len(voice))
    samples = np.round(voice + noise).astype(np.int16)
    path = folder / f"{name}.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(samples.astype("<i2").tobytes())
    return Clip(words, samples, path)


def _read(path: Path) -> Samples:
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return _to_rate(samples[:: file.getnchannels()], file.getframerate())


def _to_rate(samples: Samples, rate_hz: int) -> Samples:
    if rate_hz == RATE_HZ:
        return samples.astype(np.int16)
    resampler = Resampler(rate_hz, RATE_HZ)
    return np.concatenate([resampler.process(samples.astype(np.int16)), resampler.flush()])
