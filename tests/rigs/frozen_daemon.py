"""`python -m tests.rigs.frozen_daemon CONFIG`: a daemon as a process, whose parts can be frozen on purpose.

Reads from its standard input what to freeze: "capture", "playback" or "loop"; "constant" makes the
microphone give the same sample for ever, as a mute switch does.
"""

import asyncio
import sys
import time
from pathlib import Path

from tests.rigs.live_audio import LOUDSPEAKER, MICROPHONE, LiveParts, LiveWorld, silence

from voicekiosk.config.live import LiveConfig
from voicekiosk.kiosk.daemon import Daemon, run
from voicekiosk.service import journal

if __name__ == "__main__":
    journal.configure()
    live = LiveConfig(Path(sys.argv[1]))
    world = LiveWorld()
    parts = LiveParts(world, lambda: "sim-key")

    def told() -> None:
        match sys.stdin.readline().strip():
            case "capture":
                world.frozen.add(MICROPHONE)
            case "playback":
                world.frozen.add(LOUDSPEAKER)
            case "constant":
                world.cards[MICROPHONE].hears = silence
            case "loop":
                time.sleep(600)

    def started(_: Daemon) -> None:
        asyncio.get_running_loop().add_reader(sys.stdin, told)

    run(live, factory=parts, started=started)
