"""Whose turn it is: listening, thinking, speaking, and how one follows from the other.

Pure, like everything that `machine.step` calls: `(state, event, now) -> state`, effects through
`emit`. The rules are those of protocol §6.3-6.5 and design §4.
"""

from collections.abc import Callable

from voicekiosk.agent import events as agent
from voicekiosk.audio import events as audio
from voicekiosk.kiosk.events import (
    AudioArrived,
    BeginUtterance,
    CancelUtterance,
    CreateReply,
    DropHeldReply,
    Effect,
    EndUtterance,
    Fault,
    FinishReply,
    FlushSpeaker,
    HoldReply,
    KeepConversation,
    PlayHeldReply,
    PlaySound,
    Sound,
    TurnClosed,
    TurnOpened,
    UtteranceSent,
)
from voicekiosk.kiosk.state import NEVER, Link, Rules, State, Turn, replace

Emit = Callable[[Effect], None]


# --- listening ---------------------------------------------------------------------------------


def listen(
    s: State, pressed_s: float, now_s: float, rules: Rules, emit: Emit, *, loud: bool = False
) -> State:
    """Begin a question: the microphone goes live, whatever was playing stops; `loud`: a sign comes first."""
    barge_in = loud or s.turn is Turn.SPEAKING
    if s.turn is not Turn.NONE or s.reply_open:
        emit(FlushSpeaker())
    emit(BeginUtterance(from_s=pressed_s, barge_in=barge_in))
    s = replace(
        s,
        turn=Turn.LISTENING,
        session_wanted=True,
        conversing=True,
        pressed_at_s=pressed_s,
        latched=rules.mode == "toggle",
        tail_until_s=NEVER,
        heard=False,
        loud=False,
        utterance_sent=False,
        understood=False,
        nudge_at_s=NEVER,
        nudged=False,
        renewed=False,
        question_lost=False,
        kept_until_s=NEVER,
        cut_off=False,
        turn_deadline_s=now_s + rules.max_hold_s,
    )
    if s.latched:
        s = replace(s, turn_deadline_s=latched_deadline_s(s, now_s, rules))
    return forget_reply(s)


def latched_deadline_s(s: State, now_s: float, rules: Rules) -> float:
    """Give the end of a question without a button: after some seconds without speech.

    While there is no link, nobody could say whether there is speech; then the longest question counts.
    """
    if s.heard or s.link is not Link.READY:
        return s.pressed_at_s + rules.max_hold_s
    return now_s + rules.latched_silence_s


def end_listening(s: State, now_s: float, rules: Rules, emit: Emit) -> State:
    """End a question: the microphone stays live for the tail, then the service is left to think."""
    if rules.release_tail_s > 0:
        return replace(s, tail_until_s=now_s + rules.release_tail_s)
    return finish_listening(s, now_s, rules, emit)


def finish_listening(s: State, now_s: float, rules: Rules, emit: Emit) -> State:
    """Close the microphone's gate; a reply that was kept plays now."""
    if s.turn is not Turn.LISTENING:
        return replace(s, tail_until_s=NEVER)
    emit(EndUtterance(until_s=now_s))
    s = blame_silence(s) if s.microphone_silent else s
    s = replace(
        s,
        turn=Turn.THINKING,
        tail_until_s=NEVER,
        latched=False,
        # Until all of it is sent: the longest question at real-time pace, over a link that may be away.
        turn_deadline_s=now_s + rules.max_hold_s + rules.reconnecting_s,
    )
    if s.offline and rules.keep_question_s > 0:
        return keep_question(s, now_s, rules)
    if not s.reply_held:
        return s
    s = replace(s, reply_held=False)
    emit(PlayHeldReply())
    if s.reply_has_audio:
        s = replace(s, turn=Turn.SPEAKING, turn_deadline_s=now_s + rules.speaking_stall_s)
        if not s.reply_open:
            emit(FinishReply())
    return s


def keep_question(s: State, now_s: float, rules: Rules) -> State:
    """Let the question wait for the network, in memory only."""
    return replace(s, turn=Turn.NONE, kept_until_s=now_s + rules.keep_question_s)


def blame_silence(s: State) -> State:
    """Show that a microphone that was to hear somebody gives nothing at all: muted by a switch, or broken."""
    return replace(s, faults=s.faults | {Fault.MICROPHONE_SILENT})


