"""Tools at work: running, waiting for a tap, owed an answer. Pure, like everything that `machine.step` calls.

A tool runs beside the turns: the visitor may speak while it does. What a turn must not do meanwhile is
end, ask again, or give up early; `decide`, which comes after the turns have been decided, sees to it.
"""

from collections.abc import Callable

from voicekiosk.agent import events as agent
from voicekiosk.audio import events as audio
from voicekiosk.kiosk.events import (
    AudioArrived,
    CancelTools,
    CreateReply,
    Effect,
    EndRequested,
    FlushSpeaker,
    PlaySound,
    RefuseTool,
    RunTool,
    Sound,
    Tick,
    ToolFinished,
    ToolWanted,
    Work,
)
from voicekiosk.kiosk.state import NEVER, PAST, Link, Question, Rules, State, Turn, replace

Emit = Callable[[Effect], None]

GRACE_S = 5.0
"""How much longer than a tool may take the kiosk waits for it (design §4)."""
ANSWER_S = 6.0
"""How long a result may wait until it can be sent, before the time for the answer begins."""
CONFIRM_S = 15.0
"""Silence of this length after the question is a no."""
ASK_WITHIN_S = 1.5
"""The agent is told to ask when its reply is done, or after so long if nobody says that it is."""
ASK_AGAIN_S = 6.0
"""How long the answer to what the visitor said meanwhile may take, before the agent is told to ask anyway."""
ASKING_S = 12.0
"""How long it may take until the question has been heard."""
REFUSED_HOLD_S = 1.0
"""A button that is held for longer than this says no."""

NOT_CONFIRMED = "the visitor did not confirm it, so it was not done"
REFUSED = "the visitor refused, so it was not done"
ANOTHER_WAITS = "another action waits for the visitor's tap: nothing was done; ask for one thing at a time"
NOT_NOW = "nobody is talking to the kiosk any more, so it was not done"


def ask(work: Work) -> str:
    """Return what the agent is told when a tool needs a tap."""
    return (
        f"You called {work.name}, which needs the visitor's consent and has not been done yet. "
        "In one short sentence say what is about to happen, and ask them to tap the button once to agree, "
        "or to hold it for a moment to refuse. Call no tool now."
    )


def still_working(work: Work) -> str:
    """Return what the agent is told while a tool that holds the conversation takes its time."""
    return (
        f"{work.name} is still running. In a few words say that you are still working on it; "
        "promise nothing, and call no tool now."
    )


def press(s: State, emit: Emit) -> State:
    """Answer a press after the question for consent; what it means, the release says."""
    emit(FlushSpeaker())
    emit(PlaySound(Sound.TICK))
    turn = Turn.THINKING if s.turn is Turn.SPEAKING else s.turn
    return replace(s, confirm_pressed=True, turn=turn, reply_id="", reply_open=False, reply_has_audio=False)


def release(s: State, held_s: float, now_s: float, rules: Rules, emit: Emit) -> State:
    """Take a tap for a yes and a longer press for a no."""
    s = replace(s, confirm_pressed=False)
    if s.confirming is None:
        return s
    if held_s >= REFUSED_HOLD_S:
        return _refuse(s, REFUSED, now_s, rules, emit)
    return _run(_nothing_to_confirm(s), s.confirming, now_s, rules, emit)


def decide(s: State, event: object, now_s: float, rules: Rules, emit: Emit) -> State:
    """Follow calls and tools, then keep the turn in line with them."""
    match event:
        case agent.ToolCalled() if _talking(s):
            s = _owe(s, now_s, rules)
        case agent.ToolsVoid(call_ids):
            s = _cancel(s, frozenset(call_ids), emit)
        case agent.ReplyStarted():
            begun = Question.BEGUN if s.question is Question.WANTED else s.question
            s = replace(s, owed=False, question=begun)
        case AudioArrived() if s.owed:
            # The results wait for the end of this reply.
            s = _owe(s, now_s, rules)
        case agent.ReplyDone() if s.confirming is not None and s.speak_at_s < NEVER:
            s = _speak(s, now_s, rules, emit)
        case audio.SpeakerDrained() if s.confirming is not None and s.speak_at_s == NEVER:
            s = replace(s, confirm_until_s=now_s + CONFIRM_S)
        case ToolWanted(work):
            s = _wanted(s, work, now_s, rules, emit)
        case ToolFinished(call_id):
            s = _finished(s, call_id, now_s, rules)
        case EndRequested():
            s = replace(s, ending=True)
        case Tick():
            s = _tick(s, now_s, rules, emit)
    return _settle(s, now_s, rules, emit)


def _talking(s: State) -> bool:
    return s.session_wanted and s.link is Link.READY and not s.stopping


def _owe(s: State, now_s: float, rules: Rules) -> State:
    """Note that the service will answer once more, when it has the results."""
    until_s = now_s + ANSWER_S + rules.thinking_timeout_s
    return replace(s, owed=True, nudge_at_s=NEVER, work_until_s=max(s.work_until_s, until_s))


def _wanted(s: State, work: Work, now_s: float, rules: Rules, emit: Emit) -> State:
    if not _talking(s):
        emit(RefuseTool(work.call_id, NOT_NOW))
        return s
    if not work.confirm:
        return _run(s, work, now_s, rules, emit)
    if s.confirming is not None:
        emit(RefuseTool(work.call_id, ANOTHER_WAITS))
        return s
    s = replace(s, confirming=work, confirm_until_s=now_s + ASKING_S + CONFIRM_S, question=Question.DUE)
    if s.turn is Turn.LISTENING:
        return s
    s = replace(s, speak_at_s=now_s + ASK_WITHIN_S)
    return s if s.reply_open else _speak(s, now_s, rules, emit)


