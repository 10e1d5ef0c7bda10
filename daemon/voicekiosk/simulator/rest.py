"""The REST side: temporary tokens, sessions, stored agents (1.3, section 9)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from voicekiosk.simulator import frames
from voicekiosk.simulator.configuration import Refused, check
from voicekiosk.simulator.http import Request, Response
from voicekiosk.simulator.world import Life, World

Json = dict[str, Any]


def respond(request: Request, body: bytes, world: World, now_s: float, region: str) -> Response:
    """Answer a request under /v1."""
    parts = [part for part in request.path.split("/") if part][1:]
    if parts == ["token"] and request.method == "GET":
        return _token(request, world, now_s)
    if not _authorized(request, world):
        return Response(404, {"detail": "Invalid API key"})
    match request.method, parts:
        case "GET", ["sessions"]:
            return _sessions(request, world, region)
        case "GET", ["sessions", session_id]:
            life = _life(world, session_id, region)
            return Response(200, _session(life)) if life else _missing("Session")
        case "DELETE", ["sessions", session_id]:
            life = _life(world, session_id, region)
            if life is None:
                return _missing("Session")
            life.deleted = True
            return Response(204)
        case "POST", ["agents"]:
            return _store(world, body, region, None)
        case "GET", ["agents"]:
            agents = [_agent(world, key) for key in world.agents if world.region_of(key) in ("", region)]
            return Response(
                200, {"agents": agents, "has_more": False, "response_metadata": {"next_cursor": None}}
            )
        case method, ["agents", agent_id] if method in ("GET", "PUT", "DELETE"):
            if agent_id not in world.agents or world.region_of(agent_id) not in ("", region):
                return _missing("Agent")
            return _one_agent(method, world, agent_id, body, region)
        case _:
            return Response(404, {"detail": "Not Found"})


def _token(request: Request, world: World, now_s: float) -> Response:
    problems: list[Json] = []
    values: dict[str, int | None] = {}
    for name, least, most, required in (
        ("expires_in_seconds", 1, 600, True),
        ("max_session_duration_seconds", 60, 10800, False),
    ):
        values[name] = _integer(request, name, least, most, problems, required=required)
    authorization = request.headers.get("authorization")
    if authorization is None:
        problems.append(_problem("missing", ["header", "authorization"], "Field required", None))
    if problems:
        return Response(422, {"detail": problems})
    if not _authorized(request, world):
        return Response(404, {"detail": "Invalid API key"})
    expires_in_s = values["expires_in_seconds"] or 0
    cap_s = values["max_session_duration_seconds"]
    token = world.make_token(expires_in_s, cap_s, now_s)
    return Response(200, {"token": token, "expires_in_seconds": expires_in_s})


def _integer(
    request: Request, name: str, least: int, most: int, problems: list[Json], *, required: bool
) -> int | None:
    where = ["query", name]
    text = request.query.get(name)
    if text is None:
        if required:
            problems.append(_problem("missing", where, "Field required", None))
        return None
    try:
        value = int(text[:20])
    except ValueError:
        message = "Input should be a valid integer, unable to parse string as an integer"
        problems.append(_problem("int_parsing", where, message, text[:100]))
        return None
    if value < least:
        message = f"Input should be greater than or equal to {least}"
        problems.append(_problem("greater_than_equal", where, message, text) | {"ctx": {"ge": least}})
    elif value > most:
        message = f"Input should be less than or equal to {most}"
        problems.append(_problem("less_than_equal", where, message, text) | {"ctx": {"le": most}})
    return value


def _problem(kind: str, where: list[str], message: str, given: Any) -> Json:
    return {"type": kind, "loc": where, "msg": message, "input": given}


def _authorized(request: Request, world: World) -> bool:
    authorization = request.headers.get("authorization", "")
    return authorization.removeprefix("Bearer ").strip() == world.key


def _missing(what: str) -> Response:
    return Response(404, {"detail": f"{what} not found"})


def _life(world: World, session_id: str, region: str) -> Life | None:
    life = world.lives.get(session_id)
    return life if life is not None and not life.deleted and life.region == region else None


def _session(life: Life) -> Json:
    def iso(unix_s: float) -> str:
        return datetime.fromtimestamp(unix_s, UTC).isoformat()

    ended = life.state != "live"
    return {
        "id": life.session_id,
        "agent_id": life.agent_id,
        "status": "completed" if ended else "active",
        "public_close_reason": life.reason,
        "duration_seconds": round(life.duration_s, 6) if ended else None,
        "config": life.config,
        "created_at": iso(life.opened_unix_s),
        "ended_at": iso(life.opened_unix_s + life.duration_s) if ended else None,
    }


def _sessions(request: Request, world: World, region: str) -> Response:
    problems: list[Json] = []
    limit = _integer(request, "limit", 1, 200, problems, required=False) or 50
    if problems:
        return Response(422, {"detail": problems})
    newest = [life for life in reversed(world.lives.values()) if not life.deleted and life.region == region]
    status, agent_id = request.query.get("status"), request.query.get("agent_id")
    found = [
        _session(life)
        for life in newest
        if status in (None, "completed" if life.state != "live" else "active")
        and agent_id in (None, life.agent_id)
    ]
    more = len(found) > limit
    return Response(
        200, {"sessions": found[:limit], "has_more": more, "response_metadata": {"next_cursor": None}}
    )


def _store(world: World, body: bytes, region: str, agent_id: str | None) -> Response:
    def invalid(message: str) -> Response:
        return Response(422, {"error": message, "code": "validation_error", "details": []})

    try:
        given = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return invalid("Request body is not valid JSON")
    if not isinstance(given, dict):
        return invalid("Request body must be an object")
    voice = given.get("voice")
    if not isinstance(given.get("name"), str) or not isinstance(given.get("system_prompt"), str):
        return invalid("name and system_prompt are required")
    if not isinstance(voice, dict) or voice.get("voice_id") not in frames.VOICES:
        return invalid("voice.voice_id must be one of: " + ", ".join(frames.VOICES))
    session: Json = {
        key: given[key]
        for key in ("system_prompt", "greeting", "input", "tools")
        if given.get(key) is not None
    }
    session["output"] = {"voice": voice["voice_id"]}
    try:
        check(session)
    except Refused as refused:
        return invalid(refused.message if refused.param else "a field of the agent has a wrong type")
    status = 201 if agent_id is None else 200
    agent_id = agent_id or world.ids.agent()
    world.store_agent(agent_id, session, region)
    return Response(status, _agent(world, agent_id) | {"name": given["name"]})


def _agent(world: World, agent_id: str) -> Json:
    session = world.agents[agent_id]
    return {
        "id": agent_id,
        "system_prompt": session.get("system_prompt", ""),
        "greeting": session.get("greeting"),
        "voice": {"voice_id": session["output"]["voice"]},
        "tools": session.get("tools", []),
    }


def _one_agent(method: str, world: World, agent_id: str, body: bytes, region: str) -> Response:
    match method:
        case "GET":
            return Response(200, _agent(world, agent_id))
        case "PUT":
            return _store(world, body, region, agent_id)
        case _:
            del world.agents[agent_id]
            return Response(204)
