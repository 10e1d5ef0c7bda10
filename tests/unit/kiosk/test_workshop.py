"""Every call of a tool ends in one answer, one event and one line in the journal."""

import asyncio
import json
import logging

import pytest

from voicekiosk.agent.events import ToolCalled
from voicekiosk.config.schema import Config, Tool
from voicekiosk.kiosk import workshop
from voicekiosk.kiosk.events import CancelTools, RefuseTool, RunTool, ToolFinished, ToolWanted
from voicekiosk.kiosk.workshop import MOST_OPEN, Workshop
from voicekiosk.tools import catalog, functions


class Bench:
    """A workshop whose only tool is a Python function."""

    def __init__(self, monkeypatch, function=None, **settings):
        self.answers, self.events = [], []
        self.shop = Workshop(None, lambda: self, self.take, environment={})
        tool = Tool(name="work", python="work", **({"timeout_s": 5.0} | settings))
        tools = () if function is None else (tool,)
        monkeypatch.setattr(functions, "load_function", lambda name: function)
        self.config = self.shop.configure(Config(tools=tools))

    def answer(self, call_id, epoch, text, *, is_error):
        self.answers.append((call_id, epoch, json.loads(text), is_error))

    def take(self, event):
        self.events.append(event)
        if isinstance(event, ToolWanted):
            self.shop.carry_out(RunTool(event.work.call_id))

    def call(self, call_id="c", name="work", arguments=None, epoch=1):
        self.shop.called(ToolCalled(call_id, name, arguments or {}, epoch))

    async def answered(self, count=1):
        async with asyncio.timeout(10):
            while len(self.answers) < count:
                await asyncio.sleep(0.005)


async def good(n: int = 1) -> dict:
    """Count."""
    return {"n": n}


async def endless() -> None:
    """Never end."""
    await asyncio.Event().wait()


async def broken() -> None:
    """Break."""
    raise KeyError("nothing")


async def odd() -> object:
    """Give what JSON has not."""
    return object()


