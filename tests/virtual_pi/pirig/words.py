"""What is said at the microphone: real recordings of a person, which Debian's alsa-utils brings."""

import wave
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]
RECORDINGS = Path("/usr/share/sounds/alsa")
RATE_HZ = 48000


@cache
def recording(name: str, rate_hz: int = RATE_HZ) -> Samples:
    """Return one of alsa-utils' recordings, such as "Front_Center", at 70 % of full scale."""
    with wave.open(str(RECORDINGS / f"{name}.wav")) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float64)
    loud = np.flatnonzero(np.abs(samples) > 300)
    samples = samples[max(0, loud[0] - 480) : loud[-1] + 480]
    samples *= 0.7 * 32767 / np.abs(samples).max()
    if rate_hz != RATE_HZ:
        at = np.arange(int(len(samples) * rate_hz / RATE_HZ)) * (RATE_HZ / rate_hz)
        samples = np.interp(at, np.arange(len(samples)), samples)
    return np.round(samples).astype(np.int16)


def word(rate_hz: int = RATE_HZ) -> Samples:
    """Return a word, half a second long: a question where its length is not what is tried."""
    return question(rate_hz)[: rate_hz // 2]


def question(rate_hz: int = RATE_HZ) -> Samples:
    """Return a second and a half of a person speaking."""
    return recording("Front_Center", rate_hz)


def two_recordings(rate_hz: int = RATE_HZ) -> Samples:
    """Return about two and a half seconds of a person speaking."""
    return np.concatenate([recording(name, rate_hz) for name in ("Front_Center", "Rear_Left")])


def three_recordings(rate_hz: int = RATE_HZ) -> Samples:
    """Return about four seconds of a person speaking, without a pause that ends a turn."""
    return np.concatenate([two_recordings(rate_hz), recording("Front_Left", rate_hz)])


def long_question(rate_hz: int = RATE_HZ) -> Samples:
    """Return about five seconds of a person speaking, without a pause that ends a turn."""
    names = ("Front_Center", "Front_Left", "Front_Right", "Rear_Left")
    return np.concatenate([recording(name, rate_hz) for name in names])
