"""When the result of a tool may be sent, and when it must not be any more (protocol §7.2-7.4).

Pure: calls, turn events and results go in with the time in seconds, results to send come out. A result
waits until a `reply.done` is the latest of `reply.started`, `input.speech.started` and `reply.done`.
Every call is answered exactly once, unless its reply was interrupted: then never.

An interruption makes void the calls of the reply that was interrupted, and no others (§7.2 read together with
checklist 29 and 31): a call of an earlier reply, which was completed, is still owed its one answer.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

PATIENCE_S = 6.0
"""A `reply.done` that is missing so long after the last sound of its reply will not come (checklist 26)."""
BEFORE_TIMEOUT_S = 2.0
"""A result that still waits so long before the service gives up is sent whatever is said meanwhile."""
REMEMBERED = 256
MOST_ON_THE_WAY = 32


class Latest(Enum):
    """The latest turn event, as far as results depend on it."""

    NONE = "none"
    REPLY = "reply.started"
    SPEECH = "input.speech.started"
    DONE = "reply.done"
    INTERRUPTED = "reply.done, interrupted"


@dataclass(frozen=True, slots=True)
class Result:
    """An answer to a call; `text` holds JSON."""

    call_id: str
    text: str
    is_error: bool


@dataclass(slots=True)
class _Call:
    name: str
    reply_id: str
    epoch: int
    hold: bool
    answer_by_s: float
    result: Result | None = None
    finished_s: float = 0.0


class ToolWork:
    """The calls of one session, from `tool.call` to `tool.result`."""

    def __init__(self) -> None:
        self.early = False
        """Send each result at once, whatever is being said (live the service takes that, §7.2)."""
        # Never begins anew, so that a result of an earlier session fits no call of this one.
        self._epoch = 0
        self.begin()

    def begin(self) -> None:
        """Begin a fresh session: old calls are void (protocol §7.3)."""
        self._calls: dict[str, _Call] = {}
        # The latest that were answered: their answers may be lost on the way.
        self._answered: deque[tuple[str, _Call]] = deque(maxlen=MOST_ON_THE_WAY)
        # Ids that were answered or became void: a call that comes twice is made once.
        self._settled: deque[str] = deque(maxlen=REMEMBERED)
        self._past: deque[str] = deque(maxlen=16)
        self._latest = Latest.NONE
        self._latest_s = 0.0
        self._reply_id = ""
        # Set while the present reply is an interrupted one.
        self._interrupted = False

    @property
    def open(self) -> tuple[str, ...]:
        """The calls that are still to be answered."""
        return tuple(self._calls)

    def called(self, call_id: str, name: str, now_s: float, *, hold: bool, timeout_s: float) -> int | None:
        """Take a `tool.call`; return its epoch, which its result has to bring back.

        None for one that is not to be run: a repetition, or a late call of a reply that was interrupted.
        `timeout_s` is what the service was told, after which it goes on without the result.
        """
        if call_id in self._calls or call_id in self._settled:
            return None
        if self._interrupted:
            self._settled.append(call_id)
            return None
        self._epoch += 1
        answer_by_s = now_s + max(0.0, timeout_s - BEFORE_TIMEOUT_S)
        self._calls[call_id] = _Call(name, self._reply_id, self._epoch, hold, answer_by_s)
        return self._epoch

    def finished(self, call_id: str, epoch: int, text: str, now_s: float, *, is_error: bool) -> list[Result]:
        """Take what a tool gave; of a call that is void or answered it is discarded."""
        call = self._calls.get(call_id)
        if call is None or call.epoch != epoch or call.result is not None:
            return []
        call.result = Result(call_id, text, is_error)
        call.finished_s = now_s
        return self._flush(now_s)

    def reply_started(self, reply_id: str, now_s: float) -> None:
        """Take a `reply.started`."""
        if self._reply_id:
            self._past.append(self._reply_id)
        self._reply_id, self._interrupted = reply_id, False
        self._enter(Latest.REPLY, now_s)

    def reply_audio(self, reply_id: str, now_s: float) -> None:
        """Take a `reply.audio`: while the present reply sounds, its `reply.done` is not overdue."""
        if self._latest is Latest.REPLY and reply_id in (self._reply_id, ""):
            self._latest_s = now_s

    def speech_started(self, now_s: float) -> None:
        """Take an `input.speech.started`."""
        self._enter(Latest.SPEECH, now_s)

    def reply_done(self, reply_id: str, now_s: float) -> list[Result]:
        """Take a `reply.done` that is not interrupted."""
        if self._is_present(reply_id):
            self._interrupted = False
            self._enter(Latest.DONE, now_s)
        return self._flush(now_s)

    def reply_interrupted(self, reply_id: str, now_s: float) -> tuple[str, ...]:
        """Take a `reply.done` that is interrupted; return the calls that are void now."""
        if self._is_present(reply_id):
            self._interrupted = True
            self._enter(Latest.INTERRUPTED, now_s)
        interrupted = (reply_id or self._reply_id, "")
        void = tuple(call_id for call_id, call in self._calls.items() if call.reply_id in interrupted)
        for call_id in void:
            self._settle(call_id)
        return void

    def take_back(self, is_lost: Callable[[Result], bool]) -> None:
        """Owe the answers again of which `is_lost` says that they may not have arrived."""
        for call_id, call in self._answered:
            if call.result is not None and is_lost(call.result):
                self._calls[call_id] = call
        self._answered.clear()

    def lost(self) -> list[str]:
        """Note that the socket is gone; return a sentence on each tool, for the session after it."""
        return [_sentence(call) for call in self._calls.values()]

    def resumed(self, now_s: float) -> list[Result]:
        """Note that the service still knows its calls: those whose tools were cancelled fail."""
        for call_id, call in self._calls.items():
            if call.result is None:
                call.result = Result(call_id, LOST, is_error=True)
                call.finished_s = now_s
        # The reply that made the calls was lost with the socket: nobody speaks.
        self._interrupted = False
        self._enter(Latest.DONE, now_s)
        return self._flush(now_s)

    @property
    def deadline_s(self) -> float | None:
        """When `tick` has to be called."""
        return min((self._due_s(call) for call in self._calls.values() if call.result), default=None)

    def tick(self, now_s: float) -> list[Result]:
        """Send what has waited too long for an event that does not come."""
        return self._flush(now_s)

    def _enter(self, latest: Latest, now_s: float) -> None:
        self._latest, self._latest_s = latest, now_s

    def _is_present(self, reply_id: str) -> bool:
        """Whether a `reply.done` is about the present reply, and not a late repetition for one before it."""
        return reply_id == self._reply_id or reply_id not in self._past

    def _due_s(self, call: _Call) -> float:
        if self._latest is Latest.SPEECH:
            # Somebody may speak for a minute; the reply to that comes with a `reply.done`.
            return call.answer_by_s
        return min(max(self._latest_s, call.finished_s) + PATIENCE_S, call.answer_by_s)

    def _flush(self, now_s: float) -> list[Result]:
        free = self.early or self._latest is Latest.DONE
        ready = [
            call.result
            for call in self._calls.values()
            if call.result is not None and (free or call.hold or self._due_s(call) <= now_s)
        ]
        for result in ready:
            self._answered.append((result.call_id, self._calls[result.call_id]))
            self._settle(result.call_id)
        return ready

    def _settle(self, call_id: str) -> None:
        del self._calls[call_id]
        if call_id not in self._settled:
            self._settled.append(call_id)


LOST = '"The connection was lost while this tool ran: it was cancelled. Say so and offer to try again."'


def _sentence(call: _Call) -> str:
    if call.result is None:
        return f"the tool {call.name} was cancelled by the break, it may have done its work in part; say so"
    how = "failed" if call.result.is_error else "had finished"
    return f"the tool {call.name} {how} before the break and gave {call.result.text}"
