"""All tools of a configuration, complete and ready to be called."""

import functools
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from voicekiosk.config.schema import Tool
from voicekiosk.tools import builtin, functions
from voicekiosk.tools.arguments import misfits
from voicekiosk.tools.builtin import Host
from voicekiosk.tools.command import run_command
from voicekiosk.tools.isolated import run_isolated
from voicekiosk.tools.outcome import Entry, Run, ToolError

logger = logging.getLogger("voicekiosk.tools")


@dataclass(frozen=True, slots=True)
class Catalog:
    """What can be called, by name; and what of the configuration cannot, in sentences for its owner."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def tools(self) -> tuple[Tool, ...]:
        """Return the tools as the service is to be told of them."""
        return tuple(entry.tool for entry in self.entries.values())

    def find(self, name: str, arguments: dict[str, Any]) -> Entry:
        """Return the tool for a call. Raises `ToolError` for an unknown one or arguments that do not fit."""
        entry = self.entries.get(name)
        if entry is None:
            known = ", ".join(self.entries) or "none"
            raise ToolError(f"there is no tool called {name[:64]} here; there are: {known}")
        if found := misfits(entry.tool.parameters, arguments):
            raise ToolError(
                f"{'; '.join(found)}; ask for what is missing, or call it again with other values"
            )
        return entry


def catalog(tools: Iterable[Tool], host: Host, socket: str = "", unit_socket: str = "") -> Catalog:
    """Make the tools of a configuration ready.

    Commands run behind `socket` and units start behind `unit_socket`; without one, as children.
    """
    entries: dict[str, Entry] = {}
    problems: list[str] = []
    for tool in tools:
        try:
            entries[tool.name] = _entry(tool, host, socket, unit_socket)
        except ToolError as error:
            problems.append(f"the tool {tool.name} cannot be offered: {error}")
        except Exception as error:
            # Whatever a package does wrong costs this one tool, not the kiosk.
            logger.debug("reading the tool %s failed", tool.name, exc_info=True)
            problems.append(f"the tool {tool.name} cannot be offered: {type(error).__name__}: {error}")
    return Catalog(entries, tuple(problems))


def _entry(tool: Tool, host: Host, socket: str, unit_socket: str) -> Entry:
    if tool.builtin:
        return builtin.entry(tool, host, unit_socket)
    if tool.python:
        function = functions.load_function(tool.python)
        complete = msgspec.structs.replace(
            tool,
            description=tool.description or functions.description(function),
            parameters=functions.parameters(function),
        )
        return Entry(complete, functions.runner(function))
    return Entry(tool, _command(tool, socket))


def _command(tool: Tool, socket: str) -> Run:
    if socket:
        return functools.partial(run_isolated, socket, name=tool.name)
    return functools.partial(_local, tool)


async def _local(tool: Tool, arguments: dict[str, Any]) -> object:
    return await run_command(tool.command, arguments, tool.name)
