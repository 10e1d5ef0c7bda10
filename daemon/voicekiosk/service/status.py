"""The shape of what `voicekiosk status --json` prints. The kiosk fills it, the command line reads it.

Durations are seconds, counts are since the daemon started, an empty string means "nothing to say".
Keys are added, never renamed: scripts of the people who look after ten kiosks read them.
"""

from typing import Any, TypedDict


class LinkStatus(TypedDict):
    """The connection to the voice agent service."""

    state: str
    """closed, connecting, ready, resuming, waiting or refused."""
    since_s: float
    """How long it has been in this state."""
    host: str
    cause: str
    """Why it is not ready: network, dns, tls, captive_portal, proxy, clock, key, config, capacity, …"""
    detail: str
    """The cause in words, with what to do."""
    attempt: int
    """Attempts since the link was last ready."""
    retry_in_s: float | None
    round_trip_ms: float | None


class MicrophoneStatus(TypedDict):
    """The capture device."""

    open: bool
    live: bool
    """Whether what it hears may leave the process; the lamp shows it."""
    device: str
    """The ALSA name it is opened by, or would be."""
    card: str
    """The card's own name."""
    rate_hz: int | None
    channels: int | None
    format: str
    overruns: int
    missed_frames: int
    """Frames that were filled with silence because of overruns."""
    reopened: int
    fault: str


class LoudspeakerStatus(TypedDict):
    """The playback device."""

    open: bool
    device: str
    card: str
    rate_hz: int | None
    channels: int | None
    format: str
    underruns: int
    starved: int
    """Times that the network was late in the middle of an answer."""
    reopened: int
    volume: int
    """Percent."""
    fault: str


class PanelStatus(TypedDict):
    """Button and lamp."""

    driver: str
    device: str
    """What the driver found to work with, in words."""
    mode: str
    fault: str
    edges: int
    """Edges that came from the buttons since the start, bounce included."""


class SessionStatus(TypedDict):
    """The conversation."""

    session_id: str
    """Empty while there is none. To be quoted to the vendor's support."""
    open_s: float | None
    """How long the session has been open; it is billed by this."""
    turns: int
    sessions: int
    """Sessions since the daemon started, this one included."""
    connected_s: float
    """Seconds of open sessions since the daemon started, this one included."""


class MoneyStatus(TypedDict):
    """What the kiosk spent, by its own meter; the price is the configuration's."""

    currency: str
    turn: float
    """Since the present turn began, or the last one."""
    today: float
    month: float
    daily_cap: float | None
    """None: no cap."""
    level: str
    """fine, warning or spent."""
    turns_today: int
    today_s: float
    """Open time, which is what is billed."""
    month_s: float


class ConfigStatus(TypedDict):
    """The configuration in force."""

    file: str
    loaded_at: str
    """ISO 8601, local time."""
    problems: list[str]
    """What is wrong with the newer file that was not taken; empty when the file is in force."""
    warnings: list[str]
    """What is odd about the file that is in force."""
    confirm_in_s: float | None
    """How long it has until somebody must have confirmed it, or it must work; None when it stays anyway."""


class ProcessStatus(TypedDict):
    """The daemon."""

    pid: int
    uptime_s: float


class Status(TypedDict):
    """Everything."""

    name: str
    place: str
    state: str
    """One of the names of design: starting, idle, connecting, listening, thinking, speaking, …"""
    since_s: float
    """How long it has been in this state."""
    reason: str
    """What is wrong, in words with what to do; empty when nothing is."""
    lamp: str
    muted: bool
    link: LinkStatus
    microphone: MicrophoneStatus
    loudspeaker: LoudspeakerStatus
    panel: PanelStatus
    session: SessionStatus
    money: MoneyStatus
    config: ConfigStatus
    key: str
    """Where the API key came from: credential, environment, control or none. Never the key."""
    versions: dict[str, str]
    process: ProcessStatus


class Outcome(TypedDict):
    """Result of press, release, mute, unmute and say."""

    state: str
    """The state that it led to."""
    message: str
    """A word for the person who asked; may be empty."""


class VolumeOutcome(TypedDict):
    """Result of volume."""

    volume: int


class ReloadOutcome(TypedDict):
    """Result of reload. A configuration with problems is a `ConfigError` instead."""

    changed: list[str]
    """Keys whose value changed."""


class ConfigInForce(TypedDict):
    """Result of config. Secrets are hidden."""

    file: str
    config: dict[str, Any]
    toml: str
    """The same as TOML; what differs from its default says so."""
    problems: list[str]
    """As in `ConfigStatus`."""


class ConfigChanges(TypedDict):
    """Result of config-diff."""

    changes: list[dict[str, Any]]
    """Keys whose value would be another: key, old, new (None: not set), effect (what it takes, in words)
    and text (all of this in a line). Secrets are hidden."""


class Event(TypedDict):
    """What topic `events` carries: a line for a person, and the facts behind it."""

    kind: str
    text: str
    fields: dict[str, str | int | float | bool | None]


class Caption(TypedDict):
    """What topic `transcript` carries: the text of one side so far, replacing the one before."""

    who: str
    """visitor or agent."""
    text: str
    final: bool
    interrupted: bool


class LevelNow(TypedDict):
    """Result of level: the last moment of the microphone."""

    open: bool
    """Whether the daemon has the microphone open; it opens nothing for this."""
    state: str
    """The kiosk's state."""
    rms_dbfs: float | None
    peak_dbfs: float | None


class LastQuestion(TypedDict):
    """Result of hear."""

    samples: int
    """How long the question is, at 24 kHz; 0 when there is none."""
    skipped: int
    """Samples of silence in it that were left out in sending, to catch up."""
    start: int
    pcm: str
    """Up to 10 s from `start` on: base64 of mono s16le."""
