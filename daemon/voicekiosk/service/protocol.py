"""What both ends of the control socket agree on. Imports nothing heavy: the command line starts with it.

One JSON object a line, both ways, UTF-8:

    → {"v": 1, "id": 7, "command": "volume", "args": {"percent": 60}}
    ← {"v": 1, "id": 7, "ok": true, "result": {"volume": 60}}
    ← {"v": 1, "id": 7, "ok": false, "error": {"code": "refused", "message": "…"}}

A connection may `subscribe` to topics; from then on it also gets

    ← {"v": 1, "topic": "events", "time": 1763812345.123, "event": {…}}
    ← {"v": 1, "topic": "events", "missed": 12}

A request is answered in the order in which it came. Fields that one end does not know are ignored
in answers and refused in requests.
"""

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

from voicekiosk.errors import ConfigError, DeviceError, KioskError, RefusedError

VERSION: Final = 1
DEFAULT_SOCKET: Final = Path("/run/voicekiosk/control.sock")
SOCKET_VARIABLE: Final = "VOICEKIOSK_SOCKET"
MAX_REQUEST_BYTES: Final = 64 * 1024


class Topic(StrEnum):
    """What a client can subscribe to."""

    STATUS = "status"
    EVENTS = "events"
    TRANSCRIPT = "transcript"


class ErrorCode(StrEnum):
    """Why a request got no result."""

    FAILED = "failed"
    CONFIG = "config"
    DEVICE = "device"
    REFUSED = "refused"
    FORBIDDEN = "forbidden"
    UNKNOWN_COMMAND = "unknown_command"
    BAD_REQUEST = "bad_request"
    TOO_LARGE = "too_large"
    UNSUPPORTED_VERSION = "unsupported_version"
    BUSY = "busy"
    TIMEOUT = "timeout"
    INTERNAL = "internal"


def socket_path(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where the control socket is: `$VOICEKIOSK_SOCKET`, else `/run/voicekiosk/control.sock`.

    Where there is no service and one may not make that directory (a laptop, not as root), both ends
    meet in the person's own runtime directory.
    """
    if named := environ.get(SOCKET_VARIABLE):
        return Path(named)
    own = environ.get("XDG_RUNTIME_DIR")
    if own and os.geteuid() != 0 and not DEFAULT_SOCKET.parent.is_dir():
        return Path(own, "voicekiosk.sock")
    return DEFAULT_SOCKET


def code_of(error: KioskError) -> ErrorCode:
    """Return the code under which `error` crosses the socket."""
    match error:
        case ConfigError():
            return ErrorCode.CONFIG
        case DeviceError():
            return ErrorCode.DEVICE
        case RefusedError():
            return ErrorCode.REFUSED
        case _:
            return ErrorCode.FAILED


def error_of(code: str, message: str) -> KioskError:
    """Return the exception that stands for an error answer; its exit code is the command's."""
    match code:
        case ErrorCode.REFUSED | ErrorCode.FORBIDDEN:
            return RefusedError(message)
        case ErrorCode.CONFIG | ErrorCode.BAD_REQUEST | ErrorCode.UNKNOWN_COMMAND | ErrorCode.TOO_LARGE:
            return ConfigError(message)
        case ErrorCode.DEVICE:
            return DeviceError(message)
        case _:
            return KioskError(message)
