"""The simulator: a stand-in for the AssemblyAI Voice Agent API on loopback.

async with Simulator(Settings()) as simulator:
    ... connect to simulator.url with the key simulator.key ...
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from voicekiosk.errors import ConfigError, KioskError
from voicekiosk.simulator import control, faults, http, rest, scenario
from voicekiosk.simulator.brain import Agent, Call, Script, parrot
from voicekiosk.simulator.certificates import Certificates, Variant, make
from voicekiosk.simulator.connection import PATH, Connection
from voicekiosk.simulator.conversation import Conversation
from voicekiosk.simulator.record import Record, Violation
from voicekiosk.simulator.scenario import Fault, Scenario
from voicekiosk.simulator.voices import Heard as Rendered
from voicekiosk.simulator.voices import Voice, make_voice
from voicekiosk.simulator.world import Admission, World, check_stored, region_of_host

MAX_CONNECTIONS = 500
HISTORY = 1000
"""Connections that are remembered."""
DETAILED = 20
"""Closed connections whose messages and audio stay in memory."""
HEARTBEAT_S = 0.02
FLUSH_S = 1.0


@dataclass(frozen=True, slots=True)
class Settings:
    """How a simulator is set up; what it does is the scenario's."""

    port: int = 0
    key: str = "sim-key"
    scenario: Scenario | str = Scenario()  # noqa: RUF009 - frozen
    agent: Agent | None = None
    """Decides what the agent says and calls; without it the scenario's script, else the parrot."""
    seed: int = 1
    speed: float = 1.0
    """The simulator's time runs this many times as fast, reply audio and pacing limits included."""
    record: Path | None = None
    tls: Variant | None = None
    kept_audio_s: float = 60.0
    """Newest audio of each direction kept in memory, in `connection.record.up` and `.down`."""


