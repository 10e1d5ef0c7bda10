"""What `status` tells about the connection to the service."""

from dataclasses import dataclass, field
from enum import StrEnum

from voicekiosk.agent.events import Cause


class LinkState(StrEnum):
    """What the connection to the service is doing."""

    CLOSED = "closed"
    CONNECTING = "connecting"
    READY = "ready"
    ENDING = "ending"
    WAITING = "waiting"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a socket ended, in the service's own words, for its support."""

    close_code: int | None
    """None when no close frame came."""
    close_reason: str
    error_code: str
    """Of the last `session.error`; empty when there was none."""
    error_message: str


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """The state of the connection, for `status`. Times are time.monotonic() seconds."""

    state: LinkState
    since_s: float
    host: str
    session_id: str
    attempt: int
    cause: Cause | None
    detail: str
    retry_at_s: float | None
    round_trip_s: float | None
    audio_sent_samples: int
    audio_proven_samples: int
    drops: int
    resumed: int
    continued: int
    skipped: dict[str, int] = field(default_factory=dict)
    ending: Ending | None = None
    """How the last socket ended; None while there is one, or none was opened since."""
