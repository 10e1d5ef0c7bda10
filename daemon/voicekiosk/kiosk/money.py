"""What the kiosk spends: seconds of open sessions by turn, day and month. Pure: time comes in as numbers.

The service bills open time, idle or not, and 30 s more for a session that was not ended (protocol 5.3).
Durations are measured with the monotonic clock; the clock on the wall only says which day it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

GRACE_S = 30.0
WRITE_EVERY_S = 60.0
JUMP_S = 600.0
"""A clock on the wall that goes so far off the monotonic one in between was set."""
EARLIEST_S = 1_763_769_600.0
"""A clock from before this program was written knows nothing."""
KEPT_DAYS = 62


class Level(StrEnum):
    """How much of the daily cap is spent."""

    FINE = "fine"
    WARNING = "warning"
    SPENT = "spent"


@dataclass(slots=True)
class Day:
    """What one day had."""

    seconds: float = 0.0
    turns: int = 0

    def add(self, other: "Day", sign: int = 1) -> None:
        """Count what another one counted; with `sign` -1, take it back."""
        self.seconds = max(0.0, self.seconds + sign * other.seconds)
        self.turns = max(0, self.turns + sign * other.turns)


@dataclass(frozen=True, slots=True)
class Prices:
    """What an hour costs, and how much a day may."""

    per_hour: float
    daily_cap: float
    """0: as much as it likes."""
    warn_percent: float

    def cost(self, seconds: float) -> float:
        """Return what so many seconds of open session cost."""
        return seconds * self.per_hour / 3600


class Meter:
    """Counts open sessions. `look` has to be called before anything is read or changed."""

    def __init__(self, days: Mapping[str, Day], *, unended: bool = False) -> None:
        """Go on from the days of an earlier process; `unended` if it left a session open.

        Then up to `WRITE_EVERY_S` went unwritten, and nobody ended the session: all of it is counted,
        since a meter that stands below the bill is no guard.
        """
        self.days = {day: Day(count.seconds, count.turns) for day, count in days.items()}
        self.day = max(self.days, default="")
        self.open = False
        self.turn_s = 0.0
        """Open time since the last turn began."""
        self._owed_s = WRITE_EVERY_S + GRACE_S if unended else 0.0
        self._counted = Day()
        # When this was last looked at, by both clocks.
        self._seen: tuple[float, float] | None = None
        self._lost_at_s: float | None = None

    @property
    def today(self) -> Day:
        """What the present day had so far."""
        return self.days.get(self.day, Day())

    @property
    def month_s(self) -> float:
        """Open seconds of the present month."""
        return sum(count.seconds for day, count in self.days.items() if day[:7] == self.day[:7])

    def look(self, now_s: float, wall_s: float, day: str) -> None:
        """Count what has passed; `day` is the local date (2026-11-22) at `wall_s` (Unix seconds)."""
        passed_s = 0.0 if self._seen is None else now_s - self._seen[0]
        jumped = self._seen is not None and abs(wall_s - self._seen[1] - passed_s) > JUMP_S
        self._seen = now_s, wall_s
        if day != self.day and (wall_s >= EARLIEST_S or not self.day):
            self._begin_day(day, relabel=jumped)
        if self.open:
            self._count(passed_s)
        if self._owed_s:
            self._count(self._owed_s)
            self._owed_s = 0.0

    def opened(self, now_s: float, *, resumed: bool) -> None:
        """Count from now on; a session that is resumed went on in between, and so did its bill."""
        if resumed and self._lost_at_s is not None:
            self._count(-max(0.0, GRACE_S - (now_s - self._lost_at_s)))
        self.open, self._lost_at_s = True, None

    def closed(self, now_s: float, *, ended: bool) -> None:
        """Count no more; a session that was not `ended` is billed a while longer."""
        if self.open and not ended:
            self._lost_at_s = now_s
            self._count(GRACE_S)
        self.open = False

    def turn_begins(self) -> None:
        """Begin the turn of a visitor who asks something."""
        self.turn_s = 0.0
        for count in (self._today(), self._counted):
            count.turns += 1

    def level(self, prices: Prices) -> Level:
        """Say how much of the daily cap is spent."""
        if prices.daily_cap <= 0:
            return Level.FINE
        percent = 100 * prices.cost(self.today.seconds) / prices.daily_cap
        if percent >= 100:
            return Level.SPENT
        return Level.WARNING if percent >= prices.warn_percent else Level.FINE

    def due_in_s(self, prices: Prices) -> float:
        """Return how long a session has to stay open until the level changes; infinite when it does not."""
        if prices.daily_cap <= 0 or prices.per_hour <= 0:
            return float("inf")
        left = [prices.daily_cap * part - prices.cost(self.today.seconds) for part in (self._warn(prices), 1)]
        return min((money * 3600 / prices.per_hour for money in left if money > 0), default=float("inf"))

    def kept(self) -> dict[str, Day]:
        """Return the days that are worth keeping."""
        newest = sorted(self.days)[-KEPT_DAYS:]
        return {day: self.days[day] for day in newest if self.days[day] != Day()}

    @staticmethod
    def _warn(prices: Prices) -> float:
        return prices.warn_percent / 100

    def _begin_day(self, day: str, *, relabel: bool) -> None:
        """Go on under another date.

        Midnight begins a new count. A clock that was set means that the date was wrong until now: what
        was counted under it here goes along, so that no clock can give the day's money out twice.
        """
        if relabel:
            self._today().add(self._counted, -1)
            self.day = day
            self._today().add(self._counted)
        else:
            self.day, self._counted = day, Day()

    def _count(self, seconds: float) -> None:
        part = Day(seconds)
        self._today().add(part)
        self._counted.add(part)
        self.turn_s = max(0.0, self.turn_s + seconds)

    def _today(self) -> Day:
        return self.days.setdefault(self.day, Day())