def cancel(s: State, emit: Emit) -> State:
    """Take a question back: nothing more of it leaves, nothing is answered."""
    emit(CancelUtterance())
    if s.reply_held:
        emit(DropHeldReply())
        s = forget_reply(s)
    return replace(s, turn=Turn.NONE, utterance_sent=True)


def withhold(s: State, rules: Rules, emit: Emit) -> State:
    """Take back what has not reached the service; what has is answered."""
    if s.kept_until_s < NEVER:
        return replace(cancel(s, emit), kept_until_s=NEVER, session_wanted=rules.connect_on_boot)
    if s.turn is Turn.LISTENING or (s.turn is not Turn.NONE and s.would_be_sent):
        return cancel(s, emit)
    return s


def hang_up(s: State, emit: Emit) -> State:
    """End the conversation."""
    emit(CancelUtterance())
    emit(FlushSpeaker())
    if s.offline:
        emit(KeepConversation(0.0))
    return forget_reply(replace(s, turn=Turn.NONE, session_wanted=False, utterance_sent=True))


def say(s: State, text: str, now_s: float, rules: Rules, emit: Emit) -> State:
    """Have the agent say something (protocol §2.6: an instruction, so it has to be told not to rephrase)."""
    instructions = f"Say exactly the following, and nothing else: {text}"
    s = replace(s, session_wanted=True)
    if s.link is Link.READY:
        emit(CreateReply(instructions))
    else:
        s = replace(s, sayings=(*s.sayings, instructions))
    if s.turn is Turn.NONE:
        # Nobody asked anything: there is no question to be sent again, and none to be asked about.
        s = replace(
            s,
            turn=Turn.THINKING,
            turn_deadline_s=now_s + rules.connecting_s + rules.thinking_timeout_s,
            understood=True,
            heard=False,
            loud=False,
            nudged=True,
            nudge_at_s=NEVER,
        )
    return s


def forget_reply(s: State) -> State:
    """Have nothing more to do with the latest reply."""
    return replace(
        s, reply_id="", reply_open=False, reply_has_audio=False, reply_has_words=False, reply_held=False
    )


# --- what happens in a turn --------------------------------------------------------------------


def decide(
    s: State,
    event: UtteranceSent | AudioArrived | audio.SpeakerDrained,
    now_s: float,
    rules: Rules,
    emit: Emit,
) -> State:
    """Follow the way of the audio: sent, arriving, played."""
    del emit
    match event:
        case UtteranceSent(loud):
            s = replace(s, utterance_sent=True, loud=loud)
            if s.turn is not Turn.THINKING:
                return s
            nudge_at_s = NEVER if s.reply_open or s.nudged else now_s + rules.nudge_after_s
            return replace(s, turn_deadline_s=now_s + rules.thinking_timeout_s, nudge_at_s=nudge_at_s)
        case AudioArrived(reply_id):
            if reply_id != s.reply_id or not s.reply_open:
                return s
            s = replace(s, reply_has_audio=True)
            if s.turn is Turn.LISTENING:
                return s
            return replace(
                s, turn=Turn.SPEAKING, turn_deadline_s=now_s + rules.speaking_stall_s, nudge_at_s=NEVER
            )
        case audio.SpeakerDrained():
            if s.turn is not Turn.SPEAKING:
                return s
            if s.cut_off:
                return _think(s, now_s + rules.reconnecting_s)
            if s.reply_open:
                return _think(s, now_s + rules.thinking_timeout_s)
            # With tools at work, `work` makes it thinking again.
            return replace(s, turn=Turn.NONE)


def decide_agent(s: State, event: agent.AgentEvent, now_s: float, rules: Rules, emit: Emit) -> State:
    """Follow what the service says about speech and replies."""
    match event:
        case agent.SpeechStarted():
            return _speech_started(s, now_s, rules, emit)
        case agent.SpeechStopped():
            return _turn_closed(s, now_s, rules, emit)
        case agent.UserText(_, final):
            s = replace(s, heard=True)
            if not final:
                return s
            s = _turn_closed(s, now_s, rules, emit)
            # A text that comes earlier is that of a sentence before a pause: more was said after it.
            return replace(s, understood=s.understood or s.utterance_sent)
        case agent.ReplyStarted(reply_id):
            return _reply_started(s, reply_id, now_s, rules, emit)
        case agent.AgentText(reply_id=reply_id, text=text):
            if reply_id == s.reply_id and any(c.isalnum() for c in text):
                return replace(s, reply_has_words=True)
            return s
        case agent.ReplyDone(reply_id, interrupted):
            if reply_id not in ("", s.reply_id) or not (s.reply_id or s.reply_open):
                return s
            if interrupted:
                return _reply_interrupted(s, now_s, rules, emit)
            return _reply_completed(s, now_s, rules, emit) if s.reply_open else s
        case _:
            return s


