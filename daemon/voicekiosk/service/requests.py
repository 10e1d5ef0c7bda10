"""What one can ask of the running daemon: a type for each command, checked before anybody acts on it."""

import os
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from voicekiosk.service.protocol import VERSION, ErrorCode


class Command(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A command; its fields are the `args` of the request."""


class Status(Command, frozen=True):
    """Tell how things are; the result is a `service.status.Status`."""


class Press(Command, frozen=True):
    """Press the talk button."""


class Release(Command, frozen=True):
    """Release the talk button."""


class Mute(Command, frozen=True):
    """Switch the microphone off until unmuted."""


class Unmute(Command, frozen=True):
    """Let the microphone be used again."""


class Say(Command, frozen=True):
    """Let the agent say something of its own accord."""

    text: Annotated[str, Meta(min_length=1, max_length=4000)]


class Volume(Command, frozen=True):
    """Set the loudness of the loudspeaker, or only tell it."""

    percent: Annotated[int, Meta(ge=0, le=100)] | None = None


class Reload(Command, frozen=True):
    """Read the configuration file again."""


class Config(Command, frozen=True):
    """Tell the configuration in force; the result is a `service.status.ConfigInForce`."""


class ConfigDiff(Command, frozen=True):
    """Tell what a configuration would change; the result is a `service.status.ConfigChanges`."""

    config: dict[str, object]
    """All of it, as plain data; the file it comes from is checked by the one who asks."""


class ConfigConfirm(Command, frozen=True):
    """Let the configuration in force stay, whatever happens."""


class Level(Command, frozen=True):
    """Tell how loud the microphone is now, if it is open; the result is a `service.status.LevelNow`."""


class Hear(Command, frozen=True):
    """Give the last question back as it was sent; the result is a `service.status.LastQuestion`."""

    start: Annotated[int, Meta(ge=0, le=10_000_000)] = 0
    """The first sample that is wanted; a long question takes several requests."""


class HearAloud(Command, frozen=True):
    """Play the last question on the kiosk's loudspeaker."""


class Latency(Command, frozen=True):
    """Tell how long visitors waited in the last turns; the result is a `service.recording.Latency`."""


class Report(Command, frozen=True):
    """Tell all that is recorded of the last turns; the result is a `service.recording.Recording`."""


class SetKey(Command, frozen=True):
    """Use this API key from now on. Memory only; never shown."""

    key: Annotated[str, Meta(min_length=1, max_length=4096)]

    def __repr__(self) -> str:
        return "SetKey(key=<hidden>)"


Request = (
    Status
    | Press
    | Release
    | Mute
    | Unmute
    | Say
    | Volume
    | Reload
    | Config
    | ConfigDiff
    | ConfigConfirm
    | Level
    | Hear
    | HearAloud
    | Latency
    | Report
    | SetKey
)

REQUESTS: Final[dict[str, type[Request]]] = {
    "status": Status,
    "press": Press,
    "release": Release,
    "mute": Mute,
    "unmute": Unmute,
    "say": Say,
    "volume": Volume,
    "reload": Reload,
    "config": Config,
    "config-diff": ConfigDiff,
    "config-confirm": ConfigConfirm,
    "level": Level,
    "hear": Hear,
    "hear-aloud": HearAloud,
    "latency": Latency,
    "report": Report,
    "set-key": SetKey,
}

# Only root may do these, who can read the key's file anyway, and at a desk whoever runs the daemon.
# A visitor's voice is not for everybody who may press the button by hand.
PRIVILEGED: Final = frozenset({"set-key", "hear", "hear-aloud"})


def is_permitted(command: str, uid: int, environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether the user `uid` may do this; the daemon's own may only where there is no systemd."""
    return command not in PRIVILEGED or uid == 0 or (uid == os.getuid() and "NOTIFY_SOCKET" not in environ)


_LONGEST_ID: Final = 64
_LARGEST_ID: Final = 2**53


class BadRequestError(Exception):
    """A line that is not a request we can answer with a result. Holds nothing of the line's content."""

    def __init__(self, code: ErrorCode, message: str, request_id: int | str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.request_id = request_id


class Envelope(Struct, frozen=True):
    """A request whose form is right; `args` are not checked yet."""

    id: int | str | None
    command: str
    args: dict[str, object]


def parse_envelope(line: bytes) -> Envelope:
    """Take a line apart.

    Raises `BadRequestError`, with the request's id where it can be told.
    """
    try:
        message = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequestError(ErrorCode.BAD_REQUEST, "expected one JSON object a line") from None
    if not isinstance(message, dict):
        raise BadRequestError(ErrorCode.BAD_REQUEST, "expected one JSON object a line")
    request_id = _usable_id(message.get("id"))
    if message.get("v") != VERSION:
        raise BadRequestError(
            ErrorCode.UNSUPPORTED_VERSION,
            f'this daemon speaks "v": {VERSION} of the control protocol',
            request_id,
        )
    command, args = message.get("command"), message.get("args", {})
    if not isinstance(command, str) or not isinstance(args, dict):
        raise BadRequestError(
            ErrorCode.BAD_REQUEST, 'expected "command": a string and "args": an object', request_id
        )
    return Envelope(request_id, command, args)


def parse_request(envelope: Envelope) -> Request:
    """Check command and arguments.

    Raises `BadRequestError`.
    """
    kind = REQUESTS.get(envelope.command)
    if kind is None:
        known = ", ".join(REQUESTS)
        raise BadRequestError(
            ErrorCode.UNKNOWN_COMMAND,
            f"{_shown(envelope.command)}: unknown command; known are {known}, subscribe",
            envelope.id,
        )
    try:
        return msgspec.convert(envelope.args, kind)
    except msgspec.ValidationError as error:
        # What is wrong with a privileged command stays unsaid: the message could quote a key.
        detail = "" if envelope.command in PRIVILEGED else f": {error}"
        raise BadRequestError(
            ErrorCode.BAD_REQUEST, f"{envelope.command}: wrong arguments{detail}", envelope.id
        ) from None


def _usable_id(value: object) -> int | str | None:
    match value:
        case bool():
            return None
        case int() if -_LARGEST_ID <= value <= _LARGEST_ID:
            return value
        case str() if len(value) <= _LONGEST_ID:
            return value
        case _:
            return None


def _shown(text: str) -> str:
    return repr(text[:40])