class Simulator:
    """The server and everything that tests and people steer it with. One event loop, no threads."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        if not 0.01 <= self.settings.speed <= 1000:
            raise ConfigError(f"speed {self.settings.speed} is not between 0.01 and 1000")
        if not 0 <= self.settings.port <= 65535:
            raise ConfigError(f"port {self.settings.port} is not between 0 and 65535")
        chosen = self.settings.scenario
        loaded = scenario.load(chosen) if isinstance(chosen, str) else chosen
        voice = _Poking(self, make_voice(loaded.voice.kind, loaded.voice.language))
        self.world = World(loaded, self.settings.key, self.settings.seed, voice, parrot)
        self.port = 0
        self.bugs = 0
        """Errors of the simulator's own that it survived; always 0 unless there is one to fix."""
        self.links: set[Connection] = set()
        self.connections: list[Connection] = []
        """The WebSocket connections in order, the first being number 1; the oldest closed ones are let go."""
        self.certificates: Certificates | None = None
        self._opened = 0
        self._forgotten = 0  # violations of connections that were let go, and general ones
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._server: asyncio.Server | None = None
        self._start_s = 0.0
        self._heartbeat: asyncio.TimerHandle | None = None
        self._heartbeat_due_s = 0.0
        self._last_late_s = 0.0
        self._flush_due_s = 0.0
        self._waiters: list[asyncio.Future[None]] = []
        self._adopt(loaded)

    # --- life

    async def __aenter__(self) -> Self:
        """Start to listen."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection and stop."""
        await self.stop()

    async def start(self) -> None:
        """Listen on loopback; raises KioskError when the port is taken."""
        loop = asyncio.get_running_loop()
        context = None
        if self.settings.record is not None:
            _make_folder(self.settings.record)
        if self.settings.tls is not None:
            self._folder = tempfile.TemporaryDirectory(prefix="voicekiosk-simulator-")
            made = make(Path(self._folder.name), self.settings.tls)
            self.certificates, context = made, made.context()
        self._start_s = loop.time()
        try:
            self._server = await loop.create_server(
                lambda: Connection(self), "127.0.0.1", self.settings.port, ssl=context, backlog=200
            )
        except OSError as error:
            raise KioskError(
                f"cannot listen on 127.0.0.1:{self.settings.port}: {error.strerror}; "
                "choose another --port, 0 for any free one"
            ) from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening, close what is open with 1001, and finish the records."""
        if self._server is not None:
            self._server.close()
        for link in list(self.links):
            link.drop(1001)
        with contextlib.suppress(TimeoutError):
            await self.wait_for(lambda: not self.links, timeout_s=1.0)
        for link in list(self.links):
            link.abort()
        with contextlib.suppress(TimeoutError):
            await self.wait_for(lambda: not self.links, timeout_s=1.0)
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        if self._folder is not None:
            self._folder.cleanup()

    @property
    def url(self) -> str:
        """Address of the WebSocket."""
        return f"{'wss' if self.settings.tls else 'ws'}://127.0.0.1:{self.port}{PATH}"

    @property
    def http_url(self) -> str:
        """Address of everything else, without a slash at its end."""
        return f"{'https' if self.settings.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def key(self) -> str:
        """The API key that is accepted."""
        return self.settings.key

    # --- steering; a connection of 0 is every open one, and each returns how many it reached

    def drop(self, connection: int = 0, *, code: int = 1006) -> int:
        """Cut connections: 1006 closes TCP, 0 resets it, any other sends that close code."""
        if code not in (0, 1006) and not (1000 <= code < 1016 or 3000 <= code < 5000):
            raise ConfigError(f"{code} is no close code")
        return self._each(connection, lambda link: link.enter(lambda _: link.drop(code)))

    def say(self, text: str, connection: int = 0) -> int:
        """Let the agent say this as soon as it has the floor."""
        return self._talk(connection, lambda talk: talk.say(text[:2000], self.now_s))

    def hear_as(self, text: str, connection: int = 0) -> int:
        """Let the user's next turn be taken for this text."""
        return self._talk(connection, lambda talk: setattr(talk, "next_text", text[:2000]))

    def call_tool(self, name: str, arguments: dict[str, Any] | None = None, connection: int = 0) -> int:
        """Let the agent call a tool in a reply of its own."""
        call = Call(name, arguments or {})
        return self._talk(connection, lambda talk: talk.call_tool(call, self.now_s))

    def fault(self, fault: Fault, connection: int = 0) -> int:
        """Let a fault happen now."""
        faults.check(fault)
        return self._each(connection, lambda link: link.enter(lambda _: link.do_fault(fault)))

    def use_scenario(self, chosen: Scenario | str) -> None:
        """Follow another scenario from the next connection on; its voice stays the first one's."""
        self._adopt(scenario.load(chosen) if isinstance(chosen, str) else chosen)

    def _adopt(self, chosen: Scenario) -> None:
        for fault in chosen.fault:
            faults.check(fault)
        for agent in chosen.agent:
            check_stored(agent)
        script = Script(chosen.script, speaks=chosen.voice.kind == "espeak")
        self.world.hears = script.hears
        self.world.agent = self.settings.agent or script
        self.world.adopt(chosen)

    def _each(self, connection: int, action: Callable[[Connection], None]) -> int:
        chosen = [link for link in self.connections if link.live and connection in (0, link.number)]
        for link in chosen:
            action(link)
        return len(chosen)

    def _talk(self, connection: int, action: Callable[[Conversation], None]) -> int:
        ready = [
            link
            for link in self.connections
            if link.live and connection in (0, link.number) and link.conversation is not None
        ]
        for link in ready:
            talk = link.conversation
            if talk is not None:
                link.enter(lambda _, talk=talk: action(talk))  # type: ignore[misc]
        return len(ready)

    # --- facts

    def stats(self) -> dict[str, Any]:
        """Return what `GET /stats` gives."""
        return {
            "url": self.url,
            "scenario": self.world.scenario.description,
            "seed": self.settings.seed,
            "speed": self.settings.speed,
            "bugs": self.bugs,
            "connections_opened": self._opened,
            "violation_count": self.violation_count,
            "general_violations": list(self.world.general_violations),
            "connections": [link.facts() for link in self.connections],
        }

    @property
    def violations(self) -> list[Violation]:
        """Every violation that is still remembered, of all connections."""
        facts = self.stats()
        found = [broken for connection in facts["connections"] for broken in connection["violations"]]
        return [Violation(**broken) for broken in [*found, *facts["general_violations"]]]

    @property
    def violation_count(self) -> int:
        """How many rules of 12.1 were broken so far."""
        records = (link.record for link in self.connections)
        return self._forgotten + sum(record.violation_count for record in records if record is not None)

    async def wait_for(self, condition: Callable[[], Any], timeout_s: float = 10.0) -> None:
        """Wait until the condition holds; it is looked at after each event. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                waiter = asyncio.get_running_loop().create_future()
                self._waiters.append(waiter)
                try:
                    await waiter
                finally:
                    if waiter in self._waiters:
                        self._waiters.remove(waiter)

    # --- what connections need

    @property
    def now_s(self) -> float:
        """The simulator's time."""
        return (asyncio.get_running_loop().time() - self._start_s) * self.settings.speed

    def wall_s(self, time_s: float) -> float:
        """Return the event loop's time for a time of the simulator's."""
        return self._start_s + time_s / self.settings.speed

    def late_s(self) -> float:
        """Return by how much this process is late just now, in the simulator's seconds."""
        if self._heartbeat is None:
            return 0.0
        late_s = asyncio.get_running_loop().time() - self._heartbeat_due_s
        # What came while this process was busy is read after the beat that was late for it.
        return max(late_s, self._last_late_s, 0.0) * self.settings.speed

    def register(self, link: Connection) -> tuple[int, Record]:
        """Give a connection its number and record."""
        self._opened += 1
        self.world.connections += 1
        self.world.sweep(self.now_s)
        self.connections.append(link)
        self._forget_the_oldest()
        if self._heartbeat is None:
            self._beat()
        return self._opened, Record(self._opened, self.settings.record, self.settings.kept_audio_s)

    def finished(self, link: Connection) -> None:
        """Take the facts of a connection that is over."""
        if link.record is not None:
            if not link.record.counts["server"]["session.ready"]:
                self._note_general(8, self.world.failed(link.caller, asyncio.get_running_loop().time()))
            link.record.close(link.facts())

    def admit(self, request: http.Request) -> Admission:
        """Look at the credential of a connection."""
        authorization, token = request.headers.get("authorization"), request.query.get("token")
        admission = self.world.admit(authorization, token, request.headers.get("host", ""), self.now_s)
        if admission.how is None:
            if authorization is None and token is None:
                self._note_general(2, "a connection without a credential")
            else:
                self._note_general(8, self.world.refused(authorization or token or "", self.now_s))
        return admission

    def turn_away(self, request: http.Request) -> http.Response | None:
        """Return the HTTP answer that refuses an upgrade, if the scenario wants one."""
        del request
        door = self.world.scenario.door
        if sum(link.live for link in self.links) >= MAX_CONNECTIONS:
            return http.Response(503, {"detail": "too many connections"})
        if door.http_status and (not door.times or self.world.connections < door.times):
            self.world.connections += 1
            return http.Response(door.http_status, {"detail": "simulated"}, {"Retry-After": "1"})
        return None

    def respond(self, request: http.Request, body: bytes) -> http.Response:
        """Answer a plain HTTP request."""
        if request.path in control.PATHS:
            return control.respond(self, request)
        if request.path == PATH:
            return http.Response(426, {"detail": "This is a WebSocket"}, {"Upgrade": "websocket"})
        if request.path.startswith("/v1/"):
            region = region_of_host(request.headers.get("host", ""))
            return rest.respond(request, body, self.world, self.now_s, region)
        return http.Response(404, {"detail": "Not Found"})

    def wake_waiters(self) -> None:
        """Let every `wait_for` look again."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _note_general(self, rule: int, text: str | None) -> None:
        if text is not None:
            self._forgotten += 1
            t_s = round(asyncio.get_running_loop().time() - self._start_s, 6)
            self.world.general_violations.append({"rule": rule, "text": text, "t_s": t_s})

    def _forget_the_oldest(self) -> None:
        closed = [link for link in self.connections if link.closed and link.record is not None]
        for link in closed[:-DETAILED]:
            if link.record is not None:
                link.record.shrink()
        if len(self.connections) > HISTORY and closed and closed[0].record is not None:
            self._forgotten += closed[0].record.violation_count
            self.connections.remove(closed[0])

    def _beat(self) -> None:
        """Measure how late this process is, while there are connections; see PaceCheck."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if not any(link.live for link in self.links):
            self._heartbeat, self._last_late_s = None, 0.0
            return
        if self._heartbeat is not None:
            self._last_late_s = now - self._heartbeat_due_s
        if now >= self._flush_due_s:
            self._flush_due_s = now + FLUSH_S
            for link in self.links:
                if link.record is not None:
                    link.record.flush()
        self._heartbeat_due_s = now + HEARTBEAT_S
        self._heartbeat = loop.call_at(self._heartbeat_due_s, self._beat)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KioskError(f"cannot record in {folder}: {error.strerror}; choose another --record") from error


class _Poking:
    """A voice that tells the connections when a rendering arrives later than it was asked for."""

    def __init__(self, simulator: Simulator, voice: Voice) -> None:
        self._simulator, self._voice = simulator, voice

    def render(self, text: str, done: Rendered) -> None:
        """Render the text."""
        asked = True

        def arrived(samples: Any) -> None:
            done(samples)
            if not asked:
                for link in list(self._simulator.links):
                    link.enter(lambda session: session.tick(self._simulator.now_s))

        self._voice.render(text, arrived)
        asked = False
