"""One API session: what its messages lead to, phase by phase (sections 2, 3.1, 5; S4-S16, S35-S44)."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any

import msgspec

from voicekiosk.simulator import frames
from voicekiosk.simulator.agenda import Agenda
from voicekiosk.simulator.codec import BadAudio
from voicekiosk.simulator.configuration import Configuration, Refused
from voicekiosk.simulator.conversation import Conversation
from voicekiosk.simulator.outlet import Outlet, Wire
from voicekiosk.simulator.pacing import PaceCheck, RateLimit
from voicekiosk.simulator.record import Record
from voicekiosk.simulator.scenario import draw
from voicekiosk.simulator.world import Admission, Credential, World

Frame = dict[str, Any]
RATE_HZ = 24000


class Phase(Enum):
    """Where a session stands."""

    NEW = auto()  # nothing received yet
    CONFIGURING = auto()  # between the first message and session.ready
    FAILED = auto()  # an error before ready that left the socket open
    READY = auto()
    ENDING = auto()  # session.end received
    OVER = auto()


class Session(Outlet):
    """A session, sans I/O: messages and time go in, frames go to the wire. Survives its connection."""

    def __init__(self, world: World, wire: Wire, record: Record, admission: Admission, now_s: float,
                 *, unix_s: float, speed: float) -> None:  # fmt: skip
        super().__init__(world.scenario.events, world.rng, wire, record, now_s, unix_s=unix_s, speed=speed)
        self.world, self.agenda = world, Agenda()
        self.phase = Phase.NEW
        self.resumed_as: Session | None = None
        """The older session that this connection took up again; the connection goes on with it."""
        self.deaf = world.scenario.audio.deaf
        self._scenario = world.scenario
        self._admission = admission
        self.life = world.new_life(self, unix_s, admission.region)
        self.configuration = Configuration(self.life.session_id)
        self.conversation: Conversation | None = None
        self._opened_s = now_s
        self._last_violation_s = -1e9
        self.attach(wire, record, now_s)
        if admission.how in (Credential.RAW_KEY, Credential.KEY_IN_URL):
            self.judge.violate(2, f"the key came as {admission.how}, not as Authorization: Bearer")

    def attach(self, wire: Wire, record: Record, now_s: float) -> None:
        """Go on over this connection."""
        super().attach(wire, record, now_s)
        audio = self._scenario.audio
        self.pace = PaceCheck(audio.pace_burst_s, audio.pace_tolerance_s * self.speed)
        self._rate = RateLimit(audio.rate_allowance_s)
        self.last_audio_s = now_s

    def error(self, code: str, message: str, param: str | None = None, *, bare: bool = False) -> None:
        """Send `session.error`."""
        session_id = self.life.session_id if self.phase is Phase.READY else None
        self.send_error(code, message, param, session_id, bare=bare)

    def fail(self, code: str, message: str, param: str | None = None) -> None:
        """Send a fatal error and close."""
        self.error(code, message, param)
        self.close(1011 if code.lower() == "internal_error" else 1008)

    def close(self, code: int, reason: str = "") -> None:
        """Close the connection; the session is over unless it may be resumed."""
        self.agenda.clear()
        if self.phase is not Phase.READY or code == 1000:
            self.phase = Phase.OVER
        self._wire.close(code, reason)

    def sent(self, kind: str) -> None:
        """Remember the turn events that rules 22 and 30 look at."""
        if self.conversation is None:
            return
        if kind in ("reply.started", "input.speech.started", "reply.done"):
            self.conversation.tools.latest = kind
        if kind == "input.speech.started":
            self.agenda.at(self.now_s + 3.0 * self.speed, self._check_silence)

    def _check_silence(self, now_s: float) -> None:
        """Rule 22: while a turn is open, audio or silence has to come."""
        talk = self.conversation
        if talk is None or talk.turn is None or self.phase is not Phase.READY:
            return
        if self._scenario.turn.clock == "wall":
            return
        limit_s = 3.0 * self.speed
        if now_s - self.last_audio_s >= limit_s:
            self.violate(
                22, "no audio for 3 s while a turn was open: silence has to be sent until it is closed"
            )
        else:
            self.agenda.at(self.last_audio_s + limit_s, self._check_silence)

    # --- time

    def tick(self, now_s: float) -> None:
        """Do what is due."""
        self.now_s = now_s
        self.agenda.run(now_s)

    @property
    def next_due_s(self) -> float | None:
        """When `tick` is next needed."""
        return self.agenda.next_due_s

    # --- what comes in

    def opened(self, now_s: float) -> None:
        """Begin: nothing is sent unless the connection is refused (S2, S3)."""
        self.now_s = now_s
        if self._admission.how is None:
            self.fail("unauthorized", frames.AUTH_FAILED)

    def binary(self, data: bytes, now_s: float) -> None:
        """Take a binary frame, which is no part of the protocol."""
        self.now_s = now_s
        self.record.message(self.now_t_s(), "client", "(binary)", b'{"binary_bytes":%d}' % len(data), None)
        self.judge.violate(6, "a binary frame; all messages are JSON text")
        self._unparsable()

    def message(self, raw: bytes, now_s: float, late_s: float = 0.0) -> None:
        """Take a text frame; `late_s` is by how much it may have waited in this process."""
        self.now_s = now_s
        try:
            frame = msgspec.json.decode(raw)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            frame = None
        if not isinstance(frame, dict):
            text = msgspec.json.encode(raw.decode(errors="replace"))
            self.record.message(self.now_t_s(), "client", "(not JSON)", text, None)
            self.judge.violate(6, "a text frame that is not a JSON object")
            self._unparsable()
            return
        kind = frame.get("type")
        name = kind if isinstance(kind, str) else str(kind)[:100]
        payload = raw if b"\n" not in raw and b"\r" not in raw else msgspec.json.encode(frame)
        audio = name == "input.audio"
        self.record.message(self.now_t_s(), "client", name[:100], payload, None if audio else frame)
        if not audio and self.world.key.encode() in raw:
            self.judge.violate(7, f"the key is in the text of a {name[:100]}")
        self._dispatch(name, frame, late_s)
        self.on_event(name)

    def _unparsable(self) -> None:
        if self.phase in (Phase.ENDING, Phase.OVER):
            return
        self.error("invalid_format", frames.NOT_JSON, bare=True)
        self._failed_before_ready()

    def _failed_before_ready(self) -> None:
        """Note an error before ready that leaves the socket open; the client has to close it (rule 12)."""
        if self.phase in (Phase.NEW, Phase.FAILED):
            if self.phase is Phase.NEW:
                self.agenda.at(self.now_s + 10.0 * self.speed, self._still_open)
            self.phase = Phase.FAILED

    def _still_open(self, _now_s: float) -> None:
        if self.phase is Phase.FAILED:
            self.judge.violate(12, "the socket was left open for 10 s after an error before session.ready")

    def _dispatch(self, kind: str, frame: Frame, late_s: float) -> None:
        if self.phase is Phase.FAILED:
            self.judge.violate(12, f"{kind[:60]} after an error before session.ready, instead of closing")
        match self.phase:
            case Phase.NEW | Phase.FAILED:
                self._first(kind, frame)
            case Phase.CONFIGURING:
                self._too_early(kind)
            case Phase.READY:
                self._in_session(kind, frame, late_s)
            case Phase.ENDING | Phase.OVER:
                pass

    def _too_early(self, kind: str) -> None:
        if kind == "session.end":
            self._end()
            return
        self.judge.too_early(kind)
        self.error("invalid_format", frames.NOT_READY.format(kind[:100]), bare=True)

    # --- before ready

    def _first(self, kind: str, frame: Frame) -> None:
        match kind:
            case "session.update":
                self._first_update(frame)
            case "session.resume":
                self._resume(frame)
            case _:
                self.judge.first_message(kind)
                self.error("invalid_format", frames.FIRST_MESSAGE, bare=True)
                self._failed_before_ready()

    def _first_update(self, frame: Frame) -> None:
        self.judge.update(frame, first=True)
        session = frame.get("session", {})
        try:
            self.configuration.first(session, self.world.agents_in(self.life.region))
        except Refused as refused:
            self.error(refused.code, refused.message, refused.param, bare=refused.shape)
            if refused.shape:
                self._failed_before_ready()
            else:
                self.close(1008)
            return
        self.life.agent_id = session.get("agent_id")
        self.phase = Phase.CONFIGURING
        if not self._refused_at_the_door():
            updated_s = self.now_s + draw(self.world.rng, self._scenario.ready.updated_ms) / 1000
            ready_s = updated_s + draw(self.world.rng, self._scenario.ready.ready_ms) / 1000
            self.agenda.at(updated_s, lambda _: self._send_updated())
            self.agenda.at(ready_s, self._become_ready)

    def _refused_at_the_door(self) -> bool:
        door = self._scenario.door
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

    def _send_updated(self) -> None:
        self.send({"type": "session.updated", "config": self.configuration.echo})

    def _send_ready(self) -> None:
        self.send(
            {
                "type": "session.ready",
                "session_id": self.life.session_id,
                "expires_at": int(self.timestamp()) + self._scenario.ready.expires_in_s,
                "resume_token": self.world.make_resume_token(self.life.session_id),
                "config": self.configuration.echo,
            }
        )

    def _become_ready(self, now_s: float) -> None:
        self.phase = Phase.READY
        self.life.config = self.configuration.echo
        world, scenario = self.world, self._scenario
        self.conversation = Conversation(
            self,
            self.agenda,
            scenario=scenario,
            rng=world.rng,
            configuration=self.configuration,
            voice=world.voice,
            agent=world.agent,
            hears=world.hears,
        )
        self._send_ready()
        if self.configuration.echo["greeting"] is not None:
            self.conversation.greet(self.configuration.echo["greeting"], now_s)
        self._limit_session(now_s)

    def _limit_session(self, now_s: float) -> None:
        if self.configuration.declares_wrong_rate:
            due_s = now_s + self._scenario.audio.wrong_rate_s
            self.agenda.at(due_s, lambda _: self.fail("internal_error", "Internal error"))
        limit_s = self._scenario.lifecycle.max_duration_s
        if self._scenario.door.enforce_token_cap and self._admission.cap_s is not None:
            limit_s = min(limit_s, self._admission.cap_s)
        self.agenda.at(self._opened_s + limit_s, self._at_limit)

    def _at_limit(self, now_s: float) -> None:
        self.judge.violate(41, "the session ran into the service's time limit")
        if self._scenario.lifecycle.at_limit == "expired":
            self.life.state, self.life.reason = "expired", "max_duration"
            self.phase = Phase.OVER
            self.fail("session_expired", frames.SESSION_EXPIRED)
        else:
            self._ended(now_s, "max_duration")

    # --- resume

    def _resume(self, frame: Frame) -> None:
        session_id = frame.get("session_id")
        if not isinstance(session_id, str):
            self.error("invalid_format", frames.bad_body("session.resume"), bare=True)
            self._failed_before_ready()
            return
        self.phase = Phase.CONFIGURING
        self.world.sweep(self.now_s)
        life = self.world.lives.get(session_id)
        if life is not None and life.region != self.life.region:
            life = None  # each cluster knows only its own sessions
        if life is not None:
            life.resumes += 1
            self.judge.resume(life.resumes, (self.now_s - life.dropped_s) / self.speed, life.state)
        mode = self._scenario.lifecycle.resume
        granted = life is not None and life.state == "dropped" and life.session is not None
        if mode == "token_only" and self._admission.session_id != session_id:
            granted = False
        wait_s = draw(self.world.rng, self._scenario.ready.updated_ms) / 1000
        if granted and life is not None and mode in ("grant", "token_only"):
            self.agenda.at(self.now_s + wait_s, lambda t: self._grant(life, t))
            return
        code, message = {
            "forbidden": ("session_forbidden", frames.RESUME_FORBIDDEN),
            "expired": ("session_expired", frames.SESSION_EXPIRED),
        }.get(mode, ("session_not_found", frames.RESUME_REFUSED))
        self.agenda.at(self.now_s + wait_s, lambda _: self._refuse_resume(code, message))

    def _refuse_resume(self, code: str, message: str) -> None:
        if self._scenario.lifecycle.resume == "refuse_open":
            self.phase = Phase.NEW
            self.error(code, message)
            self._failed_before_ready()
        else:
            self.fail(code, message)

    def _grant(self, life: Any, now_s: float) -> None:
        old: Session = life.session
        self.world.lives.pop(self.life.session_id, None)
        self.phase = Phase.OVER
        life.state, life.resumes = "live", 0
        self.resumed_as = old
        old.on_event = self.on_event
        old.attach(self._wire, self.record, now_s)
        old.go_on(now_s)

    def go_on(self, now_s: float) -> None:
        """Continue after a granted resume: context kept, the running reply lost (5.4)."""
        self._send_ready()
        self._limit_session(now_s)
        if self.conversation is not None:
            self.conversation.reconnected(now_s)
            greeting = self.configuration.echo["greeting"]
            if self._scenario.lifecycle.repeat_greeting and greeting is not None:
                self.conversation.greet(greeting, now_s)

    # --- in session

    def _in_session(self, kind: str, frame: Frame, late_s: float) -> None:
        talk = self.conversation
        if talk is None:
            return
        match kind:
            case "input.audio":
                self._audio(frame, late_s)
            case "session.update":
                self._update(frame)
            case "tool.result" if self.judge.shape(frame, call_id=str, result=str, is_error=bool):
                talk.tools.result(frame, self.now_s)
            case "reply.create" if self.judge.shape(frame, instructions=str):
                if talk.tools.hold_answered:
                    self.violate(32, "reply.create after the result of a hold tool, which answers by itself")
                talk.create_reply(frame.get("instructions"), self.now_s)
            case "conversation.message" if self.judge.shape(frame, role=str, content=str) and frame["role"] in (
                "user", "system",
            ):  # fmt: skip
                self.violate(43, "conversation.message has no effect on the live service")
            case "reply.cancel" if self.judge.shape(frame, reply_id=str):
                self.violate(43, "reply.cancel is undocumented")
            case "session.end":
                self._end()
            case "session.resume":
                self.judge.violate(4, "session.resume on a session that is ready")
                self.error("invalid_format", frames.bad_body(kind), bare=True)
            case "tool.result" | "reply.create" | "conversation.message" | "reply.cancel":
                self.judge.bad_body(kind, frame)
                self.error("invalid_format", frames.bad_body(kind), bare=True)
            case _:
                self.error("invalid_format", frames.unknown_type(kind[:100]), bare=True)

    def _update(self, frame: Frame) -> None:
        self.judge.update(frame, first=False)
        mixed = self._scenario.lifecycle.mixed_update == "apply_rest"
        try:
            refused = self.configuration.later(frame.get("session", {}), apply_rest=mixed)
        except Refused as error:
            self.error(error.code, error.message, error.param, bare=error.shape)
            return
        if refused is not None:
            self.error(refused.code, refused.message, refused.param)
        self._send_updated()

    def _audio(self, frame: Frame, late_s: float) -> None:
        text = frame.get("audio")
        if not isinstance(text, str):
            self.judge.audio_without_audio(frame)
            self.error("invalid_format", frames.bad_body("input.audio"), bare=True)
            return
        try:
            samples = self.configuration.input_encoding.decode(text)
        except BadAudio as error:
            self.judge.violate(17, f"audio that cannot be decoded: {error}"[:200])
            self.error("invalid_audio", frames.BAD_AUDIO, bare=True)
            return
        self.last_audio_s = self.now_s
        self.record.received(samples.tobytes())
        over_s = self.pace.take(samples.size, self.now_s, late_s)
        if over_s > 0.0:
            burst_s = self._scenario.audio.pace_burst_s
            self.judge.violate(18, f"{over_s:.3f} s more audio than T + {burst_s} s in T s")
        if self._scenario.audio.rate_limit:
            accepted = self._rate.take(samples.size, self.now_s)
            if accepted < samples.size:
                self._drop_excess(samples.size - accepted)
                samples = samples[:accepted]
        if self.conversation is not None and not self.deaf:
            self.conversation.hear(samples, self.now_s)

    def _drop_excess(self, dropped: int) -> None:
        self.record.dropped_samples += dropped
        if self.now_s - self._last_violation_s >= 1.0:
            self._last_violation_s = self.now_s
            self.error("audio_rate_violation", frames.TOO_FAST)

    # --- the end

    def _end(self) -> None:
        self.phase = Phase.ENDING
        self.agenda.clear()
        due_s = self.now_s + draw(self.world.rng, self._scenario.lifecycle.end_ms) / 1000
        self.agenda.at(due_s, lambda t: self._ended(t, "client_end"))

    def _ended(self, now_s: float, reason: str) -> None:
        self.life.state, self.life.reason = "ended", reason
        self.life.duration_s = now_s - self._opened_s
        self.send(
            {
                "type": "session.ended",
                "session_duration_seconds": round(self.life.duration_s, 6),
                "audio_duration_seconds": None,
            }
        )
        self.close(1000)

    def lost(self, now_s: float, *, closed_by_client: bool) -> None:
        """Note that the connection is gone."""
        self.now_s = now_s
        self.agenda.clear()
        if closed_by_client and self.phase in (Phase.READY, Phase.ENDING):
            self.judge.closed(ending=self.phase is Phase.ENDING)
        if self.life.state == "live":
            resumable = self.phase is Phase.READY
            self.life.state = "dropped" if resumable else "ended"
            self.life.dropped_s, self.life.duration_s = now_s, now_s - self._opened_s
        if self.life.state != "dropped":
            self.life.session = None

    def billed_s(self, now_s: float) -> float:
        """Return the seconds that the service would bill for this connection (S41)."""
        match self.life.state:
            case "live":
                return now_s - self.attached_s
            case "dropped" | "expired" if self.life.reason is None:
                return self.life.dropped_s - self.attached_s + self._scenario.lifecycle.grace_s
            case _:
                return self.life.duration_s
