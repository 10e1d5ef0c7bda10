"""When systemd's watchdog is fed: only while every part that should make progress does."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from voicekiosk.service.notify import Notifier

logger = logging.getLogger(__name__)

STALE_AFTER_S = 4.0
"""A part without progress for this long is stuck.

The audio rooms close and reopen a device after 1 s and give the close 2 s: later than that, nobody
but systemd can help.
"""


def stuck_parts(ages_s: Mapping[str, float | None], stale_after_s: float = STALE_AFTER_S) -> tuple[str, ...]:
    """Return the parts that should have made progress and have not.

    `ages_s` says for each part how long ago its last progress was; None where it has nothing to do
    (a closed microphone).
    """
    return tuple(part for part, age_s in ages_s.items() if age_s is not None and age_s > stale_after_s)


class Watchdog:
    """Feed the watchdog from the event loop, so that a loop that does not turn starves it by itself.

    One wake-up each half of WatchdogSec=, and none at all without a watchdog.
    """

    def __init__(
        self,
        notifier: Notifier,
        ages_s: Callable[[float], Mapping[str, float | None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a feeder; `ages_s(now_s)` tells the age of each part's last progress."""
        self._notifier = notifier
        self._ages_s = ages_s
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._stuck: tuple[str, ...] = ()

    @property
    def stuck(self) -> tuple[str, ...]:
        """The parts that kept it from feeding at its last turn."""
        return self._stuck

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Feed now, and from now on."""
        interval_s = self._notifier.watchdog_interval_s
        if interval_s is not None:
            self._turn(loop, interval_s)

    def stop(self) -> None:
        """Stop feeding. systemd goes on watching, so only do this at the very end."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def check(self) -> None:
        """Feed if every part makes progress; say once which does not."""
        stuck = stuck_parts(self._ages_s(self._clock()))
        if not stuck:
            self._notifier.watchdog()
        if stuck != self._stuck:
            if stuck:
                logger.error("%s makes no progress; systemd will restart the service", " and ".join(stuck))
            else:
                logger.warning("%s makes progress again", " and ".join(self._stuck))
        self._stuck = stuck

    def _turn(self, loop: asyncio.AbstractEventLoop, interval_s: float) -> None:
        self._timer = loop.call_later(interval_s, self._turn, loop, interval_s)
        self.check()
