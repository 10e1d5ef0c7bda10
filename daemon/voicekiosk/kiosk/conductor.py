"""The conductor: it tells the state machine what happened, and carries out what that decides.

Belongs to the event loop's thread. It decides nothing itself: which devices and whether a session
are wanted follows from the state, the rest is effects.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from voicekiosk.agent import events as agent
from voicekiosk.agent.client import AgentClient
from voicekiosk.audio import events as audio
from voicekiosk.audio.capture import Capture
from voicekiosk.audio.earcons import earcon
from voicekiosk.audio.playback import Playback
from voicekiosk.config.schema import Config
from voicekiosk.kiosk import events as kiosk
from voicekiosk.kiosk.downlink import Downlink
from voicekiosk.kiosk.machine import AnyEvent, step
from voicekiosk.kiosk.state import Rules, State, Turn, name_of, sign_of
from voicekiosk.kiosk.uplink import Uplink
from voicekiosk.mailbox import Mailbox
from voicekiosk.panel import Panel
from voicekiosk.panel.gestures import Gestures, Pressed

logger = logging.getLogger(__name__)

ECHO_GUARD_S = 0.1
"""A pre-roll never reaches back to less than this after the loudspeaker fell silent."""

Role = Literal["talk", "mute"]
Observer = Callable[[AnyEvent, State, State], None]


@dataclass(frozen=True, slots=True)
class Parts:
    """The devices and the link that the conductor leads; tests put others in their place."""

    capture: Capture
    playback: Playback
    agent: AgentClient
    panel: Panel


class Conductor:
    """Everything that a conversation needs, and the one place where it comes together."""

    def __init__(
        self,
        config: Config,
        make_parts: Callable[["Conductor"], Parts],
        *,
        observe: Observer | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make the parts with `make_parts`, which connects them to this conductor's inputs.

        `observe(event, before, after)` is told every step, for the journal and the control socket.
        """
        self.config = config
        self.rules = Rules.of(config)
        self.state = State()
        self.since_s = clock()
        self._clock = clock
        self._observe = observe
        self._events: deque[AnyEvent] = deque()
        self._deciding = False
        self.mailbox: Mailbox[AnyEvent] = Mailbox(self.dispatch, self._pump)
        self.parts = make_parts(self)
        self.uplink = Uplink(self.parts.agent.send_audio, self._utterance_sent)
        self.downlink = Downlink(self.parts.playback)
        self._gestures = {
            "talk": Gestures(config.panel.button.debounce_ms),
            "mute": Gestures(config.panel.button.debounce_ms),
        }
        self._loop: asyncio.AbstractEventLoop | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at_s = float("inf")
        self._uplink_due_s = float("inf")
        self._microphone_on = self._speaker_on = self._session_open = False
        self._closing: asyncio.Task[None] | None = None
        self._sounding = False
        self._quiet_since_s = float("-inf")

    # --- life ----------------------------------------------------------------------------------

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the threads and the panel; after this a press is answered."""
        self._loop = loop
        self.mailbox.attach(loop)
        self.parts.capture.start()
        self.parts.playback.start()
        self.parts.panel.start(loop, self.edge)
        self.dispatch(kiosk.Started())

    async def stop(self, timeout_s: float = 2.0) -> None:
        """End the session properly, for at most `timeout_s`, then stop everything."""
        self.dispatch(kiosk.Stopping())
        if self._closing is None and self._session_open:
            self._close_session()
        if self._closing is not None:
            await asyncio.wait([self._closing], timeout=timeout_s)
        if self._alarm is not None:
            self._alarm.cancel()
        self.parts.capture.stop(timeout_s=0.5)
        self.parts.playback.stop(timeout_s=0.5)
        self.parts.panel.close()
        self.mailbox.close()

    # --- what comes in -------------------------------------------------------------------------

    def edge(self, role: Role, pressed: bool, t_s: float) -> None:
        """Take an edge of a button, from the panel or the control socket."""
        self._gesture(role, self._gestures[role].edge(pressed, t_s))

    def on_agent(self, event: agent.AgentEvent) -> None:
        """Take what the agent room has to say."""
        match event:
            case agent.ReplyAudio():
                self._reply_audio(event)
            case agent.Proven(samples):
                self.uplink.utterance.prove(samples)
            case _:
                if isinstance(event, agent.Ready):
                    self.uplink.connected()
                elif isinstance(event, agent.Dropped | agent.Refused | agent.Ended):
                    self.uplink.lost()
                self.dispatch(event)

    def dispatch(self, event: AnyEvent) -> None:
        """Decide on `event` and carry the decision out; events that this causes come after it."""
        self._events.append(event)
        if self._deciding:
            return
        self._deciding = True
        try:
            while self._events:
                self._decide(self._events.popleft())
        finally:
            self._deciding = False
        self._pump()

    def reconfigure(self, config: Config) -> None:
        """Take other settings for what is decided from now on."""
        self.config = config
        self.rules = Rules.of(config)

    # --- deciding ------------------------------------------------------------------------------

    def _decide(self, event: AnyEvent) -> None:
        now_s = self._clock()
        before = self.state
        if isinstance(event, audio.MicrophoneOpened):
            first_frame = self.parts.capture.frame_at(float("-inf"))
            self.uplink.microphone_opened(event.stream, first_frame)
        if isinstance(event, audio.SpeakerDrained | audio.SpeakerFlushed):
            self._quiet_since_s, self._sounding = event.t_s, False
        if isinstance(event, agent.Ended):
            self._session_open = False
        self.state, effects = step(before, event, now_s, self.rules)
        for effect in effects:
            self._carry_out(effect, now_s)
        if name_of(self.state) is not name_of(before):
            self.since_s = now_s
        self._reconcile()
        if self._observe is not None:
            self._observe(event, before, self.state)

    def _carry_out(self, effect: kiosk.Effect, now_s: float) -> None:
        parts = self.parts
        match effect:
            case kiosk.BeginUtterance(from_s, barge_in):
                self._begin_utterance(from_s, barge_in=barge_in)
            case kiosk.EndUtterance(until_s):
                self.uplink.end(parts.capture.frame_at(until_s), now_s)
                parts.agent.speech_going_up(going_up=True)
            case kiosk.CancelUtterance():
                self.uplink.cancel()
                parts.agent.speech_going_up(going_up=False)
            case kiosk.TurnOpened():
                self.uplink.turn_opened()
            case kiosk.TurnClosed():
                self.uplink.turn_closed()
                parts.agent.speech_going_up(going_up=False)
            case kiosk.Resend(whole):
                self.uplink.resend(whole=whole)
            case kiosk.FlushSpeaker():
                self.downlink.flush()
                parts.agent.discard_reply()
            case kiosk.FinishReply():
                self.downlink.finish()
            case kiosk.HoldReply():
                self.downlink.hold()
            case kiosk.PlayHeldReply():
                self.downlink.play_held()
            case kiosk.DropHeldReply():
                self.downlink.drop_held()
                parts.agent.discard_reply()
            case kiosk.CreateReply(instructions):
                parts.agent.create_reply(instructions)
            case kiosk.ConnectNow():
                self._session_open = True
                parts.agent.open()
            case kiosk.RetryDevices():
                parts.capture.open()
            case kiosk.PlaySound(sound):
                self._play_sound(sound)

    def _begin_utterance(self, from_s: float, *, barge_in: bool) -> None:
        capture, settings = self.parts.capture, self.config.audio.capture
        self.parts.agent.speech_going_up(going_up=True)
        stream = capture.stream
        if stream is None or not self.state.microphone_open:
            self.uplink.begin(None, 0)
            return
        start_s = from_s
        if settings.warm and not barge_in:
            reach_s = max(from_s - settings.preroll_ms / 1000, self._quiet_since_s + ECHO_GUARD_S)
            start_s = min(from_s, reach_s)
        self.uplink.begin(stream, capture.frame_at(start_s))

    def _play_sound(self, sound: kiosk.Sound) -> None:
        if self.state.turn is Turn.SPEAKING:
            return
        # Opened by `_reconcile`, which follows; what is queued before that is kept.
        self._sounding = True
        self.parts.playback.play(earcon(sound))
        self.parts.playback.end()

    def _reconcile(self) -> None:
        """Bring devices, session and lamp in line with what the state says is wanted."""
        state, parts = self.state, self.parts
        warm = self.config.audio.capture.warm and state.started and not (state.muted or state.stopping)
        microphone_on = state.microphone_wanted or warm
        if microphone_on != self._microphone_on:
            self._microphone_on = microphone_on
            (parts.capture.open if microphone_on else parts.capture.close)()
        speaker_on = state.speaker_wanted or self._sounding
        if speaker_on != self._speaker_on:
            self._speaker_on = speaker_on
            (parts.playback.open if speaker_on else parts.playback.close)()
        if state.session_wanted and not self._session_open and self._closing is None:
            self._session_open = True
            parts.agent.open()
        elif self._session_open and not state.session_wanted:
            self._close_session()
        parts.panel.show(sign_of(state, warm=warm and state.microphone_open))

    def _close_session(self) -> None:
        self._session_open = False
        self.uplink.lost()
        if self._loop is not None and self._closing is None:
            self._closing = self._loop.create_task(self.parts.agent.close())
            self._closing.add_done_callback(self._session_closed)

    def _session_closed(self, task: asyncio.Task[None]) -> None:
        self._closing = None
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("the session could not be ended: %s", error)
        if not self.state.stopping:
            # Somebody may have pressed while the last session was being ended.
            self._reconcile()

    # --- audio, without a decision a block -----------------------------------------------------

    def _reply_audio(self, event: agent.ReplyAudio) -> None:
        if event.reply_id != self.state.reply_id:
            return
        first = self.downlink.take(event.reply_id, event.pcm, self._clock())
        if first:
            self.dispatch(kiosk.AudioArrived(event.reply_id))

    def _utterance_sent(self, loud: bool) -> None:
        self.dispatch(kiosk.UtteranceSent(loud))

    def _pump(self) -> None:
        if self._deciding:
            return
        self._uplink_due_s = self.uplink.pump(self._clock()) if self.uplink.busy else float("inf")
        self._set_alarm()

    # --- time ----------------------------------------------------------------------------------

    def _set_alarm(self) -> None:
        deadlines = [g.deadline_s for g in self._gestures.values() if g.deadline_s is not None]
        at_s = min([self.state.next_deadline_s, self._uplink_due_s, *deadlines])
        if at_s == self._alarm_at_s or self._loop is None:
            return
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._alarm_at_s = at_s
        if at_s < float("inf"):
            self._alarm = self._loop.call_at(at_s, self._ring)

    def _ring(self) -> None:
        self._alarm, self._alarm_at_s = None, float("inf")
        now_s = self._clock()
        for role, gestures in self._gestures.items():
            if gestures.deadline_s is not None and gestures.deadline_s <= now_s:
                self._gesture(role, gestures.tick(now_s))
        if self.state.next_deadline_s <= now_s:
            self.dispatch(kiosk.Tick(self.parts.playback.queued_samples, self.downlink.audio_at_s))
        else:
            self._pump()

    def _gesture(self, role: str, gestures: tuple[AnyEvent, ...]) -> None:
        for gesture in gestures:
            if role == "talk":
                self.dispatch(gesture)
            elif isinstance(gesture, Pressed):
                self.dispatch(kiosk.MuteSwitched(None))
        self._set_alarm()
