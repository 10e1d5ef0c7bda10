"""One conversation with the agent, over as many sockets as it takes; no I/O and no clock in here.

```
CLOSED ─connected─→ CONFIGURING ─session.ready─→ READY ─end─→ ENDING ─session.ended, close─→ CLOSED
   └────connected─→ RESUMING ────session.ready─→ READY
```

Any close leads to CLOSED; `closed` says what it meant. Frames and wishes go in with the time in
seconds, and values come out in the order in which they have to be carried out.
"""

from collections import Counter
from collections.abc import Callable, Collection
from enum import Enum

from voicekiosk.agent import events, wire
from voicekiosk.agent.events import Cause
from voicekiosk.agent.facts import Ending
from voicekiosk.agent.failures import NO_SUCH_SESSION, Failure, Remedy, of_close, of_error
from voicekiosk.agent.memory import Memory
from voicekiosk.agent.outputs import Attempt, Close, Note, Outputs, Send
from voicekiosk.agent.settings import changed_settings, first_settings, pause_settings
from voicekiosk.agent.snapshot import Snapshot
from voicekiosk.agent.tools import Tools
from voicekiosk.agent.turns import Turns
from voicekiosk.config.schema import Config

RESUME_TIMEOUT_S = 4.0
END_TIMEOUT_S = 2.0
# The service ends a session after 3 h without a warning (protocol 1.5). From 2 h 55 min on it is
# renewed at the first quiet moment, and a little before the end at any.
RENEW_AFTER_S = 10_500.0
RENEW_AT_LATEST_S = 10_740.0
RENEW_PAUSE_S = 5.0
# An error longer ago than this has nothing to do with the close that follows.
ERROR_EXPLAINS_S = 5.0
MOST_KINDS = 64


class Phase(Enum):
    """Where the conversation stands on its present socket."""

    CLOSED = "closed"
    CONFIGURING = "configuring"
    RESUMING = "resuming"
    READY = "ready"
    ENDING = "ending"


