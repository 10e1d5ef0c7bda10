"""Waiting for what real audio threads say, and finding sound in sound."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

PATIENCE_S = 20.0

E = TypeVar("E")


class Events:
    """What the audio threads posted, in order; hand `post` to them."""

    def __init__(self) -> None:
        self.all: list[object] = []
        self._changed = threading.Condition()
        self._seen = 0

    def post(self, event: object) -> None:
        with self._changed:
            self.all.append(event)
            self._changed.notify_all()

    def next(self, kind: type[E], timeout_s: float = PATIENCE_S) -> E:
        """Wait for the next event of `kind` after those that were returned before."""
        with self._changed:
            found: list[tuple[int, E]] = []

            def look() -> bool:
                found[:] = [
                    (index, event)
                    for index, event in enumerate(self.all)
                    if index >= self._seen and isinstance(event, kind)
                ]
                return bool(found)

            if not self._changed.wait_for(look, timeout_s):
                raise AssertionError(f"no {kind.__name__} after {timeout_s} s, only {self.all[self._seen :]}")
            self._seen = found[0][0] + 1
            return found[0][1]

    def count(self, kind: type) -> int:
        return sum(isinstance(event, kind) for event in list(self.all))


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait until `condition()` holds, patiently; fail with `what` if it never does."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, f"never happened: {what}"
        time.sleep(0.01)


def context_switches(thread: threading.Thread) -> int:
    """How often the kernel has put `thread` on and off a processor."""
    status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
    return sum(int(line.split()[1]) for line in status.splitlines() if "ctxt_switches" in line)


def noise(seconds: float, rate_hz: int, seed: int = 1) -> NDArray[np.int16]:
    """Samples none of which is 0, and no two stretches of which are alike."""
    samples = np.random.default_rng(seed).integers(1, 9000, round(seconds * rate_hz)).astype(np.int16)
    return np.where(samples & 1, -samples, samples).astype(np.int16)


def position_of(needle: NDArray[np.int16], sound: NDArray[np.int16]) -> int:
    """Where `needle` is in `sound`, sample by sample; -1 when it is not."""
    for start in np.flatnonzero(sound[: len(sound) - len(needle) + 1] == needle[0]):
        if np.array_equal(sound[start : start + len(needle)], needle):
            return int(start)
    return -1
