"""What every panel can do, whatever button and lamp are made of."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from voicekiosk.config import schema
from voicekiosk.panel.lamp import Sign

Button = Literal["talk", "mute"]
OnEdge = Callable[[Button, bool, float], None]
"""Called in the event loop's thread: a button, whether it is down now, and since when (monotonic seconds)."""


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
    # Edges that came from the talk and mute buttons, bounce included.
    edges: int = 0
    # Timers that fired to show a rhythm.
    lamp_wakeups: int = 0


class Panel(Protocol):
    """A button and a lamp. Belongs to the event loop's thread; nothing here blocks or raises."""

    def start(self, loop: asyncio.AbstractEventLoop, on_edge: OnEdge) -> None:
        """Take the devices; what cannot be had is a fault in `facts`.

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

    def start(self, loop: asyncio.AbstractEventLoop, on_edge: OnEdge) -> None:
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
