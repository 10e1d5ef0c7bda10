"""The keys of a `[[tools]]`; the rest of the schema is in `schema`."""

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from voicekiosk.config.table import Pin, Table


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
    ] = field(default_factory=dict)
    command: Annotated[
        tuple[str, ...],
        Meta(
            description="program and arguments, without a shell; reads the agent's arguments as JSON",
            examples=[["/usr/local/bin/weather", "--now"]],
        ),
    ] = ()
    builtin: Annotated[
        Literal["", "clock", "volume", "end", "gpio", "unit", "http", "persona"],
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
        Meta(description="builtin http: local address that is fetched; arguments become its query"),
    ] = ""
