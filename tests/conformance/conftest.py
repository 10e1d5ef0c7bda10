"""What the client's conformance tests share: a quick simulator that records, and the whole kiosk."""

from contextlib import asynccontextmanager

import pytest
from tests.rigs.live_kiosk import LiveKiosk, frames

from voicekiosk.simulator import Settings, Simulator
from voicekiosk.simulator.scenario import Scenario, change, load

QUICK = {
    "ready.updated_ms": 20.0,
    "ready.ready_ms": 2.0,
    "turn.onset_ms": 200.0,
    "turn.end_ms": 300.0,
    "reply.create_ms": 30.0,
    "reply.first_audio_ms": 40.0,
    "reply.lead_in_ms": 60.0,
    "reply.words_ms": 50.0,
    "reply.transcript_ms": 50.0,
    "tools.call_ms": 100.0,
    "tools.done_ms": 150.0,
    "lifecycle.end_ms": 20.0,
    "barge_in.decision_ms": 500.0,
}


class Stage:
    """A simulator with a kiosk in front of it, and the record of what passed between them."""

    def __init__(self, simulator, kiosk, folder):
        self.sim, self.kiosk, self.folder = simulator, kiosk, folder

    def sent(self, kind=None, connection=1):
        """What the client sent on a connection, or only messages of one type."""
        everything = frames(self.folder, connection)
        return [frame for frame in everything if kind is None or frame.get("type") == kind]

    def got(self, kind, connection=1):
        """What the service sent."""
        return [f for f in frames(self.folder, connection, "server") if f.get("type") == kind]

    def kept_the_rules(self, *except_for):
        """No rule of 12.1 was broken that the simulator can see."""
        broken = [violation for violation in self.sim.violations if violation.rule not in except_for]
        assert not broken, broken
        return True


@pytest.fixture
def stage(tmp_path):
    """`async with stage(scenario="tool", changes={...}, **kiosk) as s`."""

    @asynccontextmanager
    async def open_(scenario=None, changes=None, simulator=None, **kiosk):
        base = load(scenario) if scenario else Scenario()
        chosen = change(base, QUICK | (changes or {}))
        settings = Settings(scenario=chosen, record=tmp_path, **(simulator or {}))
        async with Simulator(settings) as sim, LiveKiosk(kiosk.pop("url", None) or sim.url, **kiosk) as one:
            yield Stage(sim, one, tmp_path)
            assert sim.bugs == 0, "the simulator failed; its log says how"

    return open_
