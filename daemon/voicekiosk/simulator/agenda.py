"""Things to be done later, in the order of their times."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

Action = Callable[[float], None]


class Agenda:
    """A heap of actions; time is whatever the caller says it is. Not thread-safe."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, object, Action]] = []
        self._order = count()

    def at(self, due_s: float, action: Action, owner: object = None) -> None:
        """Run the action when the time has come; equal times keep their order."""
        heapq.heappush(self._heap, (due_s, next(self._order), owner, action))

    def cancel(self, owner: object) -> None:
        """Forget every action of this owner."""
        self._heap = [entry for entry in self._heap if entry[2] is not owner]
        heapq.heapify(self._heap)

    def clear(self) -> None:
        """Forget everything."""
        self._heap.clear()

    @property
    def next_due_s(self) -> float | None:
        """When the next action is due; None when there is none."""
        return self._heap[0][0] if self._heap else None

    def run(self, now_s: float) -> None:
        """Run what is due, including what becomes due by it."""
        while self._heap and self._heap[0][0] <= now_s:
            self.run_one(now_s)

    def run_one(self, now_s: float) -> None:
        """Run the next action, telling it the present time."""
        heapq.heappop(self._heap)[3](now_s)
