"""Which frame was captured when: a line through what the card reports, read by any thread.

At each look at the card we know how many frames it has captured by then (what was read and what it still
holds). Reports can only be late: the thread may have been kept waiting, a driver counts in bursts. So
the honest line is the upper edge of the reports of the last second, which also follows a card whose
clock is not quite ours.
"""

_WINDOW_S = 0.5
# A card's clock is off by 0.1 ms in such a window at the very worst; a machine out of breath by tens of
# milliseconds. What is missing for longer than a window and by more than this was lost on the way to us.
_LOST_S = 0.25


class Timeline:
    """Ring positions against monotonic time. One thread observes; any thread asks."""

    __slots__ = ("_best", "_line", "_previous_best", "_rate_hz", "_window_ends_s")

    def __init__(self, rate_hz: int) -> None:
        """Make a timeline that knows nothing yet: every moment is at position 0."""
        self._rate_hz = rate_hz
        # Position at time 0 of the line, and the earliest position it is true for. One tuple, replaced
        # as a whole, so that a reader in another thread never sees half of it.
        self._line: tuple[float, int] = (float("-inf"), 0)
        # Upper edges of the window before this one and of this one.
        self._previous_best = float("-inf")
        self._best = float("-inf")
        self._window_ends_s = 0.0

    def start(self, t_s: float, position: int) -> None:
        """Begin anew: the card starts at `t_s`, its first frame will be at `position`. Owner's thread."""
        self._best = position - t_s * self._rate_hz
        self._previous_best = self._best
        self._window_ends_s = t_s + _WINDOW_S
        self._line = (self._best, position)

    def observe(self, t_s: float, position: int) -> int:
        """Note that the card has captured up to `position` by `t_s`. Owner's thread.

        Returns the frames that were lost without the card saying so, else 0. The caller must put as
        many frames of silence into the ring: positions count on it.
        """
        offset = position - t_s * self._rate_hz
        lost = 0
        if t_s >= self._window_ends_s:
            behind = self._previous_best - self._best
            if behind > _LOST_S * self._rate_hz:
                lost = round(behind)
                self._best += lost
                offset += lost
            self._previous_best, self._best = self._best, offset
            self._window_ends_s = t_s + _WINDOW_S
        elif offset > self._best:
            self._best = offset
        self._line = (max(self._previous_best, self._best), self._line[1])
        return lost

    def frame_at(self, t_s: float) -> int:
        """Return the position of the frame captured at `t_s`, never before the start. Any thread."""
        offset, start = self._line
        if offset == float("-inf"):
            return 0
        return max(start, round(offset + t_s * self._rate_hz))
