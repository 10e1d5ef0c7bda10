"""What is told about the conversation: to the journal, to systemd, to whoever watches the control socket."""

import logging
from collections.abc import Callable

from voicekiosk.agent import events as agent
from voicekiosk.audio import events as audio
from voicekiosk.kiosk import events as kiosk
from voicekiosk.kiosk.machine import AnyEvent
from voicekiosk.kiosk.state import Name, State, name_of
from voicekiosk.panel.gestures import DoubleTapped, LongPressed, Pressed, Released
from voicekiosk.service.notify import Notifier
from voicekiosk.service.protocol import Topic
from voicekiosk.service.status import Caption, Event

logger = logging.getLogger("voicekiosk.kiosk")

Publish = Callable[[Topic, object], None]

IN_WORDS = {
    Name.STARTING: "starting",
    Name.IDLE: "idle: press to talk",
    Name.CONNECTING: "connecting to the service",
    Name.LISTENING: "listening: the microphone is live",
    Name.THINKING: "thinking: waiting for the answer",
    Name.SPEAKING: "speaking",
    Name.RECONNECTING: "reconnecting: the connection was lost",
    Name.OFFLINE: "offline: the service cannot be reached",
    Name.MUTED: "muted: a press does nothing until unmuted",
    Name.FAULT: "fault",
    Name.STOPPING: "stopping",
}


class Chronicle:
    """Observes every step of the state machine. Belongs to the event loop's thread."""

    def __init__(
        self, notifier: Notifier, publish: Publish, reason: Callable[[State], str], *, transcripts: bool
    ) -> None:
        """Tell `notifier` and `publish`; `reason(state)` says in words what is wrong."""
        self._notifier = notifier
        self._publish = publish
        self._reason = reason
        self.transcripts = transcripts
        self._session_id = ""
        self._user_text = ""
        self._problem = ""
        self.turns = 0
        self.sessions = 0

    def observe(self, event: AnyEvent, before: State, after: State) -> None:
        """Tell what `event` changed."""
        self._event(event)
        name = name_of(after)
        if name is not name_of(before) or after.faults != before.faults:
            self._state(name, after)
        if isinstance(event, agent.UserText | agent.AgentText):
            self._caption(event)

    def _state(self, name: Name, state: State) -> None:
        reason = self._reason(state)
        words = f"fault: {reason}" if name is Name.FAULT else IN_WORDS[name]
        self._notifier.status(words)
        fields = {"STATE": str(name), "SESSION_ID": self._session_id}
        if name in (Name.FAULT, Name.OFFLINE) and reason != self._problem:
            logger.warning("%s", f"{name}: {reason}" if reason else words, extra={"fields": fields})
        else:
            logger.info("%s", name, extra={"fields": fields})
        self._problem = reason
        self._publish(Topic.EVENTS, Event(kind="state", text=words, fields={"state": str(name)}))
        self._publish(Topic.STATUS, None)

    def _event(self, event: AnyEvent) -> None:
        match event:
            case agent.Ready(session_id, resumed, continued):
                self._session_id = session_id
                self.sessions += 1
                how = "resumed" if resumed else "continued in a new session" if continued else "open"
                self._say("session", f"session {session_id} {how}", session_id=session_id, resumed=resumed)
            case agent.Dropped(cause, detail, retry_in_s):
                self._say(
                    "dropped",
                    f"no connection ({cause}): {detail}; next attempt in {retry_in_s:.1f} s",
                    cause=str(cause),
                    retry_in_s=retry_in_s,
                )
            case agent.Refused(code, message, cause):
                self._say("refused", f"the service refuses ({code}): {message}", code=code, cause=str(cause))
            case agent.Ended(duration_s):
                lasted = f" after {duration_s:.1f} s" if duration_s is not None else ""
                self._say("ended", f"session ended{lasted}", session_id=self._session_id)
                self._session_id = ""
            case agent.Trouble(code, message):
                logger.warning(
                    "the service reports %s: %s", code, message, extra={"fields": {"ERROR_CODE": code}}
                )
            case agent.ReplyStarted(reply_id):
                self._say("reply", "the agent answers", reply_id=reply_id)
            case agent.ReplyDone(reply_id, interrupted):
                text = "the answer was interrupted" if interrupted else "the answer has arrived"
                self._say("reply_done", text, reply_id=reply_id, interrupted=interrupted)
            case agent.SpeechStarted():
                self._say("speech", "the service hears speech")
            case agent.SpeechStopped():
                self.turns += 1
                self._say("speech_end", "the service closed the turn")
            case Pressed():
                self._say("button", "pressed")
            case Released(_, held_s):
                self._say("button", f"released after {held_s:.2f} s", held_s=held_s)
            case DoubleTapped() | LongPressed():
                self._say("button", "tapped twice" if isinstance(event, DoubleTapped) else "pressed long")
            case audio.MicrophoneOpened(stream):
                self._say("microphone", f"microphone open: {stream.device}" if stream else "microphone open")
            case audio.MicrophoneLost(reason, retry_in_s) | audio.SpeakerLost(reason, retry_in_s):
                self._say("device", f"{reason} (next attempt in {retry_in_s:g} s)")
            case audio.MicrophoneOverrun(frames):
                logger.warning("capture overrun: %d frames lost, filled with silence", frames)
            case audio.MicrophoneSilent(seconds):
                self._say("microphone", f"the microphone has been silent for {seconds:g} s (muted?)")
            case audio.SpeakerOpened(device):
                self._say("loudspeaker", f"loudspeaker open: {device}")
            case audio.SpeakerStarted(t_s):
                self._say("sound", "the loudspeaker plays", t_s=t_s)
            case audio.SpeakerDrained(t_s) | audio.SpeakerFlushed(t_s):
                self._say("quiet", "the loudspeaker is silent", t_s=t_s)
            case kiosk.UtteranceSent(loud):
                self._say("sent", "the question has been sent", loud=loud)
            case _:
                pass

    def _say(self, kind: str, text: str, **fields: str | float | bool | None) -> None:
        logger.debug("%s", text)
        self._publish(Topic.EVENTS, Event(kind=kind, text=text, fields=fields))

    def _caption(self, event: agent.UserText | agent.AgentText) -> None:
        visitor = isinstance(event, agent.UserText)
        interrupted = isinstance(event, agent.AgentText) and event.interrupted
        who = "visitor" if visitor else "agent"
        self._publish(
            Topic.TRANSCRIPT,
            Caption(who=who, text=event.text, final=event.final, interrupted=interrupted),
        )
        if event.final and self.transcripts:
            logger.info("%s: %s", who, event.text, extra={"fields": {"SESSION_ID": self._session_id}})
