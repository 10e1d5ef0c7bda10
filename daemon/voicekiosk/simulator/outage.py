"""Time in which this end held a connection back: what came of it is not held against the client."""

from __future__ import annotations

import math


class Outage:
    """The stalls and black holes of one connection; times are the simulator's, in seconds."""

    def __init__(self) -> None:
        self._began_s: float | None = None
        self._ended_s = -math.inf
        self._length_s = 0.0

    @property
    def active(self) -> bool:
        """Whether the connection is held back now."""
        return self._began_s is not None

    def begin(self, now_s: float) -> None:
        """Begin to hold back; does nothing while it is held back already."""
        if self._began_s is None:
            self._began_s = now_s

    def end(self, now_s: float) -> None:
        """Go on as usual."""
        if self._began_s is not None:
            self._length_s, self._ended_s = now_s - self._began_s, now_s
            self._began_s = None

    def last_s(self, now_s: float) -> float:
        """Return when the connection was last held back; minus infinity if it never was."""
        return now_s if self.active else self._ended_s

    def late_s(self, now_s: float) -> float:
        """Return by how much something read now may have waited in front of this end."""
        return max(0.0, self._ended_s + self._length_s - now_s) if self._length_s else 0.0
