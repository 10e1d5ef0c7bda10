"""The kiosk's own tools, and what a configuration makes of all of them."""

import asyncio
import re

import pytest

from voicekiosk.config import jsonschema
from voicekiosk.config.schema import Tool
from voicekiosk.tools import builtin, functions
from voicekiosk.tools.catalog import catalog
from voicekiosk.tools.outcome import MAX_RESULT_BYTES, ToolError, as_json


class Host:
    def __init__(self):
        self.loudness = 80
        self.ended = False
        self.persona = "guide"
        self.pulses = []

    def set_volume(self, percent):
        self.loudness = min(percent, 90)
        return self.loudness

    def volume(self):
        return self.loudness

    def personas(self):
        return ("guide", "clock")

    def choose_persona(self, name):
        self.persona = name

    def end_conversation(self):
        self.ended = True

    async def pulse(self, number, duration_s, *, active_high):
        self.pulses.append((number, duration_s, active_high))


@pytest.fixture
def host():
    return Host()


def make(host, **settings):
    return builtin.entry(Tool(name="t", **settings), host)


@pytest.mark.parametrize("kind", sorted(builtin.KINDS))
def test_every_builtin_comes_complete_with_a_schema_that_the_check_takes(host, kind):
    entry = make(host, builtin=kind, units=("a.service",), output_gpio=5, url="http://10.0.0.1/")
    assert entry.tool.description
    assert list(jsonschema.findings(entry.tool.parameters, ())) == []


def test_the_owner_s_own_description_goes_first(host):
    assert make(host, builtin="gpio", description="Opens the door.").tool.description == "Opens the door."


async def test_the_clock_tells_time_date_and_day(host):
    now = await make(host, builtin="clock").run({})
    assert re.fullmatch(r"\d\d:\d\d", now["time"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", now["date"])
    assert now["weekday"].endswith("day")


@pytest.mark.parametrize(
    ("arguments", "percent"),
    [({"percent": 40}, 40), ({"change": -20}, 60), ({"change": -100}, 0), ({"percent": 100}, 90)],
)
async def test_the_volume_is_set_within_its_limits_and_told(host, arguments, percent):
    assert await make(host, builtin="volume").run(arguments) == {"percent": percent}


async def test_the_volume_needs_to_know_how_much(host):
    with pytest.raises(ToolError, match="give percent or change"):
        await make(host, builtin="volume").run({})


async def test_the_conversation_ends_after_a_goodbye(host):
    assert "goodbye" in await make(host, builtin="end").run({})
    assert host.ended


async def test_another_persona_speaks_after_the_answer(host):
    entry = make(host, builtin="persona")
    assert entry.tool.parameters["properties"]["persona"]["enum"] == ["guide", "clock"]
    assert "clock" in await entry.run({"persona": "clock"})
    assert host.persona == "guide"
    await asyncio.sleep(0)
    assert host.persona == "clock"


async def test_an_output_is_switched_for_its_time(host):
    await make(host, builtin="gpio", output_gpio=5, pulse_s=2.5, output_active_high=False).run({})
    assert host.pulses == [(5, 2.5, False)]


def test_only_allowed_units_are_in_the_schema(host):
    entry = make(host, builtin="unit", units=("a.service", "b.service"))
    assert entry.tool.parameters["properties"]["unit"]["enum"] == ["a.service", "b.service"]


async def test_a_unit_is_started_by_root_where_there_is_its_socket_and_as_a_child_else(host, monkeypatch):
    asked = []

    async def isolated(socket, arguments, name):
        asked.append((socket, arguments, name))
        return "there"

    async def command(words, arguments, name):
        asked.append(words)

    monkeypatch.setattr(builtin, "run_isolated", isolated)
    monkeypatch.setattr(builtin, "run_command", command)
    tool = Tool(name="lights", builtin="unit", units=("a.service",))
    behind = catalog([tool], host, "", "/run/unit.socket").entries["lights"]
    assert await behind.run({"unit": "a.service"}) == "there"
    assert await builtin.entry(tool, host).run({"unit": "a.service"}) == "a.service was started."
    assert asked == [
        ("/run/unit.socket", {"unit": "a.service"}, "lights"),
        ("systemctl", "--no-ask-password", "start", "--", "a.service"),
    ]
    with pytest.raises(ToolError, match="none of the units"):
        await builtin.start_unit(tool, "b.service")


def test_a_catalog_finds_tools_and_says_what_is_wrong_with_a_call(host):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    it = catalog([Tool(name="count", command=("true",), parameters=schema)], host)
    assert it.find("count", {"n": 1}).tool.name == "count"
    with pytest.raises(ToolError, match="there is no tool called nothing here; there are: count"):
        it.find("nothing", {})
    with pytest.raises(ToolError, match="n is missing; ask for what is missing"):
        it.find("count", {})


def test_a_function_that_cannot_be_had_is_left_out_and_said(host):
    it = catalog([Tool(name="a", builtin="clock"), Tool(name="b", python="nothing_like_this")], host)
    assert [tool.name for tool in it.tools] == ["a"]
    assert "the tool b cannot be offered: no installed package" in it.problems[0]


async def test_a_function_becomes_a_tool_with_its_own_words(host, monkeypatch):
    async def hours(day: str) -> str:
        """Tells when the museum is open."""
        return f"{day}: ten to five"

    monkeypatch.setattr(functions, "load_function", lambda name: hours)
    it = catalog([Tool(name="hours", python="hours", timeout_s=3.0)], host)
    (tool,) = it.tools
    assert (tool.description, tool.timeout_s) == ("Tells when the museum is open.", 3.0)
    assert await it.find("hours", {"day": "Monday"}).run({"day": "Monday"}) == "Monday: ten to five"


def test_what_a_tool_gives_becomes_json_or_an_error():
    assert as_json({"a": [1, None]}) == '{"a":[1,null]}'
    assert as_json("text") == '"text"'
    with pytest.raises(ToolError, match="cannot be told"):
        as_json(object())
    with pytest.raises(ToolError, match="cannot be told"):
        as_json("\ud800")
    with pytest.raises(ToolError, match="more than"):
        as_json("x" * MAX_RESULT_BYTES)
