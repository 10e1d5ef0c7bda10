"""What the agent is told of here and now, and how long it waits."""

from datetime import datetime

import pytest

from voicekiosk.agent.prompts import filled, for_now
from voicekiosk.agent.settings import pause_settings
from voicekiosk.config.schema import Agent, Config, Kiosk, Patience, Persona, TurnDetection

NOW = datetime(2026, 11, 22, 14, 5).astimezone()
HERE = Kiosk(name="k1", place="Hall B")


def test_date_time_place_and_name_are_filled_in():
    text = filled("{name} in {place}, {date}, {time}", HERE, NOW)
    assert text == "k1 in Hall B, Sunday 22 November 2026, 14:05"


@pytest.mark.parametrize("text", ["{", "}", "{}", "{other}", "{{date", "{0}", '{"a": 1}', ""])
def test_other_braces_stay_as_they_are(text):
    assert filled(text, HERE, NOW) == text


def test_prompt_and_greeting_of_the_persona_are_filled_in():
    config = Config(
        kiosk=HERE,
        agent=Agent(persona="p", greeting="Welcome to {place}"),
        persona={"p": Persona(system_prompt="It is {time}.")},
    )
    agent = for_now(config, NOW).agent
    assert (agent.system_prompt, agent.greeting) == ("It is 14:05.", "Welcome to Hall B")


def turn_detection(config, patient):
    return pause_settings(config, patient=patient)["input"]["turn_detection"]


def test_patience_goes_back_to_the_defaults_of_the_schema_since_nothing_can_be_unset():
    config = Config(patience=Patience(min_silence_ms=2000, max_silence_ms=6000))
    assert turn_detection(config, True) == {"min_silence": 2000, "max_silence": 6000}
    assert turn_detection(config, False) == {"min_silence": 1000, "max_silence": 3000}


def test_patience_goes_back_to_what_is_configured_and_keeps_the_rest():
    turn = TurnDetection(min_silence_ms=400, max_silence_ms=900, vad_threshold=0.6, interrupt_response=False)
    config = Config(agent=Agent(turn_detection=turn))
    assert turn_detection(config, False) == {
        "min_silence": 400,
        "max_silence": 900,
        "vad_threshold": 0.6,
        "interrupt_response": False,
    }
    assert turn_detection(config, True)["vad_threshold"] == 0.6


def test_a_short_maximum_alone_never_makes_an_invalid_pair():
    config = Config(agent=Agent(turn_detection=TurnDetection(max_silence_ms=800)))
    assert turn_detection(config, False) == {"min_silence": 799, "max_silence": 800}