class Session:
    """The protocol's rules from the client's side (checklist 12.1), as pure logic."""

    def __init__(self, config: Config, hide: Callable[[str], object] = str) -> None:
        """Prepare for conversations with this configuration; `hide` is told each token that must not be."""
        self._config = config
        self._hide = hide
        # The settings that the service knows of.
        self._told = config
        self._tools = Tools()
        self.ending: Ending | None = None
        """How the last socket ended; None while there is one, or none was opened since."""
        self.phase = Phase.CLOSED
        self.session_id = ""
        self.skipped: Counter[str] = Counter()
        """Frames that could not be used, by kind."""
        self._resume_token = ""
        self._refused_voice: str | None = None
        self._begin()

    def _begin(self) -> None:
        self.memory = Memory(self._config.network.carry_turns)
        self._forget_session()
        # True from the first ready of a conversation on: a later fresh session continues it.
        self._had_session = self._patient = False
        self._carried = ""
        self.lived_s: float | None = None
        """For how long the last socket's session was ready; None if it never was."""
        self._clear()

    def _clear(self) -> None:
        """Forget what belongs to one socket."""
        self._deadline_s: float | None = None
        self._ready_s: float | None = None
        self._error: wire.SessionError | None = None
        self._error_s = 0.0
        self._ended = False
        self._duration_s: float | None = None
        self._end_when_ready = False
        self._end_timeout_s = END_TIMEOUT_S
        self._renewal: Failure | None = None
        self._turns = Turns(self.memory)

    def _forget_session(self) -> None:
        self.session_id = self._resume_token = ""
        self._dropped_s = 0.0

    # Sockets

    def begin(self, taken_up: Snapshot | None = None, dropped_s: float = 0.0) -> None:
        """Start a new conversation, with nothing of the last one; or go on with one of another process."""
        self._begin()
        if taken_up is not None:
            self._hide(taken_up.resume_token)
            self.session_id, self._resume_token = taken_up.session_id, taken_up.resume_token
            self.memory.restore(taken_up.turns)
            self._had_session, self._dropped_s = True, dropped_s

    def snapshot(self, host: str, reply_id: str, played_samples: int) -> Snapshot | None:
        """Return what another process needs to go on; None before the first session was ready."""
        if not self._had_session or self.phase is Phase.ENDING:
            return None
        turns = self.memory.snapshot(reply_id, played_samples)
        return Snapshot(host, self.session_id, self._resume_token, turns)

    def attempt(self, now_s: float) -> Attempt:
        """Say how the next socket is to be opened: resuming at most once a drop, within the window."""
        self.ending = None
        network = self._config.network
        in_window = now_s - self._dropped_s <= network.resume_window_s
        if network.resume == "never" or not self.session_id or not in_window:
            self._forget_session()
            return Attempt(resuming=False)
        token = self._resume_token if network.resume == "token" else ""
        return Attempt(resuming=True, token=token or None)

    def connected(self, attempt: Attempt, now_s: float) -> Outputs:
        """Open the session on a new socket. An open socket says nothing about the key (protocol 1.4)."""
        self._clear()
        if attempt.resuming:
            self.phase = Phase.RESUMING
            self._deadline_s = now_s + RESUME_TIMEOUT_S
            return (Send(wire.encode_resume(self.session_id)),)
        self.phase = Phase.CONFIGURING
        self._deadline_s = now_s + self._config.network.ready_timeout_s
        self._told, agent, self._patient = self._config, self._config.agent, False
        self._tools.begin(self._config)
        self._carried = self.memory.carried() if self._had_session else ""
        settings = first_settings(
            agent,
            voice="" if agent.voice == self._refused_voice else agent.voice,
            carried=self._carried,
            greet=not self._had_session,
            tools=self._config.tools,
        )
        return (Send(wire.encode_update(settings)),)

    def handshake_failed(self, attempt: Attempt, failure: Failure) -> Failure:
        """Judge a socket that never opened: a token refused while resuming says nothing about the key."""
        if attempt.resuming and failure.remedy is Remedy.STOP:
            self._forget_session()
            return Failure(failure.cause, Remedy.FRESH, failure.code, failure.detail)
        return failure

    def closed(
        self, code: int | None, reason: str, now_s: float, unproven: Collection[bytes] = ()
    ) -> Failure | events.Ended:
        """Judge the end of a socket on which `unproven` frames may be lost; no `code`: no close frame."""
        phase, self.phase = self.phase, Phase.CLOSED
        self._deadline_s = None
        self.lived_s = None if self._ready_s is None else now_s - self._ready_s
        was_ready = phase is Phase.READY
        error = self._error or wire.SessionError()
        self.ending = Ending(code, reason, error.code, error.message)
        self._turns.broken_off()
        if was_ready:
            self.memory.tools_broke_off(self._tools.lost(unproven))
        if phase is Phase.ENDING:
            self._forget_session()
            return self._renewal or events.Ended(self._duration_s)
        if self._end_when_ready:
            return events.Ended(None)
        if self._ended:
            self._forget_session()
            remedy = Remedy.LATER if phase is Phase.CONFIGURING else Remedy.FRESH  # else without any pause
            return Failure(Cause.EXPIRED, remedy, "session_ended", "the service ended the session")
        if self._error is not None and now_s - self._error_s <= ERROR_EXPLAINS_S:
            failure = of_error(self._error.code, self._error.message, was_ready=was_ready)
        else:
            failure = of_close(code, reason, was_ready=was_ready)
        if phase is Phase.RESUMING:
            self._forget_session()
            detail = f"resuming was refused ({failure.code}: {failure.detail})"
            return Failure(failure.cause, Remedy.FRESH, failure.code, detail)
        if was_ready:
            self._dropped_s = now_s
            if failure.remedy is Remedy.FRESH:
                self._forget_session()
        elif self._voice_refused():
            self._refused_voice = self._config.agent.voice
            return Failure(failure.cause, Remedy.FRESH, failure.code, failure.detail)
        return failure

    # Time

    @property
    def next_deadline_s(self) -> float | None:
        """When `tick` has to be called next, if at all."""
        results_s = self._tools.deadline_s if self.ready else None
        return min((due_s for due_s in (self._deadline_s, results_s) if due_s is not None), default=None)

    def tick(self, now_s: float) -> Outputs:
        """Act on a deadline that has passed."""
        if self.ready and (answers := _sent(self._tools.tick(now_s))):
            return answers
        if self._deadline_s is None or now_s < self._deadline_s:
            return ()
        self._deadline_s = None
        match self.phase:
            case Phase.CONFIGURING | Phase.RESUMING:
                text = "the service did not make the session ready in time"
                self._error, self._error_s = wire.SessionError(code="ready_timeout", message=text), now_s
                return (Close(suspect=True),)
            case Phase.READY if not self._ended:
                return self._renew_for_age(now_s)
            case Phase.CLOSED:
                return ()
        return (Close(suspect=True),)

    def _renew_for_age(self, now_s: float) -> Outputs:
        age_s = now_s - (self._ready_s or now_s)
        if age_s < RENEW_AT_LATEST_S and not self._turns.quiet:
            self._deadline_s = now_s + RENEW_PAUSE_S
            return ()
        return self.renew(Cause.EXPIRED, "the session is near the end of its life", now_s)

    # Wishes

    @property
    def ready(self) -> bool:
        """Whether audio and wishes may be sent."""
        return self.phase is Phase.READY and not self._ended

    def end(self, now_s: float, timeout_s: float = END_TIMEOUT_S) -> Outputs:
        """End the conversation properly, since a session that is not ended is billed for 30 s more."""
        self._renewal = None
        self._end_timeout_s = timeout_s
        match self.phase:
            case Phase.READY:
                return self._send_end(now_s)
            case Phase.CONFIGURING | Phase.RESUMING:
                # Nothing may be sent before the session is ready; it ends as soon as it is.
                self._end_when_ready = True
                deadline_s = now_s + timeout_s
                self._deadline_s = min(self._deadline_s or deadline_s, deadline_s)
        return ()

    def renew(self, cause: Cause, detail: str, now_s: float) -> Outputs:
        """End a ready session and have a fresh one that continues the conversation."""
        if not self.ready:
            return ()
        self._renewal = Failure(cause, Remedy.FRESH, "renewed", detail)
        return self._send_end(now_s)

    def _send_end(self, now_s: float) -> Outputs:
        self.phase = Phase.ENDING
        self._deadline_s = now_s + self._end_timeout_s
        return (Send(wire.END),)

    def create_reply(self, instructions: str | None = None, *, go_on: bool = False) -> Outputs:
        """Ask for a reply without the visitor speaking, told with `go_on` how far the last one was heard."""
        if not self.ready:
            return ()
        self._turns.greeting_unwanted = False
        heard = self.memory.last_words() if go_on else ""
        return (Send(wire.encode_reply_create(f"{instructions}{heard}" if heard else instructions)),)

    def answer(self, call_id: str, epoch: int, text: str, now_s: float, *, is_error: bool) -> Outputs:
        """Answer a `ToolCalled` with JSON text, once the rules allow it; a void call is not answered."""
        if not self.ready:
            # Should the session be resumed, it is told that its tools were cancelled.
            return ()
        return _sent(self._tools.answer(call_id, epoch, text, now_s, is_error=is_error))

    def be_patient(self, patient: bool) -> Outputs:
        """Have the service wait longer for the end of a turn, or as configured again."""
        self._patient = patient
        update = wire.encode_update(pause_settings(self._config, patient=patient))
        return (Send(update),) if self.ready else ()

    def discard_reply(self) -> None:
        """Throw away audio until the next `reply.started`; the service cannot be told (protocol 6.5)."""
        self._turns.discard_reply()

    def reconfigure(self, config: Config) -> Outputs:
        """Take a new configuration; a running session is told what it can take on."""
        self._config = config
        return self._tell_changes()

    def _tell_changes(self) -> Outputs:
        """Tell a running session what differs from what it was told; another agent waits for its own."""
        old, new = self._told, self._config
        self._tools.configure(new)
        if not self.ready or old.agent.agent_id != new.agent.agent_id:
            return ()
        self._told = new
        settings = changed_settings(
            old.agent, new.agent, carried=self._carried, old_tools=old.tools, new_tools=new.tools
        )
        if self._patient and "turn_detection" in settings.get("input", {}):
            settings["input"] |= pause_settings(new, patient=True)["input"]
        return (Send(wire.encode_update(settings)),) if settings else ()

    # Frames

    def received(self, frame: bytes, now_s: float) -> Outputs:
        """Take one text frame of the service."""
        event = wire.decode(frame)
        match event:
            case wire.ReplyAudio():
                # First, since it comes a hundred times a second.
                if not self.ready:
                    return ()
                self._tools.reply_audio(event.reply_id, now_s)
                return self._turns.take(event)
            case wire.Unknown():
                return self._skip(f"unknown type {event.type}", "ignored")
            case wire.Malformed():
                return self._skip(event.kind, event.reason)
            case wire.SessionReady():
                return self._session_ready(event, now_s)
            case wire.SessionEnded():
                return self._session_ended(event, now_s)
            case wire.SessionError():
                return self._session_error(event, now_s)
        if not self.ready:
            return ()
        happened, answers = self._tools.take(event, now_s)
        return (*self._turns.take(event), *happened, *_sent(answers))

    def binary_received(self) -> Outputs:
        """Take a binary frame, which the protocol does not have."""
        return self._skip("binary frame", "ignored")

    def _skip(self, kind: str, reason: str) -> Outputs:
        if kind not in self.skipped and len(self.skipped) >= MOST_KINDS:
            kind = "other"
        self.skipped[kind] += 1
        if self.skipped[kind] > 1:
            return ()
        return (Note(f"skipped a frame of the service: {kind}: {reason} (told once, counted in status)"),)

    def _session_ready(self, event: wire.SessionReady, now_s: float) -> Outputs:
        self.session_id, self._resume_token = event.session_id, event.resume_token
        self._hide(event.resume_token)
        resumed = self.phase is Phase.RESUMING
        if self.phase not in (Phase.CONFIGURING, Phase.RESUMING):
            return ()
        self.phase = Phase.READY
        self._ready_s = now_s
        self._deadline_s = now_s + RENEW_AFTER_S
        continued = self._had_session and not resumed
        self._had_session = True
        if self._end_when_ready:
            return self._send_end(now_s)
        # What was changed while the session was on its way.
        changes = self._tell_changes()
        answers = _sent(self._tools.ready(event.config, now_s, resumed=resumed))
        ready = events.Ready(event.session_id, resumed=resumed, continued=continued)
        if continued and self._config.agent.agent_id:
            # A stored agent keeps its prompt and greeting at the service: the echo is the only way to
            # add to the one, and the other cannot be left out.
            self._turns.greeting_unwanted = bool(event.config.greeting)
            if self._carried and event.config.system_prompt:
                prompt = event.config.system_prompt + self._carried
                return (*changes, Send(wire.encode_update({"system_prompt": prompt})), ready)
        return (*changes, ready, *answers)

    def _session_ended(self, event: wire.SessionEnded, now_s: float) -> Outputs:
        self._ended = True
        self._duration_s = event.session_duration_seconds
        if self.phase is Phase.ENDING:
            return (Close(),)
        self._deadline_s = now_s + END_TIMEOUT_S
        return ()

    def _session_error(self, event: wire.SessionError, now_s: float) -> Outputs:
        self._error, self._error_s = event, now_s
        code = event.code.strip().lower() or "error"
        match self.phase:
            case Phase.CONFIGURING | Phase.RESUMING:
                return (Close(),)
            case Phase.READY if code in NO_SUCH_SESSION:
                # The live service has left the socket open after this one (protocol 5.4).
                return (events.Trouble(code, event.message), Close())
            case Phase.READY:
                return (events.Trouble(code, event.message),)
        return ()

    def _voice_refused(self) -> bool:
        error = self._error
        if error is None or error.code.strip().lower() != "invalid_value" or not self._config.agent.voice:
            return False
        named = error.param or error.message
        return "voice" in named.lower() and self._refused_voice != self._config.agent.voice


def _sent(frames: tuple[bytes, ...]) -> Outputs:
    return tuple(Send(frame) for frame in frames)
