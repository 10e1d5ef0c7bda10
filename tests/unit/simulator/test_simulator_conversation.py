"""Turn-taking in virtual time: the paths beside the main street."""

import base64

import numpy as np
import pytest
from tests.rigs.plain_client import tone
from tests.rigs.virtual_session import VirtualSession

from voicekiosk.simulator import g711
from voicekiosk.simulator.brain import Answer, Call, Heard, Script, parrot
from voicekiosk.simulator.configuration import Configuration, Refused
from voicekiosk.simulator.scenario import Rule, ToolUse

LONG = " ".join(["word"] * 30)
QUICK = {"turn.end_ms": 500, "reply.lead_in_ms": 200}


def down(session):
    return np.frombuffer(bytes(session.record.down), "<i2")


def test_volume_scales_what_is_sent():
    session = VirtualSession(QUICK)
    session.ready(output={"volume": 50})
    session.speak(tone(1.0))
    session.silence(1.0)
    session.run(5.0)
    (turn,), (reply,) = session.record.turns, session.record.replies
    heard = np.frombuffer(bytes(session.record.up), "<i2")[turn["start"] : turn["end"]]
    sent = down(session)[reply["lead_samples"] :][: heard.size]
    assert np.array_equal(sent, (heard * 0.5).astype(np.int16))


def test_speech_over_an_uninterruptible_greeting_is_discarded():
    session = VirtualSession(QUICK)
    session.ready(greeting=LONG, input={"turn_detection": {"uninterruptible_turns": ["greeting"]}})
    session.run(1.0)
    session.speak(tone(3.0))
    session.silence(1.0)
    session.run(20.0)
    assert session.all("reply.done")[0]["status"] == "completed"
    assert session.all("input.speech.started") == []
    assert session.record.turns == type(session.record.turns)()


def test_an_utterance_within_a_reply_that_cannot_be_interrupted_is_answered_after_it():
    session = VirtualSession(QUICK)
    session.ready(greeting=LONG, input={"turn_detection": {"interrupt_response": False}})
    session.run(1.0)
    session.speak(tone(1.0))
    session.silence(1.0)
    session.run(60.0)
    types = session.types()
    done = types.index("reply.done")
    assert types[done + 1 : done + 6] == [
        "input.speech.started", "transcript.user.delta", "input.speech.stopped", "transcript.user", "reply.started",
    ]  # fmt: skip
    assert len(session.record.turns) == 1


def test_speech_that_outlasts_such_a_reply_is_told_from_its_end_on():
    session = VirtualSession(QUICK)
    session.ready(greeting="one two", input={"turn_detection": {"interrupt_response": False}})
    session.run(0.5)
    session.speak(tone(8.0))
    session.silence(1.0)
    session.run(20.0)
    types = session.types()
    assert types.index("input.speech.started") > types.index("reply.done")
    assert session.record.turns[0]["end"] - session.record.turns[0]["start"] >= 8 * 24000


def test_a_click_is_no_turn():
    session = VirtualSession(QUICK)
    session.ready()
    for _ in range(5):
        session.speak(tone(0.04))
        session.silence(1.0)
    assert session.types() == ["session.updated", "session.ready"]


def _barged_in_on_a_tool(*, reads: bool = True) -> tuple[VirtualSession, str]:
    """Have a tool called and its reply interrupted; return the call, of whose end the client may not have read."""

    def agent(heard):
        return Answer(calls=(Call("look"),)) if heard.turn == 1 else "yes"

    session = VirtualSession(QUICK | {"tools.call_ms": 500, "tools.done_ms": 20000}, agent=agent)
    session.ready(tools=[{"type": "function", "name": "look"}])
    if not reads:
        session.wire.pong = None
    session.speak(tone(1.0))
    session.silence(0.6)
    session.run(1.0)
    (call,) = session.all("tool.call")
    session.speak(tone(3.0, 600.0))
    session.silence(1.0)
    session.run(10.0)
    assert session.all("reply.done")[0]["status"] == "interrupted"
    return session, call["call_id"]


