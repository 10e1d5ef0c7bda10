"""Typed functions with docstrings become tools."""

import asyncio
import enum
import threading
from typing import Annotated, Literal, Optional

import pytest

from voicekiosk.config import jsonschema
from voicekiosk.tools import functions
from voicekiosk.tools.arguments import misfits
from voicekiosk.tools.functions import description, load_function, parameters, runner
from voicekiosk.tools.outcome import ToolError


class Floor(enum.Enum):
    GROUND = "ground"
    FIRST = "first"


def find(  # noqa: PLR0917
    what: Annotated[str, "what to look for"],
    floor: Floor,
    count: int = 3,
    how: Literal["near", "far"] = "near",
    tags: list[str] | None = None,
    exact: Optional[bool] = None,  # noqa: UP045 - both spellings are in use
    weight: float = 1.0,
) -> dict:
    """Find a thing in
    the house.

    Not told to the agent.
    """
    return {"what": what, "floor": floor, "count": count}


def test_the_schema_comes_from_the_signature():
    schema = parameters(find)
    assert schema == {
        "type": "object",
        "additionalProperties": False,
        "required": ["what", "floor"],
        "properties": {
            "what": {"type": "string", "description": "what to look for"},
            "floor": {"type": "string", "enum": ["ground", "first"]},
            "count": {"type": "integer"},
            "how": {"type": "string", "enum": ["near", "far"]},
            "tags": {"type": ["array", "null"], "items": {"type": "string"}},
            "exact": {"type": ["boolean", "null"]},
            "weight": {"type": "number"},
        },
    }
    assert list(jsonschema.findings(schema, ())) == []


def test_the_description_is_the_first_paragraph():
    assert description(find) == "Find a thing in the house."


async def test_arguments_become_what_the_function_takes():
    got = await runner(find)({"what": "key", "floor": "first", "count": 2.0})
    assert got == {"what": "key", "floor": Floor.FIRST, "count": 2}
    assert isinstance(got["count"], int)


async def test_lists_and_optional_arguments_become_what_the_function_takes():
    def visit(  # noqa: PLR0917
        floors: list[Floor],
        counts: list[int],
        rooms: list[str],
        deep: list[list[int]],
        first: Floor | None = None,
        most: Annotated[int, "at most"] | None = None,
        best: list[Floor] | None = None,
    ) -> object:
        return floors, counts, rooms, deep, first, most, best

    given = {"floors": ["first"], "counts": [1.0, 2], "rooms": ["a"], "deep": [[3.0]]}
    optional = {"first": "ground", "most": 4.0, "best": ["ground"]}
    lists = ([Floor.FIRST], [1, 2], ["a"], [[3]])
    run = runner(visit)
    assert await run(given) == (*lists, None, None, None)
    assert await run(given | optional) == (*lists, Floor.GROUND, 4, [Floor.GROUND])
    assert await run(given | dict.fromkeys(optional)) == (*lists, None, None, None)
    schema = parameters(visit)
    assert list(jsonschema.findings(schema, ())) == []
    assert misfits(schema, given | optional) == misfits(schema, given | dict.fromkeys(optional)) == []
    assert misfits(schema, given | {"first": "roof"})
    assert schema["properties"]["most"] == {"type": ["integer", "null"], "description": "at most"}


def test_types_or_arguments_that_cannot_be_read_are_a_sentence():
    def ghost(what: "NotThere") -> None: ...  # noqa: F821

    with pytest.raises(ToolError, match="ghost: its types cannot be read"):
        parameters(ghost)
    with pytest.raises(ToolError, match="cannot be read"):
        parameters(min)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda *names: None, "has no name of its own"),
        (lambda name: None, "name has no type"),
        (lambda name: None, "has no type"),
    ],
)
def test_what_the_agent_cannot_call_is_refused(function, says):
    with pytest.raises(ToolError, match=says):
        parameters(function)


def test_a_type_without_a_schema_is_refused_by_name():
    def odd(when: complex) -> None: ...

    with pytest.raises(ToolError, match="odd: when has the type"):
        parameters(odd)


async def test_a_blocking_function_runs_beside_the_event_loop():
    where = []

    def work() -> str:
        where.append(threading.current_thread())
        return "done"

    assert await runner(work)({}) == "done"
    assert where[0] is not threading.main_thread()
    assert where[0].daemon, "the daemon can stop while it hangs"


async def test_an_async_function_is_cancelled():
    ended = asyncio.Event()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(runner(wait)({}))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_an_exception_of_the_function_comes_out():
    def broken() -> None:
        raise ValueError("no such floor")

    with pytest.raises(ValueError, match="no such floor"):
        await runner(broken)({})


async def test_even_an_exit_of_the_function_is_only_its_failure():
    def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(RuntimeError, match="SystemExit"):
        await runner(leave)({})


async def test_a_function_that_hangs_is_not_called_for_ever():
    release = threading.Event()

    def hang() -> None:
        release.wait(20)

    run = runner(hang)
    tasks = [asyncio.create_task(run({})) for _ in range(functions.MOST_STUCK)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    with pytest.raises(ToolError, match="hangs"):
        await run({})
    release.set()


def test_a_tool_that_no_package_has_is_said():
    with pytest.raises(ToolError, match="no installed package has a tool called nothing_like_this"):
        load_function("nothing_like_this")


class Entry:
    name = "good"
    value = "a.b:good"

    def __init__(self, outcome):
        self.outcome = outcome

    def load(self):
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@pytest.mark.parametrize(
    ("outcome", "says"), [(ImportError("no b"), "cannot be imported: no b"), (3, "is no function")]
)
def test_a_package_that_is_broken_is_said(monkeypatch, outcome, says):
    monkeypatch.setattr(functions, "entry_points", lambda group: [Entry(outcome)])
    with pytest.raises(ToolError, match=says):
        load_function("good")


def test_the_entry_point_group_is_asked(monkeypatch):
    asked = []

    def points(group):
        asked.append(group)
        return [Entry(find)]

    monkeypatch.setattr(functions, "entry_points", points)
    assert load_function("good") is find
    assert asked == ["voicekiosk.tools"]
