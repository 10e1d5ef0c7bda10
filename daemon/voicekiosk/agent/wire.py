"""The wire format of the Voice Agent API: JSON text in, typed values out, and back (protocol, appendix A).

`decode` never raises: the service changes between its own documents, and a frame that we do not
understand must not end a conversation.
"""

from typing import Any

import msgspec
from msgspec import Struct


class ServerEvent(Struct, frozen=True, tag_field="type"):
    """A message of the service; fields that we do not use are not declared and so ignored."""


class EchoedSettings(Struct, frozen=True):
    """What the service says the session is set to; unset values come back as null (protocol 3.1)."""

    system_prompt: str | None = None
    greeting: str | None = None
    tools: Any = None


class SessionUpdated(ServerEvent, tag="session.updated", frozen=True):
    """The service took a `session.update`."""

    config: EchoedSettings = EchoedSettings()


class SessionReady(ServerEvent, tag="session.ready", frozen=True):
    """The session is open; audio may flow."""

    session_id: str = ""
    resume_token: str = ""
    config: EchoedSettings = EchoedSettings()


class SessionEnded(ServerEvent, tag="session.ended", frozen=True):
    """The session is over and cannot be resumed; close 1000 follows."""

    session_duration_seconds: float | None = None


class SessionError(ServerEvent, tag="session.error", frozen=True):
    """Something is wrong; whether it is fatal, the close frame decides (protocol 8.1)."""

    code: str = ""
    message: str = ""
    param: str = ""


class SpeechStarted(ServerEvent, tag="input.speech.started", frozen=True):
    """The visitor talks."""


class SpeechStopped(ServerEvent, tag="input.speech.stopped", frozen=True):
    """The visitor's turn is closed."""


class UserDelta(ServerEvent, tag="transcript.user.delta", frozen=True):
    """The whole utterance so far; `delta` is the name that one page of the documents gives it."""

    text: str = ""
    delta: str = ""


class User(ServerEvent, tag="transcript.user", frozen=True):
    """The final text of the visitor's turn."""

    text: str


class ReplyStarted(ServerEvent, tag="reply.started", frozen=True):
    """A reply begins."""

    reply_id: str = ""


class ReplyAudio(ServerEvent, tag="reply.audio", frozen=True):
    """A piece of a reply; base64 in JSON becomes bytes here."""

    data: bytes
    reply_id: str = ""


class AgentDelta(ServerEvent, tag="transcript.agent.delta", frozen=True):
    """About one word to append, with its place in the reply's audio if the service knows it."""

    delta: str
    reply_id: str = ""
    start_ms: float | None = None


class Agent(ServerEvent, tag="transcript.agent", frozen=True):
    """The final text of a reply, cut at what was spoken when it was interrupted."""

    text: str
    reply_id: str = ""
    interrupted: bool = False


class ReplyDone(ServerEvent, tag="reply.done", frozen=True):
    """The service has sent all of a reply; a missing status means completed."""

    reply_id: str = ""
    status: str = "completed"


class ReplyError(ServerEvent, tag="reply.error", frozen=True):
    """A reply failed inside the service; a `reply.done` follows (undocumented)."""

    reply_id: str = ""
    code: str = ""
    message: str = ""


class ToolCall(ServerEvent, tag="tool.call", frozen=True):
    """The agent calls a tool."""

    call_id: str
    name: str
    arguments: dict[str, Any]


class Unknown(Struct, frozen=True):
    """A message of a type that we do not know; to be ignored (checklist 28)."""

    type: str


class Malformed(Struct, frozen=True):
    """A frame that cannot be used. `kind` is one of a small set, `reason` is for the journal."""

    kind: str
    reason: str


Known = (
    SessionUpdated
    | SessionReady
    | SessionEnded
    | SessionError
    | SpeechStarted
    | SpeechStopped
    | UserDelta
    | User
    | ReplyStarted
    | ReplyAudio
    | AgentDelta
    | Agent
    | ReplyDone
    | ReplyError
    | ToolCall
)

