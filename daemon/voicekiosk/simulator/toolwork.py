"""Tool calls that were made and what becomes of them (S30-S36, section 7)."""

from __future__ import annotations

import random
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

import msgspec

from voicekiosk.simulator import frames
from voicekiosk.simulator.agenda import Agenda
from voicekiosk.simulator.brain import Call, Result
from voicekiosk.simulator.configuration import Configuration
from voicekiosk.simulator.scenario import Tools, draw
from voicekiosk.simulator.speaker import Channel, Reply

REMEMBERED = 1000


class State(Enum):
    """Where a call stands."""

    WAITING = auto()
    ANSWERED = auto()
    VOID = auto()  # its reply was interrupted
    LOST = auto()  # its reply was lost with a connection, which a client cannot know
    EXPIRED = auto()


@dataclass(slots=True, eq=False)
class Batch:
    """The calls of one reply."""

    reply: Reply
    open_calls: int
    calls: list[Pending] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    done: bool = False  # its reply.done was sent, at done_s
    done_s: float = 0.0
    settled: bool = False  # its follow-up is under way, or it will have none


@dataclass(slots=True, eq=False)
class Pending:
    """One call."""

    call_id: str
    name: str
    batch: Batch
    known: bool
    http: bool
    hold: bool
    timeout_s: float
    state: State = State.WAITING
    void_mark: int | None = None  # behind what told the client that it is void
    carried: bool = False  # over from a connection that was lost: what arrived there, neither side knows


