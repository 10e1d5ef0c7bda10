"""A sound that can be found again: how long from loudspeaker to microphone, and how much of it arrives.

A sine that glides upwards has a sharp peak where it fits a recording of itself, and a room, a cheap
loudspeaker or another clock do not move that peak.
"""

from dataclasses import dataclass
from math import log10

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 24000
_SECONDS, _FROM_HZ, _TO_HZ = 0.25, 500.0, 4000.0
_LEVEL = 0.25
_EDGE_S = 0.01
# The peak must stand out of what else there is by this factor to be the chirp and not a chance.
_CLEAR_FACTOR = 10.0


@dataclass(frozen=True, slots=True)
class Echo:
    """The chirp as the microphone heard it."""

    delay_s: float
    # How much louder or quieter it came back than it was sent, in dB.
    gain_db: float
    # How far the peak stands out of everything else.
    clearness: float


def chirp() -> NDArray[np.int16]:
    """Return the chirp, 24 kHz mono."""
    t = np.arange(round(_SECONDS * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * (_FROM_HZ * t + (_TO_HZ - _FROM_HZ) * t**2 / (2 * _SECONDS))
    wave = np.sin(phase)
    edge = round(_EDGE_S * RATE_HZ)
    rise = 0.5 - 0.5 * np.cos(np.pi * np.arange(edge) / edge)
    wave[:edge] *= rise
    wave[-edge:] *= rise[::-1]
    return np.asarray(np.rint(wave * _LEVEL * 32767), np.int16)


def find(recording: NDArray[np.int16], after_s: float = 0.0) -> Echo | None:
    """Return the chirp in `recording` (24 kHz mono), or None if it is not there.

    `after_s` is when it was sent, from the start of the recording.
    """
    sent = chirp().astype(np.float64)
    heard = recording.astype(np.float64)
    if len(heard) < len(sent):
        return None
    size = 1 << (len(heard) + len(sent) - 1).bit_length()
    product = np.fft.rfft(heard - heard.mean(), size) * np.conj(np.fft.rfft(sent, size))
    match = np.abs(np.fft.irfft(product, size)[: len(heard) - len(sent) + 1])
    place = int(match.argmax())
    floor = float(np.median(match))
    clearness = float(match[place]) / floor if floor > 0 else float("inf") if match[place] > 0 else 0.0
    if clearness < _CLEAR_FACTOR:
        return None
    gain = float(match[place]) / float(np.dot(sent, sent))
    return Echo(place / RATE_HZ - after_s, 20 * log10(max(gain, 1e-6)), clearness)
