"""The real daemon, with a button and a lamp that somebody else holds.

`python -m demolib.mockpins ARGUMENTS…` is `voicekiosk ARGUMENTS…` with gpiozero's mock pins in place of
a Raspberry Pi's. Lines on standard input move pins: `17 down`, `17 up`. Every change of a pin is told
on standard output as one JSON object a line: `{"pin": 18, "level": 1.0, "t_s": 1234.5}`.
"""

import json
import sys
import threading
import time
from typing import Any

import gpiozero
from gpiozero.pins.mock import MockFactory, MockPWMPin

from voicekiosk.cli import main

FINGER = "finger"


class ToldPin(MockPWMPin):  # type: ignore[misc]
    """A mock pin that tells of its changes."""

    def _change_state(self, value: float) -> bool:
        # Before the pin's own callbacks run: this is the edge, whatever is made of it.
        # An input changes by itself, too, when it is set up and closed: only the finger counts.
        if self._state != value and (self.function == "output" or threading.current_thread().name == FINGER):
            line = {"pin": self.info.name, "level": float(value), "t_s": time.monotonic()}
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
        result: bool = super()._change_state(value)
        return result


def obey(factory: MockFactory) -> None:
    """Move pins as the lines on standard input say; this thread is the finger on the button."""
    for line in sys.stdin:
        number, direction = line.split()
        pin: Any = factory.pin(f"GPIO{number}")
        if direction == "down":
            pin.drive_low()
        else:
            pin.drive_high()


if __name__ == "__main__":
    gpiozero.Device.pin_factory = MockFactory(pin_class=ToldPin)
    threading.Thread(target=obey, args=(gpiozero.Device.pin_factory,), daemon=True, name=FINGER).start()
    raise SystemExit(main())
