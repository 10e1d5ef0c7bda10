"""What of a conversation is to be read, and when. Pure but for the one question what was heard.

The service's text runs ahead of its voice. While a reply plays, its text so far is shown as it comes; the
last word on it comes once, when the loudspeaker has played it or was silenced, and holds what was heard.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from voicekiosk.agent import events as agent
from voicekiosk.audio import events as audio
from voicekiosk.kiosk.gate import has_words
from voicekiosk.kiosk.machine import AnyEvent
from voicekiosk.kiosk.state import State, Turn

MOST_IDS = 16


@dataclass(frozen=True, slots=True)
class Line:
    """What one side has said; replaces the line of the same side that was not final."""

    who: str
    """visitor or agent."""
    text: str
    final: bool = True
    interrupted: bool = False
    reply_id: str = ""


class Captions:
    """Follows a conversation."""

    def __init__(self, heard: Callable[[str], str]) -> None:
        """Ask `heard(reply_id)` for what was heard of a reply that was silenced."""
        self._heard = heard
        self._reply_id = self._text = ""
        self._interrupted = False
        # Replies of which the last word was said, and ended ones whose text has not come yet.
        self._told: deque[str] = deque(maxlen=MOST_IDS)
        self._owed: deque[str] = deque(maxlen=MOST_IDS)

    def observe(self, event: AnyEvent, before: State, after: State) -> Iterator[Line]:
        """Give what is to be read after `event`."""
        match event:
            case agent.UserText(text, final) if has_words(text):
                yield Line("visitor", text, final)
            case agent.AgentText():
                yield from self._words(event, after)
            case audio.SpeakerDrained() if _is_played(before):
                yield from self._played(before.reply_id)
        if before.reply_id != after.reply_id:
            yield from self._left(event, before)
        elif before.reply_held and not after.reply_held and self._text:
            yield self._so_far()
        if not after.session_wanted:
            self._forget()
            self._owed.clear()

    def _words(self, event: agent.AgentText, after: State) -> Iterator[Line]:
        reply_id = event.reply_id
        if reply_id in self._told:
            return
        if reply_id == after.reply_id and reply_id not in self._owed:
            if has_words(event.text):
                self._reply_id, self._text, self._interrupted = reply_id, event.text, event.interrupted
                if not after.reply_held:
                    yield self._so_far()
        elif event.final and reply_id in self._owed:
            yield from self._last_word(reply_id, event.text, interrupted=event.interrupted)
        elif event.final and (heard := self._heard(reply_id)):
            yield from self._last_word(reply_id, heard, interrupted=True)

    def _so_far(self) -> Line:
        return Line("agent", self._text, final=False, reply_id=self._reply_id)

    def _played(self, reply_id: str) -> Iterator[Line]:
        """Take a reply whose end was heard, or will be: another one follows it."""
        if self._reply_id == reply_id:
            yield from self._last_word(reply_id, self._text, interrupted=self._interrupted)
        elif reply_id not in self._told:
            self._owed.append(reply_id)

    def _left(self, event: AnyEvent, before: State) -> Iterator[Line]:
        """Take a reply that is not the present one any more."""
        reply_id = before.reply_id
        if not reply_id or reply_id in self._told or reply_id in self._owed:
            pass
        elif before.reply_held:
            self._told.append(reply_id)
        elif isinstance(event, agent.ReplyStarted):
            yield from self._played(reply_id)
        elif self._reply_id == reply_id:
            heard = self._heard(reply_id)
            cut = heard != self._text.strip()
            yield from self._last_word(reply_id, heard, interrupted=cut or self._interrupted)
        self._forget()

    def _last_word(self, reply_id: str, text: str, *, interrupted: bool) -> Iterator[Line]:
        self._told.append(reply_id)
        if has_words(text):
            yield Line("agent", text.strip(), interrupted=interrupted, reply_id=reply_id)
        self._forget()

    def _forget(self) -> None:
        self._reply_id, self._text, self._interrupted = "", "", False


def _is_played(state: State) -> bool:
    """Return whether the loudspeaker has just played a reply to its end."""
    return bool(state.reply_id) and state.turn is Turn.SPEAKING and not (state.reply_open or state.cut_off)
