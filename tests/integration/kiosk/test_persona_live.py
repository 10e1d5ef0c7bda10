"""Persona, placeholders and patience in front of the simulator."""

import pytest
from tests.rigs.live_kiosk import LiveKiosk, frames

from voicekiosk.agent import events as agent
from voicekiosk.config.schema import Kiosk, Patience, Persona, Tool
from voicekiosk.kiosk.state import Link
from voicekiosk.simulator import Settings, Simulator
from voicekiosk.simulator.brain import Answer, Call
from voicekiosk.simulator.scenario import Scenario, change, load

QUICK = {
    "ready.updated_ms": 20.0,
    "turn.onset_ms": 200.0,
    "turn.end_ms": 300.0,
    "reply.first_audio_ms": 40.0,
    "reply.lead_in_ms": 60.0,
    "reply.words_ms": 50.0,
    "reply.transcript_ms": 50.0,
}


def simulator(folder, says):
    settings = Settings(scenario=change(Scenario(), QUICK), record=folder, agent=lambda heard: says.pop(0))
    return Simulator(settings)


async def test_the_persona_speaks_and_knows_where_and_when_it_is(tmp_path):
    tables = {
        "kiosk": Kiosk(name="k1", place="Hall B"),
        "persona": {"clock": Persona(system_prompt="You hang in {place}. {date}, {time}.", voice="river")},
    }
    async with (
        simulator(tmp_path, ["Tick."]) as sim,
        LiveKiosk(sim.url, agent={"persona": "clock", "preset": "noisy"}, **tables) as kiosk,
    ):
        await kiosk.converse()
        assert sim.violations == []
    session = frames(tmp_path)[0]["session"]
    assert session["system_prompt"].startswith("You hang in Hall B. ")
    assert "{" not in session["system_prompt"]
    assert session["output"]["voice"] == "river"
    assert session["input"]["turn_detection"] == {"vad_threshold": 0.65}


@pytest.mark.parametrize("enabled", [True, False])
async def test_after_a_question_the_session_is_told_to_wait_and_after_the_answer_as_before(tmp_path, enabled):
    patience = Patience(enabled=enabled, min_silence_ms=400, max_silence_ms=2000)
    says = ["Where do you want to go?", "The train leaves at nine."]
    async with simulator(tmp_path, says) as sim, LiveKiosk(sim.url, patience=patience) as kiosk:
        await kiosk.converse()
        await kiosk.converse()
        assert sim.violations == []
    updates = [frame["session"] for frame in frames(tmp_path) if frame["type"] == "session.update"][1:]
    told = [update["input"]["turn_detection"] for update in updates]
    expected = [{"min_silence": 400, "max_silence": 2000}, {"min_silence": 1000, "max_silence": 3000}]
    assert told == (expected if enabled else [])


async def test_the_agent_lets_another_persona_speak_in_the_same_conversation(tmp_path):
    tables = {
        "persona": {
            "guide": Persona(system_prompt="You are the guide.", greeting="Welcome."),
            "clock": Persona(system_prompt="You are the clock.", greeting="Tick.", voice="river"),
        },
        "tools": (Tool(name="hand_over", builtin="persona"),),
    }

    def says(heard):
        if heard.reason == "turn" and heard.turn == 1 and "guide" in heard.system_prompt:
            return Answer(calls=(Call("hand_over", {"persona": "clock"}),))
        return "Tick, tock."

    settings = Settings(scenario=change(Scenario(), QUICK), record=tmp_path, agent=says)
    async with (
        Simulator(settings) as sim,
        LiveKiosk(sim.url, agent={"persona": "guide"}, **tables) as kiosk,
    ):
        await kiosk.converse()
        await kiosk.until(lambda: len(kiosk.said(agent.Ready)) == 2)
        await kiosk.converse()
        assert sim.violations == []
    sent = frames(tmp_path) + frames(tmp_path, connection=2)
    first, told, second = [frame["session"] for frame in sent if frame["type"] == "session.update"]
    assert first["system_prompt"] == "You are the guide."
    assert told == {"system_prompt": "You are the clock."}
    assert second["output"]["voice"] == "river"
    assert second["system_prompt"].startswith("You are the clock.")
    assert "What was said so far" in second["system_prompt"]
    assert "greeting" not in second


TWO = {
    "persona": {
        "guide": Persona(system_prompt="You are the guide.", voice="alba"),
        "clock": Persona(system_prompt="You are the clock.", voice="river"),
    }
}


def voices(sim):
    """The voice of each session that was begun, in order."""
    return [
        message["session"]["output"]["voice"]
        for link in sim.connections
        for _, _, message in link.record.messages
        if message["type"] == "session.update" and "voice" in message["session"].get("output", {})
    ]


async def test_a_persona_that_is_chosen_while_the_session_is_being_connected_has_its_own_voice():
    slow = change(Scenario(), QUICK | {"ready.updated_ms": 1000.0})
    async with (
        Simulator(Settings(scenario=slow)) as sim,
        LiveKiosk(sim.url, agent={"persona": "guide"}, conversation={"connect": "on_boot"}, **TWO) as kiosk,
    ):
        await sim.wait_for(lambda: voices(sim))
        assert kiosk.state.link is Link.CONNECTING
        kiosk.conductor.dials.choose_persona("clock")
        await kiosk.until(lambda: len(kiosk.said(agent.Ready)) == 2)
        await kiosk.converse()
        assert voices(sim) == ["alba", "river"]
        assert sim.violations == []


@pytest.mark.parametrize("scenario", ["resume-granted", "live"])
async def test_a_persona_that_is_chosen_while_the_network_is_away_has_its_own_voice(scenario):
    async with (
        Simulator(Settings(scenario=change(load(scenario), QUICK))) as sim,
        LiveKiosk(sim.url, agent={"persona": "guide"}, **TWO) as kiosk,
    ):
        await kiosk.converse()
        sim.drop()
        await kiosk.until(lambda: kiosk.said(agent.Dropped))
        kiosk.conductor.dials.choose_persona("clock")
        await sim.wait_for(lambda: len(voices(sim)) == 2)
        await kiosk.converse()
        assert voices(sim) == ["alba", "river"]
        assert sim.violations == []
