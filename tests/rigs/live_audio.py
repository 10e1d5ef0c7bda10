"""Sound cards that are not there, in real time: the real audio threads on `fake_alsa`, for a daemon that runs.

Nothing here needs ALSA, so it works where no sound card is. A card can be frozen: the next call into its
driver does not come back, which is what a hanging driver does.
"""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from tests.rigs.fake_alsa import Card, Handle, World

from voicekiosk.agent.client import AgentClient
from voicekiosk.agent.events import AgentEvent
from voicekiosk.audio.capture import Capture
from voicekiosk.audio.events import AudioEvent
from voicekiosk.audio.playback import Playback
from voicekiosk.config import schema
from voicekiosk.kiosk.parts import RealParts
from voicekiosk.panel.driver import Panel

MICROPHONE, LOUDSPEAKER = "rig:microphone", "rig:loudspeaker"
CARDS = f"""
[audio.capture]
device = "{MICROPHONE}"
[audio.playback]
device = "{LOUDSPEAKER}"
[panel]
driver = "none"
"""


class LiveWorld(World):
    """A world whose time is the machine's."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen: set[str] = set()
        self.cards = {MICROPHONE: Card(), LOUDSPEAKER: Card()}
        # Where the kernel shows its sound cards; those of the rig are none.
        self.sysfs = Path("/nowhere")

    @property
    def now(self) -> float:
        return time.monotonic()

    @now.setter
    def now(self, value: float) -> None:
        """Time passes by itself."""

    def happen(self) -> None:
        """Nothing is planned in real time."""

    def _open(self, **wish: Any) -> Handle:
        self.freeze_here(wish["device"])
        return Freezable(super()._open(**wish), self)  # type: ignore[return-value]

    def freeze_here(self, device: str) -> None:
        while device in self.frozen:
            time.sleep(0.05)


class Freezable:
    """A handle whose calls do not come back while its card is frozen."""

    def __init__(self, handle: Handle, world: LiveWorld) -> None:
        self._handle, self._world = handle, world

    def __getattr__(self, name: str) -> Any:
        if name in ("read", "write", "avail", "close"):
            self._world.freeze_here(self._handle.device)
        return getattr(self._handle, name)


class LiveBell:
    """Sleeps until rung, or until a card would be ready."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rung = threading.Event()

    def ring(self) -> None:
        self._rung.set()

    def wait(
        self, timeout_s: float | None, descriptors: Sequence[tuple[int, int]] = ()
    ) -> list[tuple[int, int]]:
        world = self._world
        until_s = float("inf") if timeout_s is None else world.now + max(0.0, timeout_s)
        while True:
            polled = [(Handle.by_descriptor[fd], mask) for fd, mask in descriptors]
            handles = [handle for handle, mask in polled if mask or handle.card.trouble]
            ready = [(handle.descriptor, 1) for handle in handles if handle.ready_at() <= world.now]
            if self._rung.is_set() or ready or world.now >= until_s:
                self._rung.clear()
                return ready
            # A card that breaks is looked at again after a while, as its driver would tell.
            next_s = min([until_s, world.now + 0.2, *(handle.ready_at() for handle in handles)])
            self._rung.wait(max(0.0, next_s - world.now))


Part = TypeVar("Part")


class LiveParts(RealParts):
    """Everything as in the real kiosk, but for the sound cards."""

    def __init__(self, world: LiveWorld, credential: Callable[[], str | None]) -> None:
        super().__init__(credential)
        self.world = world
        self.made: list[object] = []
        self.panels: list[Panel] = []

    def capture(
        self, settings: schema.Capture, post: Callable[[AudioEvent], None], wake: Callable[[], None]
    ) -> Capture:
        return self._note(
            Capture(
                settings,
                post,
                wake,
                bell=LiveBell(self.world),
                alsa=self.world.alsa(),
                sysfs=self.world.sysfs,
            )
        )

    def playback(self, settings: schema.Playback, post: Callable[[AudioEvent], None]) -> Playback:
        world = self.world
        return self._note(
            Playback(settings, post, bell=LiveBell(world), alsa=world.alsa(), sysfs=world.sysfs)
        )

    def agent(self, config: schema.Config, on_event: Callable[[AgentEvent], None]) -> AgentClient:
        return self._note(super().agent(config, on_event))

    def panel(self, settings: schema.Panel) -> Panel:
        self.panels.append(super().panel(settings))
        return self.panels[-1]

    def _note(self, part: Part) -> Part:
        self.made.append(part)
        return part

    def count(self, kind: type) -> int:
        """How many parts of a kind were made so far."""
        return sum(isinstance(part, kind) for part in self.made)


def silence(frames: np.ndarray) -> np.ndarray:
    """What a microphone gives whose switch is off."""
    return np.zeros(len(frames), np.int16)
