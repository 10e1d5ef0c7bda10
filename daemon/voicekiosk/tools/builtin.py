"""The kiosk's own tools: each off until the configuration names it."""

import asyncio
import datetime as dt
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from voicekiosk.config.schema import Tool
from voicekiosk.tools.command import run_command
from voicekiosk.tools.http import get
from voicekiosk.tools.isolated import run_isolated
from voicekiosk.tools.outcome import Entry, Run, ToolError


class Host(Protocol):
    """What these tools need of the kiosk around them."""

    def set_volume(self, percent: int) -> int:
        """Set the loudness; return what it is now, which may be less."""
        ...

    def volume(self) -> int:
        """Return the loudness."""
        ...

    def personas(self) -> tuple[str, ...]:
        """Return the names of all that can speak."""
        ...

    def choose_persona(self, name: str) -> None:
        """Let another persona speak from now on."""

    def end_conversation(self) -> None:
        """End the conversation after the agent's next sentence."""

    async def pulse(self, number: int, duration_s: float, *, active_high: bool) -> None:
        """Switch an output on for so long. Raises `ToolError` when it cannot be had."""


@dataclass(frozen=True, slots=True)
class _Kind:
    description: str
    parameters: dict[str, Any]


async def start_unit(tool: Tool, unit: str) -> str:
    """Start a systemd unit that the tool lists, with the rights of this process. Raises `ToolError`."""
    if unit not in tool.units:
        raise ToolError(f"{unit[:64]} is none of the units that {tool.name} may start")
    await run_command(("systemctl", "--no-ask-password", "start", "--", unit), {}, tool.name)
    return f"{unit} was started."


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


KINDS = {
    "clock": _Kind("Tells the local time, the date and the day of the week, now.", _object()),
    "volume": _Kind(
        "Makes the voice louder or quieter for the visitor. Give either the loudness or a change of it.",
        {
            "type": "object",
            "properties": {
                "percent": {"type": "integer", "minimum": 0, "maximum": 100, "description": "new loudness"},
                "change": {"type": "integer", "minimum": -100, "maximum": 100, "description": "such as -20"},
            },
            "additionalProperties": False,
        },
    ),
    "end": _Kind(
        "Ends the conversation, once the visitor has said goodbye or needs nothing more.", _object()
    ),
    "gpio": _Kind("Switches an output of the kiosk on for a moment.", _object()),
    "unit": _Kind("Starts one of the services of this machine.", {}),
    "persona": _Kind("Lets somebody else speak in your place, when the visitor asks for that.", {}),
    "http": _Kind("Fetches the state of a device in the local network.", {}),
}


def entry(tool: Tool, host: Host, unit_socket: str = "") -> Entry:
    """Return the built-in tool that `tool` asks for, complete; units start behind `unit_socket`, if any."""
    kind = KINDS[tool.builtin]
    schema = tool.parameters or kind.parameters
    if tool.builtin == "unit":
        schema = _object(unit={"type": "string", "enum": list(tool.units)})
    if tool.builtin == "persona":
        schema = _object(persona={"type": "string", "enum": list(host.personas())})
    complete = msgspec.structs.replace(
        tool, description=tool.description or kind.description, parameters=schema
    )
    return Entry(complete, _run(tool, host, unit_socket))


def _run(tool: Tool, host: Host, unit_socket: str) -> Run:
    async def clock(_: dict[str, Any]) -> object:
        now = dt.datetime.now().astimezone()
        return {
            "time": f"{now:%H:%M}",
            "date": f"{now:%Y-%m-%d}",
            "weekday": f"{now:%A}",
            "time_zone": now.tzname(),
        }

    async def volume(arguments: dict[str, Any]) -> object:
        match arguments:
            case {"percent": percent}:
                wanted = int(percent)
            case {"change": change}:
                wanted = host.volume() + int(change)
            case _:
                raise ToolError("give percent or change")
        return {"percent": host.set_volume(min(100, max(0, wanted)))}

    async def end(_: dict[str, Any]) -> object:
        host.end_conversation()
        return "The conversation ends after your next sentence: say goodbye in a few words."

    async def persona(arguments: dict[str, Any]) -> object:
        name = arguments["persona"]
        # After the answer to this call, which the one before has made.
        asyncio.get_running_loop().call_soon(host.choose_persona, name)
        return f"From now on you are {name}: go on as that one, in one sentence."

    async def gpio(_: dict[str, Any]) -> object:
        assert tool.output_gpio is not None  # noqa: S101 - the check of the configuration sees to it
        await host.pulse(tool.output_gpio, tool.pulse_s, active_high=tool.output_active_high)
        return f"It was switched on for {tool.pulse_s:g} s."

    async def unit(arguments: dict[str, Any]) -> object:
        if unit_socket:
            return await run_isolated(unit_socket, arguments, tool.name)
        return await start_unit(tool, arguments["unit"])

    async def http(arguments: dict[str, Any]) -> object:
        return await get(tool.url, arguments)

    runs = (clock, volume, end, persona, gpio, unit, http)
    return {run.__name__: run for run in runs}[tool.builtin]
