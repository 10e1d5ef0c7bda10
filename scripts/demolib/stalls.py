"""When this machine stood still: the time that others took from it, seen from above everything that plays.

A card of silicon plays on while a processor is taken away; the stand-in card cannot, and then the sound halts
though nobody did anything wrong. On each processor a thread with a better priority than all that is judged
asks to be woken every few milliseconds. When it is not, nothing else could run there either.

A process of its own, so that the demo's own work cannot keep it from looking.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Self

LOOK_S = 0.004
LATE_S = 0.006
"""What is later than this was kept waiting; a machine that is only busy with the demo is not."""
PRIORITY = 6
"""One more than that of everything that is judged."""

Interval = tuple[float, float]


class Stalls:
    """Watches while it is entered; asked afterwards (times on CLOCK_MONOTONIC)."""

    def __init__(self) -> None:
        self.seen: list[Interval] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        told = self._process.communicate(timeout=10)[0]
        self.seen = merged([_interval(line) for line in told.splitlines()])

    def within(self, start_s: float, stop_s: float) -> float:
        """Return for how much of a stretch of time some processor stood still, in seconds."""
        return sum(max(0.0, min(stop_s, last) - max(start_s, first)) for first, last in self.seen)

    @property
    def longest_s(self) -> float:
        """How long the longest of them was; 0.0 when there was none."""
        return max((last - first for first, last in self.seen), default=0.0)


def merged(intervals: list[Interval]) -> list[Interval]:
    """Return what the intervals of all processors cover together, in order and without overlap."""
    result: list[Interval] = []
    for first, last in sorted(intervals):
        if result and first <= result[-1][1]:
            result[-1] = result[-1][0], max(last, result[-1][1])
        else:
            result.append((first, last))
    return result


def _interval(line: str) -> Interval:
    first, last = line.split()
    return float(first), float(last)


def _watch(processor: int, seen: list[Interval]) -> None:
    """Collect each stretch of time in which a processor woke nobody; never returns."""
    os.sched_setaffinity(0, {processor})
    due_s = time.monotonic() + LOOK_S
    while True:
        time.sleep(max(0.0, due_s - time.monotonic()))
        now_s = time.monotonic()
        if now_s - due_s > LATE_S:
            seen.append((due_s, now_s))
        due_s = now_s + LOOK_S


def main() -> None:
    """Watch all processors until the input ends, then print what was seen."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Where that is not allowed, it is no better off than what it watches: both are kept waiting.
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    seen: list[Interval] = []
    for processor in sorted(os.sched_getaffinity(0)):
        threading.Thread(target=_watch, args=(processor, seen), daemon=True).start()
    sys.stdin.read()
    for first, last in seen:
        print(f"{first:.4f} {last:.4f}")


if __name__ == "__main__":
    main()
