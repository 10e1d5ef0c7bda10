"""G.711: μ-law and A-law, by the tables of ITU-T G.711 (protocol section 4)."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]


@cache
def _ulaw_table() -> Samples:
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << ((code >> 4) & 7)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


@cache
def _alaw_table() -> Samples:
    code = np.arange(256, dtype=np.int32) ^ 0x55
    segment, mantissa = (code >> 4) & 7, (code & 0x0F) << 4
    magnitude = np.where(segment == 0, mantissa + 8, mantissa + 0x108 << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


@cache
def _encoder(law: str) -> NDArray[np.uint8]:
    """Return the nearest code for each of the 65,536 sample values, indexed by the value as uint16."""
    table = (_ulaw_table() if law == "ulaw" else _alaw_table()).astype(np.int32)
    order = np.argsort(table, kind="stable")
    levels = table[order]
    borders = (levels[1:] + levels[:-1]) / 2
    values = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    codes: NDArray[np.uint8] = order[np.searchsorted(borders, values, side="right")].astype(np.uint8)
    if law == "ulaw":
        codes[0] = 0xFF  # both 0x7F and 0xFF are zero; silence is 0xFF
    return codes


def decode(law: str, data: bytes) -> Samples:
    """Decode bytes of "ulaw" or "alaw" to samples at the same rate."""
    table = _ulaw_table() if law == "ulaw" else _alaw_table()
    return table[np.frombuffer(data, np.uint8)]


def encode(law: str, samples: Samples) -> bytes:
    """Encode samples as "ulaw" or "alaw"."""
    return _encoder(law)[samples.view(np.uint16)].tobytes()