def _think(s: State, deadline_s: float) -> State:
    return replace(s, turn=Turn.THINKING, turn_deadline_s=deadline_s)


def _speech_started(s: State, now_s: float, rules: Rules, emit: Emit) -> State:
    s = replace(s, faults=s.faults - {Fault.DEAF})
    match s.turn:
        case Turn.LISTENING:
            if s.reply_held:
                # It answered half a sentence; the visitor went on.
                emit(DropHeldReply())
                s = forget_reply(s)
            return replace(s, heard=True, understood=False, turn_deadline_s=s.pressed_at_s + rules.max_hold_s)
        case Turn.THINKING | Turn.SPEAKING:
            emit(FlushSpeaker())
            emit(TurnOpened())
            s = forget_reply(replace(s, heard=True, understood=False, nudge_at_s=NEVER))
            return _think(s, max(s.turn_deadline_s, now_s + rules.thinking_timeout_s))
        case _:
            return s


def _turn_closed(s: State, now_s: float, rules: Rules, emit: Emit) -> State:
    match s.turn:
        case Turn.LISTENING:
            if s.latched and s.heard and s.tail_until_s == NEVER:
                s = finish_listening(s, now_s, rules, emit)
                emit(TurnClosed())
                # What has not gone yet is the silence after the end that the service has found.
                return replace(s, utterance_sent=True)
        case Turn.THINKING | Turn.SPEAKING:
            emit(TurnClosed())
        case _:
            pass
    return s


def _reply_started(s: State, reply_id: str, now_s: float, rules: Rules, emit: Emit) -> State:
    greeting = s.greeting_due and not s.heard
    s = replace(
        s,
        reply_id=reply_id,
        reply_open=True,
        reply_has_audio=False,
        reply_has_words=False,
        nudge_at_s=NEVER,
        greeting_due=False,
    )
    if s.turn is Turn.LISTENING:
        if greeting:
            # A greeting never answers anybody: whoever is already speaking needs none.
            emit(FlushSpeaker())
            return forget_reply(s)
        emit(HoldReply())
        return replace(s, reply_held=True)
    if greeting and s.turn is Turn.THINKING:
        emit(FlushSpeaker())
        return forget_reply(s)
    emit(TurnClosed())
    if s.turn is Turn.SPEAKING:
        return s
    return _think(s, now_s + rules.thinking_timeout_s)


def _reply_interrupted(s: State, now_s: float, rules: Rules, emit: Emit) -> State:
    if s.turn is Turn.LISTENING:
        if s.reply_held:
            emit(DropHeldReply())
        return forget_reply(s)
    emit(FlushSpeaker())
    s = forget_reply(s)
    if s.turn is Turn.NONE:
        return s
    # The service heard something else and owes an answer to that; sometimes it forgets (gotcha 9).
    nudge_at_s = NEVER if s.nudged else now_s + rules.nudge_after_s
    return replace(_think(s, now_s + rules.thinking_timeout_s), nudge_at_s=nudge_at_s)


def _reply_completed(s: State, now_s: float, rules: Rules, emit: Emit) -> State:
    s = replace(s, reply_open=False)
    match s.turn:
        case Turn.SPEAKING:
            emit(FinishReply())
            return s
        case Turn.THINKING if not (s.reply_has_audio or s.busy):
            if s.reply_has_words or s.nudged:
                return no_answer(s, emit)
            emit(CreateReply())
            return replace(_think(s, now_s + rules.thinking_timeout_s), nudged=True)
        case _:
            return s


def no_answer(s: State, emit: Emit) -> State:
    """Give up on an answer, and say so."""
    emit(TurnClosed())
    emit(PlaySound(Sound.NO_ANSWER))
    return forget_reply(replace(s, turn=Turn.NONE))
