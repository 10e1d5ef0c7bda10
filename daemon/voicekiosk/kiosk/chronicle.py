"""What is told about the conversation: to the journal, to systemd, to whoever watches the control socket.

The journal gets one line for each thing that matters to whoever looks after the kiosk, at INFO or
above, with fields to find it by; the steps in between are at DEBUG. Never what people said unless the
configuration allows it, and never a key, a token or audio.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from voicekiosk.agent import events as agent
from voicekiosk.agent.facts import Ending, LinkFacts
from voicekiosk.audio import events as audio
from voicekiosk.audio.frames import DeviceFacts
from voicekiosk.kiosk import events as kiosk
from voicekiosk.kiosk.captions import Captions, Line
from voicekiosk.kiosk.machine import AnyEvent
from voicekiosk.kiosk.recorder import WORDS
from voicekiosk.kiosk.state import Link, Name, State, name_of
from voicekiosk.panel.gestures import DoubleTapped, LongPressed, Pressed, Released
from voicekiosk.service.notify import Notifier
from voicekiosk.service.protocol import Topic
from voicekiosk.service.status import Caption, Event
from voicekiosk.service.support import SessionFailure, log_session_failure

logger = logging.getLogger("voicekiosk.kiosk")

Publish = Callable[[Topic, object], None]
Note = Callable[[str, str, float], None]
"""Takes kind, text and time of an event: `Recorder.note`."""
Value = str | float | bool | None

CROWD_S = 60.0
"""Warnings that come in crowds are given this seldom; status counts them all."""

IN_WORDS = {
    Name.STARTING: "starting",
    Name.IDLE: "idle: press to talk",
    Name.CONNECTING: "connecting to the service",
    Name.LISTENING: "listening: the microphone is live",
    Name.THINKING: "thinking: waiting for the answer",
    Name.SPEAKING: "speaking",
    Name.WORKING: "working: a tool is running",
    Name.CONFIRMING: "confirming: waiting for a tap on the button",
    Name.RECONNECTING: "reconnecting: the connection was lost",
    Name.OFFLINE: "offline: the service cannot be reached",
    Name.MUTED: "muted: a press does nothing until unmuted",
    Name.FAULT: "fault",
    Name.STOPPING: "stopping",
}


def _nobody(kind: str, text: str, now_s: float) -> None:
    pass


class Chronicle:
    """Observes every step of the state machine. Belongs to the event loop's thread."""

    def __init__(
        self,
        notifier: Notifier,
        publish: Publish,
        reason: Callable[[State], str],
        link: Callable[[], LinkFacts],
        heard: Callable[[str], str],
        *,
        transcripts: bool,
        note: Note = _nobody,
        configured: Callable[[str], str] = str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Tell `notifier`, `publish` and `note`; `reason(state)` says in words what is wrong.

        `heard(reply_id)` gives the words of a reply that were heard before it was silenced, `configured`
        the name that the configuration has for "microphone" or "loudspeaker".
        """
        self._clock = clock
        self._notifier = notifier
        self._publish = publish
        self._note = note
        self._configured = configured
        self._reason = reason
        self._link = link
        self.transcripts = transcripts
        self._captions = Captions(heard)
        self._session_id = ""
        self._opened_at: datetime | None = None
        self._state_name = Name.STARTING
        self._problem = ""
        self._words = ""
        # What was last said of a device or of a link that cannot be had; saying it again helps nobody.
        self._said: dict[str, str] = {}
        # What microphone and loudspeaker were last opened as.
        self._devices: dict[str, str] = {}
        # When something that may come in crowds was last a warning.
        self._warned_s: dict[str, float] = {}
        self.turns = 0
        """Questions in the present conversation."""
        self.sessions = 0

    def observe(self, event: AnyEvent, before: State, after: State) -> None:
        """Tell what `event` changed."""
        if after.session_wanted and not before.session_wanted:
            self.turns = 0
        if after.microphone_live and not before.microphone_live:
            self.turns += 1
        self._event(event, before)
        name = name_of(after)
        if name is not name_of(before) or after.faults != before.faults:
            self._state(name, after)
        else:
            self.restate(after)
        for line in self._captions.observe(event, before, after):
            self._caption(line)

    def restate(self, state: State) -> None:
        """Let systemd and watchers know when the words for the same state are others: another reason."""
        words = self.in_words(state)
        self._notifier.status(words)
        if words != self._words:
            self._words = words
            self._publish(Topic.STATUS, None)

    def tell(self, level: int, text: str) -> None:
        """Say something about the configuration."""
        self._say("config", text, level)

    def in_words(self, state: State) -> str:
        """Return the line that `systemctl status` shows."""
        name, reason = name_of(state), self._reason(state)
        if not reason:
            return IN_WORDS[name]
        return f"fault: {reason}" if name is Name.FAULT else f"{IN_WORDS[name]}; {reason}"

    # --- what happens --------------------------------------------------------------------------

    def _state(self, name: Name, state: State) -> None:
        before, self._state_name = self._state_name, name
        reason, words = self._reason(state), self.in_words(state)
        self._words = words
        self._notifier.status(words)
        bad = name in (Name.FAULT, Name.OFFLINE)
        if bad and reason != self._problem:
            self._log(logging.WARNING, f"{name}: {reason}" if reason else words)
        elif name is not before:
            self._log(logging.INFO, str(name))
        self._problem = reason if bad else ""
        self._note("state", words, self._clock())
        self._publish(Topic.EVENTS, Event(kind="state", text=words, fields={"state": str(name)}))
        self._publish(Topic.STATUS, None)

    def _event(self, event: AnyEvent, before: State) -> None:
        match event:
            case agent.Connecting() | agent.Ready() | agent.Dropped() | agent.Refused() | agent.Ended():
                self._link_event(event, before)
            case agent.Trouble(code, message):
                text = f"the service reports {code}: {message}"
                self._say("trouble", text, logging.WARNING, {"ERROR_CODE": code}, code=code)
            case agent.ReplyStarted(reply_id):
                self._say("reply", "the agent answers", reply_id=reply_id)
            case agent.ReplyDone(reply_id, interrupted):
                text = "the answer was interrupted" if interrupted else "the answer has arrived"
                self._say("reply_done", text, reply_id=reply_id, interrupted=interrupted)
            case agent.SpeechStarted():
                self._say("speech", "the service hears speech")
            case agent.SpeechStopped():
                self._say("speech_end", "the service closed the turn")
            case agent.ToolCalled(name=name, ours=ours):
                who = "the agent calls" if ours else "the service calls by itself"
                self._say("tool", f"{who} the tool {name[:64]}", tool=name[:64])
            case Pressed():
                self._say("button", "pressed")
            case Released(_, held_s):
                self._say("button", f"released after {held_s:.2f} s", held_s=held_s)
            case DoubleTapped() | LongPressed():
                self._say("button", "tapped twice" if isinstance(event, DoubleTapped) else "pressed long")
            case kiosk.UtteranceSent(loud):
                self._say("sent", "the question has been sent", loud=loud)
            case _ if isinstance(event, audio.AudioEvent):
                self._device_event(event)
            case _:
                pass

    def _link_event(
        self,
        event: agent.Connecting | agent.Ready | agent.Dropped | agent.Refused | agent.Ended,
        before: State,
    ) -> None:
        match event:
            case agent.Connecting(attempt, resuming):
                self._say("connecting", f"attempt {attempt}", attempt=attempt, resuming=resuming)
            case agent.Ready(session_id, resumed, continued):
                self._session_id = session_id
                self._said.pop("link", None)
                if not resumed:
                    self.sessions += 1
                    self._opened_at = datetime.now(UTC)
                how = "resumed" if resumed else "continued in a new session" if continued else "open"
                self._say(
                    "session",
                    f"session {session_id} {how}",
                    logging.INFO,
                    session_id=session_id,
                    resumed=resumed,
                )
            case agent.Dropped(cause, detail, retry_in_s):
                text = f"no connection ({cause}): {detail}"
                more = f"; next attempt in {retry_in_s:.1f} s"
                self._say_once("link", "dropped", text, more=more, cause=str(cause), retry_in_s=retry_in_s)
                ending = self._link().ending
                # A session that came to its end as planned needs nobody's support.
                if before.link is Link.READY and (cause is not agent.Cause.EXPIRED or _code(ending)):
                    self._failed("", detail)
            case agent.Refused(code, message, cause):
                text = f"the service refuses ({code}): {message}"
                self._say("refused", text, code=code, cause=str(cause))
                self._failed(code, message)
                self._forget_session()
            case agent.Ended(duration_s):
                lasted = f" after {duration_s:.1f} s" if duration_s is not None else ""
                if self._session_id:
                    text = f"session {self._session_id} ended{lasted}"
                    self._say("ended", text, logging.INFO, session_id=self._session_id)
                self._forget_session()

    def _device_event(self, event: audio.AudioEvent) -> None:
        match event:
            case audio.MicrophoneOpened(stream) if stream is not None:
                self._device_opened("microphone", stream.device)
            case audio.MicrophoneLost(reason, retry_in_s):
                self._device_lost("microphone", reason, retry_in_s)
            case audio.MicrophoneOverrun(frames):
                text = f"capture overrun: {frames} frames lost, filled with silence"
                self._say("microphone", text, self._warning_at_times("overrun"), self._device("microphone"))
            case audio.MicrophoneSilent(seconds):
                text = f"the microphone has been silent for {seconds:g} s (muted?)"
                self._say("microphone", text, fields=self._device("microphone"))
            case audio.SpeakerOpened(device) if device is not None:
                self._device_opened("loudspeaker", device)
            case audio.SpeakerLost(reason, retry_in_s):
                self._device_lost("loudspeaker", reason, retry_in_s)
            case audio.SpeakerUnderrun(count):
                text = f"playback underrun, {count} so far"
                self._say(
                    "loudspeaker", text, self._warning_at_times("underrun"), self._device("loudspeaker")
                )
            case audio.SpeakerStarted(t_s):
                self._say("sound", "the loudspeaker plays", t_s=t_s)
            case audio.SpeakerDrained(t_s) | audio.SpeakerFlushed(t_s):
                self._say("quiet", "the loudspeaker is silent", t_s=t_s)
            case _:
                pass

    def _device_opened(self, device: str, facts: DeviceFacts) -> None:
        self._devices[device] = facts.pcm_name
        self._say_once(device, device, f"{device} open: {facts}", fields=self._device(device))

    def _device_lost(self, device: str, reason: str, retry_in_s: float) -> None:
        more = f"; next attempt in {retry_in_s:g} s"
        self._say_once(
            device,
            "device",
            reason,
            level=logging.WARNING,
            fields=self._device(device),
            more=more,
            retry_in_s=retry_in_s,
        )

    def _device(self, device: str) -> dict[str, str]:
        # Until it was opened once, nobody knows what its name in the configuration leads to.
        return {"DEVICE": self._devices.get(device) or self._configured(device)}

    def _failed(self, code: str, message: str) -> None:
        """Give the journal what the vendor's support asks for."""
        facts = self._link()
        ending = facts.ending or Ending(None, "", "", "")
        log_session_failure(
            logger,
            SessionFailure(
                host=facts.host,
                failed_at=datetime.now(UTC),
                session_id=self._session_id,
                opened_at=self._opened_at if self._session_id else None,
                close_code=ending.close_code,
                close_reason=ending.close_reason,
                error_code=ending.error_code or code,
                error_message=ending.error_message or message,
            ),
        )

    def _forget_session(self) -> None:
        self._session_id, self._opened_at = "", None

    # --- how it is told ------------------------------------------------------------------------

    def _say_once(
        self,
        about: str,
        kind: str,
        text: str,
        *,
        level: int = logging.INFO,
        fields: dict[str, str] | None = None,
        more: str = "",
        **facts: Value,
    ) -> None:
        """Say it at `level` only when it is something new about `about`; `more` is no news."""
        news = self._said.get(about) != text
        self._said[about] = text
        self._say(kind, text + more, level if news else logging.DEBUG, fields, **facts)

    def _warning_at_times(self, about: str) -> int:
        """Return WARNING at most once a minute: a busy machine has one underrun after the other."""
        now_s = self._clock()
        if now_s - self._warned_s.get(about, float("-inf")) < CROWD_S:
            return logging.DEBUG
        self._warned_s[about] = now_s
        return logging.WARNING

    def _say(
        self,
        kind: str,
        text: str,
        level: int = logging.DEBUG,
        fields: dict[str, str] | None = None,
        **facts: Value,
    ) -> None:
        self._log(level, text, fields)
        self._note(kind, text, self._clock())
        self._publish(Topic.EVENTS, Event(kind=kind, text=text, fields=facts))

    def _log(self, level: int, text: str, fields: dict[str, str] | None = None) -> None:
        if logger.isEnabledFor(level):
            own = {"STATE": str(self._state_name), "SESSION_ID": self._session_id}
            turn = {"TURN": str(self.turns)} if self.turns else {}
            logger.log(level, "%s", text, extra={"fields": own | turn | (fields or {})})

    def _caption(self, line: Line) -> None:
        self._publish(
            Topic.TRANSCRIPT,
            Caption(who=line.who, text=line.text, final=line.final, interrupted=line.interrupted),
        )
        if line.final and self.transcripts:
            fields = {"WHO": line.who, "TEXT": line.text, "REPLY_ID": line.reply_id}
            if line.interrupted:
                fields["INTERRUPTED"] = "yes"
            self._log(logging.INFO, f"{line.who}: {line.text}", fields)
            self._note(WORDS, f"{line.who}: {line.text}", self._clock())


def _code(ending: Ending | None) -> str:
    return "" if ending is None else ending.error_code
