"""The keys of what is connected to the kiosk: microphone, loudspeaker, button and lamp."""

from typing import Annotated, Literal

from msgspec import Meta, field

from voicekiosk.config.table import Percent, Pin, Table, TimeOfDay


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
    ] = 50
    cushion_ms: Annotated[
        int, Meta(ge=0, le=1000, description="audio gathered before a reply starts, against network jitter")
    ] = 60
    lead_silence_ms: Annotated[
        int, Meta(ge=0, le=1000, description="silence before each reply, for amplifiers that wake slowly")
    ] = 0
    volume: Annotated[
        Percent,
        Meta(description="loudness, until somebody sets another one; that one is kept over a restart"),
    ] = 80
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


class Volume(Table, frozen=True):
    """Two buttons or a rotary encoder with which visitors set the loudness; the other legs go to ground."""

    up_gpio: Annotated[
        Pin | None, Meta(description="BCM number of the pin of the button for louder", examples=[5])
    ] = None
    down_gpio: Annotated[
        Pin | None, Meta(description="BCM number of the pin of the button for quieter", examples=[6])
    ] = None
    a_gpio: Annotated[
        Pin | None,
        Meta(
            description="BCM number of an encoder's contact A (CLK); exchange A and B to turn it round",
            examples=[12],
        ),
    ] = None
    b_gpio: Annotated[
        Pin | None, Meta(description="BCM number of an encoder's contact B (DT)", examples=[13])
    ] = None
    step_percent: Annotated[
        int, Meta(ge=1, le=25, description="how much one press or one click of the encoder changes")
    ] = 5


class PersonaSwitch(Table, frozen=True):
    """A rotary switch that chooses who speaks; its common contact goes to ground."""

    positions: Annotated[
        dict[str, Pin],
        Meta(
            description="the pin of each position by the name of its [persona.NAME]: "
            "{ guide = 20, children = 21 }"
        ),
    ] = field(default_factory=dict)


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
    volume: Annotated[Volume, Meta(description="what sets the loudness")] = field(default_factory=Volume)
    persona: Annotated[PersonaSwitch, Meta(description="what chooses who speaks")] = field(
        default_factory=PersonaSwitch
    )
