"""The way to the service: connecting, lost, brought back, given up.

When to try again is the agent room's ladder; here is what it means for the visitor.
"""

from collections.abc import Callable

from voicekiosk.agent import events as agent
from voicekiosk.kiosk import turns
from voicekiosk.kiosk.events import (
    CancelUtterance,
    ConnectNow,
    CreateReply,
    DropHeldReply,
    Due,
    Effect,
    Fault,
    FinishReply,
    FlushSpeaker,
    KeepConversation,
    PlaySound,
    Resend,
    Sound,
)
from voicekiosk.kiosk.state import NEVER, Link, Rules, State, Turn, replace

Emit = Callable[[Effect], None]
LinkEvent = agent.Connecting | agent.Ready | agent.Dropped | agent.Refused | agent.Ended

GO_ON = (
    "The connection was lost while you were speaking, and the visitor heard only part of your last answer. "
    "Take that answer up again where it was cut off, without greeting and without saying it all again."
)


def decide(s: State, event: LinkEvent, now_s: float, rules: Rules, emit: Emit) -> State:
    """Follow what the agent room says of the link."""
    if not s.session_wanted:
        return s
    match event:
        case agent.Connecting():
            return s if s.link in (Link.RESUMING, Link.CONNECTING) else _connecting(s, now_s, rules)
        case agent.Ready(resumed=resumed, continued=continued):
            return _ready(s, now_s, rules, emit, kept=resumed, fresh=not (resumed or continued))
        case agent.Dropped(retry_in_s=retry_in_s):
            return _dropped(s, retry_in_s, now_s, rules, emit)
        case agent.Refused(cause=cause):
            return _refused(s, cause, emit)
        case agent.Ended() if s.link is Link.CONNECTING:
            # That was the one before, which was given up; whoever has pressed since wants another.
            return s
        case agent.Ended():
            # The service ended it by itself, at its limit of three hours: a turn goes on in a new one.
            return replace(
                s, link=Link.CLOSED, session_wanted=s.turn is not Turn.NONE or rules.connect_on_boot
            )


def route_appeared(s: State, emit: Emit) -> State:
    """Try at once what was waiting for the network."""
    if s.session_wanted and s.link is not Link.READY:
        emit(ConnectNow())
    return replace(s, offline=False)


def take_up(s: State, due: Due, now_s: float, rules: Rules) -> State:
    """Go on with a conversation that another daemon was killed in, as if the link had been lost."""
    s = replace(
        s,
        session_wanted=True,
        conversing=True,
        link=Link.RESUMING,
        link_deadline_s=now_s + rules.reconnecting_s,
    )
    if due is Due.NOTHING:
        return s
    return replace(
        s,
        turn=Turn.THINKING,
        turn_deadline_s=now_s + rules.reconnecting_s + rules.thinking_timeout_s,
        heard=True,
        understood=due is not Due.UNKNOWN,
        question_lost=due is Due.UNKNOWN,
        cut_off=due is Due.REST,
    )


def link_deadline(s: State, now_s: float, rules: Rules, emit: Emit) -> State:
    """Give up on a link that does not come; or forget, after a while, that it did not."""
    if not s.session_wanted:
        return replace(s, offline=False, link_deadline_s=NEVER)
    return _go_offline(s, now_s, rules, emit)


def _connecting(s: State, now_s: float, rules: Rules) -> State:
    return replace(s, link=Link.CONNECTING, link_deadline_s=now_s + rules.connecting_s)


def _ready(s: State, now_s: float, rules: Rules, emit: Emit, *, kept: bool, fresh: bool) -> State:
    s = replace(
        s,
        link=Link.READY,
        link_deadline_s=NEVER,
        offline=False,
        greeting_due=fresh and rules.greets,
        faults=s.faults - {Fault.KEY, Fault.SERVICE},
    )
    for saying in s.sayings:
        emit(CreateReply(saying))
    only_said = bool(s.sayings) and s.turn is Turn.THINKING and not (s.heard or s.loud)
    s = replace(s, sayings=())
    if s.kept_until_s < NEVER:
        emit(Resend(whole=True))
        deadline_s = now_s + rules.max_hold_s + rules.thinking_timeout_s
        return replace(
            s, turn=Turn.THINKING, kept_until_s=NEVER, utterance_sent=False, turn_deadline_s=deadline_s
        )
    if only_said and s.understood:
        return replace(s, turn_deadline_s=now_s + rules.thinking_timeout_s)
    if s.cut_off:
        emit(CreateReply(GO_ON, go_on=True))
        s = replace(s, cut_off=False)
        if s.turn is Turn.THINKING:
            s = replace(s, turn_deadline_s=now_s + rules.thinking_timeout_s)
        return s
    if s.turn is Turn.LISTENING:
        emit(Resend(whole=not kept))
        if s.latched:
            return replace(s, turn_deadline_s=now_s + rules.latched_silence_s)
        return s
    if s.turn is Turn.THINKING:
        return _ready_while_thinking(s, now_s, rules, emit, kept=kept)
    return s