def test_a_barge_in_during_a_tool_call_voids_it_and_its_reply_has_no_text():
    session, call_id = _barged_in_on_a_tool()
    assert [text["text"] for text in session.all("transcript.agent")] == ["yes"]
    session.send("tool.result", call_id=call_id, result="1")
    session.run(5.0)
    assert session.rules() == [31]
    assert len(session.all("reply.started")) == 2


def test_a_result_that_went_before_the_client_could_know_of_the_interruption_breaks_no_rule():
    session, call_id = _barged_in_on_a_tool(reads=False)
    session.send("tool.result", call_id=call_id, result="1")
    session.run(5.0)
    assert session.rules() == []
    assert len(session.all("reply.started")) == 2


def test_the_cut_text_has_as_many_words_as_were_sounded():
    session = VirtualSession(QUICK | {"barge_in.decision_ms": 1100})
    session.ready(greeting=LONG)
    session.run(3.0)
    session.speak(tone(2.0))
    (told,) = session.all("transcript.agent")
    (reply,) = session.record.replies
    sounded = (session.record.sent_samples - reply["lead_samples"]) / reply["samples"]
    assert len(told["text"].split()) == int(30 * sounded)


def test_instructions_are_said_verbatim_when_they_ask_for_it():
    for asked, said in (
        ("Say exactly: Good morning.", "Good morning."),
        ('say exactly "Hello there"', "Hello there"),
        ("Be friendly", "Be friendly"),
        (None, "Is there anything else?"),
    ):
        assert parrot(Heard("create", 0, instructions=asked)).text == said


def test_a_script_leaves_to_the_parrot_what_it_does_not_say():
    script = Script(
        (Rule(hears="a", says="{heard} {seconds}"), Rule(silent=True), Rule(calls=(ToolUse(name="t"),)))
    )
    samples = np.ones(24000, np.int16)
    assert script.hears(1) == "a"
    assert script.hears(2) == ""
    assert script(Heard("turn", 1, "a", samples)).text == "a 1.0"
    assert script(Heard("turn", 2, "b", samples)) is None
    assert script(Heard("turn", 3, "c", samples)).calls == (Call("t"),)
    assert script(Heard("turn", 4, "d", samples)).text == "d 1.0"
    assert script(Heard("results", 3, "c", samples, rounds=1)).text.startswith("The answer is")
    assert script(Heard("greeting", 0, "Hello")).text == "Hello"
    assert Script(())(Heard("turn", 1, "x", samples)).samples is samples


# --- values of session.update (2.1, 6.1, 7.1)


def tool(**fields):
    return {"tools": [{"type": "function", "name": "t"} | fields]}


BAD = [
    ({"input": {"transcription_mode": "fast"}}, "input.transcription_mode"),
    ({"input": {"voice_focus": "middle"}}, "input.voice_focus"),
    ({"input": {"voice_focus_threshold": 1.5}}, "input.voice_focus_threshold"),
    ({"input": {"keyterms": ["x"] * 101}}, "input.keyterms"),
    ({"input": {"transcription_prompt": "x" * 1751}}, "input.transcription_prompt"),
    ({"input": {"format": {"encoding": "audio/mp3"}}}, "format"),
    ({"input": {"format": {"encoding": "audio/pcm", "sample_rate": "24000"}}}, "format"),
    ({"input": {"turn_detection": {"vad_threshold": -0.1}}}, "input.turn_detection.vad_threshold"),
    ({"input": {"turn_detection": {"min_silence": 49}}}, "input.turn_detection.min_silence"),
    ({"input": {"turn_detection": {"min_silence": 500.5}}}, "input.turn_detection.min_silence"),
    ({"input": {"turn_detection": {"max_silence": 10001}}}, "input.turn_detection.max_silence"),
    ({"input": {"turn_detection": {"interruption_delay": True}}}, "input.turn_detection.interruption_delay"),
    ({"input": {"turn_detection": {"interrupt_response": "no"}}}, "input.turn_detection.interrupt_response"),
    (
        {"input": {"turn_detection": {"uninterruptible_turns": ["all"]}}},
        "input.turn_detection.uninterruptible_turns",
    ),
    ({"input": {"turn_detection": {"type": "vad"}}}, "input.turn_detection.type"),
    ({"output": {"volume": "loud"}}, "output.volume"),
    (tool(type="tool"), "tools[0].type"),
    (tool(name=""), "tools[0].name"),
    (tool(parameters=[]), "tools[0].parameters"),
    (tool(execution_mode="later"), "tools[0].execution_mode"),
    (tool(timeout_seconds=0), "tools[0].timeout_seconds"),
    (tool(timeout_seconds=301), "tools[0].timeout_seconds"),
    ({"webhook": {"url": 5, "events": []}}, "webhook"),
]


