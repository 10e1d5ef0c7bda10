"""The panel on GPIO pins, with gpiozero.

Pin factory: one that was set in `gpiozero.Device` or named in GPIOZERO_PIN_FACTORY (tests use "mock")
comes first, else ours on the kernel's line events, else lgpio for kernels that have none.

`Button` and `blink` of gpiozero are not used: each is a thread that wakes for ever. Callbacks of
foreign factories come from threads of theirs, which an exception would end without a word, so they
only hand the edge over.
"""

import asyncio
import contextlib
import logging
import os
import threading
import time
from typing import Any, Final, NamedTuple

import gpiozero
from gpiozero.exc import GPIOPinInUse, GPIOZeroError, PinInvalidPin, PinPWMUnsupported

from voicekiosk.config import schema
from voicekiosk.errors import DeviceError
from voicekiosk.mailbox import Mailbox
from voicekiosk.panel import lamp, lines
from voicekiosk.panel.driver import PERSONA, Button, Input, OnEdge, OnFaults, PanelFacts, inputs_of
from voicekiosk.panel.lamp import Look, Sign
from voicekiosk.panel.player import Player

PWM_HZ: Final = 500
RETRY_S: Final = (1.0, 5.0, 30.0)
"""Pauses before what is missing is tried again; the last one repeats. At boot, udev may be late."""
PWM_ATTEMPTS: Final = 2
"""How often a PWM channel that may not be used is tried before the lamp makes do without."""
_STALE_S: Final = 10.0
"""A time stamp farther from now than this is on another clock."""

log = logging.getLogger(__name__)


class _Edge(NamedTuple):
    button: Button
    pressed: bool
    t_s: float


class _Input:
    """One button's pin."""

    def __init__(self, panel: "GpioPanel", button: Button, pin: Input) -> None:
        self._panel = panel
        self._button = button
        self._active_low = pin.active_low
        self.is_switch = pin.is_switch
        # When it was found down at start, and nothing may be made of that.
        self.down = False
        self.device = gpiozero.DigitalInputDevice(
            f"GPIO{pin.gpio}", pull_up=pin.active_low, pin_factory=panel.factory
        )
        # The pin tells the time of the edge, the device's own callbacks do not. The pin keeps a weak
        # reference, so this method must belong to an object that lives.
        self.device.pin.when_changed = self.changed
        try:
            self.down = bool(self.device.value)
            self.stuck = self.down and not self.is_switch
        except BaseException:
            self.device.close()
            raise

    def changed(self, ticks: float, state: float) -> None:
        """Hand an edge over. Any thread; never raises."""
        now_s = time.monotonic()
        t_s = ticks if now_s - _STALE_S < ticks <= now_s else now_s
        self._panel.edge_from_any_thread(_Edge(self._button, bool(state) != self._active_low, t_s))