def _run(s: State, work: Work, now_s: float, rules: Rules, emit: Emit) -> State:
    emit(RunTool(work.call_id))
    s = replace(s, work=(*s.work, work), work_until_s=max(s.work_until_s, now_s + work.timeout_s + GRACE_S))
    if work.hold and rules.still_working_s > 0:
        s = replace(s, speak_at_s=min(s.speak_at_s, now_s + rules.still_working_s))
    return s


def _finished(s: State, call_id: str, now_s: float, rules: Rules) -> State:
    if call_id not in {work.call_id for work in s.work}:
        return s
    s = replace(s, work=tuple(work for work in s.work if work.call_id != call_id))
    return _quiet(_owe(s, now_s, rules))


def _refuse(s: State, why: str, now_s: float, rules: Rules, emit: Emit) -> State:
    assert s.confirming is not None  # noqa: S101 - its callers have looked
    emit(RefuseTool(s.confirming.call_id, why))
    return _owe(_nothing_to_confirm(s), now_s, rules)


def _nothing_to_confirm(s: State) -> State:
    s = replace(s, confirming=None, confirm_until_s=NEVER, confirm_pressed=False, question=Question.DUE)
    return _quiet(s)


def _quiet(s: State) -> State:
    """Say nothing more of tools that are done."""
    speaks = s.confirming is not None or any(work.hold for work in s.work)
    return s if speaks else replace(s, speak_at_s=NEVER)


def _cancel(s: State, call_ids: frozenset[str], emit: Emit) -> State:
    emit(CancelTools(tuple(sorted(call_ids))))
    if s.confirming is not None and s.confirming.call_id in call_ids:
        s = _nothing_to_confirm(s)
    s = _quiet(replace(s, work=tuple(work for work in s.work if work.call_id not in call_ids)))
    # The service answers what has interrupted it.
    return s if s.work or s.confirming else replace(s, owed=False)


def _tick(s: State, now_s: float, rules: Rules, emit: Emit) -> State:
    if s.confirm_until_s <= now_s:
        if s.turn in (Turn.LISTENING, Turn.SPEAKING) or s.confirm_pressed:
            # Whoever speaks is not silent.
            s = replace(s, confirm_until_s=now_s + CONFIRM_S)
        else:
            s = _refuse(s, NOT_CONFIRMED, now_s, rules, emit)
    return _speak(s, now_s, rules, emit) if s.speak_at_s <= now_s else s


def _speak(s: State, now_s: float, rules: Rules, emit: Emit) -> State:
    """Have the agent ask for consent, or say that it takes a while."""
    s = replace(s, speak_at_s=NEVER)
    if s.confirming is not None:
        emit(CreateReply(ask(s.confirming)))
        return replace(s, question=Question.WANTED, confirm_until_s=now_s + ASKING_S + CONFIRM_S)
    held = [work for work in s.work if work.hold]
    if not held or rules.still_working_s <= 0:
        return s
    if s.turn is Turn.THINKING and not s.reply_open:
        emit(CreateReply(still_working(held[0])))
    return replace(s, speak_at_s=now_s + rules.still_working_s)


def _settle(s: State, now_s: float, rules: Rules, emit: Emit) -> State:
    if s.turn is Turn.LISTENING:
        s = replace(s, ending=False)
    if not s.busy:
        return _hang_up(replace(s, work_until_s=PAST))
    if not _talking(s) or (s.turn is Turn.NONE and now_s >= s.work_until_s):
        return _hang_up(_nothing_left(s, emit))
    if s.confirming is not None:
        s = _question(s, now_s)
        # However long the visitor thinks about it.
        s = replace(s, work_until_s=max(s.work_until_s, s.confirm_until_s + rules.thinking_timeout_s))
    if s.turn is Turn.NONE:
        s = replace(s, turn=Turn.THINKING, turn_deadline_s=s.work_until_s, utterance_sent=True, loud=False)
    if s.turn is Turn.THINKING:
        s = replace(s, turn_deadline_s=max(s.turn_deadline_s, s.work_until_s), nudge_at_s=NEVER)
    return s


def _question(s: State, now_s: float) -> State:
    """Follow the question until it is heard; whoever speaks instead of listening to it is asked again."""
    if s.question is Question.HEARD:
        return s
    if s.turn is Turn.LISTENING:
        return replace(s, question=Question.DUE, speak_at_s=NEVER)
    if s.question is Question.BEGUN and s.turn is Turn.SPEAKING and s.reply_has_audio:
        return replace(s, question=Question.HEARD)
    if s.question is Question.DUE and s.speak_at_s == NEVER:
        wait_s = ASK_WITHIN_S if s.turn is Turn.NONE else ASK_AGAIN_S
        return replace(s, speak_at_s=now_s + wait_s)
    return s


def _nothing_left(s: State, emit: Emit) -> State:
    call_ids = tuple(work.call_id for work in (*s.work, s.confirming) if work is not None)
    if call_ids:
        emit(CancelTools(call_ids))
    s = replace(s, work=(), confirming=None, confirm_until_s=NEVER, confirm_pressed=False)
    return replace(s, question=Question.DUE, owed=False, speak_at_s=NEVER, work_until_s=PAST)


def _hang_up(s: State) -> State:
    """End the conversation that was to end, once its last word has been heard."""
    if s.ending and s.turn is Turn.NONE:
        return replace(s, ending=False, session_wanted=False)
    return s
