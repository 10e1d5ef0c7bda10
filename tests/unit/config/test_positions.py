"""The scanner agrees with tomli about what stands where."""

import math
import string
from typing import Any

import pytest
import tomli
from hypothesis import example, given
from hypothesis import strategies as st

from voicekiosk.config.positions import Path, Positions, scan


def leaves(value: Any, path: Path = ()) -> list[tuple[Path, Any]]:
    """Every path of a parsed document: keys, tables and elements."""
    found = [(path, value)] if path else []
    if isinstance(value, dict):
        for name, inner in value.items():
            found += leaves(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found += leaves(inner, (*path, index))
    return found


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    return type(one) is type(other) and one == other


def check_against_tomli(text: str) -> Positions:
    document = tomli.loads(text)
    found = scan(text)
    assert found.complete
    for path, value in leaves(document):
        mark = found.marks[path]
        if isinstance(path[-1], str):
            rest = text[mark.key :]
            token = rest if rest[0] in "\"'" else rest.split("\n")[0]
            assert token.startswith((path[-1], '"', "'")), (path, token)
        if not isinstance(value, dict) and not (isinstance(value, list) and text[mark.value] != "["):
            written = text[mark.value : mark.end]
            if not written.startswith("[["):
                assert same(tomli.loads(f"x = {written}")["x"], value), (path, written)
    assert set(found.marks) <= {path for path, _ in leaves(document)}
    return found


def place(text: str, *path: str | int) -> tuple[tuple[int, int], tuple[int, int]]:
    found = check_against_tomli(text)
    mark = found.marks[path]
    return found.line_column(mark.key), found.line_column(mark.value)


def test_a_plain_key_and_its_value_are_found() -> None:
    assert place("a = 1\nbc  =  'x' # y\n", "bc") == ((2, 1), (2, 8))


def test_a_dotted_key_is_found_at_its_last_part() -> None:
    assert place("[panel]\nlamp . gpio = 3\n", "panel", "lamp", "gpio") == ((2, 8), (2, 15))
    assert place("[panel]\nlamp . gpio = 3\n", "panel", "lamp")[0] == (2, 1)


def test_keys_of_an_inline_table_are_found() -> None:
    text = "p = { a = 1, b.c = [2, 3] }\n"
    assert place(text, "p", "b", "c") == ((1, 16), (1, 20))
    assert place(text, "p", "b", "c", 1) == ((1, 24), (1, 24))


def test_each_element_of_an_array_of_tables_has_its_own_place() -> None:
    text = "[[tool]]\nname = 1\n[[tool]]\nname = 2\n[tool.more]\nx = 3\n[[tool.sub]]\ny = 4\n"
    assert place(text, "tool", 0, "name")[0] == (2, 1)
    assert place(text, "tool", 1, "name")[0] == (4, 1)
    assert place(text, "tool", 1, "more", "x")[0] == (6, 1)
    assert place(text, "tool", 1, "sub", 0, "y")[1] == (8, 5)


def test_quoted_keys_are_unquoted() -> None:
    assert place('"a.b"."\\u00e4" = 1\n', "a.b", "ä") == ((1, 7), (1, 18))
    assert place("['x y']\nz = 1\n", "x y", "z")[0] == (2, 1)


@pytest.mark.parametrize(
    "value",
    [
        '"""a\n[x]\nb = 3\n"""',
        "'''\n# no comment\n'''",
        '"""a\\"""b"""',
        '"""""a"""""',
        "''''a'''''",
        '"""\\\n   x"""',
        "[\n 1, # one ]\n 2,\n]",
        '"a#b]"',
        "1979-05-27 07:32:00",
        "[[1, 2], ['a', \"b]\"]]",
        "{ a = { b = [ { c = 1 } ] } }",
        "inf",
        "-0x1",
    ],
)
def test_a_key_after_a_difficult_value_is_still_found(value: str) -> None:
    text = f"a = {value}\nlast = 1\n"
    try:
        tomli.loads(text)
    except tomli.TOMLDecodeError:
        assert scan(text).marks[("last",)]
        return
    assert place(text, "last")[0] == (text.count("\n"), 1)


def test_columns_count_characters_and_not_bytes() -> None:
    assert place("a = { 'ü' = 1, b = 2 }", "a", "b") == ((1, 16), (1, 20))


@pytest.mark.parametrize(
    "line", ["a = hold to talk", "a b = 1", "a: 1", '"a', "= 1", "a = 'x", "[a", "a = 1 2", "ä = 1"]
)
def test_a_broken_line_does_not_hide_the_next(line: str) -> None:
    found = scan(f"{line}\nlast = 1\n")
    assert not found.complete
    assert ("last",) in found.marks
    assert [s.whole for s in found.statements] == [False, True]


@pytest.mark.parametrize("line", ["a = [1,\nlast = 1", 'a = """x\nlast = 1', "a = {b = 1 ;\nlast = 1"])
def test_what_was_never_closed_ends_the_scan(line: str) -> None:
    found = scan(f"first = 1\n{line}\n")
    assert not found.complete
    assert ("last",) not in found.marks
    assert found.statements[-1].start == 10
    assert found.statements[-1].end == len(found.text)


def test_the_statement_of_an_offset_is_the_one_that_began_before_it() -> None:
    found = scan("\na = 1\n\nb = [\n2]\n")
    assert found.statement_at(0) is None
    statement = found.statement_at(found.offset(5, 1))
    assert statement is not None
    assert found.text[statement.start : statement.end] == "b = [\n2]\n"


NAMES = st.one_of(
    st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=4),
    st.text("ab .#=[]\"'\\ä\n\t", max_size=4),
)
STRINGS = st.text("ab #=[]{},\"'\\äé\n\t=😀", max_size=12)


