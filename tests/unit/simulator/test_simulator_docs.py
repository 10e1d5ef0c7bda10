"""docs/simulator.md says what the code has: its tables are made from the scenario's own source.

To write them anew after a change: VOICEKIOSK_WRITE_DOCS=1 python -m pytest this file.
"""

import ast
import inspect
import os
import re
from pathlib import Path
from typing import Literal, get_args, get_origin

import msgspec

from voicekiosk.simulator import scenario
from voicekiosk.simulator.faults import KINDS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "simulator.md"
TABLES = {
    "door": scenario.Door,
    "ready": scenario.Ready,
    "audio": scenario.Audio,
    "turn": scenario.Turn,
    "reply": scenario.Reply,
    "barge_in": scenario.BargeIn,
    "tools": scenario.Tools,
    "lifecycle": scenario.Lifecycle,
    "events": scenario.Events,
    "voice": scenario.Voice,
    "[script]": scenario.Rule,
    "[fault]": scenario.Fault,
    "[agent]": scenario.StoredAgent,
}


def comments(table):
    """Return the comment beside or above each field."""
    found, above = {}, ""
    for line in inspect.getsource(table).splitlines():
        field = re.match(r"    (\w+): [^#]*(?:#\s*(.*))?$", line)
        alone = re.match(r"    # (.*)$", line)
        if field:
            found[field[1]] = field[2] or above
            above = ""
        elif alone:
            above = alone[1]
    return found


def shown(value):
    if value is msgspec.NODEFAULT:
        return "required"
    if value is None:
        return "unset"
    if isinstance(value, tuple) and value and isinstance(value[0], float):
        return f"{value[0]:g} to {value[1]:g}"
    if isinstance(value, (tuple, dict)):
        return "none"
    return (
        f"{value:g}"
        if isinstance(value, float)
        else str(value).lower()
        if isinstance(value, bool)
        else str(value) or "none"
    )


def default_of(field):
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def written_tables():
    lines = []
    for name, table in TABLES.items():
        said = " ".join(inspect.getdoc(table).split())
        lines += ["", f"**`[{name}]`**: {said}", "", "| key | default | |", "|---|---|---|"]
        told = comments(table)
        for field in msgspec.structs.fields(table):
            assert told[field.name], f"{name}.{field.name} has no comment"
            choices = ", ".join(get_args(field.type)) if get_origin(field.type) is Literal else ""
            meaning = f"{told[field.name]} ({choices})" if choices else told[field.name]
            lines.append(f"| `{field.name}` | {shown(default_of(field))} | {meaning} |")
    return "\n".join([*lines[1:], ""])


def written_faults():
    return "\n".join(
        ["| `do` | |", "|---|---|", *(f"| `{name}` | {text} |" for name, text in KINDS.items()), ""]
    )


def test_the_tables_of_the_page_are_those_of_the_code():
    page = text = PAGE.read_text()
    for name, content in (("tables", written_tables()), ("faults", written_faults())):
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
        before, rest = page.split(begin)
        page = before + begin + content + end + rest.split(end, 1)[1]
    if os.environ.get("VOICEKIOSK_WRITE_DOCS"):
        PAGE.write_text(page)
    else:
        assert page == text, "docs/simulator.md is behind; write it anew with VOICEKIOSK_WRITE_DOCS=1"


def test_the_scenario_of_the_page_is_a_scenario():
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    loaded = scenario.parse(example)
    assert len(loaded.script) == 2
    assert loaded.turn.end_ms == 800


def test_the_python_of_the_page_is_python():
    for example in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        compile(example, "page", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
