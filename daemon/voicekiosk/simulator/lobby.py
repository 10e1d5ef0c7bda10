"""Everything before `session.ready`: credential, first message, refusals, resume (1.2, 2.1, 2.2, 5.4)."""

from __future__ import annotations

from abc import abstractmethod
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from voicekiosk.simulator import frames, resumption
from voicekiosk.simulator.agenda import Agenda
from voicekiosk.simulator.configuration import Configuration, Refused
from voicekiosk.simulator.intake import Intake
from voicekiosk.simulator.outlet import Outlet, Wire
from voicekiosk.simulator.record import Record
from voicekiosk.simulator.scenario import draw
from voicekiosk.simulator.world import Admission, Credential, Life, World

if TYPE_CHECKING:
    from voicekiosk.simulator.session import Session

Frame = dict[str, Any]
PATIENCE_S = 10.0
"""How long a client may leave a socket open after an error before ready (rule 12)."""


class Phase(Enum):
    """Where a session stands."""

    NEW = auto()  # nothing received yet
    CONFIGURING = auto()  # between the first message and session.ready
    FAILED = auto()  # an error before ready that left the socket open
    READY = auto()
    ENDING = auto()  # session.end received
    OVER = auto()


class Lobby(Outlet):
    """A session until it is ready."""

    def __init__(self, world: World, wire: Wire, record: Record, admission: Admission, now_s: float,
                 *, unix_s: float, speed: float) -> None:  # fmt: skip
        super().__init__(world.scenario.events, world.rng, wire, record, now_s, unix_s=unix_s, speed=speed)
        self.world, self.agenda = world, Agenda()
        self.phase = Phase.NEW
        self.resuming = False
        self.resumed_as: Session | None = None
        """The older session that this connection took up again; the connection goes on with it."""
        self.deaf = world.scenario.audio.deaf
        self.scenario = world.scenario
        self.admission = admission
        self.life = Life(world.ids.session(), None, unix_s, region=admission.region)
        self.configuration = Configuration(self.life.session_id)
        self.opened_s = now_s
        self.attach(wire, record, now_s)
        if admission.how in (Credential.RAW_KEY, Credential.KEY_IN_URL):
            self.judge.violate(2, f"the key came as {admission.how}, not as Authorization: Bearer")

    def attach(self, wire: Wire, record: Record, now_s: float) -> None:
        """Go on over this connection."""
        super().attach(wire, record, now_s)
        self.intake = Intake(
            self.scenario.audio, self.speed, reporter=self, record=record, judge=self.judge, now_s=now_s
        )

    def error(self, code: str, message: str, param: str | None = None, *, bare: bool = False) -> None:
        """Send `session.error`."""
        session_id = self.life.session_id if self.phase is Phase.READY else None
        self.send_error(code, message, param, session_id, bare=bare)

    def fail(self, code: str, message: str, param: str | None = None) -> None:
        """Send a fatal error and close."""
        self.error(code, message, param)
        self.close(1011 if code.lower() == "internal_error" else 1008)

    def close(self, code: int, reason: str = "") -> None:
        """Close the connection; a ready session that was not ended may be resumed, whatever the code."""
        self.agenda.clear()
        if self.phase is not Phase.READY or self.life.state == "ended":
            self.phase = Phase.OVER
        self._wire.close(code, reason)

    @property
    def resumable(self) -> bool:
        """Whether it could go on over another connection."""
        return self.phase is Phase.READY

    # --- time

    def tick(self, now_s: float) -> None:
        """Do what is due."""
        self.now_s = now_s
        self.agenda.run(now_s)

    @property
    def next_due_s(self) -> float | None:
        """When `tick` is next needed."""
        return self.agenda.next_due_s

    # --- before ready

    def opened(self, now_s: float) -> None:
        """Begin: nothing is sent unless the connection is refused (S2, S3)."""
        self.now_s = now_s
        if self.admission.how is None:
            self.fail("unauthorized", frames.AUTH_FAILED)

    @abstractmethod
    def become_ready(self, now_s: float) -> None:
        """Begin the session proper."""

    def failed_before_ready(self) -> None:
        """Note an error before ready that leaves the socket open; the client has to close it (rule 12)."""
        if self.phase in (Phase.NEW, Phase.FAILED):
            if self.phase is Phase.NEW:
                self.agenda.at(self.now_s + PATIENCE_S * self.speed, self._still_open)
            self.phase = Phase.FAILED

    def _still_open(self, _now_s: float) -> None:
        if self.phase is Phase.FAILED:
            self.judge.violate(12, "the socket was left open for 10 s after an error before session.ready")

    def first(self, kind: str, frame: Frame) -> None:
        """Take the first message, or what comes after a first one that failed."""
        match kind:
            case "session.update":
                self._first_update(frame)
            case "session.resume":
                self._resume(frame)
            case _:
                self.judge.first_message(kind)
                self.error("invalid_format", frames.FIRST_MESSAGE, bare=True)
                self.failed_before_ready()

    def _first_update(self, frame: Frame) -> None:
        self.judge.update(frame, first=True)
        session = frame.get("session", {})
        try:
            self.configuration.first(session, self.world.agents_in(self.life.region))
        except Refused as refused:
            self.error(refused.code, refused.message, refused.param, bare=refused.shape)
            if refused.shape:
                self.failed_before_ready()
            else:
                self.close(1008)
            return
        self.life.agent_id = session.get("agent_id")
        self.world.remember(self.life, self.configuration.echo)
        self.phase = Phase.CONFIGURING
        if not self._refused_at_the_door():
            updated_s = self.now_s + draw(self.world.rng, self.scenario.ready.updated_ms) / 1000
            ready_s = updated_s + draw(self.world.rng, self.scenario.ready.ready_ms) / 1000
            self.agenda.at(updated_s, lambda _: self.send_updated())
            self.agenda.at(ready_s, self.become_ready)

    def _refused_at_the_door(self) -> bool:
        door = self.scenario.door
        code = door.refuse
        if code and door.times and self.world.connections > door.times:
            code = ""
        if not code and door.max_sessions and self.world.occupied(self.now_s) > door.max_sessions:
            code = "concurrency_exceeded"
        if code and code != "silence":
            wait_s = door.agent_timeout_s if code == "agent_timeout" else 0.1
            self.agenda.at(
                self.now_s + wait_s, lambda _: self.fail(code, code.replace("_", " ").capitalize())
            )
        return bool(code)

    def send_updated(self) -> None:
        """Send the echo of the configuration."""
        self.send({"type": "session.updated", "config": self.configuration.echo})

    def send_ready(self) -> None:
        """Send `session.ready` with a fresh resume token."""
        self.send(
            {
                "type": "session.ready",
                "session_id": self.life.session_id,
                "expires_at": int(self.timestamp()) + self.scenario.ready.expires_in_s,
                "resume_token": self.world.make_resume_token(self.life.session_id),
                "config": self.configuration.echo,
            }
        )

    # --- resume

    def _resume(self, frame: Frame) -> None:
        session_id = frame.get("session_id")
        if not isinstance(session_id, str):
            self.error("invalid_format", frames.bad_body("session.resume"), bare=True)
            self.failed_before_ready()
            return
        self.phase, self.resuming = Phase.CONFIGURING, True
        life = resumption.known(self.world, session_id, self.admission)
        if life is not None:
            life.resumes += 1
            self.judge.resume(life.resumes, (self.now_s - life.dropped_s) / self.speed, life.state)
        decision = resumption.decide(self.world, session_id, self.admission, self.now_s)
        due_s = self.now_s + draw(self.world.rng, self.scenario.ready.updated_ms) / 1000
        if isinstance(decision, resumption.Refusal):
            self.agenda.at(due_s, lambda _: self._refuse_resume(decision))
        else:
            if decision.state == "live" and decision.session is not None:
                decision.session.cut(self.now_s)
            self.agenda.at(due_s, lambda t: self._grant(decision, t))

    def _refuse_resume(self, refusal: resumption.Refusal) -> None:
        if refusal.closes:
            self.fail(refusal.code, refusal.message)
        else:
            self.phase, self.resuming = Phase.NEW, False
            self.error(refusal.code, refusal.message)
            self.failed_before_ready()

    def _grant(self, life: Life, now_s: float) -> None:
        old = life.session
        if old is None:
            return
        self.phase = Phase.OVER
        life.state, life.resumes, life.resumed_s = "live", 0, now_s
        self.resumed_as = old
        old.on_event = self.on_event
        old.attach(self._wire, self.record, now_s)
        old.go_on(now_s)
