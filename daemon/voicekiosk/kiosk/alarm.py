"""One timer for everything that the conductor waits for."""

import asyncio
from collections.abc import Callable

NEVER = float("inf")


class Alarm:
    """Rings once at the moment it was last set to. Setting it to where it stands costs nothing."""

    def __init__(self, ring: Callable[[float], None]) -> None:
        """Call `ring(now_s)` when it is time; `now_s` is never before the moment that was asked for."""
        self._ring = ring
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._at_s = NEVER

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Ring in `loop` from now on."""
        self._loop = loop

    def set(self, at_s: float) -> None:
        """Ring at `at_s` (monotonic seconds) and not before; `NEVER` for not at all."""
        if at_s == self._at_s or self._loop is None:
            return
        self.cancel()
        self._at_s = at_s
        if at_s < NEVER:
            self._handle = self._loop.call_at(at_s, self._due, self._loop)

    def cancel(self) -> None:
        """Do not ring."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle, self._at_s = None, NEVER

    def _due(self, loop: asyncio.AbstractEventLoop) -> None:
        # asyncio rings up to a clock tick early; a deadline must then not count as not yet due.
        now_s = max(loop.time(), self._at_s)
        self._handle, self._at_s = None, NEVER
        self._ring(now_s)
