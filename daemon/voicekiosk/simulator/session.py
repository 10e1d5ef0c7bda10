"""One API session from `session.ready` to its end: what each message leads to (sections 2, 5, 8)."""

from __future__ import annotations

from typing import Any

import numpy as np

from voicekiosk.simulator import frames
from voicekiosk.simulator.configuration import Refused
from voicekiosk.simulator.conversation import Conversation
from voicekiosk.simulator.inbound import read
from voicekiosk.simulator.lobby import Lobby, Phase
from voicekiosk.simulator.outlet import Wire
from voicekiosk.simulator.record import Record
from voicekiosk.simulator.scenario import draw
from voicekiosk.simulator.world import Admission, World

Frame = dict[str, Any]
RATE_HZ = 24000
PATIENCE_FOR_RESULTS_S = 5.0
"""A call still open at session.end, this long after its reply, counts as never answered (rule 29)."""
WALL_STEP_S = 0.1
"""How often time without audio is turned into silence, if it is."""


class Session(Lobby):
    """A session, sans I/O: messages and time go in, frames go to the wire. Survives its connection."""

    def __init__(
        self, world: World, wire: Wire, record: Record, admission: Admission, now_s: float,
        *, unix_s: float, speed: float,
    ) -> None:  # fmt: skip
        super().__init__(world, wire, record, admission, now_s, unix_s=unix_s, speed=speed)
        self.life.session = self
        self.conversation: Conversation | None = None
        self._heard_until_s = now_s

    def sent(self, kind: str) -> None:
        """Remember the turn events that rules 22 and 30 look at."""
        if self.conversation is None:
            return
        if kind in ("reply.started", "input.speech.started", "reply.done"):
            self.conversation.tools.told(kind)
        if kind == "input.speech.started":
            self.agenda.at(self.now_s + 3.0 * self.speed, self._check_silence)

    def _check_silence(self, now_s: float) -> None:
        """Rule 22: while a turn is open, audio or silence has to come."""
        talk = self.conversation
        if talk is None or talk.turn is None or self.phase is not Phase.READY:
            return
        if self.scenario.turn.clock == "wall":
            return
        limit_s = 3.0 * self.speed
        since_s = max(self.intake.last_s, self._wire.outage.last_s(now_s))
        if now_s - since_s >= limit_s - 1e-6:
            self.violate(22, "no audio for 3 s while a turn was open; silence has to go on until it closes")
        else:
            self.agenda.at(since_s + limit_s, self._check_silence)

    # --- what comes in

    def binary(self, data: bytes, now_s: float) -> None:
        """Take a binary frame, which is no part of the protocol."""
        self.now_s = now_s
        self.record.message(self.now_t_s(), "client", "(binary)", b'{"binary_bytes":%d}' % len(data), None)
        self.judge.violate(6, "a binary frame; all messages are JSON text")
        self._unparsable()

    def message(self, raw: bytes, now_s: float, late_s: float = 0.0) -> None:
        """Take a text frame; `late_s` is by how much it may have waited in this process."""
        self.now_s = now_s
        inbound = read(raw)
        kind, frame = inbound.kind, inbound.frame
        kept = None if kind == "input.audio" else frame
        self.record.message(self.now_t_s(), "client", kind, inbound.line, kept)
        if frame is None:
            self.judge.violate(6, "a text frame that is not a JSON object")
            self._unparsable()
            return
        if kept is not None and self.world.key.encode() in raw:
            self.judge.violate(7, f"the key is in the text of a {kind}")
        self._dispatch(kind, frame, late_s)
        self.on_event(kind)

    def _unparsable(self) -> None:
        if self.phase in (Phase.ENDING, Phase.OVER):
            return
        self.error("invalid_format", frames.NOT_JSON, bare=True)
        self.failed_before_ready()

    def _dispatch(self, kind: str, frame: Frame, late_s: float) -> None:
        if self.phase is Phase.FAILED:
            self.judge.violate(12, f"{kind} after an error before ready, instead of closing")
        match self.phase:
            case Phase.NEW | Phase.FAILED:
                self.first(kind, frame)
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
        self.judge.too_early(kind, resuming=self.resuming)
        self.error("invalid_format", frames.NOT_READY.format(kind), bare=True)

    # --- becoming ready

    def become_ready(self, now_s: float) -> None:
        """Begin the conversation, with the greeting if there is one."""
        self.phase = Phase.READY
        world, scenario = self.world, self.scenario
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
        self.send_ready()
        if self.configuration.echo["greeting"] is not None:
            self.conversation.greet(self.configuration.echo["greeting"], now_s)
        self._limit_session(now_s)

    def _limit_session(self, now_s: float) -> None:
        if self.configuration.declares_wrong_rate:
            due_s = now_s + self.scenario.audio.wrong_rate_s
            self.agenda.at(due_s, lambda _: self.fail("internal_error", "Internal error"))
        limit_s = self.scenario.lifecycle.max_duration_s
        if self.scenario.door.enforce_token_cap and self.admission.cap_s is not None:
            limit_s = min(limit_s, self.admission.cap_s)
        self.agenda.at(self.opened_s + limit_s, self._at_limit)

    def _at_limit(self, now_s: float) -> None:
        self.judge.violate(41, "the session ran into the service's time limit")
        if self.scenario.lifecycle.at_limit == "expired":
            self.life.state, self.life.reason = "expired", "max_duration"
            self.phase = Phase.OVER
            self.fail("session_expired", frames.SESSION_EXPIRED)
        else:
            self._ended(now_s, "max_duration")

    def go_on(self, now_s: float) -> None:
        """Continue after a granted resume: context kept, the running reply lost (5.4)."""
        self.send_ready()
        self._limit_session(now_s)
        if self.conversation is not None:
            self.conversation.reconnected(now_s)
            greeting = self.configuration.echo["greeting"]
            if self.scenario.lifecycle.repeat_greeting and greeting is not None:
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
            case "conversation.message" if self.judge.context(frame):
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
                self.error("invalid_format", frames.unknown_type(kind), bare=True)

    def _update(self, frame: Frame) -> None:
        self.judge.update(frame, first=False)
        mixed = self.scenario.lifecycle.mixed_update == "apply_rest"
        try:
            refused = self.configuration.later(frame.get("session", {}), apply_rest=mixed)
        except Refused as error:
            self.error(error.code, error.message, error.param, bare=error.shape)
            return
        if refused is not None:
            self.error(refused.code, refused.message, refused.param)
        self.world.remember(self.life, self.configuration.echo)
        self.send_updated()

    def _audio(self, frame: Frame, late_s: float) -> None:
        samples = self.intake.take(frame, self.configuration.input_encoding, self.now_s, late_s)
        talk = self.conversation
        if samples.size and talk is not None and not self.deaf:
            talk.hear(samples, self.now_s)
            self._heard_until_s = self.now_s
            if self.scenario.turn.clock == "wall" and talk.ear.onset is not None:
                self.agenda.cancel(self.intake)
                self.agenda.at(self.now_s + WALL_STEP_S, self._hear_nothing, self.intake)

    def _hear_nothing(self, now_s: float) -> None:
        """Let time without audio pass as silence (S17, the switch)."""
        talk = self.conversation
        if talk is None or talk.ear.onset is None:
            return
        gap = int((now_s - self._heard_until_s) * RATE_HZ)
        self._heard_until_s = now_s
        talk.hear(np.zeros(gap, np.int16), now_s)
        self.agenda.at(now_s + WALL_STEP_S, self._hear_nothing, self.intake)

    # --- the end

    def _end(self) -> None:
        if self.conversation is not None:
            self.conversation.tools.left_open(self.now_s - PATIENCE_FOR_RESULTS_S * self.speed)
        self.phase = Phase.ENDING
        self.agenda.clear()
        due_s = self.now_s + draw(self.world.rng, self.scenario.lifecycle.end_ms) / 1000
        self.agenda.at(due_s, lambda t: self._ended(t, "client_end"))

    def _ended(self, now_s: float, reason: str) -> None:
        self.life.state, self.life.reason = "ended", reason
        self.life.duration_s = now_s - self.opened_s
        self.send(
            {
                "type": "session.ended",
                "session_duration_seconds": round(self.life.duration_s, 6),
                "audio_duration_seconds": None,
            }
        )
        self.close(1000)

    def cut(self, now_s: float) -> None:
        """Take the connection away, because the client came back over another one."""
        self._wire.abort()
        self.lost(self._wire, now_s, closed_by_client=False)

    def lost(self, wire: Wire, now_s: float, *, closed_by_client: bool) -> None:
        """Note that this connection is gone; does nothing when another one has taken its place."""
        if wire is not self._wire:
            return
        self.now_s = now_s
        self.agenda.clear()
        # A close that waited in front of this end was sent by a client that heard nothing.
        fair = not wire.outage.active and not wire.outage.late_s(now_s)
        if closed_by_client and fair and self.phase in (Phase.READY, Phase.ENDING):
            self.judge.closed(ending=self.phase is Phase.ENDING)
        if self.life.state == "live":
            resumable = self.phase is Phase.READY
            self.life.state = "dropped" if resumable else "ended"
            self.life.dropped_s, self.life.duration_s = now_s, now_s - self.opened_s
        if self.life.state != "dropped":
            self.life.session = None
