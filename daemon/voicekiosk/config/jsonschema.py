"""The JSON Schema that the parameters of a tool are described in: what is wrong with one.

A subset on purpose: what the service is known to understand (protocol §7.1) and `tools.arguments` can
check a call by. The service takes a bad schema without a word and then calls the tool wrongly or never,
so whatever is not sure to work is refused here.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from voicekiosk.config import wording
from voicekiosk.config.positions import Path
from voicekiosk.config.problems import Finding

TYPES = ("string", "number", "integer", "boolean", "array", "object", "null")
DEEPEST = 8

_TEXT, _LIST, _TABLE = "text", "a list", "a table"
_NUMBER, _WHOLE, _SWITCH = "a number", "a whole number from 0 on", "true or false"
_ANY = "anything"

# What each keyword holds, and which types it says something about; () is all of them.
KEYWORDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "type": (_ANY, ()),
    "description": (_TEXT, ()),
    "title": (_TEXT, ()),
    "default": (_ANY, ()),
    "examples": (_LIST, ()),
    "enum": (_LIST, ()),
    "const": (_ANY, ()),
    "format": (_TEXT, ("string",)),
    "pattern": (_TEXT, ("string",)),
    "minLength": (_WHOLE, ("string",)),
    "maxLength": (_WHOLE, ("string",)),
    "minimum": (_NUMBER, ("number", "integer")),
    "maximum": (_NUMBER, ("number", "integer")),
    "exclusiveMinimum": (_NUMBER, ("number", "integer")),
    "exclusiveMaximum": (_NUMBER, ("number", "integer")),
    "multipleOf": (_NUMBER, ("number", "integer")),
    "items": (_TABLE, ("array",)),
    "minItems": (_WHOLE, ("array",)),
    "maxItems": (_WHOLE, ("array",)),
    "properties": (_TABLE, ("object",)),
    "required": (_LIST, ("object",)),
    "additionalProperties": (_SWITCH, ("object",)),
}
_NOT_HERE = ("$ref", "$defs", "definitions", "anyOf", "oneOf", "allOf", "not", "if", "then", "else")


def findings(parameters: Any, path: Path) -> Iterator[Finding]:
    """Yield what is wrong with the parameters of a tool, which are at `path`; empty ones are none at all."""
    if not parameters:
        return
    if parameters.get("type") != "object":
        got = wording.got(parameters["type"]) if "type" in parameters else "none"
        where = (*path, "type") if "type" in parameters else path
        yield Finding(path=where, message=f'expected type = "object", got {got}', hint="arguments have names")
        return
    yield from _schema(parameters, path, 0)


def _schema(schema: Any, path: Path, depth: int) -> Iterator[Finding]:
    if not isinstance(schema, dict):
        yield Finding(path=path, message=f"expected a table with a type, got {wording.got(schema)}")
        return
    if depth > DEEPEST:
        yield Finding(path=path, message=f"expected at most {DEEPEST} levels, got more")
        return
    types = _types(schema)
    for keyword, value in schema.items():
        inner = (*path, keyword)
        if keyword not in KEYWORDS:
            yield _unknown(keyword, inner)
            continue
        expected, applies = KEYWORDS[keyword]
        if not _FITS[expected](value):
            yield Finding(path=inner, message=f"expected {expected}, got {wording.got(value)}")
        elif applies and types and not set(applies) & set(types):
            kinds = " or ".join(f'"{kind}"' for kind in applies)
            message = f"expected {keyword} beside type {kinds}, got type {wording.got(schema['type'])}"
            yield Finding(path=inner, message=message, at_key=True)
        else:
            yield from _value(keyword, value, schema, inner, depth)
    yield from _order(schema, path)


def _value(keyword: str, value: Any, schema: dict[str, Any], path: Path, depth: int) -> Iterator[Finding]:
    match keyword:
        case "type":
            yield from _type(value, path)
        case "enum" if not value:
            yield Finding(path=path, message="expected at least one value, got none")
        case "pattern":
            try:
                re.compile(value)
            except (re.error, OverflowError, RecursionError) as error:
                yield Finding(path=path, message=f"expected a regular expression, got one with {error}")
        case "multipleOf" if value <= 0:
            yield Finding(path=path, message=f"expected more than 0, got {wording.got(value)}")
        case "properties":
            for name, inner in value.items():
                yield from _schema(inner, (*path, name), depth + 1)
        case "items":
            yield from _schema(value, path, depth + 1)
        # Properties that are no table are told as such, and nobody can say what they were to be.
        case "required" if isinstance(properties := schema.get("properties", {}), dict):
            yield from _required(value, properties, path)


def _types(schema: dict[str, Any]) -> tuple[str, ...]:
    declared = schema.get("type", ())
    return (declared,) if isinstance(declared, str) else tuple(declared) if _is_list(declared) else ()


def _type(value: Any, path: Path) -> Iterator[Finding]:
    for index, name in enumerate(value if isinstance(value, list | tuple) else [value]):
        if isinstance(name, str) and name in TYPES:
            continue
        near = wording.nearest(_MEANT.get(name, name), TYPES) if isinstance(name, str) else None
        yield Finding(
            path=(*path, index) if isinstance(value, list | tuple) else path,
            message=f"expected one of {' '.join(TYPES)}, got {wording.got(name)}",
            hint=wording.did_you_mean([wording.quoted(near)]) if near else "",
        )


def _required(names: Any, properties: dict[str, Any], path: Path) -> Iterator[Finding]:
    for index, name in enumerate(names):
        if not isinstance(name, str) or name not in properties:
            near = wording.nearest(name, properties) if isinstance(name, str) and properties else None
            yield Finding(
                path=(*path, index),
                message=f"expected the name of one of properties, got {wording.got(name)}",
                hint=wording.did_you_mean([wording.quoted(near)]) if near else "",
            )


def _order(schema: dict[str, Any], path: Path) -> Iterator[Finding]:
    for low, high in (("minLength", "maxLength"), ("minimum", "maximum"), ("minItems", "maxItems")):
        least, most = schema.get(low), schema.get(high)
        if _is_number(least) and _is_number(most) and least > most:  # type: ignore[operator]
            message = f"expected at most {high} ({most}), got {least}"
            yield Finding(path=(*path, low), message=message)


def _unknown(keyword: str, path: Path) -> Finding:
    if keyword == "$schema":
        message = "expected no $schema, got one"
        return Finding(path=path, message=message, hint="with it the service gives no arguments", at_key=True)
    if keyword in _NOT_HERE:
        message = f"expected a plain schema, got {keyword}"
        hint = "describe each parameter by its own type; combinations are not understood"
        return Finding(path=path, message=message, hint=hint, at_key=True)
    near = wording.nearest(keyword, KEYWORDS)
    message = f"expected a keyword of JSON Schema, got {wording.quoted(keyword)}"
    hint = wording.did_you_mean([wording.quoted(near)]) if near else f"known: {', '.join(KEYWORDS)}"
    return Finding(path=path, message=message, hint=hint, at_key=True)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)


_FITS: dict[str, Callable[[Any], bool]] = {
    _TEXT: lambda value: isinstance(value, str),
    _LIST: lambda value: isinstance(value, list | tuple),
    _TABLE: lambda value: isinstance(value, dict),
    _NUMBER: _is_number,
    _WHOLE: _is_whole,
    _SWITCH: lambda value: isinstance(value, bool),
    _ANY: lambda _value: True,
}
# The names that other languages have for them.
_MEANT = {"str": "string", "text": "string", "int": "integer", "float": "number", "bool": "boolean"} | {
    "list": "array",
    "dict": "object",
    "table": "object",
}
