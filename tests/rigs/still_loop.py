"""An event loop in which time passes only when a test says so."""

import asyncio


class StillLoop(asyncio.SelectorEventLoop):
    """Real descriptors, invented time."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1000.0

    def time(self) -> float:
        return self.now_s

    def turn(self) -> None:
        """Carry out what is ready now."""
        self.call_soon(self.stop)
        self.run_forever()

    def pass_time(self, seconds: float) -> None:
        """Let `seconds` pass, stopping at every timer on the way."""
        end_s = self.now_s + seconds
        while self._scheduled and (pending := [t for t in self._scheduled if not t.cancelled()]):
            when_s = min(timer.when() for timer in pending)
            if when_s > end_s:
                break
            self.now_s = max(self.now_s, when_s)
            self.turn()
        self.now_s = end_s
        self.turn()
