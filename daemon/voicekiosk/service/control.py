"""The control socket: how the command line talks to the running daemon.

Lives in the event loop. Nothing here can hold up the kiosk: requests of one client are handled one
after the other in that client's own task, events go to a bounded buffer, and who does not read is
told how much was missed, or dropped.
"""

import asyncio
import logging
import socket
import stat
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from voicekiosk.errors import KioskError
from voicekiosk.service.protocol import (
    DEFAULT_SOCKET,
    MAX_REQUEST_BYTES,
    VERSION,
    ErrorCode,
    Topic,
    code_of,
    socket_path,
)
from voicekiosk.service.requests import (
    BadRequestError,
    Envelope,
    Request,
    is_permitted,
    parse_envelope,
    parse_request,
)

logger = logging.getLogger(__name__)

_PEER = struct.Struct("=iII")
_MODE = 0o660


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end, as the kernel tells it."""

    pid: int
    uid: int
    gid: int


class Commands(Protocol):
    """What the kiosk does for the control socket. Called in the event loop."""

    async def handle(self, request: Request, peer: Peer) -> object:
        """Carry out `request` and return its result: anything that msgspec can write as JSON.

        Raises `KioskError` or one of its kinds; its text is shown to the person who asked. Privileged
        requests have been refused to others before they come here.
        """
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may take."""

    clients: int = 32
    """Connections at a time; one more gets an error and is closed."""
    request_bytes: int = MAX_REQUEST_BYTES
    event_bytes: int = 256 * 1024
    """Unread bytes after which a client misses events."""
    answer_within_s: float = 15.0
    idle_s: float = 60.0
    """A connection that neither asks nor subscribes is closed after this long."""
    unread_s: float = 30.0
    """A connection that does not read is dropped after this long."""


@dataclass(frozen=True, slots=True)
class ControlStatistics:
    """Counts since the start."""

    clients: int
    turned_away: int
    requests: int
    errors: int
    events: int
    missed: int
    dropped: int


class _Client:
    """One connection."""

    def __init__(self, writer: asyncio.StreamWriter, peer: Peer) -> None:
        self.writer = writer
        self.peer = peer
        self.topics: frozenset[Topic] = frozenset()
        # Events left out since the client was last told, by topic.
        self.missed: dict[Topic, int] = {}
        # Waits for the client to read on, while it misses events.
        self.catching_up: asyncio.Task[None] | None = None

    def send(self, message: dict[str, object]) -> None:
        self.writer.write(msgspec.json.encode({"v": VERSION, **message}) + b"\n")

    def send_error(self, code: ErrorCode, message: str, request_id: int | str | None) -> None:
        self.send({"id": request_id, "ok": False, "error": {"code": code, "message": message}})

    def unread_bytes(self) -> int:
        return self.writer.transport.get_write_buffer_size()

    def tell_missed(self) -> None:
        for topic, count in self.missed.items():
            self.send({"topic": topic, "missed": count})
        self.missed.clear()

    def drop(self) -> None:
        """Close at once, without waiting for what is unread."""
        self.writer.transport.abort()