def _ready_while_thinking(s: State, now_s: float, rules: Rules, emit: Emit, *, kept: bool) -> State:
    if s.question_lost and not kept:
        return turns.no_answer(s, emit)
    if s.muted and not (s.understood or s.question_lost):
        emit(CancelUtterance())
        return turns.no_answer(s, emit)
    if not s.understood:
        emit(Resend(whole=not kept))
        # What the session before noticed says nothing of a fresh one's ears.
        s = s if kept else replace(s, heard=False)
        # Until the uplink says that all of it has gone again.
        deadline_s = now_s + rules.max_hold_s + rules.thinking_timeout_s
        return replace(s, utterance_sent=False, turn_deadline_s=deadline_s)
    if kept:
        deadline_s = now_s + rules.thinking_timeout_s
        return replace(s, nudge_at_s=now_s + rules.nudge_after_s, turn_deadline_s=deadline_s)
    # The question is in what the fresh session was told; nobody will say it again.
    emit(CreateReply())
    return replace(s, nudged=True, turn_deadline_s=now_s + rules.thinking_timeout_s)


def _dropped(s: State, retry_in_s: float, now_s: float, rules: Rules, emit: Emit) -> State:
    if s.link is Link.READY:
        s = _lost(s, now_s, rules, emit)
    if now_s + retry_in_s > s.link_deadline_s:
        # The next attempt comes too late for whoever is waiting now.
        return _go_offline(s, now_s, rules, emit)
    return s


def _lost(s: State, now_s: float, rules: Rules, emit: Emit) -> State:
    s = replace(s, link=Link.RESUMING, link_deadline_s=now_s + rules.reconnecting_s, nudge_at_s=NEVER)
    match s.turn:
        case Turn.SPEAKING if not (s.utterance_sent or s.understood):
            # It answers half of what was said; the rest is still here, and wants its own answer.
            emit(FlushSpeaker())
            deadline_s = now_s + rules.reconnecting_s + rules.thinking_timeout_s
            s = replace(s, turn=Turn.THINKING, turn_deadline_s=deadline_s, nudged=False)
        case Turn.SPEAKING if s.busy:
            # It says what it does meanwhile; the answer is still to come.
            if s.reply_open:
                emit(FinishReply())
            deadline_s = now_s + rules.reconnecting_s + rules.thinking_timeout_s
            s = replace(s, turn=Turn.THINKING, turn_deadline_s=deadline_s, nudged=False)
        case Turn.SPEAKING if s.reply_open:
            # What has come is played to its end; the rest is asked for when the link is back.
            emit(FinishReply())
            s = replace(s, cut_off=True)
        case Turn.LISTENING if s.reply_held:
            emit(DropHeldReply())
            s = replace(s, reply_held=False)
        case Turn.THINKING:
            emit(PlaySound(Sound.TICK))
            # A wish for the answer may have died with the link: nobody knows what was sent last.
            deadline_s = now_s + rules.reconnecting_s + rules.thinking_timeout_s
            s = replace(s, nudged=False, turn_deadline_s=deadline_s)
        case _:
            pass
    return replace(s, reply_id="", reply_open=False, reply_has_audio=False)


def _go_offline(s: State, now_s: float, rules: Rules, emit: Emit) -> State:
    s = replace(s, offline=True, cut_off=False, reply_open=False)
    if s.turn is Turn.THINKING and rules.keep_question_s > 0 and not (s.understood or s.muted):
        emit(PlaySound(Sound.OFFLINE))
        s = turns.keep_question(s, now_s, rules)
    elif s.turn is Turn.THINKING or (s.turn is Turn.LISTENING and rules.keep_question_s == 0):
        emit(CancelUtterance())
        emit(PlaySound(Sound.OFFLINE))
        s = replace(s, turn=Turn.NONE, utterance_sent=True)
    if rules.connect_on_boot or s.kept_until_s < NEVER or s.turn is Turn.LISTENING:
        return replace(s, link=Link.WAITING, link_deadline_s=NEVER)
    # Nobody is waiting any more: an open socket would only cost money. The sign stays for a while, and
    # the conversation for as long as it would have been kept open.
    emit(KeepConversation(min(s.hang_up_at_s - now_s, rules.keep_open_s)))
    return replace(s, link=Link.CLOSED, session_wanted=False, link_deadline_s=now_s + rules.offline_s)


def _refused(s: State, cause: agent.Cause, emit: Emit) -> State:
    key = cause is agent.Cause.KEY
    if s.turn is not Turn.NONE:
        emit(CancelUtterance())
        emit(PlaySound(Sound.KEY_REFUSED if key else Sound.SERVICE_REFUSED))
    fault = Fault.KEY if key else Fault.SERVICE
    return replace(
        s,
        link=Link.CLOSED,
        session_wanted=False,
        turn=Turn.NONE,
        utterance_sent=True,
        faults=s.faults | {fault},
    )
