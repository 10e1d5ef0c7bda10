"""What the rest of the house hears from the agent: one frozen value an event.

Positions are counted in samples of 24 kHz mono 16-bit PCM. No event ever holds a key or a token.
"""

from enum import StrEnum
from typing import Any

from msgspec import Struct


class Cause(StrEnum):
    """Why there is no session; each needs something else from the person who looks after the kiosk."""

    DNS = "dns"
    """The name of the service does not resolve."""
    NO_ROUTE = "no_route"
    """There is no way to the service: no network, no default route."""
    REFUSED = "refused"
    """The host answered that nobody listens there."""
    TIMEOUT = "timeout"
    """Nobody answered in time."""
    NETWORK = "network"
    """A connection that worked was lost: reset, or silent for too long."""
    TLS = "tls"
    """The server's certificate, or the TLS handshake, is not acceptable."""
    CLOCK = "clock"
    """The certificate's dates do not fit this machine's clock, and the clock is the likelier liar."""
    CAPTIVE_PORTAL = "captive_portal"
    """Something between us and the service answers with web pages."""
    PROXY = "proxy"
    """The configured proxy cannot be reached or does not let us through."""
    KEY = "key"
    """The credential is missing or was refused."""
    CONFIG = "config"
    """The service refused what the configuration asks for."""
    CAPACITY = "capacity"
    """The account or the platform has no session to spare at the moment."""
    SERVER = "server"
    """The service failed, or broke its own protocol."""
    EXPIRED = "expired"
    """The session reached the end of its life."""


class Connecting(Struct, frozen=True):
    """A connection attempt starts; `attempt` counts from 1 since the last session was ready."""

    attempt: int
    resuming: bool


class Ready(Struct, frozen=True):
    """Audio may flow. The count of samples sent starts at 0 with every `Ready`.

    `resumed`: the service still knows the conversation. `continued`: it is a fresh session in the
    middle of a conversation, told of the last turns; the current utterance has to be sent again.
    """

    session_id: str
    resumed: bool
    continued: bool


class SpeechStarted(Struct, frozen=True):
    """The service hears the visitor; what is playing has to be flushed (protocol 6.4)."""


class SpeechStopped(Struct, frozen=True):
    """The service closed the visitor's turn; may come twice, or without a start."""


class UserText(Struct, frozen=True):
    """The whole of what the visitor has said in this utterance so far; replaces the text before."""

    text: str
    final: bool


class ReplyStarted(Struct, frozen=True):
    """A reply begins; it may stay without audio and may never be done."""

    reply_id: str


class ReplyAudio(Struct, frozen=True):
    """A piece of a reply, to be queued for the loudspeaker."""

    reply_id: str
    pcm: bytes


class AgentText(Struct, frozen=True):
    """The whole text of a reply so far; it runs ahead of the audio and may hold words never spoken."""

    reply_id: str
    text: str
    final: bool
    interrupted: bool


class ReplyDone(Struct, frozen=True):
    """The service has sent all of a reply; the loudspeaker is still busy with it.

    `interrupted`: flush what is playing.
    """

    reply_id: str
    interrupted: bool


class ToolCalled(Struct, frozen=True):
    """The agent wants a tool to run; exactly one answer is owed unless its reply is interrupted.

    `epoch` goes back with the answer. `ours` is False for a tool that the service runs by itself: that
    call is only told (protocol §7.4).
    """

    call_id: str
    name: str
    arguments: dict[str, Any]
    epoch: int = 0
    ours: bool = True


class ToolsVoid(Struct, frozen=True):
    """The reply that made these calls was interrupted: nobody wants their results any more."""

    call_ids: tuple[str, ...]


class Proven(Struct, frozen=True):
    """So many samples of this connection's audio have certainly arrived (a pong came back)."""

    samples: int


class Dropped(Struct, frozen=True):
    """The session or the attempt is lost and the next attempt starts in `retry_in_s` by itself."""

    cause: Cause
    detail: str
    retry_in_s: float


class Refused(Struct, frozen=True):
    """The service will not have us as we are; nothing is tried again until somebody asks.

    With `Cause.KEY` asking helps only once the credential or the configuration has changed.
    """

    code: str
    message: str
    cause: Cause


class Ended(Struct, frozen=True):
    """The session that we wished to end is over; `duration_s` is the service's count, if it came."""

    duration_s: float | None


class Trouble(Struct, frozen=True):
    """The service reported an error that the conversation survives."""

    code: str
    message: str


AgentEvent = (
    Connecting
    | Ready
    | SpeechStarted
    | SpeechStopped
    | UserText
    | ReplyStarted
    | ReplyAudio
    | AgentText
    | ReplyDone
    | ToolCalled
    | ToolsVoid
    | Proven
    | Dropped
    | Refused
    | Ended
    | Trouble
)
