"""Run a command as another user: systemd starts an instance of `voicekiosk-tool@.service` for each call.

A child of the daemon could read what the daemon can, the API key too. Behind the socket the program
has a user, a cgroup and limits of its own and no credential. Only the name of the tool and its arguments
cross the socket: what is run stands in the configuration file, which the instance reads itself.

Starting a unit goes the same way to `voicekiosk-unit@.service`, which is root, as systemd starts units for
nobody else; all that the daemon can ask there is for one that the file lists.
"""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import msgspec

from voicekiosk.tools.command import encoded
from voicekiosk.tools.outcome import MAX_RESULT_BYTES, ToolError

MAX_REPLY_BYTES = 2 * MAX_RESULT_BYTES


class Request(msgspec.Struct, frozen=True):
    """What the daemon asks an instance for: one line of JSON."""

    tool: str
    arguments: dict[str, Any]


class Reply(msgspec.Struct, frozen=True):
    """What an instance answers: one line of JSON; with an error, `value` means nothing."""

    value: Any = None
    error: str = ""


async def run_isolated(socket: str, arguments: dict[str, Any], name: str) -> object:
    """Have the tool called `name` run behind `socket`; raises `ToolError`. Cancelling ends it there too."""
    asked = encoded(Request(name, arguments)) + b"\n"
    try:
        reader, writer = await asyncio.open_unix_connection(socket, limit=MAX_REPLY_BYTES)
    except OSError as error:
        raise ToolError(
            f"this tool cannot be started now ({error.strerror}; is {Path(socket).name} running?)"
        ) from None
    try:
        writer.write(asked)
        await writer.drain()
        line = await reader.readline()
        reply = msgspec.json.decode(line, type=Reply)
    except (OSError, ValueError, msgspec.MsgspecError):
        raise ToolError("the tool ended without an answer") from None
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    if reply.error:
        raise ToolError(reply.error)
    return reply.value
