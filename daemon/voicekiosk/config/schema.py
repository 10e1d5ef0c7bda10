"""Every key of the configuration: its type, its bounds, its default and the line that explains it.

This module is the only place where a key is declared. The shipped `config/config.toml`, the
reference in `docs/configuration.md` and the messages of `voicekiosk check` are made from it, so
they cannot drift. Durations end in `_s` or `_ms`, rates in `_hz`, pins are BCM numbers.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

Milliseconds = Annotated[int, Meta(ge=0)]
Pin = Annotated[int, Meta(ge=0, le=53)]
Percent = Annotated[int, Meta(ge=0, le=100)]
SilenceMs = Annotated[int, Meta(ge=50, le=10000)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
TimeOfDay = Annotated[
    str, Meta(pattern=r"^(([01]\d|2[0-3]):[0-5]\d)?\Z", title='a time such as "22:00", or ""')
]


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the configuration file."""


class Kiosk(Table, frozen=True):
    """Who and where this kiosk is."""

    name: Annotated[str, Meta(description="name of this kiosk, shown in status and the journal")] = "kiosk"
    place: Annotated[str, Meta(description="where it stands, shown in status")] = ""


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


class Agent(Table, frozen=True):
    """The voice agent service: where it is, who it is, how it speaks and listens."""

    region: Annotated[
        Literal["default", "us", "eu"],
        Meta(description="which of the service's hosts to use; pin one to keep data there"),
    ] = "default"
    url: Annotated[
        str, Meta(description="full WebSocket address instead of a region, for the simulator or a proxy")
    ] = ""
    agent_id: Annotated[
        str,
        Meta(description="use an agent stored at the service; then no other key of its persona may be set"),
    ] = ""
    system_prompt: Annotated[str, Meta(description="who the agent is and how it should answer")] = (
        "You are a friendly guide at a kiosk. Answer in two sentences at most, in the visitor's language."
    )
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
        tuple[str, ...], Meta(description='languages to expect, such as ["en", "de"]; empty for automatic')
    ] = ()
    keyterms: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=50)], ...],
        Meta(max_length=100, description="names the recogniser should know, at most 100 of 50 characters"),
    ] = ()
    voice_focus: Annotated[
        Literal["", "near-field", "far-field"],
        Meta(description="the service's own noise isolation; empty for its default"),
    ] = ""
    tool_results: Annotated[
        Literal["after_reply", "at_once"],
        Meta(
            description="send a tool's result when the agent has finished its sentence, or at once"
        ),
    ] = "after_reply"
    turn_detection: Annotated[
        TurnDetection, Meta(description="when the service decides that somebody has finished speaking")
    ] = field(default_factory=TurnDetection)


class Capture(Table, frozen=True):
    """The microphone."""

    device: Annotated[
        str,
        Meta(
            description='card id ("Headset"), USB path ("usb:1-1.2"), ALSA name ("hw:CARD=Headset") or "auto"'
        ),
    ] = "auto"
    rate_hz: Annotated[
        int, Meta(ge=0, le=384000, description="rate to open the card at; 0 prefers 48000, else the nearest")
    ] = 0
    format: Annotated[
        Literal["auto", "S16_LE", "S32_LE"],
        Meta(description="sample format of the card; I2S microphones give S32_LE"),
    ] = "auto"
    channels: Annotated[
        int, Meta(ge=0, le=32, description="channels to open the card with; 0 for what it has")
    ] = 0
    channel: Annotated[
        Annotated[int, Meta(ge=0, le=31)] | Literal["mix"],
        Meta(description='which channel is the microphone, from 0, or "mix" for the mean of all'),
    ] = "mix"
    period_ms: Annotated[
        int, Meta(ge=5, le=100, description="how much audio the card hands over at a time")
    ] = 20
    buffer_ms: Annotated[
        int, Meta(ge=40, le=2000, description="how long the daemon may be late before the card overruns")
    ] = 200
    warm: Annotated[
        bool,
        Meta(description="keep the microphone open while idle, so that preroll_ms reaches before the press"),
    ] = False
    preroll_ms: Annotated[
        int, Meta(ge=0, le=2000, description="with warm: how much from before the press is sent")
    ] = 300


