"""The one function that decides: `step(state, event, now_s, rules) -> (state, effects)`.

Pure: no clock, no socket, no thread, no pin. The turns of a conversation are decided in `turns`,
the link to the service in `links`; here are the button, the operator, the devices and the
deadlines, with what they mean for a turn in `overdue`.
"""

from collections.abc import Callable
from typing import assert_never

from voicekiosk.agent import events as agent
from voicekiosk.audio import events as audio
from voicekiosk.kiosk import links, overdue, patience, turns, work
from voicekiosk.kiosk.events import (
    AudioArrived,
    CancelUtterance,
    ConnectNow,
    Effect,
    EndRequested,
    Event,
    Failed,
    Fault,
    Fixed,
    FlushSpeaker,
    HangUp,
    LookForDevices,
    MuteSwitched,
    PlaySound,
    Reconfigured,
    Restored,
    RetryDevices,
    RouteAppeared,
    SayRequested,
    Sound,
    Started,
    Stopping,
    Tick,
    ToolFinished,
    ToolWanted,
    TryOut,
    UtteranceSent,
)
from voicekiosk.kiosk.state import NEVER, Link, Question, Rules, State, Turn, replace
from voicekiosk.panel.gestures import DoubleTapped, Gesture, LongPressed, Pressed, Released

OFFLINE_SOUND_S = 0.5
"""The earcon for "no network", with the time that a room takes to fall silent."""

TICK_EVERY_S = 2.5
"""How often somebody who waits for the link hears that it is being brought back."""

AnyEvent = Event | Gesture | agent.AgentEvent | audio.AudioEvent
Emit = Callable[[Effect], None]


def step(state: State, event: AnyEvent, now_s: float, rules: Rules) -> tuple[State, tuple[Effect, ...]]:
    """Give the state after `event`, and what has to be done, in order."""
    effects: list[Effect] = []
    state = _decide(state, event, now_s, rules, effects.append)
    state = patience.decide(state, event, rules, effects.append)
    state = work.decide(state, event, now_s, rules, effects.append)
    return _settle(state, now_s, rules), tuple(effects)


def _decide(s: State, event: AnyEvent, now_s: float, rules: Rules, emit: Emit) -> State:
    if s.stopping:
        return s
    match event:
        case Pressed() | Released() | DoubleTapped() | LongPressed():
            return _button(s, event, now_s, rules, emit)
        case agent.Connecting() | agent.Ready() | agent.Dropped() | agent.Refused() | agent.Ended():
            return links.decide(s, event, now_s, rules, emit)
        case RouteAppeared():
            return links.route_appeared(s, emit)
        case Restored(due):
            return links.take_up(s, due, now_s, rules)
        case UtteranceSent() | AudioArrived() | audio.SpeakerDrained():
            return turns.decide(s, event, now_s, rules, emit)
        case Tick():
            return _tick(s, event, now_s, rules, emit)
        case Started():
            return replace(s, started=True, session_wanted=rules.connect_on_boot)
        case Stopping():
            emit(CancelUtterance())
            emit(FlushSpeaker())
            return replace(s, stopping=True, session_wanted=False, turn=Turn.NONE)
        case MuteSwitched(on):
            return _mute(s, not s.muted if on is None else on, rules, emit)
        case HangUp():
            return turns.hang_up(s, emit)
        case SayRequested(text):
            return turns.say(s, text, now_s, rules, emit)
        case Fixed(fault):
            return replace(
                s, faults=s.faults - {fault}, session_wanted=s.session_wanted or rules.connect_on_boot
            )
        case Failed(fault):
            return replace(s, faults=s.faults | {fault})
        case Reconfigured():
            return replace(s, hang_up_at_s=NEVER, session_wanted=s.session_wanted or rules.connect_on_boot)
        case LookForDevices(faults):
            return replace(s, untried=s.untried | faults)
        case ToolWanted() | ToolFinished() | EndRequested():
            return s  # `work` decides
        case TryOut():
            # Long enough to see it connect, even where a session is given up after the last word.
            hang_up_at_s = now_s + max(rules.connecting_s, rules.keep_open_s)
            return replace(s, session_wanted=True, conversing=True, hang_up_at_s=hang_up_at_s)
        case _ if isinstance(event, audio.AudioEvent):
            return _device(s, event, now_s, rules, emit)
        case _:
            return turns.decide_agent(s, event, now_s, rules, emit)


