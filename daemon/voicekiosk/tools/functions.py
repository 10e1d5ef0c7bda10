"""Tools from Python: a typed function with a docstring, found by its entry point, becomes a tool.

```toml
# pyproject.toml of a package that is installed beside voicekiosk
[project.entry-points."voicekiosk.tools"]
opening_hours = "museum.tools:opening_hours"
```
"""

import asyncio
import enum
import functools
import inspect
import threading
import types
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from voicekiosk.config import wording
from voicekiosk.config.problems import Finding, Severity
from voicekiosk.config.schema import Config
from voicekiosk.tools.outcome import Run, ToolError

GROUP = "voicekiosk.tools"
MOST_STUCK = 4
"""How many calls of a function may hang before it is not called any more."""

_SCALARS = {str: "string", int: "integer", float: "number", bool: "boolean"}


def load_function(name: str) -> Callable[..., Any]:
    """Return the function that an installed package calls `name`. Raises `ToolError`."""
    for entry in entry_points(group=GROUP):
        if entry.name == name:
            try:
                function = entry.load()
            except Exception as error:
                raise ToolError(f"{entry.value} cannot be imported: {error}") from error
            if not callable(function):
                raise ToolError(f"{entry.value} is no function")
            return function  # type: ignore[no-any-return]
    raise ToolError(f"no installed package has a tool called {name} (entry point group {GROUP})")


def findings(config: Config) -> Iterator[Finding]:
    """Yield which functions of the configuration cannot be offered here, and why."""
    for index, tool in enumerate(config.tools):
        try:
            if tool.python:
                parameters(load_function(tool.python))
        except ToolError as error:
            yield Finding(
                path=("tools", index, "python"),
                message=f"expected a function that can be a tool, got {wording.quoted(tool.python)}",
                hint=f"{error}; the tool is left out",
                severity=Severity.WARNING,
            )


def description(function: Callable[..., Any]) -> str:
    """Return what the agent is told of a function: the first paragraph of its docstring."""
    return " ".join((inspect.getdoc(function) or "").partition("\n\n")[0].split())


def parameters(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the JSON Schema of a function's arguments. Raises `ToolError` for a type that has none."""
    hints = _hints(function)
    properties: dict[str, Any] = {}
    required: list[str] = []
    for name, parameter in _signature(function).parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ToolError(f"{_name(function)}: {name} has no name of its own for the agent to use")
        if name not in hints:
            raise ToolError(f"{_name(function)}: {name} has no type")
        properties[name] = _schema(hints[name], f"{_name(function)}: {name}")
        if parameter.default is parameter.empty:
            required.append(name)
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return schema | ({"required": required} if required else {})


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except Exception as error:
        # An annotation is code of the package: a name that is only there for type checkers, for one.
        raise ToolError(f"{_name(function)}: its types cannot be read: {error}") from error


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise ToolError(f"{_name(function)}: its arguments cannot be read: {error}") from error


def runner(function: Callable[..., Any]) -> Run:
    """Return what runs a function: an async one in the event loop, any other in a thread of its own.

    Cancelling ends an async one; of a thread, which nobody can end, the result is thrown away.
    """
    make = _converters(function)
    stuck = 0

    async def run(arguments: dict[str, Any]) -> object:
        nonlocal stuck
        given = {name: make[name](value) if name in make else value for name, value in arguments.items()}
        if inspect.iscoroutinefunction(function):
            return await function(**given)
        if stuck >= MOST_STUCK:
            raise ToolError("this tool hangs and has to be repaired first")
        stuck += 1
        return await _in_thread(functools.partial(function, **given), finished)

    def finished() -> None:
        nonlocal stuck
        stuck -= 1

    return run


def _in_thread(work: Callable[[], object], finished: Callable[[], None]) -> "asyncio.Future[object]":
    # Not the loop's executor: a tool that hangs would take its threads from others, and the process
    # would wait for it at its end.
    loop = asyncio.get_running_loop()
    future: asyncio.Future[object] = loop.create_future()

    def settle(value: object, error: BaseException | None) -> None:
        finished()
        if future.done():
            return
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    def body() -> None:
        value, failure = None, None
        try:
            value = work()
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
            failure = error if isinstance(error, Exception) else RuntimeError(repr(error))
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, value, failure)

    threading.Thread(target=body, name="voicekiosk-tool", daemon=True).start()
    return future


def _schema(hint: Any, where: str) -> dict[str, Any]:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        notes = [note for note in arguments[1:] if isinstance(note, str)]
        return _schema(arguments[0], where) | ({"description": notes[0]} if notes else {})
    if origin in (Union, types.UnionType) and types.NoneType in arguments and len(arguments) == 2:
        return _or_null(_schema(next(it for it in arguments if it is not types.NoneType), where))
    if origin is Literal:
        return {"type": _SCALARS.get(type(arguments[0]), "string"), "enum": list(arguments)}
    if inspect.isclass(hint) and issubclass(hint, enum.Enum):
        return {"type": "string", "enum": [str(member.value) for member in hint]}
    if origin is list:
        return {"type": "array", "items": _schema(arguments[0], where)}
    if hint in _SCALARS:
        return {"type": _SCALARS[hint]}
    raise ToolError(
        f"{where} has the type {hint}, which the agent cannot give; "
        "use str, int, float, bool, Literal, an Enum or a list of these"
    )


def _without_none(hint: Any) -> Any:
    """Return what an optional type is optional of; any other type as it is."""
    if get_origin(hint) is Annotated:
        return _without_none(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        options = [option for option in get_args(hint) if option is not types.NoneType]
        return _without_none(options[0]) if len(options) == 1 else hint
    return hint


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    # Models write null for what they leave out.
    nullable = schema | {"type": [schema["type"], "null"]}
    return nullable | ({"enum": [*schema["enum"], None]} if "enum" in schema else {})


def _converters(function: Callable[..., Any]) -> Mapping[str, Callable[[Any], Any]]:
    """Return how arguments become what the function takes, where JSON has no such type."""
    converters = {name: _converter(hint) for name, hint in _hints(function).items()}
    return {name: convert for name, convert in converters.items() if convert is not None}


def _converter(hint: Any) -> Callable[[Any], Any] | None:
    kind = _without_none(hint)
    convert: Callable[[Any], Any] | None = None
    if get_origin(kind) is list:
        item = _converter(get_args(kind)[0])
        convert = item and (lambda values: [item(value) for value in values])
    elif inspect.isclass(kind) and issubclass(kind, enum.Enum):
        convert = {str(member.value): member for member in kind}.__getitem__
    elif kind is int:
        convert = int  # JSON writes 3.0 where 3 is meant
    if convert is None:
        return None
    return lambda value: None if value is None else convert(value)
