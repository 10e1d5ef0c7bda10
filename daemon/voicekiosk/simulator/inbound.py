"""Reading a text frame: anything may come, nothing may raise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

NAME_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Inbound:
    """A text frame as it was understood."""

    kind: str
    """Its type, shortened; what is no string is shown as Python would."""
    frame: dict[str, Any] | None
    """Its content; None when it is not a JSON object."""
    line: bytes
    """The frame as JSON on one line, for the record."""


def read(raw: bytes) -> Inbound:
    """Read a text frame whose bytes are valid UTF-8."""
    try:
        frame = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        frame = None
    if not isinstance(frame, dict):
        return Inbound("(not JSON)", None, msgspec.json.encode(raw.decode(errors="replace")))
    kind = frame.get("type")
    name = kind[:NAME_LIMIT] if isinstance(kind, str) else str(kind)[:NAME_LIMIT]
    line = raw.translate(None, b"\r\n") if b"\n" in raw or b"\r" in raw else raw
    return Inbound(name, frame, line)