class ControlServer:
    """The daemon's end of the control socket. Everything belongs to the event loop's thread."""

    def __init__(
        self,
        commands: Commands,
        path: Path | None = None,
        limits: Limits = Limits(),
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._commands = commands
        self.path = socket_path() if path is None else path
        self._limits = limits
        self._wall_clock = wall_clock
        self._server: asyncio.Server | None = None
        self._inode = 0
        self._clients: dict[asyncio.Task[None], _Client] = {}
        self._turned_away = 0
        self._requests = 0
        self._errors = 0
        self._events = 0
        self._missed = 0
        self._dropped = 0

    async def start(self) -> None:
        """Listen; a socket that a dead daemon left behind is replaced.

        Raises `KioskError` if another daemon listens there, or the socket cannot be made.
        """
        listener = _bind(self.path)
        self._inode = self.path.stat().st_ino
        self._server = await asyncio.start_unix_server(
            self._serve, sock=listener, limit=self._limits.request_bytes
        )

    async def close(self) -> None:
        """Stop listening, let clients read what was sent (at most 0.5 s), and remove the socket."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        with suppress(OSError):
            if self.path.stat().st_ino == self._inode:
                self.path.unlink()
        tasks = list(self._clients)
        for task, client in self._clients.items():
            client.writer.close()
            task.cancel()
        if tasks:
            _, slow = await asyncio.wait(tasks, timeout=0.5)
            for task in slow:
                if (late := self._clients.get(task)) is not None:
                    late.drop()

    def listeners(self, topic: Topic) -> int:
        """Return how many clients want `topic`; with none, an event need not be made."""
        return sum(topic in client.topics for client in self._clients.values())

    def publish(self, topic: Topic, event: object) -> None:
        """Send `event` to all who subscribed to `topic`. Never waits, never raises for a client's sake."""
        wanted = [client for client in self._clients.values() if topic in client.topics]
        if not wanted:
            return
        line = msgspec.json.encode({"v": VERSION, "topic": topic, "time": self._wall_clock(), "event": event})
        for client in wanted:
            if client.catching_up is not None or client.unread_bytes() > self._limits.event_bytes:
                self._miss(client, topic)
            else:
                client.writer.write(line + b"\n")
                self._events += 1

    def statistics(self) -> ControlStatistics:
        """Return the counts since the start."""
        return ControlStatistics(
            clients=len(self._clients),
            turned_away=self._turned_away,
            requests=self._requests,
            errors=self._errors,
            events=self._events,
            missed=self._missed,
            dropped=self._dropped,
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "asyncio serves each connection in a task"  # noqa: S101
        client = _Client(writer, _peer_of(writer))
        if len(self._clients) >= self._limits.clients:
            self._turned_away += 1
            client.send_error(ErrorCode.BUSY, f"{len(self._clients)} clients are connected already", None)
            writer.close()
            return
        writer.transport.set_write_buffer_limits(high=self._limits.event_bytes)
        self._clients[task] = client
        try:
            await self._converse(reader, client)
        except (ConnectionError, TimeoutError):
            pass
        except asyncio.CancelledError:
            # Only `close` cancels; the loop need not hear of it.
            pass
        finally:
            del self._clients[task]
            if client.catching_up is not None:
                client.catching_up.cancel()
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, client: _Client) -> None:
        """Answer request after request until the client leaves, idles or does not read."""
        while True:
            try:
                async with asyncio.timeout(None if client.topics else self._limits.idle_s):
                    line = await reader.readuntil(b"\n")
            except asyncio.IncompleteReadError:
                return
            except asyncio.LimitOverrunError:
                self._errors += 1
                limit = self._limits.request_bytes
                client.send_error(ErrorCode.TOO_LARGE, f"a request is at most {limit} bytes", None)
                return
            self._requests += 1
            await self._answer(line, client)
            try:
                async with asyncio.timeout(self._limits.unread_s):
                    await client.writer.drain()
            except TimeoutError:
                self._drop(client)
                return

    async def _answer(self, line: bytes, client: _Client) -> None:
        request_id: int | str | None = None
        try:
            envelope = parse_envelope(line)
            request_id = envelope.id
            result = await self._result(envelope, client)
            client.send({"id": request_id, "ok": True, "result": result})
        except BadRequestError as error:
            self._errors += 1
            client.send_error(error.code, str(error), error.request_id)
        except KioskError as error:
            self._errors += 1
            client.send_error(code_of(error), str(error), request_id)
        except TimeoutError:
            self._errors += 1
            limit = self._limits.answer_within_s
            client.send_error(ErrorCode.TIMEOUT, f"the daemon had no answer within {limit:g} s", request_id)
        except Exception:
            # A fault of ours here must not take the visitor's conversation with it.
            self._errors += 1
            logger.exception("control socket: a command failed")
            client.send_error(
                ErrorCode.INTERNAL, "the daemon failed to do that; its journal has the traceback", request_id
            )

    async def _result(self, envelope: Envelope, client: _Client) -> object:
        if envelope.command == "subscribe":
            return self._subscribe(envelope, client)
        if not is_permitted(envelope.command, client.peer.uid):
            raise BadRequestError(
                ErrorCode.FORBIDDEN, f"{envelope.command}: only root may do this", envelope.id
            )
        request = parse_request(envelope)
        async with asyncio.timeout(self._limits.answer_within_s):
            return await self._commands.handle(request, client.peer)

    def _subscribe(self, envelope: Envelope, client: _Client) -> object:
        try:
            topics = msgspec.convert(envelope.args.get("topics"), frozenset[Topic])
        except msgspec.ValidationError:
            known = ", ".join(Topic)
            raise BadRequestError(
                ErrorCode.BAD_REQUEST, f'subscribe: expected "topics": a list of {known}', envelope.id
            ) from None
        client.topics = topics
        return {"topics": sorted(topics)}

    def _miss(self, client: _Client, topic: Topic) -> None:
        self._missed += 1
        client.missed[topic] = client.missed.get(topic, 0) + 1
        if client.catching_up is None:
            client.catching_up = asyncio.get_running_loop().create_task(self._catch_up(client))

    async def _catch_up(self, client: _Client) -> None:
        try:
            async with asyncio.timeout(self._limits.unread_s):
                await client.writer.drain()
        except TimeoutError:
            self._drop(client)
        except ConnectionError:
            pass
        else:
            client.catching_up = None
            client.tell_missed()

    def _drop(self, client: _Client) -> None:
        self._dropped += 1
        logger.warning("control socket: pid %d does not read and was dropped", client.peer.pid)
        client.drop()


def _peer_of(writer: asyncio.StreamWriter) -> Peer:
    connection = writer.get_extra_info("socket")
    return Peer(*_PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)))


def _bind(path: Path) -> socket.socket:
    """Return a bound socket with its right mode that does not listen yet, so nobody connects too early."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path == DEFAULT_SOCKET:
            # Under systemd it is there already; by hand, as root, nobody else makes it.
            path.parent.mkdir(mode=0o755, exist_ok=True)
        _clear_way(path)
        listener.bind(str(path))
        path.chmod(_MODE)
    except OSError as error:
        listener.close()
        hint = "make its directory, or name another place in VOICEKIOSK_SOCKET"
        raise KioskError(f"control socket {path}: {error.strerror or error}; {hint}") from error
    except KioskError:
        listener.close()
        raise
    return listener


def _clear_way(path: Path) -> None:
    """Remove what a dead daemon left at `path`; raise `KioskError` if it is anything else."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise KioskError(f"control socket {path}: something that is not a socket is there; move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.5)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except FileNotFoundError:
            return
        except TimeoutError:
            pass
    raise KioskError(
        f"control socket {path}: another voicekiosk is running; stop it (systemctl stop voicekiosk), "
        "or name another place in VOICEKIOSK_SOCKET"
    )
