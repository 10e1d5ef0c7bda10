"""A client's connection: HTTP first, then a WebSocket with a session on it, its timers and its record."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from voicekiosk.simulator import http
from voicekiosk.simulator.conversation import Conversation
from voicekiosk.simulator.faults import GARBAGE, FaultPlan
from voicekiosk.simulator.record import Record
from voicekiosk.simulator.scenario import Fault
from voicekiosk.simulator.session import Session
from voicekiosk.simulator.websocket import Kind, WebSocket
from voicekiosk.simulator.world import Life

if TYPE_CHECKING:
    from voicekiosk.simulator.server import Simulator

log = logging.getLogger(__name__)
HEAD_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 10.0
MAX_LINKS = 1000
"""TCP connections at one time, whatever they are."""
PATH = "/v1/ws"


class Connection(asyncio.Protocol):
    """One TCP connection to the simulator. Everything runs in the event loop's thread."""

    def __init__(self, simulator: Simulator) -> None:
        self.number = 0
        """From 1, for WebSockets that were let through to the protocol; 0 for others."""
        self.caller = ""
        """Who it is, as far as back-off goes: credential and address."""
        self.record: Record | None = None
        self.session: Session | None = None
        self.opened_s = 0.0
        self.closed_s: float | None = None
        self.close_code: int | None = None
        self._simulator = simulator
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._socket: WebSocket | None = None
        self._head = bytearray()
        self._request: http.Request | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due_s: float | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._ping_due: asyncio.TimerHandle | None = None
        self._pinged = False
        self._faults: FaultPlan | None = None
        self._pending_faults: list[Fault] = []
        self._final: dict[str, Any] | None = None  # the state when the connection ended
        self._dropped: Life | None = None  # the session that was left un-ended
        self._dropped_s = 0.0

    @property
    def live(self) -> bool:
        """Whether the WebSocket is open."""
        return self._socket is not None and self._socket.open

    @property
    def closed(self) -> bool:
        """Whether the TCP connection is gone."""
        return self.closed_s is not None

    @property
    def conversation(self) -> Conversation | None:
        """The conversation, from `session.ready` on."""
        return self.session.conversation if self.session is not None else None

    def abort(self) -> None:
        """Cut the TCP connection."""
        self._transport.abort()

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request, not for ever."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what create_server gives
        self._transport = transport
        self._simulator.links.add(self)
        if len(self._simulator.links) > MAX_LINKS:
            transport.abort()
            return
        self._watch = self._loop.call_later(HEAD_TIMEOUT_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client."""
        if self._socket is None:
            self._head += data
            self._read_request()
        else:
            self._read_messages(data)

    def eof_received(self) -> bool:
        """Take the end of the client's stream."""
        if self._socket is not None:
            self._socket.eof()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the books."""
        del exc
        self._simulator.links.discard(self)
        for handle in (self._timer, self._watch, self._ping_due):
            if handle is not None:
                handle.cancel()
        session, socket = self.session, self._socket
        if session is not None and self.record is not None and socket is not None:
            now_s = self._simulator.now_s
            self.closed_s = self._loop.time()
            self.close_code = socket.close_code
            session.lost(socket, now_s, closed_by_client=socket.closed_by_client)
            self._final = self._state(session)
            if session.life.state == "dropped":
                self._dropped, self._dropped_s = session.life, now_s
            self._simulator.finished(self)
        # Only facts are kept of what is over; a session in its grace window is the world's.
        self.session = self._socket = self._request = None
        self._simulator.wake_waiters()

    # --- HTTP

    def _read_request(self) -> None:
        try:
            if self._request is None:
                self._request = http.parse_head(bytes(self._head))
            if self._request is None:
                return
            if self._request.upgrades:
                self._upgrade(self._request)
                return
            length = self._request.body_length
        except http.BadRequest as error:
            self._respond(http.Response(400, {"detail": str(error)}))
            return
        start = self._request.head_bytes
        if len(self._head) >= start + length:
            body = bytes(self._head[start : start + length])
            self._respond(self._simulator.respond(self._request, body))

    def _respond(self, response: http.Response) -> None:
        self._transport.write(response.encode())
        self._transport.close()

    # --- the WebSocket

    def _upgrade(self, request: http.Request) -> None:
        simulator, door = self._simulator, self._simulator.world.scenario.door
        refusal = simulator.turn_away(request)
        if request.path != PATH:
            refusal = http.Response(404, {"detail": "Not Found"})
        if refusal is not None:
            self._respond(refusal)
            return
        self._socket = WebSocket(
            self._transport, max_size=door.max_message_bytes, compression=door.compression
        )
        head, self._head = bytes(self._head), bytearray()
        if not self._socket.upgrade(head[: request.head_bytes]):
            return
        if self._watch is not None:
            self._watch.cancel()
        self._open(request)
        rest = head[request.head_bytes :]
        if rest:
            self._read_messages(rest)

    def _open(self, request: http.Request) -> None:
        simulator = self._simulator
        self.opened_s = self._loop.time()
        self.number, self.record = simulator.register(self)
        secret = request.headers.get("authorization") or request.query.get("token", "")
        self.caller = f"{secret} from {self._transport.get_extra_info('peername')[0]}"
        world = simulator.world
        admission = simulator.admit(request)
        self._faults = FaultPlan(world.scenario.fault, world.faults_left, world.connections)
        assert self._socket is not None  # noqa: S101 - set by the caller
        self.session = Session(
            world, self._socket, self.record, admission, simulator.now_s,
            unix_s=time.time(), speed=simulator.settings.speed,
        )  # fmt: skip
        self.session.on_event = self._on_event
        self._ping_due = self._loop.call_later(world.scenario.door.ping_interval_s, self._ping)
        for at_s, fault in self._faults.timed():
            self._later(at_s, fault)
        self.enter(lambda session: session.opened(simulator.now_s))

    def _read_messages(self, data: bytes) -> None:
        assert self._socket is not None  # noqa: S101 - set before any message
        now_s = self._simulator.now_s
        late_s = self._simulator.late_s() + self._socket.outage.late_s(now_s)
        for kind, content in self._socket.feed(data):
            match kind:
                case Kind.PONG:
                    self._pinged = False
                    if self.session is not None:
                        self.session.ponged(content)
                case Kind.TEXT:
                    self.enter(partial(_take_text, content, now_s, late_s))
                case Kind.BINARY:
                    self.enter(partial(_take_binary, content, now_s))
        self._watch_the_close()

    def enter(self, action: Callable[[Session], None]) -> None:
        """Let the session do something, then send what came of it and set the next timer.

        An error of our own ends this connection as the service would, and is counted, not raised.
        """
        if self.session is None or self._socket is None:
            return
        try:
            action(self.session)
            if self.session.resumed_as is not None:
                self.session = self.session.resumed_as
            while self._pending_faults:
                self.do_fault(self._pending_faults.pop(0))
        except Exception:
            log.exception("the simulator failed on connection %d", self.number)
            self._simulator.bugs += 1
            self._socket.close(1011, "internal error")
        self._socket.flush()
        self._set_timer()
        self._simulator.wake_waiters()
        self._watch_the_close()

    def _watch_the_close(self) -> None:
        if not self.live and (self._watch is None or self._watch.cancelled()):
            self._watch = self._loop.call_later(CLOSE_TIMEOUT_S, self._transport.abort)

    def _set_timer(self) -> None:
        due_s = self.session.next_due_s if self.session is not None and self.live else None
        if due_s == self._timer_due_s:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_due_s = None, due_s
        if due_s is not None:
            self._timer = self._loop.call_at(self._simulator.wall_s(due_s), self._tick)

    def _tick(self) -> None:
        self._timer_due_s = None
        self.enter(lambda session: session.tick(self._simulator.now_s))

    def _ping(self) -> None:
        socket = self._socket
        if self.session is None or socket is None or not self.live:
            return
        if not socket.outage.active:
            if self._pinged:
                self.session.violate(5, "a ping was not answered")
                socket.abort()
                return
            self._pinged = True
            socket.ping(b"simulator")
        interval_s = self._simulator.world.scenario.door.ping_interval_s
        self._ping_due = self._loop.call_later(interval_s, self._ping)

    # --- faults

    def _on_event(self, kind: str) -> None:
        if self._faults is not None:
            for fault in self._faults.after(kind):
                if fault.delay_ms:
                    self._later(fault.delay_ms / 1000, fault)
                else:
                    self._pending_faults.append(fault)

    def _later(self, delay_s: float, fault: Fault) -> None:
        wall_s = delay_s / self._simulator.settings.speed
        self._loop.call_later(wall_s, lambda: self.enter(lambda _: self.do_fault(fault)))

    def do_fault(self, fault: Fault) -> None:
        """Let a fault happen now."""
        session, socket = self.session, self._socket
        if session is None or socket is None or not self.live:
            return
        session.note("fault", do=fault.do, t_s=session.now_t_s())
        match fault.do:
            case "drop":
                self.drop(fault.code)
            case "stall" | "blackhole":
                (socket.stall if fault.do == "stall" else socket.blackhole)(self._simulator.now_s)
                self._loop.call_later(fault.seconds / self._simulator.settings.speed, self._recover)
            case "deaf":
                session.deaf = True
            case "garbage":
                socket.send_text(GARBAGE)
            case "frame":
                session.send_raw(fault.frame.encode())
            case "binary":
                socket.send_binary(b"\x00\x01\x02\x03")
            case "error":
                session.error(fault.error, fault.message)
            case "fail":
                session.fail(fault.error, fault.message)
            case "interrupt" if session.conversation is not None:
                session.conversation.interrupt(session.now_s)
            case _:
                pass

    def drop(self, code: int) -> None:
        """Cut the connection: 1006 closes TCP, 0 resets it, any other sends that close code."""
        if self._socket is None:
            return
        if code in (0, 1006):
            self._socket.flush()
            self._socket.abort(reset=code == 0)
        elif self.session is not None:
            self.session.close(code)
            self._socket.flush()

    def _recover(self) -> None:
        if self._socket is not None and not self._transport.is_closing():
            self._socket.recover(self._simulator.now_s)
            self._pinged = False  # The answer may have waited in front of this end.

    # --- facts

    def facts(self) -> dict[str, Any]:
        """Return what `/stats` says of this connection."""
        state = self._state(self.session) if self.session is not None else self._final
        if state is None or self.record is None:
            return {}
        return {
            "connection": self.number,
            **state,
            "billed_s": round(self._billed_s(), 3),
            **self.record.facts(),
        }

    def _state(self, session: Session) -> dict[str, Any]:
        until_s = self._loop.time() if self.closed_s is None else self.closed_s
        return {
            "session_id": session.life.session_id,
            "phase": session.phase.name.lower(),
            "open": self.closed_s is None,
            "close_code": self.close_code,
            "opened_monotonic_s": self.opened_s,
            "open_s": round(until_s - self.opened_s, 3),
            "worst_burst_s": round(session.intake.pace.worst_s, 4),
        }

    def _billed_s(self) -> float:
        """Return what the service would bill for this connection: open time, and the grace window (S41)."""
        speed = self._simulator.settings.speed
        until_s = self._loop.time() if self.closed_s is None else self.closed_s
        billed_s = (until_s - self.opened_s) * speed
        life = self._dropped
        if life is None:
            return billed_s
        over_s = self._dropped_s + self._simulator.world.scenario.lifecycle.grace_s
        resumed = life.resumed_s is not None and life.resumed_s >= self._dropped_s
        end_s = life.resumed_s if resumed and life.resumed_s is not None else over_s
        return billed_s + end_s - self._dropped_s


def _take_text(raw: bytes, now_s: float, late_s: float, session: Session) -> None:
    session.message(raw, now_s, late_s)


def _take_binary(raw: bytes, now_s: float, session: Session) -> None:
    session.binary(raw, now_s)
