"""The kiosk of a soak: `voicekiosk run` in a process of its own, with sound cards that are not there.

The daemon is the real one, and so are its audio threads; only `alsaaudio` and the poll on its descriptors
stand in (tests/rigs/fake_alsa.py), in real time. Two PulseAudio servers a kiosk would take more processor
than the kiosk, and lose sound without a word when the machine is busy, of which no sample could be told
from one that the kiosk has lost.

Standard input takes lines: `say FROM_FRAME TO_FRAME` puts speech before the microphone, `tasks` is answered
with the number of asyncio's tasks.
"""

import asyncio
import os
import sys
from collections import deque
from pathlib import Path
from typing import Any

from tests.rigs.fake_alsa import Card, Handle
from tests.rigs.live_audio import LOUDSPEAKER, MICROPHONE, LiveParts, LiveWorld

from soaklib.voice import CARD_HZ, Mouth, Speech
from voicekiosk.audio import capture
from voicekiosk.audio.ring import Ring
from voicekiosk.config.last_good import LastGood
from voicekiosk.config.live import LiveConfig
from voicekiosk.kiosk.daemon import Daemon, run
from voicekiosk.service import journal


class World(LiveWorld):
    """Two cards that keep no record: a soak is long."""

    def __init__(self, mouth: Mouth) -> None:
        super().__init__()
        # Late threads are not what is soaked here.
        microphone = Card(hears=mouth.hear, rates=[CARD_HZ], channels=[1], buffer_at_least=2 * CARD_HZ)
        self.cards = {MICROPHONE: microphone, LOUDSPEAKER: Card()}

    def _open(self, **wish: Any) -> Handle:
        card = self.cards[wish["device"]]
        for handle in card.opened:
            # Its number stays taken, since a new handle is numbered by how many there were.
            Handle.by_descriptor[handle.descriptor] = None  # type: ignore[assignment]
        card.opened = []
        card.writes, card.played = deque(maxlen=1), deque(maxlen=1)  # type: ignore[assignment]
        return super()._open(**wish)


class Ears:
    """What comes in by standard input."""

    def __init__(self, mouth: Mouth) -> None:
        self._mouth = mouth
        self._rest = b""

    def read(self) -> None:
        received = os.read(sys.stdin.fileno(), 65536)
        if not received:
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        *lines, self._rest = (self._rest + received).split(b"\n")
        for line in lines:
            match line.split():
                case [b"say", start, stop]:
                    self._mouth.say(Speech(int(start), int(stop)))
                case [b"tasks"]:
                    print(len(asyncio.all_tasks()), flush=True)


class FilledRing(Ring):
    """Its memory is taken at the start: what a kiosk fills once, in its first minute, is no growth."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._data.fill(0)


def main() -> None:
    setattr(capture, "Ring", FilledRing)  # noqa: B010 - as an assignment it is no type to mypy
    journal.configure("debug" if os.environ.get("SOAK_DEBUG") else "info")
    mouth = Mouth()
    daemons: list[Daemon] = []

    def started(daemon: Daemon) -> None:
        daemons.append(daemon)
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), Ears(mouth).read)

    parts = LiveParts(World(mouth), lambda: daemons[0].credential.key)
    live = LiveConfig(Path(sys.argv[1]), None)
    run(live, store=LastGood(None), factory=parts, started=started)


if __name__ == "__main__":
    main()
