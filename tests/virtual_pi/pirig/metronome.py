"""Whether this guest stood still: `python metronome.py FILE` wakes each 20 ms and writes down when it was late.

A process of its own, of the kiosk's own standing (its unit's Nice=): where even the kiosk may not take the processor
from it, whoever keeps it waiting keeps the kiosk waiting as well, and is the machine outside or the rig. What failed in
a test with such a gap has no verdict, which is not to say that it passed.
"""

import os
import sys
import time
from pathlib import Path

GAPS = Path("/run/virtual-pi-gaps")
"""A line for each gap: when it began (CLOCK_MONOTONIC) and how long it was, in seconds."""
TICK_S = 0.02
LONG_S = 0.06
"""What a kiosk has to bear: half its loudspeaker's queue in the tests that count underruns, for it may be kept waiting
twice, and less than its microphone's buffer."""
NICE = -5


def longest_s(since_s: float, until_s: float, gaps: Path = GAPS) -> float:
    """Return the longest gap that began or ended between two times; 0 where there was none."""
    longest = 0.0
    for line in gaps.read_text().splitlines() if gaps.exists() else ():
        began_s, lasted_s = map(float, line.split())
        if began_s <= until_s and began_s + lasted_s >= since_s:
            longest = max(longest, lasted_s)
    return longest


def _watch(path: Path) -> None:
    os.setpriority(os.PRIO_PROCESS, 0, NICE)
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
