"""Short sounds that say what a lamp says, for whoever does not look: made here, no files.

Each is a few sine tones with soft edges. They are quiet on purpose (speech is louder), and told apart by
rhythm and direction, not by pitch alone: rising is good, falling is bad, one is nothing to worry about.
"""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

RATE_HZ = 24000
# Long enough not to click, short enough to stay a tick.
_EDGE_S = 0.006

Earcon = Literal["tick", "ready", "offline", "error"]


@dataclass(frozen=True, slots=True)
class _Tone:
    """A sine; 0 Hz is a pause."""

    frequency_hz: float
    seconds: float
    # Peak, as a part of full scale.
    level: float


_TONES: dict[Earcon, tuple[_Tone, ...]] = {
    # Reconnecting: repeated, so hardly there.
    "tick": (_Tone(880, 0.030, 0.06),),
    # Listening, or back again: up a fourth.
    "ready": (_Tone(587, 0.070, 0.15), _Tone(784, 0.110, 0.15)),
    # No network: down a fourth, twice as slow.
    "offline": (_Tone(587, 0.150, 0.18), _Tone(0, 0.030, 0), _Tone(440, 0.220, 0.18)),
    # Something is broken: three low ones.
    "error": (
        _Tone(330, 0.120, 0.20),
        _Tone(0, 0.060, 0),
        _Tone(330, 0.120, 0.20),
        _Tone(0, 0.060, 0),
        _Tone(247, 0.260, 0.20),
    ),
}

EARCONS: tuple[Earcon, ...] = tuple(_TONES)


@cache
def earcon(name: Earcon) -> bytes:
    """Return the sign as 24 kHz PCM16, for `Playback.play`. Made once, then kept."""
    return b"".join(_sound(tone) for tone in _TONES[name])


def _sound(tone: _Tone) -> bytes:
    frames = round(tone.seconds * RATE_HZ)
    wave = np.sin(2 * np.pi * tone.frequency_hz / RATE_HZ * np.arange(frames)) * tone.level
    if tone.frequency_hz:
        edge = round(_EDGE_S * RATE_HZ)
        rise = 0.5 - 0.5 * np.cos(np.pi * np.arange(edge) / edge)
        wave[:edge] *= rise
        wave[-edge:] *= rise[::-1]
    return bytes(np.rint(wave * 32767).astype("<i2").tobytes())