_BY_TYPE: dict[str, type[ServerEvent]] = {
    str(event.__struct_config__.tag): event for event in ServerEvent.__subclasses__()
}
_decoder: msgspec.json.Decoder[Known] = msgspec.json.Decoder(Known)
_encoder = msgspec.json.Encoder()
# A frame too deep to parse raises RecursionError; bytes that are no UTF-8 raise UnicodeDecodeError.
_UNUSABLE = (msgspec.DecodeError, ValueError, RecursionError)


def decode(frame: bytes) -> Known | Unknown | Malformed:
    """Read one frame of the service; never raises."""
    try:
        return _decoder.decode(frame)
    except _UNUSABLE:
        return _decode_leniently(frame)


def _decode_leniently(frame: bytes) -> Known | Unknown | Malformed:
    """Accept what is known to come in other shapes: old names, nulls, JSON in JSON, no type at all."""
    try:
        message = msgspec.json.decode(frame)
    except _UNUSABLE as error:
        return Malformed("not JSON", _reason(error))
    if not isinstance(message, dict):
        return Malformed("not an object", f"a JSON {type(message).__name__}")
    name = message.get("type")
    if name is None and isinstance(message.get("code"), str):
        name = "session.error"
    if not isinstance(name, str):
        return Malformed("no type", f"keys: {', '.join(list(message)[:8])[:200]}")
    name = name.strip().lower()
    if name == "error":
        name = "session.error"
    event = _BY_TYPE.get(name)
    if event is None:
        return Unknown(name[:64])
    if event is ToolCall:
        message["arguments"] = _object(message.get("arguments", message.get("args")))
    if event is SessionError and isinstance(message.get("error"), dict):
        message = message["error"] | message
    return _repair(event, name, message)


def _repair(event: type[ServerEvent], name: str, message: dict[str, Any]) -> Known | Malformed:
    """Keep the fields that fit; a field that does not fit counts as missing."""
    fitting: dict[str, Any] = {}
    for declared in msgspec.structs.fields(event):
        try:
            fitting[declared.name] = msgspec.convert(
                message[declared.encode_name], declared.type, strict=False
            )
        except (KeyError, *_UNUSABLE) as error:
            if declared.required:
                return Malformed(name, f"{declared.name}: {_reason(error)}")
    return event(**fitting)  # type: ignore[return-value]  # every subclass of ServerEvent is in Known


def _object(value: object) -> object:
    """Take arguments as an object, as JSON text, or as nothing: the call has to be answered anyway."""
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except _UNUSABLE:
            value = None
    return value if isinstance(value, dict) else {}


def _reason(error: Exception) -> str:
    return "missing" if isinstance(error, KeyError) else str(error)[:200]


END = b'{"type":"session.end"}'


class _InputAudio(Struct, tag_field="type", tag="input.audio"):
    audio: bytes


def encode_audio(pcm: bytes) -> bytes:
    """Wrap 24 kHz mono s16le (1.7 us for 40 ms; joining strings around `b2a_base64` takes the same)."""
    return _encoder.encode(_InputAudio(pcm))


def encode_update(settings: dict[str, Any]) -> bytes:
    """Put settings where the service looks for them; anywhere else they are silently ignored."""
    return _encoder.encode({"type": "session.update", "session": settings})


def encode_resume(session_id: str) -> bytes:
    """Ask for an old session back; only as the first message on a new socket."""
    return _encoder.encode({"type": "session.resume", "session_id": session_id})


def encode_reply_create(instructions: str | None = None) -> bytes:
    """Ask for a reply without the visitor speaking."""
    message = {"type": "reply.create"}
    if instructions:
        message["instructions"] = instructions
    return _encoder.encode(message)


def encode_tool_result(call_id: str, result: str, *, is_error: bool) -> bytes:
    """Answer a tool call; `result` is text that holds JSON, never an object."""
    return _encoder.encode(
        {"type": "tool.result", "call_id": call_id, "result": result, "is_error": is_error}
    )
