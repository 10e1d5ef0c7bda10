"""Write configuration values as TOML, with everything hidden that looks like a secret."""

from typing import Any

import msgspec

from voicekiosk.config import model
from voicekiosk.config.schema import Config
from voicekiosk.config.secrets import masked

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def toml(value: Any) -> str:
    """Return one value as TOML writes it, on one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return '"' + "".join(map(_escaped, value)) + '"'
        case int() | float():
            return str(value)
        case list() | tuple():
            return "[" + ", ".join(map(toml, value)) + "]"
        case dict():
            # A key that is not set has no value in TOML.
            given = [(name, inner) for name, inner in value.items() if inner is not None]
            pairs = ", ".join(f"{toml_key(name)} = {toml(inner)}" for name, inner in given)
            return f"{{ {pairs} }}" if pairs else "{}"
        case _:
            raise TypeError(f"no TOML for {type(value).__name__}")


def toml_key(name: str) -> str:
    """Return a key as TOML writes it: bare where that is allowed, else quoted."""
    bare = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if bare else toml(name)


def effective(config: Config) -> dict[str, Any]:
    """Return every key and its value as plain data, secrets hidden."""
    values = hidden(msgspec.to_builtins(config))
    assert isinstance(values, dict)  # noqa: S101 - a table gives a dict
    return values


def render_effective(config: Config) -> str:
    """Return the whole configuration as TOML, secrets hidden; what differs from its default says so.

    A key that is not set and has no default is left out, since TOML has no such value.
    """
    lines: list[str] = []
    _table(lines, model.table(), effective(config), ())
    return "\n".join(lines).lstrip("\n") + "\n"


def _table(lines: list[str], table: model.Table, values: dict[str, Any], path: tuple[str, ...]) -> None:
    own = [field for field in table.fields.values() if not isinstance(field.kind, model.Table)]
    if path and own:
        lines += ["", f"[{'.'.join(path)}]"]
    for field in own:
        value = values[field.name]
        if value is None:
            continue
        default = "unset" if field.default is None else toml(msgspec.to_builtins(field.default))
        note = "" if toml(value) == default else f"  # default: {default}"
        lines.append(f"{toml_key(field.name)} = {toml(value)}{note}")
    for field in table.fields.values():
        if isinstance(field.kind, model.Table):
            _table(lines, field.kind, values[field.name], (*path, field.name))


def hidden(value: Any) -> Any:
    """Return plain data with everything hidden that looks like a secret."""
    match value:
        case str():
            return masked(value)
        case dict():
            return {name: hidden(inner) for name, inner in value.items()}
        case list() | tuple():
            return [hidden(inner) for inner in value]
        case _:
            return value


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character < " " or character == "\x7f":
        return f"\\u{ord(character):04x}"
    return character
