"""Every key of the configuration: its type, its bounds, its default and the line that explains it.

This module, with `device_schema` and `tool_schema`, is the only place where a key is declared. The
shipped `config/config.toml`, the reference in `docs/configuration.md` and the messages of
`voicekiosk check` are made from it, so they cannot drift. Durations end in `_s` or `_ms`, rates in
`_hz`, pins are BCM numbers.
"""

from typing import Annotated, Literal

from msgspec import Meta, field

from voicekiosk.config.device_schema import Audio, Button, Capture, Lamp, Panel, Playback
from voicekiosk.config.table import Fraction, Percent, SilenceMs, Table
from voicekiosk.config.tool_schema import Tool

__all__ = ["Audio", "Button", "Capture", "Lamp", "Panel", "Playback", "Table", "Tool"]


class Kiosk(Table, frozen=True):
    """Who and where this kiosk is."""

    name: Annotated[str, Meta(description="name of this kiosk, shown in status and the journal")] = "kiosk"
    place: Annotated[str, Meta(description="where it stands, shown in status; {place} in prompts")] = ""


class TurnDetection(Table, frozen=True):
    """When the service decides that the visitor has finished, or has interrupted."""

    vad_threshold: Annotated[
        Fraction | None,
        Meta(
            description="0.0 (hears whispers) to 1.0 (only loud speech); service default 0.5", examples=[0.5]
        ),
    ] = None
    min_silence_ms: Annotated[
        SilenceMs | None,
        Meta(
            description="silence before a confident end of turn; switches adaptive pacing off", examples=[600]
        ),
    ] = None
    max_silence_ms: Annotated[
        SilenceMs | None,
        Meta(description="silence that ends a turn anyway, more than min_silence_ms", examples=[1500]),
    ] = None
    interrupt_response: Annotated[
        bool, Meta(description="whether speaking (or the button) may cut the agent short on the server")
    ] = True
    interruption_delay_ms: Annotated[
        Annotated[int, Meta(ge=0, le=1000)] | None,
        Meta(description="speech needed before it cuts the agent short", examples=[300]),
    ] = None


Preset = Literal["", "snappy", "patient", "noisy", "no-interruptions"]
Voice = Annotated[str, Meta(max_length=100)]
LanguageCodes = tuple[str, ...]
Keyterms = tuple[Annotated[str, Meta(min_length=1, max_length=50)], ...]


class Agent(Table, frozen=True):
    """The voice agent service: where it is, who it is, how it speaks and listens."""

    region: Annotated[
        Literal["default", "us", "eu"],
        Meta(description="which of the service's hosts to use; pin one to keep data there"),
    ] = "default"
    url: Annotated[
        str, Meta(description="full WebSocket address instead of a region, for the simulator or a proxy")
    ] = ""
    token_command: Annotated[
        tuple[str, ...],
        Meta(description="program that prints a temporary token, run at each connection; empty: the API key"),
    ] = ()
    agent_id: Annotated[
        str,
        Meta(description="use an agent stored at the service; then no other key of its persona may be set"),
    ] = ""
    persona: Annotated[
        str, Meta(description="the [persona.NAME] that is laid over these keys; empty: none")
    ] = ""
    system_prompt: Annotated[
        str,
        Meta(description="who the agent is and how it answers; {date} {time} {place} {name} are filled in"),
    ] = "You are a friendly guide at a kiosk. Answer in two sentences at most, in the visitor's language."
    greeting: Annotated[str, Meta(description="spoken when a conversation starts; empty for none")] = ""
    voice: Annotated[str, Meta(description="voice of the agent; empty for the service's own choice")] = "alba"
    volume: Annotated[Percent | None, Meta(description="loudness the service speaks at", examples=[100])] = (
        None
    )
    transcription_mode: Annotated[
        Literal["min_latency", "balanced", "max_accuracy"],
        Meta(description="speed of recognition against its accuracy; min_latency answers 0.6-1 s sooner"),
    ] = "min_latency"
    transcription_prompt: Annotated[
        str, Meta(max_length=1750, description="a hint for the recogniser: what people will talk about")
    ] = ""
    language_codes: Annotated[
        LanguageCodes, Meta(description='languages to expect, such as ["en", "de"]; empty for automatic')
    ] = ()
    keyterms: Annotated[
        Keyterms,
        Meta(max_length=100, description="names the recogniser should know, at most 100 of 50 characters"),
    ] = ()
    voice_focus: Annotated[
        Literal["", "near-field", "far-field"],
        Meta(description="the service's own noise isolation; empty for its default"),
    ] = ""
    tool_results: Annotated[
        Literal["after_reply", "at_once"],
        Meta(description="send a tool's result when the agent has finished its sentence, or at once"),
    ] = "after_reply"
    preset: Annotated[
        Preset, Meta(description="turn detection for a kind of place; keys of [agent.turn_detection] win")
    ] = ""
    turn_detection: Annotated[
        TurnDetection, Meta(description="when the service decides that somebody has finished speaking")
    ] = field(default_factory=TurnDetection)


