"""A session of the simulator without a socket and without waiting: time is a number that a test moves."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voicekiosk.simulator.brain import Agent, Script
from voicekiosk.simulator.outage import Outage
from voicekiosk.simulator.record import Record
from voicekiosk.simulator.scenario import Scenario, change
from voicekiosk.simulator.session import Session
from voicekiosk.simulator.voices import Tones
from voicekiosk.simulator.world import Admission, Credential, World

UNIX_S = 1_790_000_000.0


@dataclass
class FakeWire:
    """Keeps what is sent."""

    sent: list[bytes] = field(default_factory=list)
    closed: int | None = None
    outage: Outage = field(default_factory=Outage)
    pong: Callable[[bytes], None] | None = None
    """Who is answered at once for the client; without, it reads nothing."""

    def ping(self, payload: bytes) -> None:
        if self.pong is not None:
            self.pong(payload)

    def send_text(self, payload: bytes) -> None:
        if self.closed is None:
            self.sent.append(payload)

    def close(self, code: int, reason: str = "") -> None:
        self.closed = self.closed or code

    def abort(self) -> None:
        self.closed = self.closed or 1006


class VirtualSession:
    """One session; `events` holds (time, event) for everything that was sent."""

    def __init__(self, changes: dict[str, Any] | None = None, *, agent: Agent | None = None, seed: int = 1,
                 scenario: Scenario | None = None) -> None:  # fmt: skip
        chosen = change(scenario or Scenario(), changes or {})
        self.world = World(chosen, "key", seed, Tones(), agent or Script(chosen.script))
        self.world.hears = Script(chosen.script).hears
        self.wire = FakeWire()
        self.record = Record(1, None, 600.0)
        self.now_s = 0.0
        self.events: list[tuple[float, dict[str, Any]]] = []
        admission = Admission(Credential.KEY)
        self.session = Session(self.world, self.wire, self.record, admission, 0.0, unix_s=UNIX_S, speed=1.0)
        self.wire.pong = self.session.ponged
        self.session.opened(0.0)

    def run(self, seconds: float) -> None:
        """Let time pass, stopping at each moment at which the session has something to do."""
        end_s = self.now_s + seconds
        while (due_s := self.session.next_due_s) is not None and due_s <= end_s:
            self.now_s = max(self.now_s, due_s)
            self.session.tick(self.now_s)
            self._collect()
        self.now_s = end_s

    def send(self, type_: str, **fields: Any) -> None:
        """Send an event now."""
        self.raw(json.dumps({"type": type_, **fields}).encode())

    def raw(self, text: bytes) -> None:
        """Send a text frame now."""
        self.session.message(text, self.now_s)
        self._collect()

    def ready(self, **settings: Any) -> dict[str, Any]:
        """Configure and wait for `session.ready`."""
        self.send("session.update", session=settings)
        self.run(1.0)
        return self.all("session.ready")[0]

    def speak(self, samples: NDArray[np.int16], frame: int = 960) -> None:
        """Send audio at the pace of real time."""
        for start in range(0, samples.size, frame):
            part = samples[start : start + frame]
            self.send("input.audio", audio=base64.b64encode(part.tobytes()).decode())
            self.run(part.size / 24000)

    def silence(self, seconds: float) -> None:
        """Send silence at the pace of real time."""
        self.speak(np.zeros(round(24000 * seconds), "<i2"))

    def all(self, type_: str) -> list[dict[str, Any]]:
        """Return the events of a type."""
        return [event for _, event in self.events if event["type"] == type_]

    def times(self, type_: str) -> list[float]:
        """Return when events of a type were sent."""
        return [at_s for at_s, event in self.events if event["type"] == type_]

    def types(self) -> list[str]:
        """Return the types in order, without audio."""
        return [event["type"] for _, event in self.events if event["type"] != "reply.audio"]

    def rules(self) -> list[int]:
        """Return the rules of 12.1 that were broken."""
        return [broken.rule for broken in self.record.violations]

    def _collect(self) -> None:
        self.events += [(self.now_s, json.loads(payload)) for payload in self.wire.sent]
        self.wire.sent.clear()
