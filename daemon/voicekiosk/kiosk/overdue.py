"""Turns in which what has to come does not: asked for, given up, told.

Pure, like everything that `machine.step` calls.
"""

from collections.abc import Callable

from voicekiosk.kiosk import turns
from voicekiosk.kiosk.events import CreateReply, Effect, Fault, FlushSpeaker, RenewSession, Tick
from voicekiosk.kiosk.state import NEVER, Link, Rules, State, Turn, replace

Emit = Callable[[Effect], None]


def nudge(s: State, now_s: float, rules: Rules, emit: Emit) -> State:
    """Ask for the answer that did not come, once (protocol §6.5)."""
    s = replace(s, nudge_at_s=NEVER)
    if s.turn is not Turn.THINKING or s.reply_open or s.nudged:
        return s
    if s.link is not Link.READY:
        return s
    if not s.heard:
        # Where nobody said anything, asking would make the agent answer silence; and so it would
        # where it is deaf, which an answer would only hide.
        return _deaf(s, now_s, rules, emit) if s.loud else turns.no_answer(s, emit)
    emit(CreateReply())
    return replace(s, nudged=True, turn_deadline_s=max(s.turn_deadline_s, now_s + rules.nudge_after_s))


def turn_deadline(s: State, tick: Tick, now_s: float, rules: Rules, emit: Emit) -> State:
    """Leave a turn that took too long."""
    match s.turn:
        case Turn.LISTENING if s.latched and not s.heard and s.link is Link.READY:
            return turns.cancel(s, emit)
        case Turn.LISTENING:
            if s.held:
                s = replace(s, faults=s.faults | {Fault.STUCK_BUTTON})
            return turns.finish_listening(s, now_s, rules, emit)
        case Turn.THINKING if s.loud and not s.heard and s.link is Link.READY and s.utterance_sent:
            return _deaf(s, now_s, rules, emit)
        case Turn.THINKING:
            return turns.no_answer(s, emit)
        case Turn.SPEAKING:
            return _stalled(s, tick, now_s, rules, emit)
        case Turn.NONE:
            return s


def _deaf(s: State, now_s: float, rules: Rules, emit: Emit) -> State:
    """Try a service that does not hear in a second session, once; then say so."""
    if s.renewed:
        return turns.no_answer(replace(s, faults=s.faults | {Fault.DEAF}), emit)
    emit(RenewSession())
    deadline_s = now_s + rules.reconnecting_s + rules.max_hold_s + rules.thinking_timeout_s
    return replace(s, renewed=True, nudged=False, utterance_sent=False, turn_deadline_s=deadline_s)


def _stalled(s: State, tick: Tick, now_s: float, rules: Rules, emit: Emit) -> State:
    """End an answer that stopped in the middle; one that still plays gets more time."""
    quiet_since_s = now_s if tick.queued_samples > 0 else tick.audio_at_s
    lost = Fault.LOUDSPEAKER in s.faults
    if not lost and now_s < quiet_since_s + rules.speaking_stall_s:
        return replace(s, turn_deadline_s=quiet_since_s + rules.speaking_stall_s)
    emit(FlushSpeaker())
    return turns.forget_reply(replace(s, turn=Turn.NONE))
