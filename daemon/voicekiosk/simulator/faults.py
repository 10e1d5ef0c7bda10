"""Things that go wrong on purpose: by a scenario's plan, or on command while it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from voicekiosk.errors import ConfigError
from voicekiosk.simulator.scenario import Fault

KINDS = {
    "drop": "cut the connection: CODE 1006 closes TCP, 0 resets it, any other sends that close code",
    "stall": "send nothing for SECONDS, then everything at once",
    "blackhole": "neither read nor send for SECONDS: a dead link",
    "deaf": "stop listening for good",
    "garbage": "send a text frame that is not JSON",
    "frame": "send FRAME as it is",
    "error": "send session.error with ERROR and MESSAGE, without closing",
    "fail": "send session.error with ERROR and MESSAGE, and close",
    "interrupt": "interrupt the running reply",
    "binary": "send a binary frame",
}
GARBAGE = b'{"type":"reply.audio","data":'


def check(fault: Fault) -> None:
    """Raise ConfigError when a fault's `do` is not known."""
    if fault.do not in KINDS:
        raise ConfigError(f"no fault {fault.do!r}; there are: {', '.join(KINDS)}")


class FaultPlan:
    """Says which faults of a scenario are due on one connection."""

    def __init__(self, faults: Iterable[Fault], left: dict[int, int], connection: int) -> None:
        # How often each may still happen is shared by all connections.
        self._left = left
        self._mine = [
            (index, fault) for index, fault in enumerate(faults) if fault.connection in (0, connection)
        ]
        self._types = {fault.after for _, fault in self._mine if fault.after}
        self._counts: Counter[str] = Counter()

    def timed(self) -> list[tuple[float, Fault]]:
        """Return the faults that come at a time, with it."""
        return [(fault.at_s, fault) for index, fault in self._mine if not fault.after and self._take(index)]

    def after(self, kind: str) -> list[Fault]:
        """Note an event of either direction and return the faults it sets off."""
        if kind not in self._types:
            return []
        self._counts[kind] += 1
        return [
            fault
            for index, fault in self._mine
            if fault.after == kind and fault.count == self._counts[kind] and self._take(index)
        ]

    def _take(self, index: int) -> bool:
        if self._left.get(index, 0) == 0:
            return False
        if self._left[index] > 0:
            self._left[index] -= 1
        return True
