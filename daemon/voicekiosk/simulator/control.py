"""Steering a running simulator: /stats, /drop, /say, /call-tool and /fault, parameters in the query."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from voicekiosk.errors import ConfigError
from voicekiosk.simulator.faults import KINDS
from voicekiosk.simulator.http import Request, Response
from voicekiosk.simulator.scenario import Fault

if TYPE_CHECKING:
    from voicekiosk.simulator.server import Simulator

PATHS = ("/stats", "/drop", "/say", "/call-tool", "/fault", "/scenario")


def respond(simulator: Simulator, request: Request) -> Response:
    """Answer a control request; a mistake in it is 400 with a sentence that says what is wanted."""
    query = request.query
    if request.method != "GET":
        return Response(405, {"error": "control requests are GET"})
    try:
        connection = int(query.get("connection", "0"))
        match request.path:
            case "/stats":
                return Response(200, simulator.stats())
            case "/drop":
                reached = simulator.drop(connection, code=int(query.get("code", "1006")))
            case "/say" if "hears" in query:
                reached = simulator.hear_as(query["hears"], connection)
            case "/say":
                reached = simulator.say(_wanted(query, "text"), connection)
            case "/call-tool":
                arguments = msgspec.json.decode(query.get("arguments", "{}"), type=dict[str, object])
                reached = simulator.call_tool(_wanted(query, "name"), arguments, connection)
            case "/fault":
                reached = simulator.fault(_fault(query), connection)
            case _:
                simulator.use_scenario(_wanted(query, "name"))
                return Response(200, {"ok": True})
    except (ConfigError, ValueError, msgspec.MsgspecError) as error:
        return Response(400, {"error": str(error)[:500]})
    if reached == 0:
        return Response(409, {"error": "no open connection that this could reach"})
    return Response(200, {"ok": True, "connections": reached})


def _wanted(query: dict[str, str], name: str) -> str:
    if not query.get(name):
        raise ConfigError(f"the parameter {name} is missing")
    return query[name]


def _fault(query: dict[str, str]) -> Fault:
    given = {key: value for key, value in query.items() if key != "connection"}
    given.setdefault("do", "")
    if given["do"] not in KINDS:
        raise ConfigError("the parameter do must be one of: " + ", ".join(KINDS))
    return msgspec.convert(given, Fault, strict=False)
