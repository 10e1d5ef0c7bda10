"""What every panel can do, whatever button and lamp are made of."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from voicekiosk.config import schema
from voicekiosk.panel.lamp import Sign

Button = str
"""An input: "talk", "mute", "louder", "quieter", "encoder_a", "encoder_b", or "persona NAME" of a switch."""
PERSONA: Final = "persona "
OnEdge = Callable[[Button, bool, float], None]
"""Called in the event loop's thread: a button, whether it is down now, and since when (monotonic seconds)."""
OnFaults = Callable[[], None]
"""Called in the event loop's thread when the faults in `facts` change after `start`."""


@dataclass(frozen=True, slots=True)
class Input:
    """The pin of one input."""

    gpio: int
    active_low: bool = True
    is_switch: bool = False
    """Its level means something by itself: it is told at the start too, and nothing is made of the end."""


def inputs_of(settings: schema.Panel) -> dict[Button, Input]:
    """Return the inputs that have a pin."""
    button, volume = settings.button, settings.volume
    inputs = {"talk": Input(button.gpio, button.active_low)}
    if button.mute_gpio is not None:
        inputs["mute"] = Input(button.mute_gpio, button.active_low)
    for name, number in (("louder", volume.up_gpio), ("quieter", volume.down_gpio)):
        if number is not None:
            inputs[name] = Input(number)
    for name, number in (("encoder_a", volume.a_gpio), ("encoder_b", volume.b_gpio)):
        if number is not None:
            inputs[name] = Input(number, is_switch=True)
    for persona, number in settings.persona.positions.items():
        inputs[PERSONA + persona] = Input(number, is_switch=True)
    return inputs


@dataclass(frozen=True, slots=True)
class PanelFacts:
    """What is to be said about a panel in `voicekiosk status` and by the doctor."""

    driver: str
    # What the driver found to work with, in words.
    device: str
    sign: Sign
    # What does not work and what to do, a sentence each; the daemon runs without that part.
    faults: tuple[str, ...] = ()
    # What works otherwise than one might expect.
    notes: tuple[str, ...] = ()
    # Edges that came from the inputs, bounce included.
    edges: int = 0
    # Timers that fired to show a rhythm.
    lamp_wakeups: int = 0


class Panel(Protocol):
    """A button and a lamp. Belongs to the event loop's thread; nothing here blocks or raises."""

    def start(
        self, loop: asyncio.AbstractEventLoop, on_edge: OnEdge, on_faults: OnFaults = lambda: None
    ) -> None:
        """Take the devices; what cannot be had is a fault in `facts`, until `on_faults` says otherwise.

        A button that is down already is not reported until it came up.
        """

    def show(self, sign: Sign) -> None:
        """Show `sign` until the next call."""

    def acknowledge(self) -> None:
        """Answer a press that leaves the sign as it is: the lamp blinks once."""

    def close(self) -> None:
        """Put the lamp out and give the devices back; a button that is down is reported as released.

        May be called twice, and without `start`.
        """

    def facts(self) -> PanelFacts:
        """Say how the panel is doing."""


def make_panel(settings: schema.Panel) -> Panel:
    """Make the panel that the configuration asks for; only its own driver is imported."""
    match settings.driver:
        case "gpio":
            from voicekiosk.panel.gpio import GpioPanel  # noqa: PLC0415

            return GpioPanel(settings)
        case "keyboard":
            from voicekiosk.panel.keyboard import KeyboardPanel  # noqa: PLC0415

            return KeyboardPanel(settings)
        case "none":
            return NonePanel()


class NonePanel:
    """No button and no lamp: the control socket is the only way in."""

    def __init__(self) -> None:
        self._sign = Sign.OFF

    def start(
        self, loop: asyncio.AbstractEventLoop, on_edge: OnEdge, on_faults: OnFaults = lambda: None
    ) -> None:
        """Do nothing."""

    def show(self, sign: Sign) -> None:
        """Remember the sign for `facts`."""
        self._sign = sign

    def acknowledge(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Forget the sign."""
        self._sign = Sign.OFF

    def facts(self) -> PanelFacts:
        """Say that there is nothing."""
        return PanelFacts(driver="none", device="no button, no lamp", sign=self._sign)
