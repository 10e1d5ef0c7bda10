"""Hardware PWM through the kernel's /sys/class/pwm: a lamp is dimmed without a single wake-up.

It is there when `dtoverlay=pwm` (or `pwm-2chan`) in config.txt names the lamp's pin. A lamp on any
other pin shows on and off: dimming it in software would keep the processor awake all night, and
flicker whenever it is busy.
"""

import contextlib
import os
from pathlib import Path
from typing import Final

SYSFS: Final = Path("/sys/class/pwm")

_CHANNELS: Final = {
    # BCM2835 to BCM2711 (up to Pi 4): the first PWM block, not the one of the headphone socket.
    "20c000.pwm": {12: 0, 18: 0, 13: 1, 19: 1},
    # RP1 (Pi 5): the first PWM block, not the one of the fan.
    "98000.pwm": {12: 0, 13: 1, 18: 2, 19: 3},
}


def find(number: int, root: Path = SYSFS) -> tuple[Path, int] | None:
    """Find the PWM chip and channel that drive GPIO `number`; None when the board offers none."""
    for chip in sorted(root.glob("pwmchip*")):
        device = (chip / "device").resolve().name
        for ending, channels in _CHANNELS.items():
            if device.endswith(ending) and number in channels:
                return chip, channels[number]
    return None


class Channel:
    """One PWM channel, switched on at duty cycle 0. Every method may raise OSError."""

    def __init__(self, chip: Path, number: int, frequency_hz: float) -> None:
        """Take channel `number` of `chip`.

        PermissionError soon after boot means that udev has not yet given the channel to the group
        gpio: try again in a second.
        """
        self._chip = chip
        self._number = number
        self._directory = chip / f"pwm{number}"
        self._period_ns = round(1e9 / frequency_hz)
        self.duty = 0.0
        self._duty_fd = -1
        if not self._directory.exists():
            (chip / "export").write_text(str(number))
        # The duty cycle may never exceed the period, so it goes to nothing first.
        (self._directory / "duty_cycle").write_text("0")
        (self._directory / "period").write_text(str(self._period_ns))
        (self._directory / "enable").write_text("1")
        self._duty_fd = os.open(self._directory / "duty_cycle", os.O_WRONLY | os.O_CLOEXEC)

    def set_duty(self, duty: float) -> None:
        """Set the share of time that the pin is high, 0 to 1."""
        os.pwrite(self._duty_fd, b"%d\n" % round(self._period_ns * duty), 0)
        self.duty = duty

    def close(self) -> None:
        """Switch the channel off and give it back; may be called twice.

        A pin that is high is left high: it is a lamp that is dark when its pin is high.
        """
        fd, self._duty_fd = self._duty_fd, -1
        if fd < 0:
            return
        os.close(fd)
        if self.duty > 0:
            return
        with contextlib.suppress(OSError):
            (self._directory / "enable").write_text("0")
            (self._chip / "unexport").write_text(str(self._number))
