"""The shape of what `voicekiosk report --json` and `voicekiosk latency --json` print.

Times `t_s` are seconds since the press, or whatever else the turn began with. Keys are added, never
renamed.
"""

from typing import TypedDict

from voicekiosk.service.status import Status


class Mark(TypedDict):
    """Something that happened."""

    t_s: float
    kind: str
    """As the `kind` of an event, or a moment of the recorder's own: first_frame, first_send, …"""
    text: str


class Change(TypedDict):
    """From `t_s` on a lane shows `label`, until the next change."""

    t_s: float
    label: str


class Level(TypedDict):
    """Peaks of a signal, one for each `bin_s` from the beginning of the turn on."""

    bin_s: float
    dbfs: list[int | None]
    """None where nothing was measured."""


class Turn(TypedDict):
    """One turn: what happened from a press to rest, and after it until the next."""

    number: int
    """Counts from 1 since the start of the daemon; 0 is what came before the first turn."""
    at_s: float
    """When it began, in Unix time."""
    began: str
    """By what: start, question, press (which opened no microphone) or answer (without a question)."""
    rest_s: float | None
    """When the kiosk came to rest, or the next turn began; None while neither has happened."""
    marks: list[Mark]
    left_out: int
    """Marks that there was no room for."""
    lanes: dict[str, list[Change]]
    """button, lamp, state and session."""
    levels: dict[str, Level]
    """microphone and loudspeaker, both before any volume."""
    moments: dict[str, float]
    """When each step of the turn was first seen."""
    delays_ms: dict[str, float]


class Delay(TypedDict):
    """One measure over all turns that have it."""

    name: str
    text: str
    count: int
    p50_ms: float | None
    p95_ms: float | None
    max_ms: float | None


class Latency(TypedDict):
    """Result of latency."""

    turns: int
    delays: list[Delay]


class Recording(TypedDict):
    """Result of report."""

    made_at_s: float
    """Unix time."""
    words: bool
    """Whether what was said may be in here: `log.transcripts`."""
    status: Status
    turns: list[Turn]
    """The oldest first."""
    latency: Latency