class Conversation(Table, frozen=True):
    """How long each part of a conversation may take."""

    max_hold_s: Annotated[
        float, Meta(ge=5, le=60, description="longest question; after it the button counts as stuck")
    ] = 60.0
    latched_silence_s: Annotated[
        float, Meta(ge=2, le=60, description="a tapped question ends after this long without speech")
    ] = 10.0
    release_tail_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=1000,
            description="how long the microphone stays live after the release, for the last syllable",
        ),
    ] = 120
    thinking_timeout_s: Annotated[
        float, Meta(ge=3, le=120, description="wait for an answer before giving up")
    ] = 12.0
    nudge_after_s: Annotated[
        Annotated[float, Meta(ge=0.5, le=60)] | None,
        Meta(
            description="ask again when nothing has come; unset: 2, 2.5 or 4 s by transcription_mode",
            examples=[3.0],
        ),
    ] = None
    speaking_stall_s: Annotated[
        float, Meta(ge=1, le=60, description="an answer that stops in the middle ends after this long")
    ] = 5.0
    keep_open_s: Annotated[
        float,
        Meta(
            ge=0, le=3600, description="the session stays open this long after the last word; it costs money"
        ),
    ] = 45.0
    keep_question_s: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description="keep a question asked without network for this long (memory only); 0: never",
        ),
    ] = 0.0
    connect: Annotated[
        Literal["on_press", "on_boot"],
        Meta(
            description="open the session at a press, or keep one open all day (quicker, billed by the hour)"
        ),
    ] = "on_press"
    still_working_s: Annotated[
        float,
        Meta(
            ge=0,
            le=120,
            description="with a tool in hold mode: say each time after so long that it still runs; 0: never",
        ),
    ] = 10.0


class Persona(Table, frozen=True):
    """Another speaker: what is set here replaces the same key of [agent]."""

    system_prompt: Annotated[
        str | None,
        Meta(
            description="who the agent is and how it should answer",
            examples=["You are the museum's oldest clock."],
        ),
    ] = None
    greeting: Annotated[
        str | None, Meta(description="spoken when a conversation starts", examples=["Tick, tock. Good day!"])
    ] = None
    voice: Annotated[str | None, Meta(description="voice of the agent", examples=["alba"])] = None
    volume: Annotated[Percent | None, Meta(description="loudness the service speaks at", examples=[100])] = (
        None
    )
    transcription_prompt: Annotated[
        Annotated[str, Meta(max_length=1750)] | None,
        Meta(description="a hint for the recogniser", examples=["Questions about old clocks."]),
    ] = None
    language_codes: Annotated[
        LanguageCodes | None, Meta(description="languages to expect", examples=[["en"]])
    ] = None
    keyterms: Annotated[
        Annotated[Keyterms, Meta(max_length=100)] | None,
        Meta(description="names the recogniser should know", examples=[["Huygens"]]),
    ] = None
    preset: Annotated[
        Preset | None, Meta(description="turn detection for a kind of place", examples=["patient"])
    ] = None


class Patience(Table, frozen=True):
    """More time to answer when the agent has asked something. Read docs/personas.md before."""

    enabled: Annotated[
        bool, Meta(description="wait longer after a question; switches the service's own adaptation off")
    ] = False
    min_silence_ms: Annotated[
        SilenceMs, Meta(description="after a question: silence before a confident end of turn")
    ] = 1500
    max_silence_ms: Annotated[
        SilenceMs, Meta(description="after a question: silence that ends the turn anyway")
    ] = 5000


class Money(Table, frozen=True):
    """What talking costs, and how much of it a day may have."""

    price_per_hour: Annotated[
        float, Meta(ge=0, le=1000, description="price of an hour of open session, for the meter in status")
    ] = 4.5
    currency: Annotated[
        str, Meta(min_length=1, max_length=8, description="what the price is in, as status shows it")
    ] = "USD"
    daily_cap: Annotated[
        float,
        Meta(
            ge=0,
            le=100000,
            description="at so much money a day presses are refused until midnight; 0: no cap",
        ),
    ] = 0.0
    warn_percent: Annotated[
        Percent, Meta(description="part of the daily cap at which journal and status warn")
    ] = 80


