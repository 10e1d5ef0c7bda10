"""A gpiozero pin factory on the kernel's line events: no thread, no polling, no library beneath.

lgpio polls every half millisecond once an input has a callback; here an idle button costs nothing at
all. Each pin is one descriptor in the event loop, and callbacks run in the event loop's thread.

A line is requested when its first level is read or written or its edges are wanted, with everything
set by then (direction, pull, first level), so that an output never shows a level nobody asked for.
"""

import asyncio
import errno
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from gpiozero.exc import (
    PinFixedPull,
    PinInvalidEdges,
    PinInvalidFunction,
    PinInvalidPull,
    PinPWMUnsupported,
    PinSetInput,
    PinUnknownPi,
)
from gpiozero.pins.local import get_pi_revision
from gpiozero.pins.pi import PiFactory, PiPin

from voicekiosk.errors import DeviceError
from voicekiosk.panel import pwm, uapi

HEADER_LABELS: Final = ("pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1", "gpio-sim")
"""Beginnings of the labels of chips that have the header's pins, best first.

Numbers are no guide: the Pi 5's header was gpiochip4 until a kernel update made it gpiochip0.
"""
CONSUMER: Final = "voicekiosk"

_GENERIC_REVISION: Final = 0xA02082
"""Stands for "some board with a 40-pin header" where the board does not say what it is."""
_PULLS: Final = {
    "up": uapi.FLAG_PULL_UP,
    "down": uapi.FLAG_PULL_DOWN,
    "floating": uapi.FLAG_BIAS_DISABLED,
}
_EDGES: Final = {
    "both": uapi.FLAG_EDGE_RISING | uapi.FLAG_EDGE_FALLING,
    "rising": uapi.FLAG_EDGE_RISING,
    "falling": uapi.FLAG_EDGE_FALLING,
}

log = logging.getLogger(__name__)


class UnsupportedKernelError(DeviceError):
    """The kernel is older than version 2 of the GPIO interface."""


def find_chip(chip: str = "auto", dev: Path = Path("/dev")) -> Path:
    """Find the GPIO chip called `chip` or, for "auto", the one with the header's pins.

    Raises DeviceError with a sentence that says what to do.
    """
    if chip != "auto":
        return Path(chip)
    paths = sorted(dev.glob("gpiochip*"), key=lambda path: (len(path.name), path.name))
    if not paths:
        raise DeviceError(
            f"there is no GPIO chip ({dev}/gpiochip*) on this machine: "
            'on anything but a Pi, set panel.driver to "keyboard" or "none"'
        )
    found: list[tuple[Path, str]] = []
    denied: list[Path] = []
    for path in paths:
        try:
            found.append((path, _label(path)))
        except PermissionError:
            denied.append(path)
        except OSError as error:
            log.debug("%s is not usable: %s", path, error)
    for label in HEADER_LABELS:
        for path, its_label in found:
            if its_label.startswith(label):
                return path
    if denied:
        raise _denied(denied[0])
    chips = ", ".join(f"{path} ({label})" for path, label in found) or "none that answers"
    raise DeviceError(
        f"no GPIO chip here has a Pi's header (found: {chips}): "
        'name the right one in panel.chip, or set panel.driver to "keyboard" or "none"'
    )


def _label(path: Path) -> str:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        return uapi.chip_info(fd).label
    finally:
        os.close(fd)


def _denied(path: Path) -> DeviceError:
    return DeviceError(
        f"may not open {path}: add the user to the group gpio "
        "(sudo usermod -aG gpio USER; in the unit SupplementaryGroups=gpio) and start again"
    )


class LineFactory(PiFactory):  # type: ignore[misc]  # gpiozero has no types
    """Pins of one GPIO chip, on the kernel's line events.

    Belongs to the event loop's thread. Chip and lines are closed by `close`. When a line is lost
    while its edges are watched (the chip went away), `on_lost` is called with a sentence.
    """

    def __init__(
        self,
        chip: Path,
        loop: asyncio.AbstractEventLoop,
        on_lost: Callable[[str], None] = log.error,
        pwm_root: Path = pwm.SYSFS,
    ) -> None:
        """Open `chip`.

        Raises DeviceError with a sentence; UnsupportedKernelError for a kernel before 5.10.
        """
        super().__init__()
        self.pin_class = LinePin
        self.loop = loop
        self.on_lost = on_lost
        self._pwm_root = pwm_root
        self._path = chip
        self._fd = _open_chip(chip)
        try:
            self.chip = uapi.chip_info(self._fd)
            uapi.line_info(self._fd, 0)
        except OSError as error:
            self.close()
            if error.errno in (errno.ENOTTY, errno.EINVAL):
                raise UnsupportedKernelError(
                    f"{chip} does not know line events (kernel before 5.10, or not a GPIO chip)"
                ) from error
            raise DeviceError(f"{chip} does not answer: {error.strerror}") from error

    def close(self) -> None:
        """Give every line back and close the chip; may be called twice."""
        super().close()
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def ticks(self) -> float:
        """Give the time that line events are stamped with."""
        return time.monotonic()

    def ticks_diff(self, later: float, earlier: float) -> float:
        """Give the seconds between two `ticks`."""
        return later - earlier

    def request(self, number: int, flags: int, *, high: bool = False) -> int:
        """Take line `number` and give its descriptor; raises DeviceError with a sentence."""
        if number >= self.chip.lines:
            raise DeviceError(
                f"GPIO{number} is out of range: {self._path} ({self.chip.label}) has lines 0 to "
                f"{self.chip.lines - 1}; check the pin and panel.chip"
            )
        try:
            return uapi.request_line(self._fd, number, flags, high=high, consumer=CONSUMER)
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise DeviceError(
                    f"GPIO{number} is held by {self._holder(number)}: stop that program or remove its "
                    "overlay, or take another pin"
                ) from error
            raise DeviceError(f"GPIO{number} of {self._path} cannot be used: {error.strerror}") from error

    def _holder(self, number: int) -> str:
        try:
            consumer = uapi.line_info(self._fd, number).consumer
        except OSError:
            consumer = ""
        return f'"{consumer}"' if consumer else "another program or the kernel"

    def open_pwm(self, number: int, frequency_hz: float) -> pwm.Channel | None:
        """Open the hardware PWM channel that drives pin `number`; None when it has none."""
        path = pwm.find(number, self._pwm_root)
        return None if path is None else pwm.Channel(*path, frequency_hz)

    def _get_revision(self) -> int:
        try:
            revision: int = get_pi_revision()
        except PinUnknownPi:
            return _GENERIC_REVISION
        return revision


