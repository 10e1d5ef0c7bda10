"""How long something has gone on altogether."""


class Stopwatch:
    """Adds up the time between starts and stops. Pure: time comes in as a number."""

    def __init__(self) -> None:
        self._before_s = 0.0
        self._started_s: float | None = None

    def start(self, now_s: float) -> None:
        """Run from now on, if it does not already."""
        self._started_s = now_s if self._started_s is None else self._started_s

    def stop(self, now_s: float) -> None:
        """Stand still from now on."""
        self._before_s, self._started_s = self.total_s(now_s), None

    def total_s(self, now_s: float) -> float:
        """Return for how long it has run until now."""
        return self._before_s + (now_s - self._started_s if self._started_s is not None else 0.0)