class ToolWork:
    """Makes calls, takes results, and says when the agent may go on."""

    def __init__(
        self,
        channel: Channel,
        agenda: Agenda,
        settings: Tools,
        rng: random.Random,
        *,
        finish: Callable[[Reply, float], None],
        go_on: Callable[[str, tuple[Result, ...], float], None],
    ) -> None:
        self.latest = ""
        """Type of the latest of the turn events that the timing rule of 7.2 looks at."""
        self.hold_answered = False
        """A hold result came and its reply has not begun: the client need not and must not ask for one."""
        self._channel, self._agenda, self._settings, self._rng = channel, agenda, settings, rng
        self._ids = frames.Ids(rng)
        self._finish, self._go_on = finish, go_on
        self._calls: OrderedDict[str, Pending] = OrderedDict()
        self._batches: deque[Batch] = deque(maxlen=20)
        self._voided: list[Pending] = []

    @property
    def holding(self) -> bool:
        """Whether a tool that holds the conversation is running."""
        return any(call.hold and call.state is State.WAITING for call in self._calls.values())

    @property
    def waiting(self) -> bool:
        """Whether any tool is running."""
        return any(call.state is State.WAITING for call in self._calls.values())

    def begin(
        self, reply: Reply, calls: tuple[Call, ...], configuration: Configuration, now_s: float
    ) -> None:
        """Make the calls one after the other, then end their reply."""
        batch = Batch(reply, len(calls))
        self._batches.append(batch)
        due_s = now_s + draw(self._rng, self._settings.call_ms) / 1000
        for call in calls:
            self._agenda.at(due_s, lambda t, call=call: self._call(batch, call, configuration, t), batch)  # type: ignore[misc]
            due_s += 0.015
        silent = self._settings.variant == "silent_audio"
        done_ms = self._settings.silent_done_ms if silent else self._settings.done_ms
        due_s += draw(self._rng, done_ms) / 1000 - 0.015
        self._agenda.at(due_s, lambda t: self._end(batch, t), batch)

    def result(self, frame: dict[str, Any], now_s: float) -> None:
        """Take a `tool.result` whose shape is right; judges it, and never refuses it."""
        call_id, text = frame["call_id"], frame["result"]
        is_error = bool(frame.get("is_error", False))
        call = self._calls.get(call_id)
        documented = self.latest == "reply.done"
        self._channel.log(
            "tool_results",
            {
                "call_id": call_id[:100],
                "t_s": self._channel.now_t_s(),
                "is_error": is_error,
                "after": self.latest,
                "documented": documented,
                "state": call.state.name.lower() if call else "unknown",
            },
        )
        if not _is_json(text):
            self._channel.violate(29, f"the result of call {call_id[:60]} is not JSON text")
        if call is None:
            self._channel.violate(29, f"a tool.result for call {call_id[:60]}, which was never made")
            return
        self._judge(call, is_error=is_error, documented=documented)
        if call.state is State.WAITING and not call.http:
            self._settle(call, Result(call_id, call.name, text, is_error), now_s)

    def interrupted(self, reply: Reply, state: State = State.VOID) -> None:
        """Void the calls of an interrupted reply."""
        for batch in self._batches_of(reply):
            batch.settled = True
            self._agenda.cancel(batch)
            self.hold_answered = False
            for call in batch.calls:
                if call.state is State.WAITING:
                    call.state = state
                    self._agenda.cancel(call)
                    if state is State.VOID:
                        self._voided.append(call)

    def told(self, event: str) -> None:
        """Note that the client was sent one of the turn events that the timing rule of 7.2 looks at."""
        self.latest = event
        if event == "reply.done" and self._voided:
            mark = self._channel.mark()
            for call in self._voided:
                call.void_mark = mark
            self._voided.clear()

    def done(self, reply: Reply, now_s: float) -> None:
        """Note that the reply.done of a reply was sent, which may complete its batch."""
        for batch in self._batches_of(reply):
            batch.done, batch.done_s = True, now_s
            self._complete(batch, now_s)

    def left_open(self, done_before_s: float) -> None:
        """Judge the calls that a client leaves without an answer when it ends the session."""
        for call in self._calls.values():
            mine = call.state is State.WAITING and not (call.http or call.carried) and call.batch.done
            if mine and call.batch.done_s <= done_before_s:
                text = f"no tool.result for {call.name} ({call.call_id}) when the session was ended"
                self._channel.violate(29, text)

    def rearm(self, now_s: float) -> None:
        """Wait again for the calls that a resumed session still has open."""
        for call in self._calls.values():
            call.carried = True
            if call.state is State.WAITING:
                self._agenda.at(now_s + call.timeout_s, lambda t, call=call: self._expire(call, t), call)  # type: ignore[misc]

    def _batches_of(self, reply: Reply) -> list[Batch]:
        return [batch for batch in self._batches if batch.reply is reply]

    def _judge(self, call: Pending, *, is_error: bool, documented: bool) -> None:
        who = f"{call.name} ({call.call_id})"
        if call.http:
            self._channel.violate(33, f"a tool.result for {who}, which is an HTTP tool of the server's")
        elif call.state is State.VOID:
            # What went before the client could know of the interruption is no fault of its own.
            if call.void_mark is not None and self._channel.reached(call.void_mark):
                self._channel.violate(31, f"a result of {who}, whose reply was interrupted")
        elif call.state is State.EXPIRED:
            self._channel.violate(34, f"a result of {who} after its timeout_seconds")
        elif call.state is State.ANSWERED:
            if not call.carried:
                self._channel.violate(29, f"a second tool.result for {who}")
            call.carried = False
        elif not call.known and not is_error:
            self._channel.violate(33, f"{who} is not among the tools, yet its result is no error")
        elif self._settings.strict_timing and not documented and not call.hold:
            self._channel.violate(30, f"a result of {who} while {self.latest} was the latest turn event")

    def _call(self, batch: Batch, call: Call, configuration: Configuration, now_s: float) -> None:
        tool = configuration.tool(call.name)
        pending = Pending(
            call_id=call.call_id or self._ids.call(),
            name=call.name,
            batch=batch,
            known=tool is not None,
            http=bool(tool and tool.get("http")),
            hold=bool(tool and tool.get("execution_mode") == "hold"),
            timeout_s=float(tool["timeout_seconds"]) if tool else 120.0,
        )
        batch.calls.append(pending)
        self._calls[pending.call_id] = pending
        while len(self._calls) > REMEMBERED:
            self._calls.popitem(last=False)
        self._channel.send(frames.tool_call(pending.call_id, call.name, call.arguments))
        if pending.http:
            answer = Result(pending.call_id, call.name, '{"ok":true}', is_error=False)
            due_s = now_s + draw(self._rng, self._settings.http_ms) / 1000
            self._agenda.at(due_s, lambda t: self._settle(pending, answer, t), batch)
        self._agenda.at(now_s + pending.timeout_s, lambda t: self._expire(pending, t), pending)

    def _end(self, batch: Batch, now_s: float) -> None:
        self._finish(batch.reply, now_s)

    def _settle(self, call: Pending, result: Result, now_s: float) -> None:
        if call.state is not State.WAITING:
            return
        call.state = State.ANSWERED
        call.carried = False
        self._agenda.cancel(call)
        call.batch.results.append(result)
        call.batch.open_calls -= 1
        self.hold_answered = self.hold_answered or call.hold
        if call.batch.open_calls == 0 and not call.batch.done and self._settings.variant == "silent_audio":
            due_s = now_s + draw(self._rng, self._settings.early_done_ms) / 1000
            self._agenda.at(due_s, lambda t: self._end(call.batch, t), call.batch)
        self._complete(call.batch, now_s)

    def _complete(self, batch: Batch, now_s: float) -> None:
        if batch.settled or not batch.done or batch.open_calls:
            return
        batch.settled = True
        self._agenda.cancel(batch)
        due_s = now_s + draw(self._rng, self._settings.next_ms) / 1000
        results = tuple(batch.results)
        self._agenda.at(due_s, lambda t: self._go_on("results", results, t))

    def _expire(self, call: Pending, now_s: float) -> None:
        if call.state is not State.WAITING:
            return
        call.state = State.EXPIRED
        if not call.carried:
            self._channel.violate(34, f"no result of {call.name} ({call.call_id}) within its timeout_seconds")
        if not call.batch.settled:
            call.batch.settled = True
            self._agenda.cancel(call.batch)
            self._finish(call.batch.reply, now_s)
            self._go_on("timeout", tuple(call.batch.results), now_s)


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