def _settle(s: State, now_s: float, rules: Rules) -> State:
    """Bring the facts that follow from others in line with them."""
    if s.stopping:
        return replace(
            s,
            link_deadline_s=NEVER,
            hang_up_at_s=NEVER,
            tick_at_s=NEVER,
            turn_deadline_s=NEVER,
            tail_until_s=NEVER,
            nudge_at_s=NEVER,
            kept_until_s=NEVER,
            confirm_until_s=NEVER,
            speak_at_s=NEVER,
        )
    if s.turn is Turn.NONE:
        s = replace(
            s, turn_deadline_s=NEVER, tail_until_s=NEVER, nudge_at_s=NEVER, latched=False, cut_off=False
        )
    if Fault.BUDGET in s.faults and s.turn is Turn.NONE:
        # Whoever was talking has been answered; an open session would only cost more.
        s = replace(s, session_wanted=False)
    if not s.session_wanted:
        s = replace(s, kept_until_s=NEVER, tick_at_s=NEVER, conversing=False)
        # The sign of being offline goes by itself: nobody looks whether it is still true.
        deadline_s = min(s.link_deadline_s, now_s + rules.offline_s) if s.offline else NEVER
        return replace(s, link=Link.CLOSED, link_deadline_s=deadline_s, hang_up_at_s=NEVER, sayings=())
    if s.link is Link.CLOSED:
        s = replace(s, link=Link.CONNECTING, link_deadline_s=now_s + rules.connecting_s)
    if s.link is not Link.RESUMING or s.turn is not Turn.THINKING:
        s = replace(s, tick_at_s=NEVER)
    elif s.tick_at_s == NEVER:
        s = replace(s, tick_at_s=now_s + TICK_EVERY_S)
    stays = rules.connect_on_boot and not s.conversing
    if s.turn is not Turn.NONE or stays or s.kept_until_s < NEVER:
        return replace(s, hang_up_at_s=NEVER)
    if s.hang_up_at_s == NEVER:
        s = replace(s, hang_up_at_s=now_s + rules.keep_open_s)
    return s


def _button(s: State, gesture: Gesture, now_s: float, rules: Rules, emit: Emit) -> State:
    match gesture:
        case Pressed(t_s):
            return _press(replace(s, held=True), t_s, now_s, rules, emit)
        case Released(_, held_s):
            return _release(
                replace(s, held=False, faults=s.faults - {Fault.STUCK_BUTTON}), held_s, now_s, rules, emit
            )
        case DoubleTapped():
            return turns.hang_up(s, emit)
        case LongPressed():
            mutes = rules.mode == "toggle" and not s.confirm_pressed
            return _mute(s, not s.muted, rules, emit) if mutes else s
        case _:
            assert_never(gesture)


def _press(s: State, pressed_s: float, now_s: float, rules: Rules, emit: Emit) -> State:
    if s.muted:
        emit(PlaySound(Sound.MUTED))
        return s
    if Fault.KEY in s.faults:
        # Nothing that a visitor does can help: only a new key does.
        emit(PlaySound(Sound.KEY_REFUSED))
        return s
    if Fault.SERVICE in s.faults:
        emit(PlaySound(Sound.SERVICE_REFUSED))
        emit(ConnectNow())
        return replace(s, session_wanted=True)
    if Fault.BUDGET in s.faults and s.turn is not Turn.LISTENING:
        emit(PlaySound(Sound.BUDGET))
        return s
    if s.confirming is not None and s.question is Question.HEARD and s.turn is not Turn.LISTENING:
        return work.press(s, emit)
    if Fault.MICROPHONE in s.faults and not s.microphone_open and s.turn is not Turn.LISTENING:
        emit(PlaySound(Sound.MICROPHONE_GONE))
        emit(RetryDevices())
        return s
    if s.turn is Turn.LISTENING:
        return _press_while_listening(s, pressed_s, now_s, rules, emit)
    if s.offline or s.link is Link.WAITING:
        waits = rules.keep_question_s > 0
        if not waits:
            emit(PlaySound(Sound.OFFLINE))
        emit(ConnectNow())
        s = replace(s, session_wanted=True, link_deadline_s=now_s + rules.connecting_s)
        if not waits:
            return s
        # The sign must not become part of the question, nor be silenced by its beginning.
        s = turns.listen(s, pressed_s + OFFLINE_SOUND_S, now_s, rules, emit, loud=True)
        emit(PlaySound(Sound.OFFLINE, wordless=True))
        return s
    return turns.listen(s, pressed_s, now_s, rules, emit)


