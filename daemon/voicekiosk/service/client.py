"""The command line's end of the control socket: blocking, and quick to import (no asyncio, no msgspec)."""

import json
import socket
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from voicekiosk.errors import KioskError, NotRunningError
from voicekiosk.service.protocol import VERSION, Topic, error_of, socket_path

_LONGEST_ANSWER_BYTES = 16 * 1024 * 1024


class ControlClient:
    """A connection to the running daemon.

    Raises `NotRunningError` when made, if there is none to talk to.
    """

    def __init__(self, path: Path | None = None, timeout_s: float = 20.0) -> None:
        self._path = socket_path() if path is None else path
        self._timeout_s = timeout_s
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        self._unread = b""
        # Events that came while an answer was waited for.
        self._waiting: deque[dict[str, Any]] = deque()
        self._last_id = 0
        try:
            self._socket.connect(str(self._path))
        except OSError as error:
            self._socket.close()
            raise _no_daemon(self._path, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave."""
        self._socket.close()

    def request(self, command: str, **args: object) -> Any:
        """Return the result of `command`.

        Raises `RefusedError`, `ConfigError`, `DeviceError` or `KioskError` as the daemon says, and
        `NotRunningError` if it goes away meanwhile.
        """
        self._last_id += 1
        message = {"v": VERSION, "id": self._last_id, "command": command, "args": args}
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except (BrokenPipeError, ConnectionResetError):
            # The daemon may have said why before it hung up: read on.
            pass
        except TimeoutError:
            raise self._no_answer() from None
        while True:
            answer = self._read()
            if "topic" in answer:
                self._waiting.append(answer)
            elif answer.get("id") in (self._last_id, None):
                return _result(answer)

    def subscribe(self, *topics: Topic) -> None:
        """Ask for events of `topics`, instead of those asked for before."""
        self.request("subscribe", topics=list(topics))

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield `{"topic", "time", "event"}` and `{"topic", "missed"}`, for as long as it takes.

        Raises `NotRunningError` when the daemon stops.
        """
        self._socket.settimeout(None)
        try:
            while True:
                yield self._waiting.popleft() if self._waiting else self._read()
        finally:
            self._socket.settimeout(self._timeout_s)

    def _read(self) -> dict[str, Any]:
        while b"\n" not in self._unread:
            try:
                received = self._socket.recv(65536)
            except TimeoutError:
                raise self._no_answer() from None
            except ConnectionResetError:
                received = b""
            if not received:
                raise NotRunningError(
                    "voicekiosk stopped, or ended this connection; see journalctl -u voicekiosk"
                )
            self._unread += received
            if len(self._unread) > _LONGEST_ANSWER_BYTES:
                raise KioskError(f"{self._path}: this is not the control socket of voicekiosk")
        line, _, self._unread = self._unread.partition(b"\n")
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise KioskError(f"{self._path}: this is not the control socket of voicekiosk")
        return answer

    def _no_answer(self) -> KioskError:
        return KioskError(
            f"voicekiosk does not answer within {self._timeout_s:g} s; "
            "its watchdog restarts it if it hangs: see journalctl -u voicekiosk"
        )


def _result(answer: dict[str, Any]) -> Any:
    if answer.get("ok") is True:
        return answer.get("result")
    error = answer.get("error")
    if not isinstance(error, dict):
        error = {}
    raise error_of(str(error.get("code", "")), str(error.get("message", "the daemon gave no reason")))


def _no_daemon(path: Path, error: OSError) -> NotRunningError:
    match error:
        case FileNotFoundError() | ConnectionRefusedError() | NotADirectoryError():
            return NotRunningError(
                f"voicekiosk is not running (nobody listens on {path}); start it: systemctl start voicekiosk"
            )
        case PermissionError():
            return NotRunningError(
                f"{path}: not permitted; use sudo, or join the group: sudo usermod -aG voicekiosk $USER, "
                "and log in again"
            )
        case _:
            return NotRunningError(f"{path}: {error.strerror or error}; is VOICEKIOSK_SOCKET right?")
