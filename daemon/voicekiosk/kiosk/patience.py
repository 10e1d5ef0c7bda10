"""More time for whoever has been asked something. Pure, like everything that `machine.step` calls.

The agent's sentence ends with a question mark: the service is told to wait longer for the end of the
answer, and once that has been given, to wait as before.
"""

from collections.abc import Callable

from voicekiosk.agent import events as agent
from voicekiosk.kiosk.events import Effect, SetPatience
from voicekiosk.kiosk.state import Link, Rules, State, replace

Emit = Callable[[Effect], None]

QUESTION_MARKS = ("?", "？", "؟", "⸮", ";")  # noqa: RUF001 - the marks of other scripts; the last is the Greek one
CLOSING = "\"'”’»)] \n\t\u00a0\ufeff"  # noqa: RUF001 - what may stand behind the mark


def decide(s: State, event: object, rules: Rules, emit: Emit) -> State:
    """Follow who has asked whom."""
    if not (rules.patience or s.patient):
        return s
    match event:
        case agent.AgentText(reply_id=reply_id, text=text) if reply_id == s.reply_id:
            return replace(s, asked=is_question(text))
        case agent.ReplyStarted():
            return replace(s, asked=False)
        case agent.ReplyDone(interrupted=interrupted):
            asked = s.asked and not interrupted
            s = replace(s, asked=False)
            return _set(s, True, emit) if asked and rules.patience else s
        case agent.UserText(final=True):
            return _set(s, False, emit)
        case agent.Ready(resumed=False, continued=True) if s.patient:
            # The fresh session in the middle of the conversation knows nothing of it.
            emit(SetPatience(True))
            return s
        case agent.Ready(resumed=False):
            return replace(s, patient=False, asked=False)
        case _:
            return s if s.session_wanted else replace(s, patient=False, asked=False)


def is_question(text: str) -> bool:
    """Return whether what was said ends with a question."""
    return text.rstrip(CLOSING).endswith(QUESTION_MARKS)


def _set(s: State, patient: bool, emit: Emit) -> State:
    if s.patient is patient or s.link is not Link.READY:
        return s
    emit(SetPatience(patient))
    return replace(s, patient=patient)
