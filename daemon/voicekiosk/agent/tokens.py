"""Temporary tokens from a command of the owner's, so that the machine holds no API key (protocol 1.3)."""

import asyncio
import json
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from contextlib import suppress

from voicekiosk.agent.dial import LinkError
from voicekiosk.agent.events import Cause
from voicekiosk.agent.failures import Failure, Remedy

TIMEOUT_S = 5.0
REAP_S = 1.0
LONGEST = 16 * 1024


async def fetch_token(command: Sequence[str], timeout_s: float = TIMEOUT_S) -> str:
    """Run `command`, and return the token that it prints: alone, or as the `token` of a JSON object.

    Raises LinkError, which tells nothing of what was printed. Cancelled or late, the command and what it
    started are killed.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, start_new_session=True
        )
    except (OSError, ValueError) as error:
        raise _failed(f"cannot be started: {getattr(error, 'strerror', None) or error}") from None
    try:
        async with asyncio.timeout(timeout_s):
            printed = await _read(process)
            status = await process.wait()
    except TimeoutError:
        raise _failed(f"did not end within {timeout_s:g} s") from None
    finally:
        # Also when it has ended: what it left running holds no token of ours.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(TimeoutError):
            async with asyncio.timeout(REAP_S):
                await process.communicate()
    if status != 0:
        raise _failed(f"ended with status {status}")
    return _token(printed)


async def _read(process: Process) -> bytes:
    printed = b""
    while process.stdout is not None and len(printed) <= LONGEST:
        piece = await process.stdout.read(LONGEST)
        if not piece:
            return printed
        printed += piece
    raise _failed(f"printed more than {LONGEST} bytes")


def _token(printed: bytes) -> str:
    text = printed.decode("ascii", "replace").strip()
    if text.startswith("{"):
        try:
            text = str(json.loads(text).get("token") or "")
        except ValueError:
            text = ""
    if not text or not text.isprintable() or not text.isascii() or " " in text:
        raise _failed("printed no token; expected the token alone, or JSON with a key token")
    return text


def _failed(what: str) -> LinkError:
    detail = f"agent.token_command {what}"
    return LinkError(Failure(Cause.KEY, Remedy.LATER, "token_command", detail))
