"""What a session gives back: messages to send, sockets to close, and things that happened."""

from dataclasses import dataclass

from voicekiosk.agent.events import AgentEvent


@dataclass(frozen=True, slots=True)
class Send:
    """Put this text frame on the socket."""

    frame: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """Close the socket; nothing more is expected from it. `suspect`: without waiting for the other side."""

    suspect: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """A line for the journal."""

    text: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """How the next socket is to be opened; `token` replaces the key when the service gave one."""

    resuming: bool
    token: str | None = None

    def __repr__(self) -> str:
        """Tell without the token."""
        return f"Attempt(resuming={self.resuming})"


Output = Send | Close | Note | AgentEvent
Outputs = tuple[Output, ...]
