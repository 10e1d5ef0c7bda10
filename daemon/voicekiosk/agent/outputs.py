"""What a session gives back: messages to send, sockets to close, and things that happened."""

from msgspec import Struct

from voicekiosk.agent.events import AgentEvent


class Send(Struct, frozen=True):
    """Put this text frame on the socket."""

    frame: bytes


class Close(Struct, frozen=True):
    """Close the socket; nothing more is expected from it. `suspect`: without waiting for the other side."""

    suspect: bool = False


class Note(Struct, frozen=True):
    """A line for the journal."""

    text: str


class Attempt(Struct, frozen=True):
    """How the next socket is to be opened; `token` replaces the key when the service gave one."""

    resuming: bool
    token: str | None = None

    def __repr__(self) -> str:
        """Tell without the token."""
        return f"Attempt(resuming={self.resuming})"


Output = Send | Close | Note | AgentEvent
Outputs = tuple[Output, ...]
