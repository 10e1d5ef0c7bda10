"""Persona, preset and [agent]: which key wins."""

import pytest

from voicekiosk.config import load
from voicekiosk.config.diff import Effect, compare
from voicekiosk.config.persona import PRESETS, agent_of
from voicekiosk.config.schema import Agent, Config, Persona, TurnDetection

CLOCK = Persona(system_prompt="You are a clock.", voice="river", keyterms=("Huygens",), volume=0)


def problems(text):
    return [str(problem) for problem in load.check_text(text, "c.toml")[1]]


def test_without_persona_and_preset_the_agent_is_as_configured():
    agent = Agent(voice="river", turn_detection=TurnDetection(vad_threshold=0.4))
    assert agent_of(Config(agent=agent)) == agent


def test_a_persona_replaces_what_it_sets_and_nothing_else():
    config = Config(agent=Agent(persona="clock", greeting="Hello"), persona={"clock": CLOCK})
    agent = agent_of(config)
    assert (agent.system_prompt, agent.voice, agent.keyterms) == ("You are a clock.", "river", ("Huygens",))
    assert (agent.greeting, agent.volume) == ("Hello", 0)


def test_a_persona_that_is_not_chosen_does_nothing():
    assert agent_of(Config(persona={"clock": CLOCK})) == Agent()


def test_a_preset_fills_in_and_an_explicit_key_wins():
    agent = agent_of(Config(agent=Agent(preset="patient", turn_detection=TurnDetection(min_silence_ms=900))))
    assert agent.turn_detection == TurnDetection(min_silence_ms=900, max_silence_ms=5000)


def test_a_persona_can_bring_a_preset():
    config = Config(agent=Agent(persona="x"), persona={"x": Persona(preset="no-interruptions")})
    assert agent_of(config).turn_detection == TurnDetection(interrupt_response=False)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_is_a_configuration_without_problems(preset):
    assert problems(f'[agent]\npreset = "{preset}"\n') == []


def test_a_preset_and_a_key_that_do_not_fit_together_are_refused():
    found = problems('[agent]\npreset = "snappy"\n[agent.turn_detection]\nmin_silence_ms = 2000\n')
    assert "less than max_silence_ms (1000)" in found[0]


def test_a_persona_that_is_not_there_is_refused_with_what_was_meant():
    found = problems('[agent]\npersona = "clok"\n[persona.clock]\nvoice = "river"\n')
    assert 'did you mean "clock"' in found[0]
    assert "[persona.desk]" in problems('[agent]\npersona = "desk"\n')[0]


@pytest.mark.parametrize("key", ['persona = "x"\n[persona.x]\n', 'preset = "noisy"\n'])
def test_a_stored_agent_brings_its_own_persona(key):
    assert "stored agent brings its own" in problems(f'[agent]\nagent_id = "a"\n{key}')[0]


def test_the_languages_of_a_persona_are_looked_at():
    assert "persona.x.language_codes" in problems('[persona.x]\nlanguage_codes = ["german"]\n')[0]


def test_patience_must_leave_room_between_its_two_times():
    assert "patience.min_silence_ms" in problems("[patience]\nmin_silence_ms = 5000\n")[0]


def test_a_token_command_is_a_program_by_its_path():
    assert "agent.token_command" in problems('[agent]\ntoken_command = ["token --now"]\n')[0]


def test_another_persona_waits_for_the_next_conversation():
    new = Config(agent=Agent(persona="clock"), persona={"clock": CLOCK})
    changes = compare(Config(), new)
    assert changes.effects == {Effect.RECONNECT}
    assert "You are a clock." in str(changes.changes[1])