def basic(text: str) -> str:
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
    return '"' + "".join(escapes.get(c, c) for c in text) + '"'


def written_key(draw: Any, name: str) -> str:
    bare = name and set(name) <= set(string.ascii_letters + string.digits + "-_")
    forms = [basic(name)]
    if bare:
        forms.append(name)
    if not set(name) & set("'\n"):
        forms.append(f"'{name}'")
    return str(draw(st.sampled_from(forms)))


def written_string(draw: Any, text: str) -> str:
    forms = [basic(text), '"""' + basic(text)[1:-1] + '"""']
    if not set(text) & set("'\n"):
        forms.append(f"'{text}'")
    if "'" not in text:
        forms.append(f"'''\n{text}'''")
    if "\\" not in text and '"' not in text:
        forms.append(f'"""\n{text}\\\n   """')
    return str(draw(st.sampled_from(forms)))


def gap(draw: Any, *, lines: bool) -> str:
    return str(
        draw(st.sampled_from(["", " ", "\t", "\n", " # ] }\n", "\n\n  "] if lines else ["", " ", " \t"]))
    )


def written_value(draw: Any, depth: int) -> str:
    kind = draw(st.sampled_from(["scalar", "string", "array", "table"] if depth else ["scalar", "string"]))
    if kind == "string":
        return written_string(draw, draw(STRINGS))
    if kind == "array":
        items = [written_value(draw, depth - 1) for _ in range(draw(st.integers(0, 3)))]
        inner = ",".join(gap(draw, lines=True) + item + gap(draw, lines=True) for item in items)
        return "[" + inner + ("," if items and draw(st.booleans()) else "") + gap(draw, lines=True) + "]"
    if kind == "table":
        names = draw(st.lists(NAMES, unique=True, max_size=3))
        return (
            "{ "
            + ", ".join(f"{written_key(draw, n)} = {written_value(draw, depth - 1)}" for n in names)
            + " }"
        )
    scalars = ["1", "-17", "0x_f".replace("_", ""), "1.5", "-inf", "nan", "true", "1979-05-27", "07:32:00"]
    return str(
        draw(st.sampled_from([*scalars, "1979-05-27 07:32:00Z", "1979-05-27T07:32:00.5", "1e3", "1_000"]))
    )


@st.composite
def documents(draw: Any) -> str:
    lines: list[str] = []
    for _ in range(draw(st.integers(0, 6))):
        space = gap(draw, lines=False)
        names = [written_key(draw, n) for n in draw(st.lists(NAMES, min_size=1, max_size=3))]
        dotted = f"{space}.{gap(draw, lines=False)}".join(names)
        form = draw(st.sampled_from(["pair", "pair", "pair", "table", "array", "noise"]))
        match form:
            case "table":
                line = f"{space}[{space}{dotted}{space}]"
            case "array":
                line = f"[[{dotted}]]{space}"
            case "noise":
                line = draw(st.sampled_from(["", "# a = 1", "   "]))
            case _:
                line = f"{space}{dotted}{space}={space}{written_value(draw, 2)}"
        lines.append(line + draw(st.sampled_from(["", "  ", " # [x] = 'y'"])))
    return "\n".join(lines) + draw(st.sampled_from(["", "\n"]))


def parses(text: str) -> bool:
    try:
        tomli.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


@given(documents())
def test_every_document_that_tomli_reads_is_located_whole(text: str) -> None:
    if parses(text):
        check_against_tomli(text)


@given(st.text("ab1 .=[]{},#\"'\\\n-:tT", max_size=40))
@example("[a]\n[a.b]\n[[a.c]]\nx=1")
@example("a=[[[[1]]]]")
@example("[[a]]\n[a.b]\n[[a]]\n[a.b]\n")
def test_no_text_at_all_upsets_the_scanner(text: str) -> None:
    found = scan(text)
    assert [s.start for s in found.statements] == sorted({s.start for s in found.statements})
    assert all(0 <= m.value <= m.end <= len(text) and m.key <= m.end for m in found.marks.values())
    if parses(text):
        check_against_tomli(text)


def test_arrays_nested_without_end_do_not_overflow_the_scanner() -> None:
    found = scan("a = " + "[" * 100_000 + "\n")
    assert not found.complete


def test_what_is_not_there_is_placed_at_the_table_that_lacks_it() -> None:
    found = scan("[[tool]]\nx = 1\n[[tool]]\n")
    mark = found.nearest(("tool", 1, "name"))
    assert mark is not None
    assert found.line_column(mark.key) == (3, 3)
    assert found.nearest(("other",)) is None


def test_a_key_with_a_broken_escape_is_a_broken_line() -> None:
    found = scan('"\\q" = 1\nlast = 1\n')
    assert set(found.marks) == {("last",)}
