"""The finger at the button and the eye at the lamp, both on the simulated GPIO chip."""

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

CHIP = Path("/run/virtual-pi-gpio")
CONFIG = Path("/sys/kernel/config/gpio-sim/pi")
BUTTON, LAMP, MUTE = 17, 18, 27
LOOK_S = 0.005
HELD_S = 0.08
"""No finger is quicker. Two changes within one tick of the guest's kernel (10 ms) are one edge to it."""


class Finger:
    """Presses a button that connects its pin to ground."""

    def __init__(self, line: int = BUTTON) -> None:
        self._pull = CHIP / f"sim_gpio{line}" / "pull"
        self._moved_s = float("-inf")

    def press(self) -> float:
        """Press and return when."""
        return self._move(pressed=True)

    def release(self) -> float:
        """Release and return when."""
        return self._move(pressed=False)

    def contact(self, *, closed: bool) -> None:
        """Close or open the contact, as fast as one that bounces."""
        self._pull.write_text("pull-down" if closed else "pull-up")
        self._moved_s = time.monotonic()

    def tap(self, held_s: float = 0.1) -> float:
        """Press and release; return when it was pressed."""
        pressed_s = self.press()
        time.sleep(held_s)
        self.release()
        return pressed_s

    def _move(self, *, pressed: bool) -> float:
        time.sleep(max(0.0, self._moved_s + HELD_S - time.monotonic()))
        before_s = time.monotonic()
        self.contact(closed=pressed)
        return before_s


@dataclass(frozen=True, slots=True)
class Change:
    """The lamp went on or off."""

    t_s: float
    lit: bool


class Eye:
    """Watches the lamp's pin, not what the daemon says of it."""

    def __init__(self, line: int = LAMP) -> None:
        self._fd = os.open(CHIP / f"sim_gpio{line}" / "value", os.O_RDONLY)
        self._open = True
        self.changes = [Change(time.monotonic(), self.lit)]
        self._thread = threading.Thread(target=self._watch, daemon=True, name="eye")
        self._thread.start()

    @property
    def lit(self) -> bool:
        """Whether the lamp is on now."""
        return os.pread(self._fd, 8, 0).strip() == b"1"

    def close(self) -> None:
        """Look away."""
        self._open = False
        self._thread.join(5)
        os.close(self._fd)

    def between(self, start_s: float, stop_s: float) -> list[Change]:
        """Return the changes in a time."""
        return [change for change in self.changes if start_s <= change.t_s < stop_s]

    def lit_share(self, start_s: float, stop_s: float) -> float:
        """Return for how much of a time the lamp was on, from 0 to 1."""
        on_s, lit, since_s = 0.0, False, start_s
        for change in self.changes:
            if change.t_s <= start_s:
                lit = change.lit
            elif change.t_s < stop_s:
                on_s += (change.t_s - since_s) if lit else 0.0
                lit, since_s = change.lit, change.t_s
        on_s += (stop_s - since_s) if lit else 0.0
        return on_s / (stop_s - start_s)

    def _watch(self) -> None:
        lit = self.changes[0].lit
        while self._open:
            now = self.lit
            if now != lit:
                lit = now
                self.changes.append(Change(time.monotonic(), lit))
            time.sleep(LOOK_S)
