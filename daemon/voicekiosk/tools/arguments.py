"""Whether the arguments of a call fit the schema of its tool (the subset of `config.jsonschema`)."""

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

MOST_MISFITS = 5


def misfits(schema: dict[str, Any], arguments: object) -> list[str]:
    """Return what does not fit, in sentences for the agent; empty when all does."""
    found: list[str] = []
    for misfit in _check(schema or {"type": "object"}, arguments, ""):
        found.append(misfit)
        if len(found) == MOST_MISFITS:
            break
    return found


def _check(schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    where = path or "the arguments"
    types = schema.get("type", ())
    types = (types,) if isinstance(types, str) else tuple(types)
    if types and not any(_TYPES[name](value) for name in types):
        yield f"{where} must be of type {' or '.join(types)}"
        return
    if "enum" in schema and not any(_same(value, choice) for choice in schema["enum"]):
        yield f"{where} must be one of {', '.join(map(repr, schema['enum']))}"
    if "const" in schema and not _same(value, schema["const"]):
        yield f"{where} must be {schema['const']!r}"
    match value:
        case str():
            yield from _text(schema, value, where)
        case bool() | None:
            pass
        case int() | float():
            yield from _number(schema, value, where)
        case list():
            yield from _list(schema, value, path, where)
        case dict():
            yield from _object(schema, value, path, where)


def _text(schema: dict[str, Any], value: str, where: str) -> Iterator[str]:
    if len(value) < schema.get("minLength", 0):
        yield f"{where} must have at least {schema['minLength']} characters"
    if len(value) > schema.get("maxLength", len(value)):
        yield f"{where} must have at most {schema['maxLength']} characters"
    # As the service does it: the whole value (protocol §7.1).
    if "pattern" in schema and not re.fullmatch(schema["pattern"], value):
        yield f"{where} must look like {schema['pattern']}"


def _number(schema: dict[str, Any], value: float, where: str) -> Iterator[str]:
    if value < schema.get("minimum", value):
        yield f"{where} must be at least {schema['minimum']}"
    if value > schema.get("maximum", value):
        yield f"{where} must be at most {schema['maximum']}"
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        yield f"{where} must be more than {schema['exclusiveMinimum']}"
    if "exclusiveMaximum" in schema and value >= schema["exclusiveMaximum"]:
        yield f"{where} must be less than {schema['exclusiveMaximum']}"
    if "multipleOf" in schema and not _is_multiple(value, schema["multipleOf"]):
        yield f"{where} must be a multiple of {schema['multipleOf']}"


def _list(schema: dict[str, Any], value: list[Any], path: str, where: str) -> Iterator[str]:
    if len(value) < schema.get("minItems", 0):
        yield f"{where} must have at least {schema['minItems']} entries"
    if len(value) > schema.get("maxItems", len(value)):
        yield f"{where} must have at most {schema['maxItems']} entries"
    for index, item in enumerate(value):
        yield from _check(schema.get("items", {}), item, f"{path}[{index}]")


def _object(schema: dict[str, Any], value: dict[str, Any], path: str, where: str) -> Iterator[str]:
    properties = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{f'{path}.{name}' if path else name} is missing"
    for name, inner in value.items():
        inside = f"{path}.{name}" if path else name
        if name in properties:
            yield from _check(properties[name], inner, inside)
        elif schema.get("additionalProperties") is False:
            yield f"{where} must not have {inside}"


def _is_multiple(value: float, step: float) -> bool:
    if isinstance(value, int) and isinstance(step, int):
        return value % step == 0
    try:
        steps = value / step
    except OverflowError:
        return False
    # 0.3 is no whole number of times 0.1 in binary.
    return math.isfinite(steps) and math.isclose(steps, round(steps), rel_tol=1e-9, abs_tol=1e-9)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, float) and value.is_integer())


def _same(value: Any, other: Any) -> bool:
    return value == other and isinstance(value, bool) == isinstance(other, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "number": _is_number,
    "integer": lambda value: _is_number(value) and _is_whole(value),
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}
