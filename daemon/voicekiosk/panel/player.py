"""Plays signs on a lamp: one timer of the event loop while there is a rhythm, none while it is steady."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from voicekiosk.config import schema
from voicekiosk.panel import lamp
from voicekiosk.panel.lamp import Look, Sign

ACKNOWLEDGE_S: Final = 0.1
"""How long the lamp is inverted to answer a press that changes nothing else."""
NIGHT_CHECK_S: Final = 900.0
"""How often the clock is looked at when there are night hours: it may be set while we sleep."""
_AHEAD_S: Final = 0.001
"""A timer may fire a hair early; looking this far ahead finds the step that it fired for."""


def local_minute() -> int:
    """Give the minute of the day on the wall clock."""
    now = time.localtime()
    return now.tm_hour * 60 + now.tm_min


class Player:
    """Turns signs into looks at the right times. Belongs to the event loop's thread."""

    def __init__(
        self,
        light: Callable[[Look], None],
        settings: schema.Lamp,
        loop: asyncio.AbstractEventLoop,
        *,
        dimmable: bool,
        minute: Callable[[], int] = local_minute,
    ) -> None:
        """Make a player that calls `light` for every change of the look, with brightness applied.

        A lamp that is not `dimmable` gets the levels 0 and 1 only.
        """
        self._light = light
        self._settings = settings
        self._loop = loop
        self._dimmable = dimmable
        self._minute = minute
        self._pattern = lamp.pattern(Sign.OFF)
        self._begun_s = 0.0
        self._acknowledge_until_s = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self.sign = Sign.OFF
        self.shown = lamp.DARK
        # Timers that have fired: what showing this costs the processor.
        self.wakeups = 0

    def show(self, sign: Sign) -> None:
        """Show `sign` from now on; showing the same sign again leaves its rhythm alone."""
        if sign is self.sign:
            return
        self.sign = sign
        self._pattern = lamp.pattern(sign)
        lit = self.shown.level >= lamp.PLAIN_THRESHOLD * self._brightness()
        self._begun_s = self._loop.time() - self._pattern.entry_s(lit and self.shown.level > 0)
        self._acknowledge_until_s = float("-inf")
        self._turn()

    def acknowledge(self) -> None:
        """Invert the lamp for a moment: the answer to a press that leaves the sign as it is.

        A microphone sign is never interrupted; it is an answer already.
        """
        if self.sign not in lamp.MICROPHONE_SIGNS:
            self._acknowledge_until_s = self._loop.time() + ACKNOWLEDGE_S
            self._turn()

    def close(self) -> None:
        """Put the lamp out and stop; may be called twice."""
        try:
            self.show(Sign.OFF)
        finally:
            self._stop()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fired(self) -> None:
        self._timer = None
        self.wakeups += 1
        self._turn()

    def _turn(self) -> None:
        """Show what is to be seen now, and set the timer for the next change."""
        self._stop()
        now_s = self._loop.time()
        look, next_s = lamp.look(self._pattern, now_s - self._begun_s + _AHEAD_S, dimmable=self._dimmable)
        if next_s is None and self._settings.night_from and self.sign is not Sign.OFF:
            next_s = NIGHT_CHECK_S
        brightness = self._brightness()
        left_s = self._acknowledge_until_s - now_s - _AHEAD_S
        if left_s > 0:
            lit = look.level >= lamp.PLAIN_THRESHOLD
            look, brightness = Look(0.0 if lit else 1.0, look.rgb), max(brightness, lamp.MICROPHONE_FLOOR)
            next_s = left_s if next_s is None else min(left_s, next_s)
        self._put(look, brightness)
        if next_s is not None:
            self._timer = self._loop.call_at(now_s + next_s + _AHEAD_S, self._fired)

    def _put(self, look: Look, brightness: float) -> None:
        if self._dimmable:
            shown = lamp.dimmed(look, self.sign, brightness)
        else:
            shown = Look(1.0 if lamp.is_lit(look, self.sign, brightness) else 0.0, look.rgb)
        if shown != self.shown:
            self.shown = shown
            self._light(shown)

    def _brightness(self) -> float:
        settings = self._settings
        if settings.night_from and lamp.is_night(settings.night_from, settings.night_to, self._minute()):
            return settings.night_brightness / 100
        return settings.brightness / 100
