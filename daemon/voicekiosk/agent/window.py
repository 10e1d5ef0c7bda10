"""How much audio may be on its way without proof: as much as pongs take to come, and no more.

What is not proven when a link dies has to be sent again, and a service that got it all the same hears it
twice. A link that is well never notices this limit; one that still takes our audio but does not answer any
more stops being fed after a quarter of a second. Pure: time comes in as a number.
"""

RATE_HZ = 24_000
FRAME_S = 0.1
MOST_S = 2.0
"""Also over the slowest link: in a longer queue pings would drown, and the link would pass for dead."""
NEWEST_COUNTS = 0.25


class Window:
    """The limit for one connection, from the times that its pongs took."""

    def __init__(self) -> None:
        self._round_trip_s: float | None = None

    def pong(self, round_trip_s: float) -> None:
        """Take how long a pong took; the newest count most, but one late pong is not yet a slow link."""
        if self._round_trip_s is None:
            self._round_trip_s = round_trip_s
        self._round_trip_s += NEWEST_COUNTS * (round_trip_s - self._round_trip_s)

    def samples(self, ping_interval_s: float) -> int:
        """Return how much may be unproven, when pings go out at this interval."""
        if self._round_trip_s is None:
            return round(MOST_S * RATE_HZ)
        return round(min(MOST_S, ping_interval_s + self._round_trip_s + FRAME_S) * RATE_HZ)
