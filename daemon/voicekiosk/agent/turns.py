"""Who speaks on one socket: speech, replies and their texts, kept straight when events are missing.

Live traces break every order that the documents promise (protocol 3.4), so nothing here waits for a
partner event: what arrives is judged by what is known at that moment.
"""

from collections import deque

from voicekiosk.agent import events, wire
from voicekiosk.agent.events import AgentEvent
from voicekiosk.agent.memory import Memory


class Turns:
    """Turns the service's turn events into the house's, and drops the audio of flushed replies."""

    def __init__(self, memory: Memory) -> None:
        """Begin on a new socket, adding to what the conversation remembers."""
        self._memory = memory
        self._reply_id = ""
        self._reply_running = False
        self._speech_running = False
        # Audio is thrown away until the next reply.started (checklist 24).
        self._discarding = False
        # Replies that had their turn: late audio of theirs must not pass for a new reply.
        self._past: deque[str] = deque(maxlen=16)
        self._odd_byte = b""
        self._greeting_id: str | None = None
        self.greeting_unwanted = False
        """Whether the first reply would be a greeting in the middle of a conversation."""

    @property
    def quiet(self) -> bool:
        """Whether nobody is known to speak."""
        return not (self._reply_running or self._speech_running)

    def discard_reply(self) -> None:
        """Throw away audio until the next `reply.started`; the service cannot be told (protocol 6.5)."""
        if self._reply_running:
            self._memory.interrupted(self._reply_id)
        self._discarding = True

    def broken_off(self) -> None:
        """Note that the socket is gone in the middle of whatever was said."""
        if self._reply_running:
            self._memory.interrupted(self._reply_id)

    def take(self, event: wire.Known) -> tuple[AgentEvent, ...]:
        """Take an event of a ready session."""
        match event:
            case wire.ReplyAudio():
                return self._audio(event)
            case wire.SpeechStarted():
                self._speech_running = True
                self.greeting_unwanted = False
                self.discard_reply()
                return (events.SpeechStarted(),)
            case wire.SpeechStopped():
                self._speech_running = False
                return (events.SpeechStopped(),)
            case wire.UserDelta():
                return (events.UserText(event.text or event.delta, final=False),)
            case wire.User():
                self._memory.visitor_said(event.text)
                return (events.UserText(event.text, final=True),)
            case wire.ReplyStarted():
                return self._started(event.reply_id)
            case wire.AgentDelta() | wire.Agent():
                return self._text(event)
            case wire.ReplyDone():
                return self._done(event)
            case wire.ReplyError():
                return (events.Trouble(event.code or "reply.error", event.message),)
        return ()

    def _started(self, reply_id: str) -> tuple[AgentEvent, ...]:
        self._past.append(self._reply_id)
        self._reply_id = reply_id
        self._reply_running = True
        self._odd_byte = b""
        self._discarding = self.greeting_unwanted
        self.greeting_unwanted = False
        if self._discarding:
            self._greeting_id = reply_id
            return ()
        self._memory.reply_started(reply_id)
        return (events.ReplyStarted(reply_id),)

    def _audio(self, event: wire.ReplyAudio) -> tuple[AgentEvent, ...]:
        if self._discarding:
            return ()
        reply_id = event.reply_id or self._reply_id
        started: tuple[AgentEvent, ...] = ()
        if reply_id != self._reply_id:
            if self._reply_running or reply_id in self._past:
                return ()
            # Its reply.started got lost (checklist 26).
            started = self._started(reply_id)
        pcm = event.data
        if self._odd_byte or len(pcm) % 2:
            # A sample was cut in two; its second half comes first in the next piece.
            pcm = self._odd_byte + pcm
            even = len(pcm) & ~1
            pcm, self._odd_byte = pcm[:even], pcm[even:]
        if not pcm:
            return started
        self._memory.audio_came(reply_id, len(pcm) // 2)
        return (*started, events.ReplyAudio(reply_id, pcm))

    def _text(self, event: wire.AgentDelta | wire.Agent) -> tuple[AgentEvent, ...]:
        reply_id = event.reply_id or self._reply_id
        if reply_id == self._greeting_id:
            return ()
        if isinstance(event, wire.AgentDelta):
            text = self._memory.agent_word(reply_id, event.delta, event.start_ms)
            return (events.AgentText(reply_id, text, final=False, interrupted=False),)
        self._memory.agent_said(reply_id, event.text, interrupted=event.interrupted)
        return (events.AgentText(reply_id, event.text, final=True, interrupted=event.interrupted),)

    def _done(self, event: wire.ReplyDone) -> tuple[AgentEvent, ...]:
        reply_id = event.reply_id or self._reply_id
        interrupted = event.status.strip().lower() == "interrupted"
        if reply_id == self._reply_id:
            self._reply_running = False
            self._discarding = self._discarding or interrupted
        if reply_id == self._greeting_id:
            return ()
        if interrupted:
            self._memory.interrupted(reply_id)
        return (events.ReplyDone(reply_id, interrupted),)
