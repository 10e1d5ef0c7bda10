from msgspec.structs import replace

from voicekiosk.agent.settings import changed_settings, first_settings
from voicekiosk.config.schema import Agent, TurnDetection


def nulls(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(nulls, value.values()))
    return value is None


def test_unset_keys_are_left_out_and_never_null():
    settings = first_settings(Agent(), voice="alba")
    assert not nulls(settings)
    assert "greeting" not in settings
    assert "keyterms" not in settings["input"]
    assert "turn_detection" not in settings["input"]


def test_the_format_is_an_object_at_24_khz():
    settings = first_settings(Agent(), voice="alba")
    assert settings["input"]["format"] == {"encoding": "audio/pcm", "sample_rate": 24000}
    assert settings["output"]["format"] == {"encoding": "audio/pcm", "sample_rate": 24000}


def test_an_agent_id_goes_alone():
    agent = Agent(agent_id="agent_1", greeting="Hello", system_prompt="x")
    assert first_settings(agent, voice="alba", carried="…") == {"agent_id": "agent_1"}


def test_every_key_has_its_place():
    agent = Agent(
        system_prompt="p",
        greeting="g",
        volume=0,
        transcription_mode="balanced",
        transcription_prompt="tp",
        language_codes=("en", "de"),
        keyterms=("Rembrandt",),
        voice_focus="far-field",
        turn_detection=TurnDetection(
            vad_threshold=0.6,
            min_silence_ms=500,
            max_silence_ms=900,
            interrupt_response=False,
            interruption_delay_ms=0,
        ),
    )
    pcm = {"encoding": "audio/pcm", "sample_rate": 24000}
    assert first_settings(agent, voice="eve") == {
        "system_prompt": "p",
        "greeting": "g",
        "input": {
            "format": pcm,
            "keyterms": ["Rembrandt"],
            "transcription_mode": "balanced",
            "transcription_prompt": "tp",
            "language_codes": ["en", "de"],
            "voice_focus": "far-field",
            "turn_detection": {
                "vad_threshold": 0.6,
                "min_silence": 500,
                "max_silence": 900,
                "interrupt_response": False,
                "interruption_delay": 0,
            },
        },
        "output": {"format": pcm, "voice": "eve", "volume": 0},
    }


def test_a_continued_session_does_not_greet_and_is_told_of_the_past():
    settings = first_settings(
        Agent(system_prompt="p", greeting="Hello"), voice="", carried="+past", greet=False
    )
    assert settings["system_prompt"] == "p+past"
    assert "greeting" not in settings
    assert "voice" not in settings["output"]


def test_a_later_update_holds_only_what_changed():
    old, new = Agent(keyterms=("a",)), Agent(keyterms=("a", "b"), volume=50)
    assert changed_settings(old, new) == {"input": {"keyterms": ["a", "b"]}, "output": {"volume": 50}}


def test_a_later_update_never_touches_what_is_frozen():
    old, new = Agent(), Agent(greeting="Hi", voice="eve")
    assert changed_settings(old, new) == {}


def test_a_list_that_became_empty_is_sent_empty():
    assert changed_settings(Agent(keyterms=("a",)), Agent()) == {"input": {"keyterms": []}}


def test_a_value_that_was_taken_out_is_left_alone():
    assert changed_settings(Agent(volume=10), Agent()) == {}


def test_a_new_prompt_keeps_what_was_carried_over():
    settings = changed_settings(Agent(), Agent(system_prompt="new"), carried="+past")
    assert settings == {"system_prompt": "new+past"}


def test_of_turn_detection_the_whole_table_is_sent_when_any_of_it_changed():
    turn = TurnDetection(vad_threshold=0.6, min_silence_ms=500, interruption_delay_ms=1)
    old, new = Agent(turn_detection=turn), Agent(turn_detection=replace(turn, min_silence_ms=400))
    table = {"vad_threshold": 0.6, "min_silence": 400, "interruption_delay": 1}
    assert changed_settings(old, new) == {"input": {"turn_detection": table}}
    assert changed_settings(new, replace(new, keyterms=("a",))) == {"input": {"keyterms": ["a"]}}


def test_an_answer_that_may_be_interrupted_again_is_said():
    old = Agent(turn_detection=TurnDetection(interrupt_response=False, vad_threshold=0.6))
    new = Agent(turn_detection=TurnDetection(vad_threshold=0.6))
    table = {"vad_threshold": 0.6, "interrupt_response": True}
    assert changed_settings(old, new) == {"input": {"turn_detection": table}}
