"""How a tool ends."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from voicekiosk.config.schema import Tool
from voicekiosk.errors import KioskError

MAX_RESULT_BYTES = 16 * 1024
"""What a tool may tell the agent; more is no answer to a question."""

SOCKET_VARIABLE = "VOICEKIOSK_TOOL_SOCKET"
"""Environment variable with the socket behind which commands run as another user; see `isolated`."""

UNIT_SOCKET_VARIABLE = "VOICEKIOSK_UNIT_SOCKET"
"""Environment variable with the socket behind which root starts units; see `voicekiosk-unit@.service`."""

Run = Callable[[dict[str, Any]], Awaitable[object]]


class ToolError(KioskError):
    """A tool failed. The text is read by the agent: what happened, and what to ask or do next."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A tool that can be called: as the service is told of it, and what runs."""

    tool: Tool
    run: Run


def as_json(value: object) -> str:
    """Return what a tool gave as JSON text. Raises `ToolError` when it cannot be told."""
    try:
        text = msgspec.json.encode(value).decode()
    except (TypeError, ValueError, UnicodeError, OverflowError, RecursionError) as error:
        raise ToolError(f"the tool gave something that cannot be told: {error}") from None
    if len(text) > MAX_RESULT_BYTES:
        raise ToolError(f"the tool said more than {MAX_RESULT_BYTES} characters; ask for less of it")
    return text