def _open_chip(chip: Path) -> int:
    try:
        return os.open(chip, os.O_RDWR | os.O_CLOEXEC)
    except PermissionError as error:
        raise _denied(chip) from error
    except OSError as error:
        raise DeviceError(f"cannot open {chip}: {error.strerror}; check panel.chip") from error


class LinePin(PiPin):  # type: ignore[misc]
    """One line; what its methods mean is said in `gpiozero.Pin`."""

    def __init__(self, factory: LineFactory, info: Any) -> None:
        super().__init__(factory, info)
        self._fd = -1
        self._function = "input"
        self._pull: str = info.pull or "floating"
        self._edges = "both"
        self._pwm: pwm.Channel | None = None
        self._frequency_hz: float | None = None

    def close(self) -> None:
        """Give the line back; the pin may be used again."""
        self.when_changed = None
        self.frequency = None
        self._release()
        self._function = "input"
        self._pull = self.info.pull or "floating"

    def output_with_state(self, state: float) -> None:
        """Take the line as an output that has `state` from its first moment."""
        self.function = "output"
        self.state = state

    def _release(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self.factory.loop.remove_reader(fd)
            os.close(fd)

    def _input_flags(self) -> int:
        # A pin with a resistor of its own on the board is left to it.
        bias = 0 if self.info.pull else _PULLS[self._pull]
        return uapi.FLAG_INPUT | bias

    def _get_function(self) -> str:
        return self._function

    def _set_function(self, value: str) -> None:
        if value not in ("input", "output"):
            raise PinInvalidFunction(f'invalid function "{value}" for pin {self!r}')
        self._release()
        self._function = value

    def _get_state(self) -> float:
        if self._pwm is not None:
            return self._pwm.duty
        if self._fd < 0:
            flags = uapi.FLAG_OUTPUT if self._function == "output" else self._input_flags()
            self._fd = self.factory.request(self._number, flags)
        return uapi.get_value(self._fd)

    def _set_state(self, value: float) -> None:
        if self._function == "input":
            raise PinSetInput(f"cannot set state of pin {self!r}")
        if self._pwm is not None:
            self._pwm.set_duty(value)
        elif self._fd < 0:
            self._fd = self.factory.request(self._number, uapi.FLAG_OUTPUT, high=bool(value))
        else:
            uapi.set_value(self._fd, bool(value))

    def _get_pull(self) -> str:
        return self._pull

    def _set_pull(self, value: str) -> None:
        if value not in _PULLS:
            raise PinInvalidPull(f'invalid pull "{value}" for pin {self!r}')
        if self._function != "input" or self.info.pull not in (value, ""):
            raise PinFixedPull(f"{self!r} has a physical pull-{self.info.pull} resistor, or is an output")
        self._release()
        self._pull = value

    def _get_frequency(self) -> float | None:
        return self._frequency_hz

    def _set_frequency(self, value: float | None) -> None:
        if self._pwm is not None:
            self._pwm.close()
            self._pwm = self._frequency_hz = None
        if value:
            # The line itself must not be held: taking it would switch the pin away from the PWM.
            self._release()
            self._pwm = self.factory.open_pwm(self._number, value)
            if self._pwm is None:
                raise PinPWMUnsupported(f"{self!r} has no hardware PWM here")
            self._frequency_hz = value

    def _get_edges(self) -> str:
        return self._edges

    def _set_edges(self, value: str) -> None:
        if value not in _EDGES:
            raise PinInvalidEdges(f'invalid edges "{value}" for pin {self!r}')
        handler, self.when_changed = self.when_changed, None
        self._edges = value
        self.when_changed = handler

    def _enable_event_detect(self) -> None:
        self._release()
        self._fd = self.factory.request(self._number, self._input_flags() | _EDGES[self._edges])
        self.factory.loop.add_reader(self._fd, self._readable)

    def _disable_event_detect(self) -> None:
        self._release()

    def _readable(self) -> None:
        try:
            edges = uapi.read_edges(self._fd)
        except OSError as error:
            # A descriptor that is readable for ever would keep the loop turning.
            self._release()
            self.factory.on_lost(f"{self!r} is lost: {error.strerror}")
            return
        for edge in edges:
            if self._when_changed is not None:
                self._call_when_changed(edge.t_s, edge.high)