@pytest.mark.parametrize(("session", "param"), BAD)
def test_a_bad_value_is_refused_with_its_field(session, param):
    configuration = Configuration("sess_1")
    before = configuration.echo
    with pytest.raises(Refused) as refused:
        configuration.first(session, {})
    assert refused.value.param == param
    assert not refused.value.shape
    assert configuration.echo is before


@pytest.mark.parametrize(
    "session",
    [
        [], "x", {"input": []}, {"output": None}, {"input": {"keyterms": [1]}}, {"input": {"language_codes": "en"}},
        {"tools": ["t"]}, {"input": {"continuous_partials": 1}}, {"system_prompt": None}, {"model": "x"},
    ],
)  # fmt: skip
def test_a_bad_shape_is_invalid_format(session):
    with pytest.raises(Refused) as refused:
        Configuration("sess_1").first(session, {})
    assert refused.value.shape


TABLES = {
    "session": ("system_prompt", "greeting", "agent_id", "input", "output", "tools", "webhook", "llm",
                "pre_connect_requests"),
    "input": ("type", "format", "keyterms", "transcription_mode", "transcription_prompt", "language_codes",
              "voice_focus", "voice_focus_threshold", "continuous_partials", "turn_detection"),
    "output": ("type", "voice", "format", "volume"),
    "turn_detection": ("vad_threshold", "min_silence", "max_silence", "interrupt_response", "interruption_delay",
                       "uninterruptible_turns", "type"),
    "format": ("encoding", "sample_rate"),
}  # fmt: skip
WHERE = {
    "session": lambda table: table,
    "input": lambda table: {"input": table},
    "output": lambda table: {"output": table},
    "turn_detection": lambda table: {"input": {"turn_detection": table}},
    "format": lambda table: {"input": {"format": {"encoding": "audio/pcm"} | table}},
}


@pytest.mark.parametrize("when", ["first", "later"])
@pytest.mark.parametrize(("table", "key"), [(table, key) for table, keys in TABLES.items() for key in keys])
def test_a_null_is_invalid_format_and_leaves_the_session_open(table, key, when):
    session = VirtualSession()
    if when == "later":
        session.ready()
    session.send("session.update", session=WHERE[table]({key: None}))
    assert session.all("session.error")[0]["code"] == "invalid_format"
    assert session.wire.closed is None
    assert 9 in session.rules()


def test_what_is_unknown_inside_input_is_ignored_and_long_keyterms_are_left_out():
    configuration = Configuration("sess_1")
    configuration.first({"input": {"x": 1, "keyterms": ["a", "b" * 51]}, "output": {"y": None}}, {})
    assert configuration.echo["input"]["keyterms"] == ["a"]
    assert "x" not in configuration.echo["input"]


def test_silences_are_compared_across_updates():
    configuration = Configuration("sess_1")
    configuration.first({"input": {"turn_detection": {"max_silence": 600}}}, {})
    with pytest.raises(Refused):
        configuration.later({"input": {"turn_detection": {"min_silence": 600}}}, apply_rest=False)
    assert configuration.detection == {"max_silence": 600, "uninterruptible_turns": []}


def test_g711_out_of_other_sound_is_filtered_first():
    """A tone above the telephone's band must not come back folded."""
    session = VirtualSession(QUICK, agent=lambda _: Answer("x", tone(1.0, 5500.0)))
    session.ready(output={"format": {"encoding": "audio/pcmu"}})
    session.send("reply.create")
    session.run(5.0)
    sent = b"".join(base64.b64decode(event["data"]) for event in session.all("reply.audio"))
    level = g711.decode("ulaw", sent)[3000:8000].astype(float).std()
    assert level < 8000 / np.sqrt(2) / 30
