"""Whether this guest stood still: `python metronome.py FILE` wakes each 20 ms and writes down when it was late.

A process of its own, before everything else in here: who keeps it waiting is the kernel in here or the machine
outside, and never the kiosk. What failed in a test with such a gap has no verdict, which is not to say that it passed.
"""

import os
import sys
import time
from pathlib import Path

GAPS = Path("/run/virtual-pi-gaps")
"""A line for each gap: when it began (CLOCK_MONOTONIC) and how long it was, in seconds."""
TICK_S = 0.02
LONG_S = 0.1
"""What a kiosk has to bear: less than its loudspeaker's queue in the tests that count underruns, and less than its
microphone's buffer."""
PRIORITY = 20


def longest_s(since_s: float, until_s: float, gaps: Path = GAPS) -> float:
    """Return the longest gap that began or ended between two times; 0 where there was none."""
    longest = 0.0
    for line in gaps.read_text().splitlines() if gaps.exists() else ():
        began_s, lasted_s = map(float, line.split())
        if began_s <= until_s and began_s + lasted_s >= since_s:
            longest = max(longest, lasted_s)
    return longest


def _watch(path: Path) -> None:
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(PRIORITY))
    with path.open("a", buffering=1) as file:
        before_s = time.monotonic()
        while True:
            time.sleep(TICK_S)
            now_s = time.monotonic()
            if now_s - before_s >= LONG_S:
                file.write(f"{before_s:.3f} {now_s - before_s:.3f}\n")
            before_s = now_s


if __name__ == "__main__":
    _watch(Path(sys.argv[1]))