class Playback(Table, frozen=True):
    """The loudspeaker."""

    device: Annotated[
        str, Meta(description='as for the microphone; "auto" takes the first card that can play')
    ] = "auto"
    rate_hz: Annotated[
        int, Meta(ge=0, le=384000, description="rate to open the card at; 0 prefers 48000, else the nearest")
    ] = 0
    channels: Annotated[
        int, Meta(ge=0, le=32, description="channels to open the card with; 0 for what it has")
    ] = 0
    period_ms: Annotated[int, Meta(ge=5, le=50, description="how much audio the card takes at a time")] = 10
    queue_ms: Annotated[
        int,
        Meta(ge=10, le=200, description="audio held in the card; less is quicker to silence, more is safer"),
    ] = 30
    cushion_ms: Annotated[
        int, Meta(ge=0, le=1000, description="audio gathered before a reply starts, against network jitter")
    ] = 60
    lead_silence_ms: Annotated[
        int, Meta(ge=0, le=1000, description="silence before each reply, for amplifiers that wake slowly")
    ] = 0
    volume: Annotated[Percent, Meta(description="loudness at start")] = 80
    volume_max: Annotated[Percent, Meta(description="loudest that anybody can set")] = 100


class Audio(Table, frozen=True):
    """Microphone and loudspeaker."""

    capture: Annotated[Capture, Meta(description="the microphone")] = field(default_factory=Capture)
    playback: Annotated[Playback, Meta(description="the loudspeaker")] = field(default_factory=Playback)


class Button(Table, frozen=True):
    """The talk button."""

    gpio: Annotated[
        Pin, Meta(description="BCM number of the talk button's pin; its other leg goes to ground")
    ] = 17
    active_low: Annotated[
        bool, Meta(description="true: pressed connects to ground (pull-up); false: to 3.3 V (pull-down)")
    ] = True
    debounce_ms: Annotated[
        int, Meta(ge=0, le=200, description="dead time after an edge; the first edge always acts at once")
    ] = 30
    mute_gpio: Annotated[
        Pin | None, Meta(description="BCM number of an optional mute button", examples=[27])
    ] = None


class Lamp(Table, frozen=True):
    """The lamp."""

    kind: Annotated[
        Literal["led", "pwm", "rgb", "none"],
        Meta(description="a plain LED, one that can be dimmed, or red-green-blue"),
    ] = "led"
    gpio: Annotated[Pin, Meta(description="BCM number of the lamp's pin (led, pwm)")] = 18
    red_gpio: Annotated[Pin, Meta(description="BCM number of the red pin (rgb)")] = 22
    green_gpio: Annotated[Pin, Meta(description="BCM number of the green pin (rgb)")] = 23
    blue_gpio: Annotated[Pin, Meta(description="BCM number of the blue pin (rgb)")] = 24
    active_high: Annotated[bool, Meta(description="false for lamps that light when the pin is low")] = True
    brightness: Annotated[Percent, Meta(description="brightness by day (pwm, rgb)")] = 100
    night_from: Annotated[TimeOfDay, Meta(description="start of the night hours; empty for none")] = ""
    night_to: Annotated[TimeOfDay, Meta(description="end of the night hours")] = ""
    night_brightness: Annotated[
        Percent, Meta(description="brightness at night; the microphone-live sign never goes out")
    ] = 15