class Privacy(Table, frozen=True):
    """What is kept of what people say. Read docs/privacy.md."""

    delete_after_session: Annotated[
        bool, Meta(description="have the service delete its recording of each session; needs the API key")
    ] = False


class Network(Table, frozen=True):
    """The way to the service."""

    connect_timeout_s: Annotated[float, Meta(ge=1, le=60, description="longest wait for a connection")] = 10.0
    ready_timeout_s: Annotated[
        float, Meta(ge=1, le=60, description="longest wait for the session to be ready")
    ] = 10.0
    dead_after_s: Annotated[
        float, Meta(ge=0.5, le=60, description="a link that does not answer a ping for this long is dead")
    ] = 2.4
    resume: Annotated[
        Literal["token", "key", "never"],
        Meta(
            description="credential for resuming after a drop: the session's token, the key, or never resume"
        ),
    ] = "token"
    resume_window_s: Annotated[
        float, Meta(ge=0, le=29, description="how long after a drop resuming is tried")
    ] = 25.0
    backoff_max_s: Annotated[float, Meta(ge=1, le=600, description="longest pause between attempts")] = 60.0
    carry_turns: Annotated[
        int, Meta(ge=0, le=50, description="turns of the conversation a fresh session is told after a drop")
    ] = 6
    proxy: Annotated[
        str, Meta(description="HTTP proxy address; empty for none (the environment is not read)")
    ] = ""
    ca_file: Annotated[
        str, Meta(description="certificates to trust instead of the system's, for a proxy or the simulator")
    ] = ""


class Sounds(Table, frozen=True):
    """What the kiosk says by itself: short signs, and sentences it carries. Never at the press."""

    words: Annotated[
        bool, Meta(description="after the sign say in words what keeps the kiosk from answering")
    ] = True
    language: Annotated[Literal["en", "de", "fr", "es"], Meta(description="language of those sentences")] = (
        "en"
    )
    directory: Annotated[
        str,
        Meta(
            description="own WAV files instead: offline.wav, no_answer.wav, key_refused.wav, "
            "service_refused.wav, microphone_gone.wav, loudspeaker_back.wav, muted.wav, budget.wav, "
            "ready.wav; and for the signs earcon-tick.wav, earcon-ready.wav, earcon-offline.wav, "
            "earcon-error.wav"
        ),
    ] = ""
    announce_ready: Annotated[bool, Meta(description="say so when the kiosk is ready after its start")] = (
        False
    )
    night_volume: Annotated[
        Percent,
        Meta(
            description="loudness of signs and sentences in the lamp's night hours, in percent of that by day"
        ),
    ] = 40


class Apply(Table, frozen=True):
    """How a changed configuration is taken up."""

    confirm_within_s: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description="go back by itself if the kiosk cannot talk then and nobody has said "
            "`voicekiosk config confirm`; 0: never",
        ),
    ] = 0.0


class Log(Table, frozen=True):
    """The journal."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="how much the journal says")
    ] = "info"
    transcripts: Annotated[bool, Meta(description="write what people said to the journal")] = False


class Config(Table, frozen=True):
    """The whole configuration; every key has a default that works."""

    kiosk: Annotated[Kiosk, Meta(description="who and where this kiosk is")] = field(default_factory=Kiosk)
    agent: Annotated[Agent, Meta(description="the voice agent service")] = field(default_factory=Agent)
    persona: Annotated[dict[str, Persona], Meta(description="speakers to choose from")] = field(
        default_factory=dict
    )
    audio: Annotated[Audio, Meta(description="microphone and loudspeaker")] = field(default_factory=Audio)
    panel: Annotated[Panel, Meta(description="button and lamp")] = field(default_factory=Panel)
    conversation: Annotated[
        Conversation, Meta(description="how long each part of a conversation may take")
    ] = field(default_factory=Conversation)
    patience: Annotated[Patience, Meta(description="more time to answer a question")] = field(
        default_factory=Patience
    )
    money: Annotated[Money, Meta(description="what talking costs")] = field(default_factory=Money)
    privacy: Annotated[Privacy, Meta(description="what is kept of what people say")] = field(
        default_factory=Privacy
    )
    network: Annotated[Network, Meta(description="the way to the service")] = field(default_factory=Network)
    sounds: Annotated[Sounds, Meta(description="what the kiosk says by itself")] = field(
        default_factory=Sounds
    )
    tools: Annotated[tuple[Tool, ...], Meta(description="what the agent can do here")] = ()
    apply: Annotated[Apply, Meta(description="how a changed configuration is taken up")] = field(
        default_factory=Apply
    )
    log: Annotated[Log, Meta(description="the journal")] = field(default_factory=Log)
