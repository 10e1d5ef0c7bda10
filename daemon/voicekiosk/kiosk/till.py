"""The meter in the running kiosk: told what opens and closes, kept on disk, and heard when money runs out.

Belongs to the event loop's thread; only the disk is waited for elsewhere. Sets no timer while nothing is
open, nothing is unwritten and nothing is refused.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

import msgspec

from voicekiosk.agent import events as agent
from voicekiosk.config.schema import Config
from voicekiosk.kiosk import events as kiosk
from voicekiosk.kiosk.conductor import Conductor
from voicekiosk.kiosk.events import Fault
from voicekiosk.kiosk.machine import AnyEvent
from voicekiosk.kiosk.money import WRITE_EVERY_S, Day, Level, Meter, Prices
from voicekiosk.kiosk.state import State
from voicekiosk.service.statefile import StateFile
from voicekiosk.service.status import MoneyStatus

logger = logging.getLogger("voicekiosk.kiosk")

FILE_NAME = "money.json"
LOOK_FOR_MIDNIGHT_S = 900.0
KEEP_WITHIN_S = 1.0


class Book(msgspec.Struct, frozen=True):
    """What is kept: seconds and turns by day, and whether a session was open when it was written."""

    days: dict[str, tuple[float, int]] = {}
    open: bool = False


class Till:
    """Watches over the daily cap, and says what was spent."""

    def __init__(
        self,
        conductor: Conductor,
        file: StateFile,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Go on from what `file` has; `clock` and `wall` give monotonic and Unix seconds."""
        self._conductor = conductor
        self._file = file
        self._clock = clock
        self._wall = wall
        book = _read(file)
        days = {day: Day(*counts) for day, counts in book.days.items()}
        self.meter = Meter(days, unended=book.open)
        self._written = book
        self._written_at_s = float("-inf")
        self._level = Level.FINE
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin: a day that is spent already refuses presses from the start."""
        self._loop = loop
        self.look()

    async def close(self) -> None:
        """Let the disk have what is not written."""
        if self._timer is not None:
            self._timer.cancel()
        self._look_at_clocks()
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=KEEP_WITHIN_S)
        if self._book() != self._written:
            with suppress(TimeoutError):
                async with asyncio.timeout(KEEP_WITHIN_S):
                    await asyncio.to_thread(self._file.write, msgspec.json.encode(self._book()))

    def observe(self, event: AnyEvent, before: State, after: State) -> None:
        """Notice what costs money."""
        asked = after.microphone_live and not before.microphone_live
        match event:
            case agent.Ready(resumed=resumed):
                self._look_at_clocks()
                self.meter.opened(self._clock(), resumed=resumed)
            case agent.Dropped() | agent.Refused() | agent.Ended() if self.meter.open:
                self._look_at_clocks()
                ending = self._conductor.parts.agent.facts().ending
                ended = ending is not None and ending.close_code == 1000
                self.meter.closed(self._clock(), ended=ended)
            case kiosk.Reconfigured():
                pass
            case _ if not asked:
                return
        if asked:
            self._look_at_clocks()
            self.meter.turn_begins()
        self.look()

    def look(self) -> None:
        """See what was spent, and what follows from it."""
        self._look_at_clocks()
        level, before = self.meter.level(self._prices), self._level
        self._level = level
        if level is not before:
            self._tell(level)
        refused = Fault.BUDGET in self._conductor.state.faults
        if (level is Level.SPENT) != refused:
            change = kiosk.Failed if level is Level.SPENT else kiosk.Fixed
            self._conductor.dispatch(change(Fault.BUDGET))
        self._keep()
        self._set_timer()

    def status(self) -> MoneyStatus:
        """Return what was spent."""
        self._look_at_clocks()
        prices, meter = self._prices, self.meter
        return MoneyStatus(
            currency=self._conductor.config.money.currency,
            turn=round(prices.cost(meter.turn_s), 4),
            today=round(prices.cost(meter.today.seconds), 4),
            month=round(prices.cost(meter.month_s), 4),
            daily_cap=prices.daily_cap or None,
            level=str(meter.level(prices)),
            turns_today=meter.today.turns,
            today_s=round(meter.today.seconds, 1),
            month_s=round(meter.month_s, 1),
        )

    @property
    def _prices(self) -> Prices:
        return prices_of(self._conductor.config)

    def _look_at_clocks(self) -> None:
        wall_s = self._wall()
        self.meter.look(self._clock(), wall_s, datetime.fromtimestamp(wall_s).astimezone().date().isoformat())

    def _tell(self, level: Level) -> None:
        money = self._conductor.config.money
        spent = f"{self._prices.cost(self.meter.today.seconds):.2f} of {money.daily_cap:.2f} {money.currency}"
        match level:
            case Level.WARNING:
                logger.warning("money: %s are spent today; at the cap the kiosk refuses presses", spent)
            case Level.SPENT:
                logger.warning("money: %s are spent today; presses are refused until midnight", spent)
            case Level.FINE:
                logger.info("money: %s are spent today", spent)

    # --- disk and time -------------------------------------------------------------------------

    def _book(self) -> Book:
        days = {day: (round(d.seconds, 1), d.turns) for day, d in self.meter.kept().items()}
        return Book(days, self.meter.open)

    def _keep(self) -> None:
        """Write what is new, at most once a minute: cards wear out by writing."""
        book = self._book()
        if self._loop is None or self._file.path is None:
            return
        due = self._clock() - self._written_at_s >= WRITE_EVERY_S
        if book == self._written or not due or self._writing is not None:
            return
        self._written, self._written_at_s = book, self._clock()
        self._writing = self._loop.create_task(self._write(msgspec.json.encode(book)))

    async def _write(self, content: bytes) -> None:
        try:
            await asyncio.to_thread(self._file.write, content)
        finally:
            self._writing = None

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due_s = []
        if self.meter.open:
            due_s += [WRITE_EVERY_S, self.meter.due_in_s(self._prices) + 0.01]
        elif self._file.path is not None and self._book() != self._written:
            due_s.append(max(0.01, self._written_at_s + WRITE_EVERY_S - self._clock()))
        if self._level is Level.SPENT:
            due_s.append(min(LOOK_FOR_MIDNIGHT_S, until_midnight_s(self._wall()) + 0.01))
        if due_s and self._loop is not None:
            self._timer = self._loop.call_later(min(due_s), self.look)


def prices_of(config: Config) -> Prices:
    """Take the prices out of a configuration."""
    money = config.money
    return Prices(money.price_per_hour, money.daily_cap, money.warn_percent)


def until_midnight_s(wall_s: float) -> float:
    """Return how long the local day still has; an hour off on the days on which the clocks change."""
    now = datetime.fromtimestamp(wall_s).astimezone()
    return 86400.0 - (now.hour * 3600 + now.minute * 60 + now.second + now.microsecond / 1e6)


def _read(file: StateFile) -> Book:
    content = file.read()
    if content is None:
        return Book()
    try:
        return msgspec.json.decode(content, type=Book)
    except msgspec.DecodeError as error:
        logger.warning("%s is not what was kept there (%s): the meter begins anew", file.path, error)
        return Book()
