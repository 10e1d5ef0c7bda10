"""Every complete kiosk in config/examples passes the check, and holds a conversation."""

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path

import gpiozero
import pytest
from gpiozero.pins.mock import MockFactory
from msgspec.structs import asdict, replace
from tests.rigs.live_kiosk import LiveKiosk, frames

from voicekiosk.audio import events as audio
from voicekiosk.config import load
from voicekiosk.kiosk.state import Name, Turn
from voicekiosk.kiosk.work import REFUSED_HOLD_S
from voicekiosk.simulator import Settings, Simulator
from voicekiosk.simulator.brain import Answer, Call
from voicekiosk.simulator.scenario import Scenario, change

FOLDER = Path(__file__).parents[3] / "config" / "examples"
EXAMPLES = sorted(FOLDER.glob("*.toml"))
QUICK = {
    "ready.updated_ms": 20.0,
    "turn.onset_ms": 200.0,
    "turn.end_ms": 300.0,
    "reply.first_audio_ms": 40.0,
    "reply.lead_in_ms": 60.0,
    "reply.words_ms": 50.0,
    "reply.transcript_ms": 50.0,
}


def test_there_are_six_of_them():
    assert len(EXAMPLES) >= 6


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_has_no_problem_and_no_warning(path):
    config, problems = load.check_file(path)
    assert config is not None
    assert [str(problem) for problem in problems] == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
async def test_an_example_holds_a_conversation(path, tmp_path):
    config = load.load(path)
    agent = asdict(config.agent)
    del agent["url"], agent["region"]
    tables = {key: getattr(config, key) for key in ("kiosk", "persona", "patience", "tools", "panel")}
    talk = asdict(config.conversation)
    scenario = change(Scenario(), QUICK)
    answers = ["Which one do you mean?", "It is upstairs."]
    settings = Settings(scenario=scenario, record=tmp_path, agent=lambda heard: _answer(heard, answers))
    async with (
        Simulator(settings) as sim,
        LiveKiosk(sim.url, agent=agent, conversation=talk, **tables) as kiosk,
    ):
        for turn in (1, 2):
            await _ask(kiosk, config.panel.mode)
            await kiosk.until(lambda turn=turn: len(kiosk.said(audio.SpeakerDrained)) >= turn, 40)
        await kiosk.hang_up()
        assert sim.violations == []
        assert not kiosk.state.faults
    session = frames(tmp_path)[0]["session"]
    assert "{" not in session["system_prompt"]
    assert [tool["name"] for tool in session.get("tools", [])] == [tool.name for tool in config.tools]


async def test_the_timetable_asks_its_program_and_says_what_it_gives(tmp_path):
    config = load.load(FOLDER / "timetable.toml")
    departures, clock = config.tools
    command = ("sh", "-c", 'grep -q 4 && echo \'[{"line": "4", "minutes": 3}]\'')
    tools = (replace(departures, command=command), clock)
    told = []

    def decide(heard):
        if heard.reason == "turn":
            return Answer(calls=(Call("departures", {"line": "4"}),))
        told.extend(heard.results)
        return "In three minutes."

    settings = Settings(scenario=change(Scenario(), QUICK), record=tmp_path, agent=decide)
    async with Simulator(settings) as sim, LiveKiosk(sim.url, tools=tools, panel=config.panel) as kiosk:
        await kiosk.ask()
        await kiosk.until(lambda: kiosk.said(audio.SpeakerDrained), 40)
        await kiosk.hang_up()
        assert sim.violations == []
    (result,) = told
    assert (result.name, result.is_error) == ("departures", False)
    assert json.loads(result.result) == [{"line": "4", "minutes": 3}]


@pytest.fixture
def pins(monkeypatch):
    factory = MockFactory()
    monkeypatch.setattr(gpiozero.Device, "pin_factory", factory)
    yield factory
    factory.close()


class Reception:
    """The reception with a visitor in front of it: its door, and what the agent was told."""

    def __init__(self, pins):
        self.config = load.load(FOLDER / "reception.toml")
        self.door = next(tool for tool in self.config.tools if tool.builtin == "gpio")
        assert self.door.confirm == "press"
        assert not self.door.output_active_high
        self.relay = pins.pin(self.door.output_gpio)
        self.told = []

    def decide(self, heard):
        if heard.reason == "turn":
            return Answer(calls=(Call(self.door.name, {}),))
        self.told.extend(heard.results)
        return "The door is open." if heard.results else "Please tap the button."

    @property
    def switched(self):
        """What the relay was switched to so far, with the seconds since the time before: True is off."""
        first, *since = self.relay.states
        assert not first.state, "the pin as nobody has used it"
        return [(state.state, state.timestamp) for state in since]

    @asynccontextmanager
    async def visited(self, folder):
        settings = Settings(scenario=change(Scenario(), QUICK), record=folder, agent=self.decide)
        tools, panel = self.config.tools, self.config.panel
        async with Simulator(settings) as sim, LiveKiosk(sim.url, tools=tools, panel=panel) as kiosk:
            await kiosk.ask()
            await kiosk.until(lambda: kiosk.name is Name.CONFIRMING, 40)
            assert self.switched == [], "the door stays shut until the visitor has agreed"
            yield kiosk
            await kiosk.until(lambda: kiosk.state.turn is Turn.NONE, 40)
            await kiosk.hang_up()
            assert sim.violations == []


async def test_the_reception_opens_the_door_once_the_visitor_has_tapped(tmp_path, pins):
    reception = Reception(pins)
    async with reception.visited(tmp_path) as kiosk:
        kiosk.press()
        kiosk.release()
    (result,) = reception.told
    assert (result.name, result.is_error) == (reception.door.name, False)
    (before, _), (opened, _), (after, open_s) = reception.switched
    assert (before, opened, after) == (True, False, True)
    assert open_s == pytest.approx(reception.door.pulse_s, abs=0.5)


async def test_the_reception_keeps_the_door_shut_when_the_visitor_refuses(tmp_path, pins):
    reception = Reception(pins)
    async with reception.visited(tmp_path) as kiosk:
        kiosk.press()
        await asyncio.sleep(REFUSED_HOLD_S + 0.1)
        kiosk.release()
    (result,) = reception.told
    assert result.is_error
    assert "refused" in result.result
    assert reception.switched == []


async def _ask(kiosk, mode):
    if mode != "toggle":
        await kiosk.ask()
        return
    # A tap, since a long press mutes.
    kiosk.press()
    kiosk.release()
    await asyncio.sleep(0.1)
    await kiosk.speak(0.6)


def _answer(heard, answers):
    return "Good day." if heard.reason == "greeting" else answers.pop(0) if answers else "Yes."
