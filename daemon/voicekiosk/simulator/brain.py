"""What the agent says: the parrot, a script of turns, or any callable that takes a `Heard`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from voicekiosk.simulator.scenario import Rule, ToolUse

Reason = Literal["greeting", "turn", "create", "results", "timeout", "say"]


@dataclass(frozen=True, slots=True)
class Result:
    """One `tool.result` as it came."""

    call_id: str
    name: str
    result: str
    is_error: bool


@dataclass(frozen=True, slots=True)
class Heard:
    """Why the agent has the floor, and what it knows."""

    reason: Reason
    turn: int  # number of the user's turn, from 1; 0 before the first
    text: str = ""  # of that turn
    samples: NDArray[np.int16] = field(default_factory=lambda: np.zeros(0, np.int16))  # 24 kHz
    results: tuple[Result, ...] = ()
    instructions: str | None = None
    system_prompt: str = ""
    tools: tuple[str, ...] = ()
    rounds: int = 0  # tool rounds of this turn that are done, 1 with the first results


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call to be made; an empty id means: make one."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What to say (samples at 24 kHz, or else the text in the simulator's voice), or what to call."""

    text: str = ""
    samples: NDArray[np.int16] | None = None
    calls: tuple[Call, ...] = ()


Agent = Callable[[Heard], Answer | str | None]
"""Decides what the agent does; None is no reply at all."""


def parrot(heard: Heard, *, speaks: bool = False) -> Answer:
    """Repeat what was heard; `speaks` tells about it instead, for a voice that reads text."""
    match heard.reason:
        case "turn" if not speaks:
            return Answer(heard.text, heard.samples)
        case "turn":
            return Answer(f"I heard you for {heard.samples.size / 24000:.1f} seconds.")
        case "results":
            told = " ".join(_plain(result) for result in heard.results)
            return Answer(f"The answer is {told}")
        case "create":
            return Answer(_verbatim(heard.instructions) or heard.text or "Is there anything else?")
        case _:
            return Answer(heard.text)


class Script:
    """Answers by the turns of a scenario, over and over; the parrot does what they leave out."""

    def __init__(self, rules: tuple[Rule, ...], *, speaks: bool = False) -> None:
        self._rules = rules
        self._speaks = speaks

    def hears(self, turn: int) -> str:
        """Return the text that the user's turn of this number, from 1, is taken for; empty is none."""
        return self._rule(turn).hears if self._rules and turn > 0 else ""

    def __call__(self, heard: Heard) -> Answer | None:
        """Decide what the agent does."""
        if not self._rules or heard.reason not in ("turn", "results") or heard.turn < 1:
            return parrot(heard, speaks=self._speaks)
        rule = self._rule(heard.turn)
        if heard.reason == "turn":
            if rule.silent:
                return None
            if rule.calls:
                return Answer(calls=_calls(rule.calls))
            return Answer(_filled(rule.says, heard)) if rule.says else parrot(heard, speaks=self._speaks)
        if rule.then_calls and heard.rounds == 1:
            return Answer(calls=_calls(rule.then_calls))
        return Answer(_filled(rule.then, heard)) if rule.then else parrot(heard)

    def _rule(self, turn: int) -> Rule:
        return self._rules[(turn - 1) % len(self._rules)]


def _calls(uses: tuple[ToolUse, ...]) -> tuple[Call, ...]:
    return tuple(Call(use.name, dict(use.arguments)) for use in uses)


def _filled(text: str, heard: Heard) -> str:
    result = " ".join(_plain(result) for result in heard.results)
    seconds = f"{heard.samples.size / 24000:.1f}"
    return text.replace("{heard}", heard.text).replace("{result}", result).replace("{seconds}", seconds)


def _plain(result: Result) -> str:
    return " ".join(re.findall(r"[\w.-]+", result.result))[:200]


def _verbatim(instructions: str | None) -> str:
    """Return what "Say exactly: …" asks for, else the whole instruction."""
    if not instructions:
        return ""
    found = re.search(r"say exactly:?\s*[\"“']?(.+?)[\"”']?\s*$", instructions, re.IGNORECASE | re.DOTALL)
    return found[1] if found else instructions
