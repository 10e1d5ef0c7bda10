"""Loudness and persona, as visitors and the agent set them."""

import asyncio

import pytest
from tests.rigs.parts import FakeFactory
from tests.rigs.still_loop import StillLoop

from voicekiosk.agent import events as agent
from voicekiosk.config.device_schema import Volume
from voicekiosk.config.diff import compare
from voicekiosk.config.schema import Agent, Audio, Config, Panel, Persona, Playback
from voicekiosk.kiosk.conductor import Conductor
from voicekiosk.kiosk.events import Started

GUIDE = Persona(system_prompt="You are the guide.")
PERSONAS = {
    "guide": GUIDE,
    "clock": Persona(system_prompt="You are the clock.", voice="river", greeting="Tick."),
    "child": Persona(system_prompt="You talk to children.", keyterms=("dinosaur",)),
}


def config(persona="guide", **tables):
    return Config(agent=Agent(persona=persona), persona=PERSONAS, **tables)


class Rig:
    def __init__(self, given):
        self.loop = StillLoop()
        asyncio.set_event_loop(self.loop)
        self.conductor = Conductor(given, FakeFactory(), clock=self.loop.time)
        self.conductor.start(self.loop)
        self.dials, self.agent = self.conductor.dials, self.conductor.parts.agent
        self.loop.turn()

    @property
    def persona(self):
        return self.conductor.config.agent.persona

    @property
    def told(self):
        """What the agent room has of the present persona."""
        return self.agent.config.agent.persona

    def edge(self, name, pressed):
        self.conductor.parts.panel.on_edge(name, pressed, self.loop.time())
        self.loop.turn()


@pytest.fixture
def rig():
    rig = Rig(config())
    yield rig
    rig.loop.turn()


def test_a_press_of_louder_turns_it_up_to_the_limit():
    panel = Panel(volume=Volume(up_gpio=5, down_gpio=6, step_percent=10))
    rig = Rig(Config(panel=panel, audio=Audio(playback=Playback(volume=85, volume_max=90))))
    told = []
    rig.conductor.volume_set = lambda: told.append(rig.conductor.volume)
    rig.edge("louder", True)
    assert rig.conductor.volume == 90
    assert rig.conductor.parts.playback.calls[-1] == "volume 90"
    rig.edge("louder", False)
    rig.loop.pass_time(0.1)
    rig.edge("quieter", True)
    rig.loop.pass_time(30)
    assert rig.conductor.volume == 0
    assert told[:2] == [90, 80]
    assert rig.loop._scheduled == [] or all(timer.cancelled() for timer in rig.loop._scheduled)


def test_another_persona_speaks_from_now_on(rig):
    rig.dials.choose_persona("child")
    assert rig.persona == rig.told == "child"
    assert "renew" not in rig.agent.calls


@pytest.mark.parametrize("name", ["guide", "nobody", ""])
def test_the_same_persona_or_none_of_that_name_changes_nothing(rig, name):
    before = rig.conductor.config
    rig.dials.choose_persona(name)
    assert rig.conductor.config is before


def test_another_voice_waits_until_nobody_speaks(rig):
    rig.edge("talk", True)
    rig.conductor.on_agent(agent.Ready("s", resumed=False, continued=False))
    rig.dials.choose_persona("clock")
    assert rig.told == "clock"
    rig.loop.turn()
    assert "renew" not in rig.agent.calls
    rig.loop.pass_time(0.1)
    rig.edge("talk", False)
    rig.loop.pass_time(60)
    rig.loop.turn()
    assert "renew" in rig.agent.calls


def test_a_session_that_becomes_ready_with_the_voice_before_is_replaced_and_the_next_is_not(rig):
    def ready(*, resuming):
        rig.agent.calls.clear()
        rig.conductor.on_agent(agent.Connecting(1, resuming=resuming))
        if resuming:
            rig.dials.choose_persona("clock")
        rig.loop.turn()
        rig.agent.calls.clear()
        rig.conductor.on_agent(agent.Ready("s", resumed=resuming, continued=False))
        rig.loop.turn()
        return rig.agent.calls

    assert "renew" in ready(resuming=True)
    assert "renew" not in ready(resuming=False)


def test_a_switch_on_the_panel_chooses_at_the_start_already(rig):
    rig.edge("persona guide", False)
    rig.edge("persona clock", True)
    rig.loop.pass_time(0.1)
    assert rig.persona == "clock"


def test_what_was_chosen_holds_over_another_change_of_the_file(rig):
    rig.dials.choose_persona("child")
    new = config(audio=Audio(playback=Playback(volume=10)))
    rig.conductor.apply(new, compare(config(), new))
    assert rig.persona == rig.told == "child"


def test_a_file_that_names_another_persona_wins(rig):
    rig.dials.choose_persona("child")
    rig.conductor.apply(config("clock"), compare(config(), config("clock")))
    assert rig.persona == "clock"


def test_a_persona_that_the_file_has_no_more_speaks_no_more(rig):
    rig.dials.choose_persona("child")
    new = Config(agent=Agent(persona="guide"), persona={"guide": GUIDE})
    rig.conductor.apply(new, compare(config(), new))
    assert rig.persona == "guide"


def test_it_is_idle_after_all_that(rig):
    rig.conductor.dispatch(Started())
    rig.dials.choose_persona("clock")
    rig.loop.turn()
    assert rig.conductor.state.quiet
