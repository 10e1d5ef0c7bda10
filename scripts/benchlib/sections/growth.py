"""Growth: what a message costs with the length of conversation, prompt and reply and the number of tools.

Of the session's own logic, without sockets and cards, so that nothing hides behind waiting: the processor
time for one message of each kind, and how much worse it is at the large end than at the small one.
"""

import argparse
import base64
import json
import time
from collections.abc import Callable, Iterable
from typing import Any

from benchlib.outcome import Outcome, Table
from voicekiosk.agent.outputs import Attempt
from voicekiosk.agent.session import Session
from voicekiosk.config.schema import Agent, Config, Tool

PIECE = base64.b64encode(bytes(480)).decode()
MOST_TIMES = 3.0


def _frame(kind: str, **fields: Any) -> bytes:
    return json.dumps({"type": kind, **fields}).encode()


def _config(prompt: int = 20, tools: int = 0) -> Config:
    """Return a configuration with a prompt of so many characters and so many tools."""
    parameters = {
        "type": "object",
        "properties": {"line": {"type": "string", "description": "name or number of the line"}},
        "required": ["line"],
    }
    described = "Say when the next train of a line leaves from here, and from which platform."
    return Config(
        agent=Agent(system_prompt="x" * prompt),
        tools=tuple(
            Tool(name=f"next_{number}", description=described, parameters=parameters, command=("/bin/true",))
            for number in range(tools)
        ),
    )


def _ready(config: Config | None = None) -> Session:
    session = Session(config or _config())
    session.begin()
    session.connected(Attempt(resuming=False), 0.0)
    session.received(_frame("session.ready", session_id="s"), 0.0)
    return session


def _turn(session: Session, number: int, words: int) -> None:
    reply = {"reply_id": f"r{number}"}
    session.received(_frame("transcript.user", text="What is this?"), 1.0)
    session.received(_frame("reply.started", **reply), 1.0)
    session.received(_frame("reply.audio", data=PIECE, **reply), 1.0)
    for word in range(words):
        session.received(_frame("transcript.agent.delta", delta=f" word{word}", **reply), 1.0)
    session.received(_frame("transcript.agent", text="word " * words, **reply), 1.0)
    session.received(_frame("reply.done", **reply), 1.0)


def _us(act: Callable[[], object], times: int = 300) -> float:
    """Return microseconds of processor time: the best of five rounds."""
    best = float("inf")
    for _ in range(5):
        begin = time.process_time()
        for _ in range(times):
            act()
        best = min(best, time.process_time() - begin)
    return best / times * 1e6


def _audio_us(session: Session) -> float:
    """Return what a message of audio costs."""
    session.received(_frame("reply.started", reply_id="last"), 1.0)
    audio = _frame("reply.audio", data=PIECE, reply_id="last")
    return _us(lambda: session.received(audio, 2.0))


def _after_turns(turns: int) -> float:
    session = _ready()
    for number in range(turns):
        _turn(session, number, 20)
    return _audio_us(session)


def _of_words(words: int) -> float:
    session = _ready()
    session.received(_frame("reply.started", reply_id="r"), 1.0)
    begin = time.process_time()
    for word in range(words):
        session.received(_frame("transcript.agent.delta", delta=f" word{word}", reply_id="r"), 1.0)
    return (time.process_time() - begin) / words * 1e6


def _of_audio(seconds: int) -> float:
    session = _ready()
    session.received(_frame("reply.started", reply_id="r"), 1.0)
    audio = _frame("reply.audio", data=PIECE, reply_id="r")
    for _ in range(100 * seconds):
        session.received(audio, 1.0)
    return _us(lambda: session.received(audio, 2.0))


def _first_us(config: Config) -> float:
    """Return what the first message costs, which has all the settings."""
    session = Session(config)
    session.begin()
    return _us(lambda: session.connected(Attempt(resuming=False), 0.0), 50)


CASES: dict[str, tuple[str, Callable[[int], float], Iterable[int]]] = {
    "turns": ("a message of audio, after so many turns", _after_turns, (1, 100, 2000)),
    "reply_s": ("a message of audio, in a reply of so many seconds", _of_audio, (1, 60, 600)),
    "words": ("a word of a reply of so many words", _of_words, (20, 200, 2000)),
    "tools": (
        "a message of audio, with so many tools",
        lambda tools: _audio_us(_ready(_config(tools=tools))),
        (0, 10, 50),
    ),
    "prompt": (
        "a message of audio, with a prompt of so many characters",
        lambda characters: _audio_us(_ready(_config(prompt=characters))),
        (100, 4000, 100_000),
    ),
    "first_tools": (
        "the first message, with so many tools",
        lambda tools: _first_us(_config(tools=tools)),
        (0, 10, 50),
    ),
    "first_prompt": (
        "the first message, with a prompt of so many characters",
        lambda characters: _first_us(_config(prompt=characters)),
        (100, 4000, 100_000),
    ),
}
# What may grow with what it is given, since all of it has to be sent.
PROPORTIONAL = {"first_tools", "first_prompt"}


def run(options: argparse.Namespace) -> Outcome:  # noqa: ARG001
    outcome = Outcome()
    rows = []
    for name, (title, cost, sizes) in CASES.items():
        costs = {size: cost(size) for size in sizes}
        values = list(costs.values())
        outcome.figures[name] = {str(size): us for size, us in costs.items()}
        times = values[-1] / values[0]
        rows.append([title, *(f"{size:,}: {us:.0f} us" for size, us in costs.items()), f"{times:.1f}"])
        if name not in PROPORTIONAL and times > MOST_TIMES:
            outcome.shortfalls.append(f"growth: {title} costs {times:.1f} times as much at the large end")
    columns = ["what", "small", "usual", "large", "large / small"]
    outcome.tables.append(Table("What grows with a conversation", columns, rows))
    return outcome