class GpioPanel:
    """Buttons and a lamp on GPIO pins."""

    def __init__(self, settings: schema.Panel) -> None:
        """Make a panel; no device is touched before `start`."""
        self.factory: Any = None
        self._settings = settings
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread = 0
        self._on_edge: OnEdge | None = None
        self._on_faults: OnFaults = lambda: None
        self._mailbox: Mailbox[_Edge] | None = None
        self._inputs: dict[Button, _Input] = {}
        self._leds: list[Any] = []
        self._player: Player | None = None
        self._sign = Sign.OFF
        self._dimmable = False
        # Why a lamp that should dim does not.
        self._no_dimming = ""
        self._device = "not started"
        self._own_factory = False
        self._faults: dict[str, str] = {}
        self._retries = 0
        self._retry: asyncio.TimerHandle | None = None
        self._edges = 0
        self._wakeups = 0

    def start(
        self, loop: asyncio.AbstractEventLoop, on_edge: OnEdge, on_faults: OnFaults = lambda: None
    ) -> None:
        """Take the pins; what cannot be had is a fault, and is tried again by itself."""
        self._loop = loop
        self._loop_thread = threading.get_ident()
        self._on_edge = on_edge
        self._on_faults = on_faults
        self._mailbox = Mailbox(self._deliver)
        self._mailbox.attach(loop)
        self._open(loop)

    def show(self, sign: Sign) -> None:
        """Show `sign` until the next call."""
        self._sign = sign
        if self._player is not None:
            self._player.show(sign)

    def acknowledge(self) -> None:
        """Blink once."""
        if self._player is not None:
            self._player.acknowledge()

    def close(self) -> None:
        """Put the lamp out, give the pins back, and report buttons that are down as released."""
        self._sign = Sign.OFF
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        for button in tuple(self._inputs):
            self._close_input(button)
        self._close_lamp()
        self._close_factory()
        if self._mailbox is not None:
            self._mailbox.close()
            self._mailbox = None
        self._faults.clear()
        self._device = "closed"

    def facts(self) -> PanelFacts:
        """Say how the panel is doing."""
        notes = [
            f"the {_in_words(button)} has been down since the start and counts only after it came up; if "
            "nobody leans on it, check its wires and panel.button.active_low"
            for button, device in self._inputs.items()
            if device.stuck
        ]
        if self._no_dimming:
            notes.append(
                f"the lamp shows on and off only, since {self._no_dimming}: "
                "see docs/wiring.md, 'A lamp that dims'"
            )
        player = self._player
        return PanelFacts(
            driver="gpio",
            device=self._device,
            sign=self._sign,
            faults=tuple(self._faults.values()),
            notes=tuple(notes),
            edges=self._edges,
            lamp_wakeups=self._wakeups + (player.wakeups if player is not None else 0),
        )

    # --- buttons ---

    def edge_from_any_thread(self, edge: _Edge) -> None:
        """Take an edge; in the event loop's thread it is delivered at once."""
        if threading.get_ident() == self._loop_thread:
            self._deliver(edge)
        elif (mailbox := self._mailbox) is not None:
            mailbox.post(edge)

    def _deliver(self, edge: _Edge) -> None:
        device = self._inputs.get(edge.button)
        if device is None or self._on_edge is None:
            return
        self._edges += 1
        device.down = edge.pressed
        if not edge.pressed:
            device.stuck = False
        try:
            self._on_edge(edge.button, edge.pressed, edge.t_s)
        except Exception:
            # Whoever watches the pin must not be ended by what is made of an edge.
            log.exception("a %s edge was not handled", edge.button)

    def _close_input(self, button: Button) -> None:
        device = self._inputs.get(button)
        if device is None:
            return
        if device.down and not (device.stuck or device.is_switch):
            self._deliver(_Edge(button, pressed=False, t_s=time.monotonic()))
        del self._inputs[button]
        device.device.close()

    # --- opening, and trying again ---

    def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take whatever is missing."""
        self._retry = None
        if self.factory is None:
            self._try("GPIO", self._open_factory, loop)
        if self.factory is not None:
            for name, pin in inputs_of(self._settings).items():
                if name not in self._inputs:
                    self._try(_in_words(name), self._open_input, name, pin)
            if self._settings.lamp.kind != "none" and self._player is None:
                self._try("lamp", self._open_lamp, loop)
        if self._faults:
            pause_s = RETRY_S[min(self._retries, len(RETRY_S) - 1)]
            self._retries += 1
            self._retry = loop.call_later(pause_s, self._open_again, loop)

    def _open_again(self, loop: asyncio.AbstractEventLoop) -> None:
        before = dict(self._faults)
        self._open(loop)
        if self._faults != before:
            self._on_faults()

    def _try(self, part: str, opening: Any, *arguments: Any) -> None:
        try:
            opening(*arguments)
        except (DeviceError, GPIOZeroError, OSError) as error:
            sentence = f"{part}: {_sentence(error)}"
            if self._faults.get(part) != sentence:
                log.warning("%s (the kiosk runs without it and tries again)", sentence)
            self._faults[part] = sentence
        else:
            if self._faults.pop(part, None) is not None:
                log.info("%s: works now", part)
                self._retries = 0

    def _lost(self, sentence: str) -> None:
        """Give up all pins after the chip went away, and try again."""
        log.warning("%s (the kiosk runs without it and tries again)", sentence)
        for button in tuple(self._inputs):
            self._close_input(button)
        self._close_lamp()
        self._close_factory()
        self._faults["GPIO"] = sentence
        self._retries = 0
        if self._retry is not None:
            self._retry.cancel()
        if self._loop is not None:
            self._retry = self._loop.call_later(RETRY_S[0], self._open_again, self._loop)
        self._on_faults()

    def _open_factory(self, loop: asyncio.AbstractEventLoop) -> None:
        if gpiozero.Device.pin_factory is not None or os.environ.get("GPIOZERO_PIN_FACTORY"):
            gpiozero.Device.ensure_pin_factory()
            self.factory, self._own_factory = gpiozero.Device.pin_factory, False
            self._device = f"pin factory {type(self.factory).__name__}"
            return
        chip = lines.find_chip(self._settings.chip)
        try:
            self.factory = lines.LineFactory(chip, loop, on_lost=self._lost)
            self._device = f"{chip} ({self.factory.chip.label}), line events"
        except lines.UnsupportedKernelError as error:
            self.factory = _lgpio_factory(chip, error)
            self._device = f"{chip}, lgpio (this kernel has no line events; lgpio keeps the processor awake)"
        self._own_factory = True

    def _close_factory(self) -> None:
        factory, self.factory = self.factory, None
        if factory is not None and self._own_factory:
            factory.close()

    def _open_input(self, button: Button, pin: Input) -> None:
        self._inputs[button] = device = _Input(self, button, pin)
        if device.is_switch:
            self._deliver(_Edge(button, device.down, time.monotonic()))

    # --- lamp ---

    def _open_lamp(self, loop: asyncio.AbstractEventLoop) -> None:
        settings = self._settings.lamp
        pins = [settings.gpio]
        if settings.kind == "rgb":
            pins = [settings.red_gpio, settings.green_gpio, settings.blue_gpio]
        self._dimmable = settings.kind != "led"
        self._no_dimming = ""
        try:
            self._open_leds(pins)
        except PinPWMUnsupported:
            self._open_plain(pins, "its pin has no hardware PWM")
        except OSError as error:
            # Taking a PWM channel makes udev hand it to our group, and that takes a moment.
            if isinstance(error, PermissionError) and self._retries < PWM_ATTEMPTS:
                raise
            self._open_plain(pins, f"the PWM of its pin cannot be used ({error.strerror})")
        player = Player(self._light, settings, loop, dimmable=self._dimmable)
        try:
            player.show(self._sign)
        except BaseException:
            self._close_leds()
            raise
        self._player = player

    def _open_plain(self, pins: list[int], reason: str) -> None:
        self._dimmable = False
        self._no_dimming = reason
        self._open_leds(pins)

    def _open_leds(self, pins: list[int]) -> None:
        active_high = self._settings.lamp.active_high
        try:
            for number in pins:
                options: dict[str, Any] = {"active_high": active_high, "pin_factory": self.factory}
                if self._dimmable:
                    led = gpiozero.PWMLED(f"GPIO{number}", frequency=PWM_HZ, **options)
                else:
                    led = gpiozero.LED(f"GPIO{number}", **options)
                self._leds.append(led)
        except BaseException:
            self._close_leds()
            raise

    def _close_leds(self) -> None:
        leds, self._leds = self._leds, []
        for led in leds:
            # Of a chip that has gone away there is nothing to give back.
            with contextlib.suppress(OSError, GPIOZeroError):
                led.close()

    def _close_lamp(self) -> None:
        player, self._player = self._player, None
        if player is not None:
            # Of a chip that has gone away there is nothing to put out.
            with contextlib.suppress(OSError, DeviceError, GPIOZeroError):
                player.close()
            self._wakeups += player.wakeups
        self._close_leds()

    def _light(self, look: Look) -> None:
        if len(self._leds) == 3:
            values: tuple[float, ...] = lamp.duties(look)
        else:
            values = (lamp.duty(look.level),)
        if not self._dimmable:
            values = tuple(float(value >= lamp.PLAIN_THRESHOLD) for value in values)
        try:
            for led, value in zip(self._leds, values, strict=True):
                led.value = value
        except (OSError, DeviceError, GPIOZeroError) as error:
            if self._player is None:
                # Being opened, or closed: whoever does that has to know.
                raise
            # Called by the player, which is closed by this: not from inside its own turn.
            if self._loop is not None and "lamp" not in self._faults:
                self._faults["lamp"] = f"lamp: {_sentence(error)}"
                self._loop.call_soon(self._lost, self._faults["lamp"])


def _in_words(button: Button) -> str:
    if button.startswith(PERSONA):
        return f"position {button.removeprefix(PERSONA)} of the persona switch"
    return button.replace("_", " ") if button.startswith("encoder") else f"{button} button"


def _lgpio_factory(chip: Any, reason: Exception) -> Any:
    try:
        from gpiozero.pins.lgpio import LGPIOFactory  # noqa: PLC0415

        return LGPIOFactory(chip=int(chip.name.removeprefix("gpiochip")))
    except Exception as error:
        # lgpio raises errors of its own, and FileNotFoundError where it may not write its pipe.
        raise DeviceError(f"{reason}, and lgpio does not work either: {error}") from error


def _sentence(error: Exception) -> str:
    match error:
        case DeviceError():
            return str(error)
        case GPIOPinInUse():
            return f"{error}; give every button and lamp a pin of its own"
        case PinInvalidPin():
            return f"{error}; take a BCM number of the 40-pin header, 0 to 27"
        case PermissionError():
            return f"not permitted ({error.strerror}): the user must be in the group gpio"
        case OSError():
            return f"the kernel refuses it ({error.strerror}): look for the reason in dmesg"
        case _:
            return f"{error or type(error).__name__}"