def _press_while_listening(s: State, pressed_s: float, now_s: float, rules: Rules, emit: Emit) -> State:
    if s.tail_until_s < NEVER:
        # Let go and pressed again before the tail was over: one question, not two.
        return replace(
            s, tail_until_s=NEVER, pressed_at_s=pressed_s, turn_deadline_s=now_s + rules.max_hold_s
        )
    if s.latched:
        return turns.end_listening(s, now_s, rules, emit)
    return s


def _release(s: State, held_s: float, now_s: float, rules: Rules, emit: Emit) -> State:
    if s.confirm_pressed:
        return work.release(s, held_s, now_s, rules, emit)
    if s.turn is not Turn.LISTENING or s.latched or s.tail_until_s < NEVER:
        return s
    if rules.mode == "auto" and held_s < rules.latch_below_s:
        return replace(s, latched=True, turn_deadline_s=turns.latched_deadline_s(s, now_s, rules))
    if rules.mode == "hold" and held_s < rules.take_back_s:
        return turns.cancel(s, emit)
    return turns.end_listening(s, now_s, rules, emit)


def _mute(s: State, on: bool, rules: Rules, emit: Emit) -> State:
    return replace(turns.withhold(s, rules, emit) if on else s, muted=on)


def _device(s: State, event: audio.AudioEvent, now_s: float, rules: Rules, emit: Emit) -> State:
    match event:
        case audio.MicrophoneOpened():
            return replace(
                s,
                microphone_open=True,
                untried=s.untried - {Fault.MICROPHONE},
                faults=s.faults - {Fault.MICROPHONE},
            )
        case audio.MicrophoneClosed():
            return replace(s, microphone_open=False)
        case audio.MicrophoneLost():
            was_open, first = s.microphone_open, Fault.MICROPHONE not in s.faults
            faults = s.faults | {Fault.MICROPHONE}
            s = replace(s, microphone_open=False, untried=s.untried - {Fault.MICROPHONE}, faults=faults)
            if s.turn is Turn.LISTENING and first:
                emit(PlaySound(Sound.MICROPHONE_GONE))
                # What was said until now is kept and the device may be back before the release; but
                # where it never opened there is nothing to keep.
                return s if was_open else turns.cancel(s, emit)
            return s
        case audio.MicrophoneSilent():
            s = replace(s, microphone_silent=True)
            # In a pause it may be a very quiet room; `finish_listening` looks again.
            return turns.blame_silence(s) if s.turn is Turn.LISTENING else s
        case audio.MicrophoneHeard():
            return replace(s, microphone_silent=False, faults=s.faults - {Fault.MICROPHONE_SILENT})
        case audio.SpeakerOpened():
            if Fault.LOUDSPEAKER in s.faults and s.conversing and s.turn is Turn.NONE:
                # The first moment at which whoever waits can be told why nothing was heard.
                emit(PlaySound(Sound.LOUDSPEAKER_BACK))
            untried = s.untried - {Fault.LOUDSPEAKER}
            return replace(s, untried=untried, faults=s.faults - {Fault.LOUDSPEAKER})
        case audio.SpeakerLost():
            untried = s.untried - {Fault.LOUDSPEAKER}
            s = replace(s, untried=untried, faults=s.faults | {Fault.LOUDSPEAKER})
            if s.turn is Turn.SPEAKING:
                s = replace(s, turn_deadline_s=min(s.turn_deadline_s, now_s + rules.speaking_stall_s))
            return s
        case _:
            return s


def _tick(s: State, tick: Tick, now_s: float, rules: Rules, emit: Emit) -> State:
    if s.tail_until_s <= now_s:
        s = turns.finish_listening(s, now_s, rules, emit)
    if s.kept_until_s <= now_s:
        emit(CancelUtterance())
        s = replace(s, kept_until_s=NEVER, session_wanted=rules.connect_on_boot)
    if s.link_deadline_s <= now_s:
        s = links.link_deadline(s, now_s, rules, emit)
    if s.nudge_at_s <= now_s:
        s = overdue.nudge(s, now_s, rules, emit)
    if s.turn_deadline_s <= now_s:
        s = overdue.turn_deadline(s, tick, now_s, rules, emit)
    if s.hang_up_at_s <= now_s:
        s = replace(s, session_wanted=rules.connect_on_boot, conversing=False)
    if s.tick_at_s <= now_s:
        emit(PlaySound(Sound.TICK))
        s = replace(s, tick_at_s=NEVER)
    return s
