"""A reply that is an invisible character, in front of the simulator: nothing is heard, and the next one is."""

import numpy as np
from tests.rigs.live_kiosk import LiveKiosk

from voicekiosk.kiosk.state import Name
from voicekiosk.simulator import Answer, Settings, Simulator
from voicekiosk.simulator.scenario import Scenario, change

QUICK = {
    "ready.updated_ms": 20.0,
    "turn.onset_ms": 200.0,
    "turn.end_ms": 300.0,
    "reply.first_audio_ms": 40.0,
    "reply.lead_in_ms": 400.0,
    "reply.words_ms": 150.0,
    "reply.transcript_ms": 50.0,
}


def sound(seconds):
    return np.full(round(24000 * seconds), 5000, np.int16)


async def test_an_invisible_answer_is_silence_and_the_next_one_is_heard():
    answers = [Answer(text="\ufeff", samples=sound(0.5)), Answer(text="Yes.", samples=sound(0.5))]
    settings = Settings(scenario=change(Scenario(), QUICK), agent=lambda _: answers.pop(0))
    async with Simulator(settings) as sim, LiveKiosk(sim.url) as kiosk:
        await kiosk.converse()
        assert not kiosk.heard.any()
        assert kiosk.name is Name.IDLE
        await kiosk.converse()
        assert np.count_nonzero(kiosk.heard) == 12000
        assert sim.violations == []