class Panel(Table, frozen=True):
    """Button and lamp."""

    driver: Annotated[
        Literal["gpio", "keyboard", "none"],
        Meta(description="gpio pins, the keyboard of a terminal (space bar), or only the control socket"),
    ] = "gpio"
    mode: Annotated[
        Literal["hold", "toggle", "auto"],
        Meta(description="hold to talk, tap to start and stop, or both (a tap under 300 ms latches)"),
    ] = "hold"
    chip: Annotated[
        str, Meta(description='GPIO chip ("/dev/gpiochip0"), or "auto" for the one with the header\'s pins')
    ] = "auto"
    button: Annotated[Button, Meta(description="the talk button")] = field(default_factory=Button)
    lamp: Annotated[Lamp, Meta(description="the lamp")] = field(default_factory=Lamp)


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
            "service_refused.wav, microphone_gone.wav, muted.wav, ready.wav"
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


class Tool(Table, frozen=True):
    """Something the agent can do here; one [[tools]] for each, described in docs/tools.md."""

    name: Annotated[
        str,
        Meta(description="what the agent calls it: letters, digits, _ and -, up to 64", examples=["weather"]),
    ]
    description: Annotated[
        str,
        Meta(
            description="when to use it and what it gives: what the agent decides by",
            examples=["Says what the weather is like outside, now."],
        ),
    ] = ""
    parameters: Annotated[
        dict[str, Any],
        Meta(
            description="JSON Schema of the arguments: { type, properties, required }",
            examples=[{"type": "object", "properties": {"unit": {"type": "string", "enum": ["C", "F"]}}}],
        ),
    ] = {}
    command: Annotated[
        tuple[str, ...],
        Meta(
            description="program and arguments, without a shell; reads the agent's arguments as JSON",
            examples=[["/usr/local/bin/weather", "--now"]],
        ),
    ] = ()
    builtin: Annotated[
        Literal["", "clock", "volume", "end", "gpio", "unit", "http"],
        Meta(description="one of the kiosk's own tools instead of a command"),
    ] = ""
    python: Annotated[
        str, Meta(description="a function of an installed package instead (entry point of voicekiosk.tools)")
    ] = ""
    execution_mode: Annotated[
        Literal["interactive", "hold"],
        Meta(description="talk on while it runs, or be silent until it is done"),
    ] = "interactive"
    timeout_s: Annotated[
        float, Meta(ge=0.5, le=240, description="the tool is stopped after this long, and the agent told so")
    ] = 10.0
    confirm: Annotated[
        Literal["", "press"],
        Meta(description='"press": it runs only after a tap on the button; the agent asks for it'),
    ] = ""
    output_gpio: Annotated[
        Pin | None, Meta(description="builtin gpio: BCM number of the output's pin", examples=[5])
    ] = None
    output_active_high: Annotated[
        bool, Meta(description="builtin gpio: false for a relay that switches when the pin is low")
    ] = True
    pulse_s: Annotated[
        float, Meta(ge=0.05, le=60, description="builtin gpio: how long the output is on, at each call")
    ] = 1.0
    units: Annotated[
        tuple[str, ...],
        Meta(
            description="builtin unit: the systemd units that may be started", examples=[["lights.service"]]
        ),
    ] = ()
    url: Annotated[
        str,
        Meta(
            description="builtin http: local address that is fetched; arguments become its query"
        ),
    ] = ""


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
    audio: Annotated[Audio, Meta(description="microphone and loudspeaker")] = field(default_factory=Audio)
    panel: Annotated[Panel, Meta(description="button and lamp")] = field(default_factory=Panel)
    conversation: Annotated[
        Conversation, Meta(description="how long each part of a conversation may take")
    ] = field(default_factory=Conversation)
    network: Annotated[Network, Meta(description="the way to the service")] = field(default_factory=Network)
    sounds: Annotated[Sounds, Meta(description="what the kiosk says by itself")] = field(
        default_factory=Sounds
    )
    tools: Annotated[tuple[Tool, ...], Meta(description="what the agent can do here")] = ()
    apply: Annotated[Apply, Meta(description="how a changed configuration is taken up")] = field(
        default_factory=Apply
    )
    log: Annotated[Log, Meta(description="the journal")] = field(default_factory=Log)
