"""Whether arguments fit a schema, in sentences that the agent can act on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekiosk.config import jsonschema
from voicekiosk.tools.arguments import misfits

WEATHER = {
    "type": "object",
    "required": ["city"],
    "additionalProperties": False,
    "properties": {
        "city": {"type": "string", "pattern": "[A-Z].*", "maxLength": 20},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
        "unit": {"enum": ["C", "F"]},
        "places": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "string"}},
        "exact": {"type": "boolean"},
    },
}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"city": "Utrecht", "days": 3, "unit": "C", "exact": True, "places": ["a"]}, []),
        ({"city": "Utrecht", "days": 3.0}, []),
        ({}, ["city is missing"]),
        ([], ["the arguments must be of type object"]),
        ({"city": 3}, ["city must be of type string"]),
        ({"city": "utrecht"}, ["city must look like [A-Z].*"]),
        ({"city": "U" * 21}, ["city must have at most 20 characters"]),
        ({"city": "U", "days": 0}, ["days must be at least 1"]),
        ({"city": "U", "days": 8}, ["days must be at most 7"]),
        ({"city": "U", "days": True}, ["days must be of type integer"]),
        ({"city": "U", "days": 1.5}, ["days must be of type integer"]),
        ({"city": "U", "unit": "K"}, ["unit must be one of 'C', 'F'"]),
        ({"city": "U", "places": []}, ["places must have at least 1 entries"]),
        ({"city": "U", "places": ["a", 2]}, ["places[1] must be of type string"]),
        ({"city": "U", "x": 1}, ["the arguments must not have x"]),
    ],
)
def test_what_does_not_fit_is_said(arguments, says):
    assert misfits(WEATHER, arguments) == says


def test_an_enum_does_not_take_true_for_one():
    assert misfits({"enum": [1]}, True)
    assert not misfits({"enum": [1]}, 1)


@pytest.mark.parametrize(
    ("step", "value", "fits"),
    [
        (0.1, 0.3, True),
        (0.1, 1_000_000.7, True),
        (0.1, 0.35, False),
        (0.01, 19.99, True),
        (5, 15, True),
        (5, 16, False),
        (7, 10**400, False),
        (5, 10**400, True),
        (0.1, 10**400, False),
        (1e-300, 1e300, False),
    ],
)
def test_multiples_are_those_that_somebody_would_write(step, value, fits):
    assert (not misfits({"multipleOf": step}, value)) == fits


def test_a_huge_number_is_looked_at_like_any_other():
    assert misfits({"type": "integer", "maximum": 9.5}, 10**400) == ["the arguments must be at most 9.5"]


def test_without_a_schema_any_object_fits():
    assert misfits({}, {"anything": [1]}) == []


def test_the_sentences_are_few_however_wrong_the_arguments_are():
    schema = {"type": "object", "required": [f"a{n}" for n in range(100)]}
    assert len(misfits(schema, {})) == 5


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
SIMPLE = st.sampled_from(
    [
        {"type": "string", "minLength": 1},
        {"type": "number", "multipleOf": 0.5, "exclusiveMinimum": 0, "exclusiveMaximum": 9},
        {"type": ["integer", "null"]},
        {"enum": ["a", 1]},
        {"const": 1},
        {"type": "array", "items": {"type": "object", "required": ["a"], "properties": {"a": {}}}},
        {},
    ]
)


@given(SIMPLE, VALUES)
def test_no_arguments_make_the_check_itself_fail(inner, value):
    schema = {"type": "object", "properties": {"a": inner}, "required": ["a"]}
    assert list(jsonschema.findings(schema, ())) == []
    misfits(schema, {"a": value})
    misfits(schema, value)