async def test_a_call_is_run_and_answered(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    bench = Bench(monkeypatch, good)
    bench.call(arguments={"n": 3}, epoch=7)
    await bench.answered()
    assert bench.answers == [("c", 7, {"n": 3}, False)]
    assert bench.events[-1] == ToolFinished("c")
    assert bench.shop.open == ()
    assert [r.message.partition(" in ")[0] for r in caplog.records] == ["tool work: done"]


@pytest.mark.parametrize(
    ("function", "settings", "says"),
    [
        (endless, {"timeout_s": 0.5}, "did not finish within 0.5 s"),
        (broken, {}, "it failed: KeyError: 'nothing'"),
        (odd, {}, "cannot be told"),
    ],
)
async def test_however_it_ends_there_is_one_answer(monkeypatch, caplog, function, settings, says):
    bench = Bench(monkeypatch, function, **settings)
    bench.call()
    await bench.answered()
    await asyncio.sleep(0.02)
    ((_, _, answer, is_error),) = bench.answers
    assert is_error
    assert says in answer["error"]
    assert ToolFinished("c") in bench.events
    assert any(says in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(
    ("function", "call", "says"),
    [
        (good, {"name": "other"}, "there is no tool called other here; there are: work"),
        (good, {"arguments": {"n": "x"}}, "n must be of type integer"),
        (None, {}, "and no other either"),
    ],
)
async def test_a_call_that_cannot_be_made_is_answered_at_once(monkeypatch, function, call, says):
    bench = Bench(monkeypatch, function)
    bench.call(**call)
    ((_, _, answer, is_error),) = bench.answers
    assert is_error
    assert says in answer["error"]
    assert bench.events == []


async def test_even_a_call_that_breaks_the_check_of_it_is_answered(monkeypatch, caplog):
    def fail(schema, arguments):
        raise OverflowError("int too large to convert to float")

    bench = Bench(monkeypatch, good)
    monkeypatch.setattr(catalog, "misfits", fail)
    bench.call(arguments={"n": 10**400})
    ((_, _, answer, is_error),) = bench.answers
    assert is_error
    assert "too large" in answer["error"]
    assert "cannot be looked at" in caplog.text


async def test_an_error_that_is_no_text_or_a_book_is_told_all_the_same(monkeypatch, caplog):
    # Its traceback is no text either, and a runner of tests may not be able to pass it on.
    caplog.set_level("CRITICAL", logger="voicekiosk.tools")

    async def broken() -> None:
        """Break."""
        raise OSError("\udcff" + "x" * 100_000)

    bench = Bench(monkeypatch, broken)
    bench.call()
    bench.call("d", name="y" * 100_000)
    await bench.answered(2)
    assert all(len(answer["error"]) <= workshop.MOST_ERROR for _, _, answer, _ in bench.answers)


async def test_a_tool_whose_package_is_broken_leaves_the_others(monkeypatch, caplog):
    bench = Bench(monkeypatch, good)

    def load(name):
        if name == "bad":
            raise RecursionError("deep")
        return good

    monkeypatch.setattr(functions, "load_function", load)
    tools = (Tool(name="bad", python="bad"), Tool(name="work", python="work"))
    assert [tool.name for tool in bench.shop.configure(Config(tools=tools)).tools] == ["work"]
    assert "the tool bad cannot be offered: RecursionError: deep" in caplog.text


async def test_calls_beyond_measure_are_answered_without_running(monkeypatch):
    bench = Bench(monkeypatch, endless)
    for n in range(50):
        bench.call(f"c{n}")
    assert len(bench.shop.open) == MOST_OPEN
    assert len(bench.answers) == 50 - MOST_OPEN
    await bench.shop.close()
    assert len({answer[0] for answer in bench.answers}) == len(bench.answers) == 50


async def test_a_call_of_the_server_s_own_is_left_alone(monkeypatch):
    bench = Bench(monkeypatch, good)
    bench.shop.called(ToolCalled("c", "work", {}, ours=False))
    assert bench.events == bench.answers == []


async def test_a_refused_call_is_answered_with_the_reason(monkeypatch):
    bench = Bench(monkeypatch, good)
    monkeypatch.setattr(bench, "take", bench.events.append)
    bench.shop = Workshop(None, lambda: bench, bench.events.append, environment={})
    bench.shop.configure(Config(tools=(Tool(name="work", python="work"),)))
    bench.call()
    bench.shop.carry_out(RefuseTool("c", "not now"))
    assert bench.answers == [("c", 1, {"error": "not now"}, True)]
    bench.shop.carry_out(RunTool("c"))
    await asyncio.sleep(0.02)
    assert len(bench.answers) == 1


async def test_a_cancelled_tool_stops_and_says_nothing_more(monkeypatch):
    stopped = asyncio.Event()

    async def work() -> None:
        """Wait."""
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    bench = Bench(monkeypatch, work)
    bench.call()
    await asyncio.sleep(0.01)
    bench.shop.carry_out(CancelTools(("c", "unknown")))
    async with asyncio.timeout(5):
        await stopped.wait()
    await asyncio.sleep(0.01)
    assert bench.answers == [("c", 1, {"error": "it was cancelled"}, True)]
    assert ToolFinished("c") not in bench.events


async def test_the_configuration_comes_back_complete_and_broken_tools_are_left_out(monkeypatch, caplog):
    bench = Bench(monkeypatch, good)
    assert bench.config.tools[0].description == "Count."

    def fail(name):
        from voicekiosk.tools.outcome import ToolError

        raise ToolError("no such package")

    monkeypatch.setattr(functions, "load_function", fail)
    assert bench.shop.configure(Config(tools=(Tool(name="work", python="x"),))).tools == ()
    assert "the tool work cannot be offered: no such package" in caplog.text


def test_without_tools_nothing_of_them_is_read(monkeypatch):
    bench = Bench(monkeypatch)
    assert bench.config.tools == ()
    assert workshop.STOP_S
