"""The schema as data: what each key may hold, in a form that checking, comparing and the docs can walk."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT, Meta, Struct

from voicekiosk.config.schema import Config


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value of a plain type; bounds are inclusive, lengths count characters."""

    type: type
    low: float | None = None
    high: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """A value of one of several kinds."""

    options: tuple["Kind", ...]


@dataclass(frozen=True, slots=True)
class Sequence:
    """An array, or, where the items are tables, an array of tables."""

    item: "Kind"
    min_length: int | None = None
    max_length: int | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """Any number of values under names that the owner chooses (`[persona.NAME]`)."""

    item: "Kind"


@dataclass(frozen=True, slots=True)
class Anything:
    """Whatever TOML can say; somebody else checks it."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with known keys."""

    doc: str
    fields: dict[str, "Field"]


@dataclass(frozen=True, slots=True)
class Field:
    """A key of a table. `default` is NODEFAULT where the key must be given."""

    name: str
    kind: "Kind"
    optional: bool
    default: Any
    description: str
    example: Any


Kind = Scalar | Choice | Either | Sequence | Named | Anything | Table


@dataclass(frozen=True, slots=True)
class Section:
    """A table as the reference and the shipped file show it: its header and its own keys."""

    path: tuple[str, ...]
    doc: str
    keys: tuple[Field, ...]
    repeated: bool = False
    """Whether it is an array of tables, or one of any number under names of their own."""


_NOTES = ("ge", "le", "min_length", "max_length", "pattern", "title", "description", "examples")


@cache
def table(struct: type[Struct] = Config) -> Table:
    """Return the keys that `struct` declares."""
    hints = get_type_hints(struct, include_extras=True)
    fields = {}
    for declared in msgspec.structs.fields(struct):
        hint, meta = _split(hints[declared.encode_name])
        bare, optional = _without_none(hint)
        default = declared.default
        if declared.default_factory is not NODEFAULT:
            default = declared.default_factory()
        fields[declared.encode_name] = Field(
            name=declared.encode_name,
            kind=_kind(bare, meta),
            optional=optional,
            default=default,
            description=meta.get("description", ""),
            example=(meta.get("examples") or [default])[0],
        )
    return Table((struct.__doc__ or "").partition("\n")[0], fields)


def sections(struct: type[Struct] = Config) -> Iterator[Section]:
    """Yield every table below `struct`, outer before inner, in the order of the schema."""
    yield from _sections(table(struct), (), repeated=False)


def every_key(struct: type[Struct] = Config) -> dict[str, Field]:
    """Return every key below `struct` by its full dotted name; tables are not keys."""
    return {
        ".".join((*section.path, field.name)): field for section in sections(struct) for field in section.keys
    }


def inner_table(kind: Kind) -> Table | None:
    """Return the table that `kind` is, or that each of its items is."""
    match kind:
        case Table():
            return kind
        case Sequence(item=Table() as item) | Named(item=Table() as item):
            return item
        case _:
            return None


def _sections(node: Table, path: tuple[str, ...], *, repeated: bool) -> Iterator[Section]:
    own = tuple(field for field in node.fields.values() if inner_table(field.kind) is None)
    if path:
        yield Section(path, node.doc, own, repeated)
    for field in node.fields.values():
        inner = inner_table(field.kind)
        if inner is not None:
            named = ("NAME",) if isinstance(field.kind, Named) else ()
            yield from _sections(
                inner, (*path, field.name, *named), repeated=not isinstance(field.kind, Table)
            )


def _split(hint: Any) -> tuple[Any, dict[str, Any]]:
    """Return a type without its annotations, and what they say, the outermost last."""
    meta: dict[str, Any] = {}
    if get_origin(hint) is Annotated:
        for note in hint.__metadata__:
            if isinstance(note, Meta):
                said = {name: getattr(note, name) for name in _NOTES}
                meta |= {name: value for name, value in said.items() if value is not None}
        hint = hint.__origin__
    return hint, meta


def _without_none(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) not in {Union, UnionType}:
        return hint, False
    options = [option for option in get_args(hint) if option is not NoneType]
    optional = len(options) < len(get_args(hint))
    return (options[0] if len(options) == 1 else Union[tuple(options)]), optional  # noqa: UP007 - made at run time


def _kind(hint: Any, outer: dict[str, Any]) -> Kind:
    hint, inner = _split(hint)
    meta = inner | outer
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return Choice(arguments)
    if origin in {Union, UnionType}:
        return Either(tuple(_kind(option, outer) for option in arguments))
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return Sequence(_kind(arguments[0], {}), meta.get("min_length"), meta.get("max_length"))
    if origin is dict and arguments[0] is str:
        return Named(_kind(arguments[1], {}))
    if hint is Any:
        return Anything()
    if isinstance(hint, type) and issubclass(hint, Struct):
        return table(hint)
    if hint in {bool, int, float, str}:
        return Scalar(
            hint,
            low=meta.get("ge"),
            high=meta.get("le"),
            min_length=meta.get("min_length"),
            max_length=meta.get("max_length"),
            pattern=meta.get("pattern"),
            title=meta.get("title"),
        )
    raise TypeError(f"the schema uses {hint!r}, which the model does not know")
