"""The conductor: it tells the state machine what happened, and carries out what that decides.

Belongs to the event loop's thread. It decides nothing itself: which devices and whether a session
are wanted follows from the state, the rest is effects.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from voicekiosk.agent import events as agent
from voicekiosk.audio import events as audio
from voicekiosk.audio.frames import DeviceFacts
from voicekiosk.config.diff import Changes, Effect
from voicekiosk.config.schema import Config
from voicekiosk.kiosk import events as kiosk
from voicekiosk.kiosk.alarm import NEVER, Alarm
from voicekiosk.kiosk.buttons import Buttons
from voicekiosk.kiosk.dials import Dials
from voicekiosk.kiosk.downlink import Downlink
from voicekiosk.kiosk.errands import Errands
from voicekiosk.kiosk.events import Fault
from voicekiosk.kiosk.machine import AnyEvent, step
from voicekiosk.kiosk.parts import Factory, Parts
from voicekiosk.kiosk.sounds import Signs
from voicekiosk.kiosk.state import Rules, State, Turn, name_of, sign_of
from voicekiosk.kiosk.stopwatch import Stopwatch
from voicekiosk.kiosk.toolhost import ToolHost
from voicekiosk.kiosk.uplink import Uplink
from voicekiosk.kiosk.workshop import Workshop
from voicekiosk.mailbox import Mailbox
from voicekiosk.panel.driver import Button
from voicekiosk.panel.gestures import Pressed
from voicekiosk.panel.lamp import Sign

logger = logging.getLogger(__name__)

ECHO_GUARD_S = 0.1
"""A pre-roll never reaches back to less than this after the loudspeaker fell silent."""

Observer = Callable[[AnyEvent, State, State], None]


class Conductor:
    """Everything that a conversation needs, and the one place where it comes together."""

    def __init__(
        self, config: Config, factory: Factory, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.config = config
        self.rules = Rules.of(config)
        self.state = State()
        self.since_s = clock()
        self.observe: Observer | None = None
        """Told every step: the event, the state before and after."""
        self.volume_set: Callable[[], object] = int
        """Told when somebody has set the loudness."""
        self.volume = min(config.audio.playback.volume, config.audio.playback.volume_max)
        self.speaker: DeviceFacts | None = None
        """What the loudspeaker is opened with; None while it is closed."""
        self._clock = clock
        self._events: deque[AnyEvent] = deque()
        self._deciding = False
        self.mailbox: Mailbox[AnyEvent] = Mailbox(self.dispatch, self._pump)
        self._host = ToolHost(self)
        self.workshop = Workshop(self._host, lambda: self.parts.agent, self.dispatch)
        offered = self.workshop.configure(config)
        self.parts: Parts = Parts(offered, factory, self.mailbox.post, self.mailbox.wake, self.on_agent)
        self.uplink = Uplink(
            self.parts.agent.send_audio, lambda loud: self.dispatch(kiosk.UtteranceSent(loud))
        )
        self.downlink = Downlink(lambda: self.parts.playback, self.parts.agent.played)
        self.signs = Signs(lambda: self.parts.playback)
        self.dials = Dials(self, lambda: self.parts.agent)
        self._buttons = Buttons(self.dispatch, self.dials, config.panel.button.debounce_ms)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._alarm = Alarm(self._ring)
        self._uplink_due_s = NEVER
        self._microphone_on = self._speaker_on = self._session_open = False
        self._closing: asyncio.Task[None] | None = None
        self._sign, self._quiet_since_s = Sign.OFF, float("-inf")
        self._connected = Stopwatch()
        self._problems: dict[Fault, str] = {}
        self._errands = Errands(lambda: self.state.quiet)

    # --- life ----------------------------------------------------------------------------------

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the threads and the panel; after this a press is answered."""
        self._loop = loop
        self._alarm.start(loop)
        self._errands.start(loop)
        self.mailbox.attach(loop)
        self.parts.start(loop, self.edge, self._look_at_panel)
        self._look_at_panel()
        self.set_volume(self.volume)
        self.dispatch(kiosk.Started())

    async def stop(self, timeout_s: float = 1.7) -> None:
        """End the session and the tools properly, for at most `timeout_s`, then stop everything."""
        self.dispatch(kiosk.Stopping())
        ending = (self._closing, asyncio.ensure_future(self.workshop.close()))
        await asyncio.wait([task for task in ending if task is not None], timeout=timeout_s)
        self._host.close()
        self._errands.close()
        self._alarm.cancel()
        self.parts.stop()
        self.mailbox.close()

    # --- what comes in -------------------------------------------------------------------------

    def edge(self, button: Button, pressed: bool, t_s: float) -> None:
        """Take an edge of a button, from the panel or the control socket."""
        self._buttons.edge(button, pressed, t_s)
        self._set_alarm()

    def on_agent(self, event: agent.AgentEvent) -> None:
        """Take what the agent room has to say."""
        match event:
            case agent.ReplyAudio():
                self._reply_audio(event)
            case agent.Proven(samples):
                self.uplink.prove(samples, self._clock())
            case agent.ToolCalled():
                self.dispatch(event)
                self.workshop.called(event)
            case _:
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

    def network_returned(self) -> None:
        """Try at once what waits for the network: the kernel has a route."""
        self.parts.agent.network_returned()
        self.dispatch(kiosk.RouteAppeared())

    # --- what can be asked and set -------------------------------------------------------------

    @property
    def warm(self) -> bool:
        """Whether the microphone is open although nothing goes on."""
        return self._warm_wanted() and self.state.microphone_open

    def set_volume(self, percent: int) -> None:
        """Set the loudness, up to the configuration's limit."""
        self.volume = min(percent, self.config.audio.playback.volume_max)
        self.parts.playback.set_volume(self.volume)
        self.volume_set()

    def play_aloud(self, pcm: bytes) -> None:
        """Play 24 kHz `pcm`; for when nobody talks to the kiosk."""
        self.signs.play(pcm)
        self._reconcile(pressed=False)

    def connected_s(self, now_s: float) -> float:
        """Return for how long sessions have been open since the start: what is billed."""
        return self._connected.total_s(now_s)

    def device_problem(self, fault: Fault) -> str:
        """Return what is wrong with a device, in the words of its room."""
        return self._problems.get(fault, "") if fault in self.state.faults else ""

    def apply(self, config: Config, changes: Changes) -> None:
        """Take another configuration; touch only what `changes` names, and nothing that is in use."""
        keys = {change.key for change in changes.changes}
        self.take(self.dials.over(config, keys))
        self.set_volume(config.audio.playback.volume if "audio.playback.volume" in keys else self.volume)
        for effect in (Effect.PANEL, Effect.MICROPHONE, Effect.LOUDSPEAKER, Effect.RECONNECT):
            if effect in changes.effects:
                self._errands.want(effect, partial(self._renew, effect))
        if changes.effects & {Effect.SESSION, Effect.RECONNECT}:
            self.dispatch(kiosk.Fixed(Fault.SERVICE))
        self.dispatch(kiosk.Reconfigured())

    def take(self, config: Config) -> None:
        """Have `config` in force; a session that is open is told what it can take on."""
        self.config, self.rules = config, Rules.of(config)
        self.parts.agent.reconfigure(self.workshop.configure(config))

    def when_quiet(self, name: str, job: Callable[[], None]) -> None:
        """Do `job` as soon as nobody uses the kiosk."""
        self._errands.want(name, job)
        self._errands.go_on()

    # --- deciding ------------------------------------------------------------------------------

    def _decide(self, event: AnyEvent) -> None:
        now_s = self._clock()
        before = self.state
        self._note(event, now_s)
        self.state, effects = step(before, event, now_s, self.rules)
        for effect in effects:
            self._carry_out(effect, now_s)
        if name_of(self.state) is not name_of(before):
            self.since_s = now_s
        self._reconcile(pressed=isinstance(event, Pressed))
        if self.observe is not None:
            self.observe(event, before, self.state)

    def _note(self, event: AnyEvent, now_s: float) -> None:
        """Keep the facts that are no part of the decision."""
        self.dials.note(event)
        match event:
            case agent.Ready():
                self._connected.start(now_s)
                self.uplink.connected()
            case agent.Dropped() | agent.Refused() | agent.Ended():
                self._connected.stop(now_s)
                if isinstance(event, agent.Ended | agent.Refused):
                    self._session_open = False
                self.uplink.lost()
                self.downlink.broken_off()
            case audio.MicrophoneOpened(stream):
                self.uplink.microphone_opened(stream, self.parts.capture.frame_at(self.state.pressed_at_s))
            case audio.MicrophoneLost(reason):
                self._problems[Fault.MICROPHONE] = reason
            case audio.SpeakerOpened(device):
                self.speaker = device
            case audio.SpeakerClosed():
                self.speaker = None
            case audio.SpeakerLost(reason):
                self.speaker = None
                self._problems[Fault.LOUDSPEAKER] = reason
            case audio.SpeakerDrained(t_s) | audio.SpeakerFlushed(t_s):
                self._quiet_since_s, self.signs.sounding = t_s, False
            case agent.AgentText(reply_id, text) if reply_id == self.state.reply_id:
                self.downlink.text(reply_id, text)
            case agent.AgentText(reply_id, text, final=True, interrupted=trimmed):
                self.downlink.text_is_complete(reply_id, text, trimmed=trimmed)

    def _carry_out(self, effect: kiosk.Effect, now_s: float) -> None:
        parts = self.parts
        match effect:
            case kiosk.BeginUtterance(from_s, barge_in):
                self._begin_utterance(from_s, barge_in=barge_in)
            case kiosk.EndUtterance(until_s):
                self.uplink.end(parts.capture.frame_at(until_s), now_s)
            case kiosk.CancelUtterance():
                self.uplink.cancel()
                parts.agent.speech_going_up(False)
            case kiosk.TurnOpened():
                self.uplink.turn_opened()
                parts.agent.speech_going_up(True)
            case kiosk.TurnClosed():
                self.uplink.turn_closed()
                parts.agent.speech_going_up(False)
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
            case kiosk.CreateReply(instructions, go_on):
                parts.agent.create_reply(instructions, go_on=go_on)
            case kiosk.SetPatience(on):
                parts.agent.be_patient(on)
            case kiosk.RenewSession():
                parts.agent.renew("the service does not notice loud speech")
            case kiosk.ConnectNow():
                self._session_open = True
                parts.agent.open()
            case kiosk.KeepConversation(for_s):
                parts.agent.keep(for_s)
            case kiosk.RetryDevices():
                parts.capture.open()
            case kiosk.RunTool() | kiosk.RefuseTool() | kiosk.CancelTools():
                self.workshop.carry_out(effect)
            case kiosk.PlaySound(sound, wordless) if self.state.turn is not Turn.SPEAKING:
                self.signs.show(sound, self.config, wordless=wordless)

    def _begin_utterance(self, from_s: float, *, barge_in: bool) -> None:
        capture, settings = self.parts.capture, self.config.audio.capture
        barge_in |= self.signs.hush() or self.parts.playback.queued_samples > 0
        self.parts.agent.speech_going_up(True)
        stream = capture.stream
        if stream is None or not self.state.microphone_open:
            self.uplink.begin(None, 0)
            return
        if settings.warm and not barge_in:
            from_s = min(from_s, max(from_s - settings.preroll_ms / 1000, self._quiet_since_s + ECHO_GUARD_S))
        self.uplink.begin(stream, capture.frame_at(from_s))

    def _warm_wanted(self) -> bool:
        state = self.state
        return self.config.audio.capture.warm and state.started and not (state.muted or state.stopping)

    def _reconcile(self, *, pressed: bool) -> None:
        """Bring devices, session and lamp in line with what the state says is wanted."""
        state, parts = self.state, self.parts
        microphone_on = state.microphone_wanted or self._warm_wanted()
        if microphone_on != self._microphone_on:
            self._microphone_on = microphone_on
            (parts.capture.open if microphone_on else parts.capture.close)()
        speaker_on = state.speaker_wanted or self.signs.sounding
        if speaker_on != self._speaker_on:
            self._speaker_on = speaker_on
            (parts.playback.open if speaker_on else parts.playback.close)()
        if state.session_wanted and not self._session_open:
            self._session_open = True
            parts.agent.open()
        elif self._session_open and not state.session_wanted:
            self._close_session()
        sign = sign_of(state, warm=self.warm)
        if sign is not self._sign:
            self._sign = sign
            parts.panel.show(sign)
        elif pressed:
            parts.panel.acknowledge()
        self._errands.go_on()

    def _close_session(self) -> None:
        self._session_open = False
        self.uplink.forget()
        if self._loop is not None:
            self._closing = self._loop.create_task(self.parts.agent.close())
            self._closing.add_done_callback(_log_failure)

    # --- audio, without a decision a block -----------------------------------------------------

    def _reply_audio(self, event: agent.ReplyAudio) -> None:
        if event.reply_id != self.state.reply_id:
            return
        if self.downlink.take(event.reply_id, event.pcm, self._clock()):
            self.dispatch(kiosk.AudioArrived(event.reply_id))

    def _pump(self) -> None:
        if self._deciding:
            return
        self._uplink_due_s = self.uplink.pump(self._clock()) if self.uplink.busy else NEVER
        self.parts.capture.set_live(self.uplink.listening)
        self._set_alarm()

    # --- time ----------------------------------------------------------------------------------

    def _set_alarm(self) -> None:
        self._alarm.set(min(self.state.next_deadline_s, self._uplink_due_s, self._buttons.deadline_s))

    def _ring(self, now_s: float) -> None:
        self._buttons.tick(now_s)
        if self.state.next_deadline_s <= now_s:
            self.dispatch(kiosk.Tick(self.parts.playback.queued_samples, self.downlink.audio_at_s))
        else:
            self._pump()

    # --- another configuration -----------------------------------------------------------------

    def _look_at_panel(self) -> None:
        faults = self.parts.panel.facts().faults
        self._problems[Fault.PANEL] = "; ".join(faults)
        if faults or Fault.PANEL in self.state.faults:
            self.dispatch(kiosk.Failed(Fault.PANEL) if faults else kiosk.Fixed(Fault.PANEL))

    async def _renew(self, effect: Effect) -> None:
        """Put a part with the present settings in the place of the one before."""
        match effect:
            case Effect.PANEL if self._loop is not None:
                self._buttons.begin_anew(self.config.panel.button.debounce_ms)
                self.parts.replace_panel(self.config.panel, self._loop, self.edge, self._look_at_panel)
                self.parts.panel.show(self._sign)
                self._look_at_panel()
            case Effect.MICROPHONE:
                await self.parts.replace_capture(self.config.audio.capture)
                self._microphone_on = False
                self.dispatch(kiosk.LookForDevices(frozenset({Fault.MICROPHONE})))
            case Effect.LOUDSPEAKER:
                await self.parts.replace_playback(self.config.audio.playback)
                self.parts.playback.set_volume(self.volume)
                self._speaker_on = False
                self.dispatch(kiosk.LookForDevices(frozenset({Fault.LOUDSPEAKER})))
            case Effect.RECONNECT if self._session_open:
                # Its end is told as any other: where a session is wanted still, the next one is opened.
                await self.parts.agent.close()
        self._reconcile(pressed=False)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("a task of the conductor failed", exc_info=error)
