"""What the server sends, field by field as in section 3 and appendix A of the protocol document."""

from __future__ import annotations

import random
import string
from typing import Any

Frame = dict[str, Any]

VOICES = (
    "alba", "anna", "charles", "estelle", "eve", "george", "giovanni", "iris", "jane", "jean",
    "juergen", "lola", "mary", "michael", "paul", "rafael", "reid", "vera",
)  # fmt: skip

# Exact texts of 8.2; those marked * are not known live and follow the general pattern.
AUTH_FAILED = "Authentication failed"
NOT_JSON = "Invalid JSON format."
BAD_AUDIO = "Invalid audio data"
AGENT_UNKNOWN = "Agent not found"
AGENT_EXCLUSIVE = "agent_id is mutually exclusive with other session fields"
AGENT_LATE = "agent_id can only be set on the first session.update"
LLM_INLINE = (
    "BYO LLM config is not allowed on session.update; define it on a stored agent via POST /v1/agents"
)
FORMAT_SHAPE = "Audio format must be a JSON object"
RESUME_REFUSED = "Session not found or grace window has expired"
RESUME_FORBIDDEN = "Session belongs to another account"  # *
SESSION_EXPIRED = "Session has expired"  # *
TOO_FAST = "Audio is arriving faster than real time; the excess was dropped"  # *
FIRST_MESSAGE = "First message must be session.update or session.resume"  # *
NOT_READY = "Invalid message format for type '{}'"  # *


def bad_body(kind: str) -> str:
    """Return the text for a known type with a bad body."""
    return f"Invalid message format for type '{kind}'"


def unknown_type(kind: str) -> str:
    """Return the text for an unknown type."""
    return f"Unknown message type: {kind}"


def immutable(param: str) -> str:
    """Return the text for a field that is frozen after ready."""
    return f"'{param}' cannot be changed after the first session.update"


def bad_voice(voice: str) -> str:
    """Return the text for a voice that does not exist."""
    return f"Invalid voice '{voice}'. Must be one of: {', '.join(VOICES)}"


class Ids:
    """Ids in the live formats, from the seed (section 3)."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def _hex(self, digits: int) -> str:
        return f"{self._rng.getrandbits(4 * digits):0{digits}x}"

    def session(self) -> str:
        """Return a session id."""
        return f"sess_{self._hex(32)}"

    def reply(self) -> str:
        """Return a reply id."""
        return f"resp_{self._hex(32)}"

    def item(self) -> str:
        """Return an item id."""
        return f"msg_{self._hex(32)}"

    def call(self) -> str:
        """Return a call id of the managed model."""
        return f"chatcmpl-tool-{self._hex(16)}"

    def agent(self) -> str:
        """Return the id of a stored agent."""
        return f"agent_{self._hex(32)}"

    def token(self, length: int = 2440) -> str:
        """Return a token of about the live length."""
        letters = string.ascii_letters + string.digits + "-_"
        return "".join(self._rng.choices(letters, k=length))


def session_error(
    code: str, message: str, *, param: str | None = None, session_id: str | None = None, bare: bool = False
) -> Frame:
    """Return `session.error`; `bare` leaves out the two fields that protocol-level errors omit."""
    frame: Frame = {"type": "session.error", "code": code, "message": message}
    if not bare:
        frame |= {"session_id": session_id, "param": param}
    return frame


def user_delta(item_id: str, text: str) -> Frame:
    """Return the utterance so far."""
    return {"type": "transcript.user.delta", "item_id": item_id, "text": text}


def user_text(item_id: str, text: str) -> Frame:
    """Return the final text of a turn."""
    return {"type": "transcript.user", "item_id": item_id, "text": text}


def agent_delta(reply_id: str, item_id: str, delta: str, start_ms: int | None, end_ms: int | None) -> Frame:
    """Return one word of the agent's."""
    return {
        "type": "transcript.agent.delta",
        "reply_id": reply_id,
        "item_id": item_id,
        "delta": delta,
        "start_ms": start_ms,
        "end_ms": end_ms,
    }


def agent_text(reply_id: str, item_id: str, text: str, *, interrupted: bool) -> Frame:
    """Return the agent's final text."""
    return {
        "type": "transcript.agent",
        "reply_id": reply_id,
        "item_id": item_id,
        "text": text,
        "interrupted": interrupted,
    }


def reply_started(reply_id: str, item_id: str) -> Frame:
    """Return the beginning of a reply."""
    return {"type": "reply.started", "reply_id": reply_id, "item_id": item_id}


def reply_done(reply_id: str, status: str) -> Frame:
    """Return the end of a reply."""
    return {"type": "reply.done", "reply_id": reply_id, "status": status}


def reply_error(reply_id: str, code: str, message: str) -> Frame:
    """Return a failed reply, in the schema's form."""
    return {
        "type": "reply.error",
        "reply_id": reply_id,
        "code": code,
        "message": message,
        "retryable": True,
        "status_code": 502,
        "provider_code": None,
        "provider_param": None,
    }


def tool_call(call_id: str, name: str, arguments: dict[str, Any]) -> Frame:
    """Return a tool call."""
    return {"type": "tool.call", "call_id": call_id, "name": name, "arguments": arguments}
