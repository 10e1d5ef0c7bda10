"""What the faults of a whole kiosk share: a quick simulator in front of it, and the real threads on stand-in cards."""

from contextlib import asynccontextmanager

import pytest
from tests.rigs.live_daemon import KEY, LiveDaemon, journal_in_memory
from tests.rigs.live_kiosk import LiveKiosk

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
    "lifecycle.end_ms": 20.0,
}


@pytest.fixture
def scene():
    """`async with scene("deaf", {...}, conversation={...}) as (simulator, kiosk)`, devices standing in."""

    @asynccontextmanager
    async def open_(scenario=None, changes=None, **kiosk):
        chosen = change(load(scenario) if scenario else Scenario(), QUICK | (changes or {}))
        async with (
            Simulator(Settings(scenario=chosen)) as simulator,
            LiveKiosk(simulator.url, **kiosk) as one,
        ):
            yield simulator, one

    return open_


@pytest.fixture
def house(tmp_path, monkeypatch):
    """`async with house("[agent]…") as daemon`: a whole daemon, its audio threads on cards that are not there."""
    monkeypatch.setenv("VOICEKIOSK_SOCKET", str(tmp_path / "control.sock"))
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", KEY)

    @asynccontextmanager
    async def open_(text="", world=None):
        with journal_in_memory():
            async with LiveDaemon(tmp_path, text, world=world) as daemon:
                yield daemon

    return open_


@pytest.fixture
async def service():
    async with Simulator(Settings(key=KEY, scenario=change(Scenario(), QUICK))) as simulator:
        yield simulator
