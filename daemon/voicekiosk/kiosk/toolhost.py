"""What the kiosk's own tools can do to the kiosk."""

from typing import TYPE_CHECKING, Protocol

from voicekiosk.config.schema import Config
from voicekiosk.errors import DeviceError
from voicekiosk.kiosk.events import EndRequested
from voicekiosk.tools.outcome import ToolError

if TYPE_CHECKING:
    from voicekiosk.kiosk.dials import Dials
    from voicekiosk.panel.relay import Relays


class Kiosk(Protocol):
    """What the kiosk lends its tools."""

    config: Config
    volume: int
    dials: "Dials"

    def set_volume(self, percent: int) -> None:
        """Set the loudness, up to the configuration's limit."""

    def dispatch(self, event: EndRequested, /) -> None:
        """Tell the state machine."""


class ToolHost:
    """Volume, the end of the conversation, and outputs. Belongs to the event loop's thread."""

    def __init__(self, kiosk: Kiosk) -> None:
        self._kiosk = kiosk
        self._relays: Relays | None = None

    def volume(self) -> int:
        """Return the loudness."""
        return self._kiosk.volume

    def set_volume(self, percent: int) -> int:
        """Set the loudness; return what it is now, which may be less."""
        self._kiosk.set_volume(percent)
        return self._kiosk.volume

    def personas(self) -> tuple[str, ...]:
        """Return the names of all that can speak."""
        return tuple(self._kiosk.config.persona)

    def choose_persona(self, name: str) -> None:
        """Let another persona speak from now on."""
        self._kiosk.dials.choose_persona(name)

    def end_conversation(self) -> None:
        """End the conversation after the agent's next sentence."""
        self._kiosk.dispatch(EndRequested())

    async def pulse(self, number: int, duration_s: float, *, active_high: bool) -> None:
        """Switch an output on for so long. Raises `ToolError` when it cannot be had."""
        if self._relays is None:
            # gpiozero is read only where pins are used.
            from voicekiosk.panel.relay import Relays  # noqa: PLC0415

            self._relays = Relays(self._kiosk.config.panel.chip)
        try:
            await self._relays.pulse(number, duration_s, active_high=active_high)
        except DeviceError as error:
            raise ToolError(str(error)) from None

    def close(self) -> None:
        """Switch all outputs off."""
        if self._relays is not None:
            self._relays.close()
            self._relays = None
