"""One call of one tool, as `voicekiosk-tool@.service` runs it: `voicekiosk tool --connection`.

Standard input is the connection to the daemon, both ways. When the daemon goes away, so does the tool.
"""

import asyncio
import contextlib
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from voicekiosk.config.load import load
from voicekiosk.config.schema import Config, Tool
from voicekiosk.errors import ConfigError
from voicekiosk.tools.arguments import misfits
from voicekiosk.tools.builtin import start_unit
from voicekiosk.tools.command import run_command
from voicekiosk.tools.isolated import MAX_REPLY_BYTES, Reply, Request
from voicekiosk.tools.outcome import ToolError, as_json

ASKED_WITHIN_S = 5.0


async def serve(connection: socket.socket, file: Path, *, units: bool = False) -> None:
    """Take one request from the connection, and answer it; `units` starts units, and runs no command."""
    reader, writer = await asyncio.open_connection(sock=connection, limit=1 << 20)
    try:
        async with asyncio.timeout(ASKED_WITHIN_S):
            line = await reader.readline()
        request = msgspec.json.decode(line, type=Request)
        work = asyncio.create_task(_answer(request, file, start if units else run_tool))
        gone = asyncio.create_task(reader.read(1))
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        if not work.done():
            work.cancel()
            await asyncio.wait({work})
            return
        writer.write(work.result())
        await writer.drain()
    except (OSError, TimeoutError, ValueError, msgspec.MsgspecError) as error:
        sys.stderr.write(f"voicekiosk-tool: no request that can be answered: {error}\n")
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


Way = Callable[[Request, Config], Awaitable[object]]


async def _answer(request: Request, file: Path, way: Way) -> bytes:
    try:
        value = await way(request, load(file))
        as_json(value)
        reply = Reply(value)
    except ConfigError:
        reply = Reply(error=f"{file} cannot be used at the moment; somebody has to run: voicekiosk check")
    except TimeoutError:
        reply = Reply(error="it did not finish in time and was stopped")
    except ToolError as error:
        reply = Reply(error=str(error))
    return msgspec.json.encode(reply)[:MAX_REPLY_BYTES] + b"\n"


async def run_tool(request: Request, config: Config) -> object:
    """Run a command of the configuration. Raises `ToolError`, or TimeoutError after the tool's own limit."""
    tool = _tool(request, "command", [tool for tool in config.tools if tool.command])
    if found := misfits(tool.parameters, request.arguments):
        raise ToolError("; ".join(found))
    async with asyncio.timeout(tool.timeout_s):
        return await run_command(tool.command, request.arguments, tool.name)


async def start(request: Request, config: Config) -> object:
    """Start a unit that the configuration lists. Raises like `run_tool`."""
    tool = _tool(request, "unit", [tool for tool in config.tools if tool.builtin == "unit"])
    async with asyncio.timeout(tool.timeout_s):
        return await start_unit(tool, str(request.arguments.get("unit", "")))


def _tool(request: Request, kind: str, tools: list[Tool]) -> Tool:
    for tool in tools:
        if tool.name == request.tool:
            return tool
    raise ToolError(f"there is no {kind} called {request.tool[:64]} here")
