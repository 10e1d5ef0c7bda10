"""The model understands every form a table can take, also those that the schema will grow into."""

from typing import Annotated, Any

import pytest
from msgspec import Meta, Struct

from voicekiosk.config import model, validate, wording


class Tool(Struct, frozen=True, forbid_unknown_fields=True):
    """A tool that the agent may use."""

    name: Annotated[str, Meta(min_length=1, description="what it is called", examples=["door"])]
    weight: Annotated[Annotated[int, Meta(le=3)] | None, Meta(description="how heavy", examples=[1])] = None
    parameters: Annotated[dict[str, Any], Meta(description="a JSON schema", examples=[{}])] = {}


class Grown(Struct, frozen=True, forbid_unknown_fields=True):
    """A configuration with tools and personas."""

    tools: tuple[Tool, ...] = ()
    persona: dict[str, Tool] = {}
    pair: Annotated[tuple[str, ...], Meta(min_length=2)] = ("a", "b")


def found(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(f.key, f.message) for f in validate.findings(document, model.table(Grown))]


def test_arrays_of_tables_and_tables_under_names_of_their_own_are_sections() -> None:
    assert [(s.path, s.repeated) for s in model.sections(Grown)] == [
        (("tools",), True),
        (("persona", "NAME"), True),
    ]
    assert set(model.every_key(Grown)) >= {"tools.name", "persona.NAME.weight"}


def test_each_table_of_an_array_is_checked() -> None:
    assert found({"tools": [{"name": "a"}, {"name": "", "weight": 4, "wieght": 1}]}) == [
        ("tools[1].name", 'expected text of at least 1 characters, got ""'),
        ("tools[1].weight", "expected a whole number up to 3, got 4"),
        ("tools[1].wieght", 'expected a known key, got "wieght"'),
    ]


def test_each_named_table_is_checked() -> None:
    assert found({"persona": {"night owl": {"name": 3}, "day": 4}}) == [
        ("persona.night owl.name", "expected text of at least 1 characters, got 3"),
        ("persona.day", "expected a table, got 4"),
    ]


def test_a_key_that_must_be_there_is_missed() -> None:
    assert found({"tools": [{}]}) == [("tools[0].name", 'expected the key "name", got none')]


def test_free_tables_take_anything() -> None:
    assert found({"tools": [{"name": "a", "parameters": {"type": "object", "x": [1]}}]}) == []


def test_what_should_be_an_array_of_tables_is_not_one_table() -> None:
    assert found({"tools": {"name": "a"}, "persona": 3}) == [
        ("tools", "expected an array of tables, got a table"),
        ("persona", "expected a table, got 3"),
    ]


def test_a_list_may_be_too_short() -> None:
    assert found({"pair": ["a"]}) == [("pair", "expected a list of at least 2 entries, got a list of 1")]


def test_a_type_that_the_model_does_not_know_is_the_author_s_mistake() -> None:
    class Odd(Struct):
        when: bytes = b""

    with pytest.raises(TypeError, match="does not know"):
        model.table(Odd)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (model.Scalar(int, low=1), "a whole number from 1"),
        (model.Scalar(float), "a number"),
        (model.Scalar(str, min_length=1, max_length=2), "text of 1 to 2 characters"),
        (model.Anything(), "any value"),
        (model.Named(model.Anything()), "a table"),
    ],
)
def test_what_is_expected_is_said_in_words(kind: model.Kind, words: str) -> None:
    assert wording.expected(kind) == words
