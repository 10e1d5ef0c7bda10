"""What `voicekiosk check` says about tools: every problem at its place, with the reason."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voicekiosk.config import jsonschema, load
from voicekiosk.config.diff import Effect, compare
from voicekiosk.config.render import render_effective
from voicekiosk.config.schema import Config, Tool
from voicekiosk.config.tool_rules import is_local, timeout_seconds

GOOD = """
[[tools]]
name = "weather"
description = "Says what the weather is like."
command = ["/usr/local/bin/weather"]
[tools.parameters]
type = "object"
required = ["city"]
[tools.parameters.properties.city]
type = "string"
pattern = "[A-Z].*"
"""


def problems(text: str) -> list[str]:
    return [str(problem) for problem in load.check_text(text, "c.toml")[1]]


def tool(extra: str) -> str:
    return f'[[tools]]\nname = "t"\ndescription = "d"\n{extra}\n'


def command(extra: str) -> str:
    return tool(f'command = ["true"]\n{extra}')


def test_a_good_tool_has_no_problem() -> None:
    config, found = load.check_text(GOOD, "c.toml")
    assert found == []
    assert config is not None
    assert config.tools[0].parameters["properties"]["city"]["type"] == "string"


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        (command("parameters = {}"), "", ""),
        (command("parameters = { properties = {} }"), "5:14", 'expected type = "object", got none'),
        (command('parameters = { type = "array" }'), "5:23", "arguments have names"),
        (
            command('parameters = { type = "object", properties = { a = { type = "str" } } }'),
            "5:61",
            'did you mean "string"',
        ),
        (
            command('parameters = { type = "object", properties = { a = "string" } }'),
            "5:52",
            "expected a table with a type",
        ),
        (
            command('parameters = { type = "object", properties = { city = {} }, required = ["ctiy"] }'),
            "5:73",
            'did you mean "city"',
        ),
        (
            command('parameters = { type = "object", properties = [] }'),
            "5:46",
            "expected a table",
        ),
        (
            command('parameters = { type = "object", properties = { a = { type = "string", pattern = "(" } } }'),
            "5:81",
            "expected a regular expression",
        ),
        (
            command('parameters = { type = "object", "$schema" = "http://json-schema.org/draft-07/schema#" }'),
            "5:33",
            "expected no $schema",
        ),
        (command('parameters = { type = "object", oneOf = [] }'), "5:33", "expected a plain schema"),
        (command('parameters = { type = "object", requried = [] }'), "5:33", 'did you mean "required"'),
        (
            command('parameters = { type = "object", properties = { a = { type = "string", minimum = 1 } } }'),
            "5:71",
            'expected minimum beside type "number" or "integer"',
        ),
        (
            command('parameters = { type = "object", properties = { a = { minimum = 3, maximum = 1 } } }'),
            "5:64",
            "expected at most maximum (1), got 3",
        ),
        (
            command('parameters = { type = "object", properties = { a = { enum = [] } } }'),
            "5:61",
            "at least one value",
        ),
        (tool(""), "", "expected command, builtin or python"),
        (tool('command = ["date +%H"]'), "4:12", "there is no shell"),
        (tool('command = ["bin/date"]'), "4:12", "expected a path from /"),
        (tool('command = [""]'), "4:12", "expected a program"),
        (command('builtin = "clock"'), "5:1", "expected one of command, builtin and python"),
        (command('confirm = "press"\ntimeout_s = 240'), "6:13", "expected at most 225 beside confirm"),
        (tool('builtin = "gpio"'), "4:1", "expected output_gpio"),
        (tool('builtin = "gpio"\noutput_gpio = 17'), "5:1", "which is also panel.button.gpio"),
        (tool('builtin = "gpio"\noutput_gpio = 5\npulse_s = 20.0'), "6:11", "expected less than timeout_s"),
        (tool('builtin = "persona"'), "4:1", "expected a [persona.NAME] to choose from"),
        (tool('builtin = "persona"\n[persona.guide]'), "", ""),
        (tool('builtin = "unit"'), "4:1", "expected units"),
        (tool('builtin = "unit"\nunits = ["lights"]'), "5:10", "expected the full name of a unit"),
        (tool('builtin = "unit"\nunits = ["--root=/x.service"]'), "5:10", "expected the full name"),
        (tool('builtin = "http"'), "4:1", "expected url"),
        (tool('builtin = "http"\nurl = "http://example.org/x"'), "5:7", "in the local network"),
        (tool('builtin = "http"\nurl = "https://10.0.0.1/x"'), "5:7", "expected an address like http://"),
        (tool('builtin = "http"\nurl = "http://me:pw1@10.0.0.1/"'), "5:7", "without login"),
        (tool('builtin = "clock"\nparameters = { type = "object" }'), "5:1", "expected no parameters"),
        ('[[tools]]\nname = "a b"\nbuiltin = "clock"\n', "2:8", "expected 1 to 64 letters"),
        (f'[[tools]]\nname = "{"a" * 65}"\nbuiltin = "clock"\n', "2:8", "expected 1 to 64 letters"),
        ('[[tools]]\nname = "aai_pre_connect_context"\nbuiltin = "clock"\n', "2:8", "a name of your own"),
        ('[tools]\nname = "a"\n', "1:1", "[[tools]]"),
    ],
)  # fmt: skip
def test_a_tool_that_cannot_work_is_refused_at_its_place(text: str, place: str, says: str) -> None:
    found = problems(text)
    if not says:
        assert found == []
        return
    assert len(found) == 1, found
    assert says in found[0]
    assert found[0].startswith(f"c.toml:{place}") if place else found
    assert load.check_text(text, "c.toml")[0] is None


def test_two_tools_of_one_name_are_refused_at_the_second() -> None:
    text = '[[tools]]\nname = "a"\nbuiltin = "clock"\n[[tools]]\nname = "a"\nbuiltin = "end"\n'
    (found,) = problems(text)
    assert found.startswith("c.toml:5:8: tools[1].name: expected each name once")


def test_more_than_ten_tools_are_a_warning() -> None:
    text = "".join(f'[[tools]]\nname = "t{n}"\nbuiltin = "clock"\n' for n in range(11))
    (found,) = problems(text)
    assert "warning: expected at most 10 tools, got 11" in found
    assert load.check_text(text, "c.toml")[0] is not None


def test_a_tool_without_description_and_a_setting_of_another_builtin_are_warnings() -> None:
    text = '[[tools]]\nname = "t"\ncommand = ["true"]\npulse_s = 2.0\n'
    first, second = problems(text)
    assert "warning: expected a description, got none" in first
    assert 'warning: expected builtin = "gpio" beside it' in second


def test_a_schema_deeper_than_anybody_needs_is_refused() -> None:
    schema: dict[str, object] = {"type": "string"}
    for _ in range(20):
        schema = {"type": "object", "properties": {"a": schema}}
    assert any("levels" in found.message for found in jsonschema.findings(schema, ()))


@example({"properties": True, "required": [""]})
@given(
    st.recursive(
        st.one_of(st.booleans(), st.integers(), st.text(max_size=5), st.none()),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(st.sampled_from([*jsonschema.KEYWORDS, "$ref", "x"]), inner, max_size=4),
        ),
        max_leaves=12,
    )
)
def test_no_schema_makes_the_check_itself_fail(value: object) -> None:
    schema = value if isinstance(value, dict) else {"properties": value}
    list(jsonschema.findings({"type": "object"} | schema, ("tools", 0, "parameters")))


@pytest.mark.parametrize("properties", ["true", '"colour"', "3", '["colour"]'])
def test_properties_that_are_no_table_are_told_once_whatever_is_required_of_them(properties: str) -> None:
    parameters = f'{{type = "object", properties = {properties}, required = ["colour"]}}'
    (only,) = problems(
        f'[[tools]]\nname = "t"\ndescription = "d"\ncommand = ["true"]\nparameters = {parameters}\n'
    )
    assert "properties: expected a table" in only


def test_a_changed_tool_is_told_to_the_service_and_shown() -> None:
    config, _ = load.check_text(GOOD, "c.toml")
    assert config is not None
    (change,) = compare(Config(), config).changes
    assert (change.key, change.effect) == ("tools", Effect.SESSION)
    assert 'name = "weather"' in str(change)
    assert change.as_dict()["new"]


def test_the_effective_configuration_with_tools_reads_back() -> None:
    config, _ = load.check_text(GOOD + tool('builtin = "gpio"\noutput_gpio = 5'), "c.toml")
    assert config is not None
    again, found = load.check_text(render_effective(config), "c.toml")
    assert (again, found) == (config, [])


def test_the_service_waits_longer_than_the_tool_can_take() -> None:
    assert timeout_seconds(Tool(name="a", timeout_s=10.0)) > 10.0
    assert timeout_seconds(Tool(name="a", timeout_s=10.0, confirm="press")) > 10.0 + 15.0


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("192.168.1.2", True), ("10.1.1.1", True), ("127.0.0.1", True), ("169.254.1.1", True),
        ("fd00::1", True), ("printer", True), ("light.local", True), ("8.8.8.8", False),
        ("2600::1", False), ("example.org", False), ("local.example.org", False),
    ],
)  # fmt: skip
def test_a_local_address_is_told_from_one_of_the_internet(host: str, local: bool) -> None:
    assert is_local(host) is local


def test_tools_beside_a_stored_agent_are_said_to_be_told_to_nobody() -> None:
    config, found = load.check_text('[agent]\nagent_id = "agent_1"\n' + GOOD, "c.toml")
    assert config is not None
    (warning,) = map(str, found)
    assert warning.startswith("c.toml:2:1: agent.agent_id: warning: expected no [[tools]] beside agent_id")
    assert "tools of the same names" in warning


def test_an_address_with_letters_that_http_has_not_is_refused() -> None:
    (found,) = problems(tool('builtin = "http"\nurl = "http://k\u00fcche.local/"'))
    assert "expected an address like http://HOST/PATH" in found
