"""Protocol 1.6, 8.1 and 8.3 by name, as the visitor sees them: lamp, sound, and whether the next question is answered.

What the client makes of each code on the wire is in tests/faults/agent/test_error_codes.py.
"""

import numpy as np
import pytest
from tests.rigs.fake_alsa import Card
from tests.rigs.live_audio import MICROPHONE, LiveWorld

from voicekiosk.agent import events as agent
from voicekiosk.audio.pcm import SERVICE_RATE_HZ
from voicekiosk.config.load import load
from voicekiosk.config.schema import Agent, Tool
from voicekiosk.errors import ConfigError
from voicekiosk.kiosk.events import Fault
from voicekiosk.kiosk.state import Link, Name, Turn, name_of
from voicekiosk.panel.lamp import Sign
from voicekiosk.simulator.scenario import Fault as SimulatorFault

# --- 1.6, close codes -------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1000, 1001, 1006, 1008, 1011, 1012, 3005])
async def test_a_close_with_this_code_between_questions_is_mended_before_the_next(scene, code):
    async with scene() as (simulator, kiosk):
        await kiosk.converse()
        simulator.drop(code=code)
        await kiosk.until(lambda: len(kiosk.said(agent.Ready)) == 2)
        await kiosk.converse()
        assert Name.FAULT not in kiosk.names


@pytest.mark.parametrize("code", [0, 1006, 1008, 1011, 3005])
async def test_a_close_with_this_code_in_the_middle_of_a_question_leaves_it_answered(scene, code):
    async with scene("resume-granted") as (simulator, kiosk):
        kiosk.press()
        await kiosk.ready()
        await kiosk.speak(0.6)
        simulator.drop(code=code)
        await kiosk.speak(0.6)
        kiosk.release()
        await kiosk.until(lambda: kiosk.name is Name.SPEAKING)
        await kiosk.until(lambda: kiosk.name is Name.IDLE)


@pytest.mark.parametrize("code", [1006, 1011])
async def test_a_close_with_this_code_in_the_middle_of_an_answer_has_it_taken_up_again(scene, code):
    async with scene() as (simulator, kiosk):
        await kiosk.ask(1.0)
        await kiosk.until(lambda: kiosk.name is Name.SPEAKING)
        replies = len(kiosk.said(agent.ReplyStarted))
        simulator.drop(code=code)
        await kiosk.until(lambda: len(kiosk.said(agent.ReplyStarted)) > replies)
        await kiosk.until(lambda: kiosk.name is Name.IDLE)


@pytest.mark.parametrize("code", [3006, 3007, 3008, 3009, 4001])
async def test_a_close_with_this_code_is_a_fault_that_a_press_tries_again(scene, code):
    async with scene() as (simulator, kiosk):
        await kiosk.converse()
        simulator.drop(code=code)
        await kiosk.until(lambda: Fault.SERVICE in kiosk.state.faults)
        assert kiosk.name is Name.FAULT
        kiosk.press()
        await kiosk.until(lambda: kiosk.state.link is Link.READY)
        assert Fault.SERVICE not in kiosk.state.faults
        kiosk.release()


# --- 8.1, error codes -------------------------------------------------------------------------------

KEY_CODES = ["unauthorized", "UNAUTHORIZED", "forbidden", "FORBIDDEN"]
REFUSALS = [
    "agent_not_found",
    "agent_id_not_first",
    "invalid_format",
    "invalid_value",
    "invalid_config",
    "invalid_webhook",
    "immutable_field",
]
PASSING = [
    "server_error",
    "internal_error",
    "INTERNAL_ERROR",
    "agent_init_failed",
    "agent_timeout",
    "at_capacity",
    "concurrency_exceeded",
    "session_not_found",
    "session_forbidden",
    "session_expired",
    "invalid_audio",
    "audio_rate_violation",
    "something_new",
]
SURVIVED = [*REFUSALS, "invalid_audio", "audio_rate_violation", "something_new"]


def refusing(code, times=0):
    return {"door.refuse": code, "door.times": times}


@pytest.mark.parametrize("code", KEY_CODES)
async def test_this_code_before_ready_is_a_refused_key_and_nobody_knocks_again(scene, code):
    async with scene(changes=refusing(code)) as (simulator, kiosk):
        kiosk.press()
        await kiosk.until(lambda: Fault.KEY in kiosk.state.faults)
        kiosk.release()
        kiosk.press()
        assert kiosk.conductor.parts.panel.signs[-1] is Sign.FAULT
        assert simulator.stats()["connections_opened"] == 1


@pytest.mark.parametrize("code", REFUSALS)
async def test_this_code_before_ready_is_a_fault_of_the_configuration(scene, code):
    async with scene(changes=refusing(code)) as (simulator, kiosk):
        kiosk.press()
        await kiosk.until(lambda: Fault.SERVICE in kiosk.state.faults)
        assert kiosk.conductor.parts.panel.signs[-1] is Sign.FAULT
        assert simulator.stats()["connections_opened"] == 1


@pytest.mark.parametrize("code", PASSING)
async def test_this_code_before_ready_passes_while_the_visitor_speaks(scene, code):
    async with scene(changes=refusing(code, times=1)) as (_, kiosk):
        await kiosk.converse(1.0)
        assert Name.FAULT not in kiosk.names


async def test_errors_in_a_session_are_told_and_do_not_disturb_a_conversation(scene):
    async with scene() as (simulator, kiosk):
        await kiosk.converse()
        for code in SURVIVED:
            simulator.fault(SimulatorFault(do="error", error=code))
        await kiosk.until(lambda: len(kiosk.said(agent.Trouble)) == len(SURVIVED))
        assert [trouble.code for trouble in kiosk.said(agent.Trouble)] == SURVIVED
        await kiosk.converse()
        assert len(kiosk.said(agent.Ready)) == 1


@pytest.mark.parametrize("code", ["session_not_found", "session_forbidden", "session_expired"])
async def test_this_code_in_a_session_is_followed_by_a_fresh_one_that_goes_on(scene, code):
    async with scene() as (simulator, kiosk):
        await kiosk.converse()
        simulator.fault(SimulatorFault(do="error", error=code))
        await kiosk.until(lambda: len(kiosk.said(agent.Ready)) == 2)
        assert kiosk.said(agent.Ready)[-1].continued
        await kiosk.converse()


@pytest.mark.parametrize("code", ["server_error", "internal_error", "something_new"])
async def test_this_code_with_a_close_in_the_middle_of_a_question_leaves_it_answered(scene, code):
    async with scene() as (simulator, kiosk):
        kiosk.press()
        await kiosk.ready()
        await kiosk.speak(0.5)
        simulator.fault(SimulatorFault(do="fail", error=code))
        await kiosk.speak(0.5)
        kiosk.release()
        await kiosk.until(lambda: kiosk.name is Name.SPEAKING)


# --- 8.3, silent failures ---------------------------------------------------------------------------


async def test_a_service_that_never_notices_speech_is_replaced_once_and_then_said_to_be_deaf(scene):
    """Wrong sample rate, or a cause that nobody found: loud speech, and no event."""
    async with scene("deaf") as (simulator, kiosk):
        await kiosk.ask(0.6)
        await kiosk.until(lambda: Fault.DEAF in kiosk.state.faults, 40.0)
        assert simulator.stats()["connections_opened"] == 2
        assert kiosk.state.turn is Turn.NONE
        assert not kiosk.said(agent.ReplyStarted), "an answer to what was not heard hides the fault"


async def test_an_answer_of_silence_without_words_is_not_waited_for_for_ever(scene):
    """The model's provider failed: 7 to 12 s of silence, completed, no transcript."""
    async with scene("silent-failure") as (_, kiosk):
        await kiosk.ask(0.6)
        await kiosk.until(lambda: kiosk.name is Name.IDLE, 40.0)
        await kiosk.converse()


async def test_an_answer_that_is_never_done_lets_the_next_question_through(scene):
    async with scene("no-done", conversation={"speaking_stall_s": 1.0}) as (_, kiosk):
        await kiosk.ask(0.6)
        await kiosk.until(lambda: kiosk.name is Name.SPEAKING)
        await kiosk.until(lambda: kiosk.name is Name.IDLE, 20.0)
        await kiosk.ask(0.6)
        await kiosk.until(lambda: kiosk.name is Name.SPEAKING)


async def test_silence_with_no_reply_done_within_12_s_lets_the_next_question_through(scene):
    """The model's provider failed, and the answer of silence was not even ended."""
    silent_and_never_done = {"events.withhold": ("reply.done",)}
    async with scene("silent-failure", silent_and_never_done, conversation={"speaking_stall_s": 1.0}) as (
        simulator,
        kiosk,
    ):
        await kiosk.ask(0.6)
        await kiosk.until(lambda: kiosk.name is Name.SPEAKING)
        await kiosk.until(lambda: kiosk.name is Name.IDLE, 20.0)
        assert not np.any(kiosk.heard)
        assert simulator.stats()["connections"][0]["events"].get("reply.done") is None
        await kiosk.ask(0.6)
        await kiosk.until(lambda: kiosk.name is Name.SPEAKING and np.any(kiosk.heard))


@pytest.mark.parametrize("card_hz", [8000, 16000, 44100, 48000, 96000])
async def test_a_wrong_sample_rate_is_never_sent_whatever_the_rate_of_the_card(house, service, card_hz):
    """Sound at another rate than was declared makes the agent deaf; another rate declared ends the session."""
    tone_hz, world = 500, LiveWorld()
    world.cards[MICROPHONE] = Card(
        rates=[card_hz],
        hears=lambda frame: (8000 * np.sin(2 * np.pi * tone_hz * frame / card_hz)).astype("<i2"),
    )
    async with house(f"[agent]\nurl = '{service.url}'\n", world) as kiosk:
        await kiosk.ask("press")
        await service.wait_for(lambda: service.connections and len(service.connections[0].record.up) > 48000)
        await kiosk.ask("release")
        await kiosk.until(lambda: name_of(kiosk.conductor.state) is Name.SPEAKING, "an answer")
        record = service.connections[0].record
        heard = np.frombuffer(bytes(record.up[:48000]), "<i2")[4800:]
        spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
        assert np.argmax(spectrum) * SERVICE_RATE_HZ / len(heard) == pytest.approx(tone_hz, abs=3)
        [first] = [message for _, _, message in record.messages if message["type"] == "session.update"]
        declared = first["session"].get("input", {}).get("format", {"sample_rate": SERVICE_RATE_HZ})
        assert declared["sample_rate"] == SERVICE_RATE_HZ


BAD_SCHEMAS = {
    "no-type": "{ properties = { city = { type = 'string' } } }",
    "unknown-type": "{ type = 'object', properties = { city = { type = 'str' } } }",
    "properties-no-table": "{ type = 'object', properties = 5 }",
    "required-unknown": "{ type = 'object', properties = { city = { type = 'string' } }, required = ['town'] }",
    "reference": "{ type = 'object', properties = { city = { '$ref' = '#/x' } } }",
}


@pytest.mark.parametrize("schema", BAD_SCHEMAS.values(), ids=BAD_SCHEMAS)
def test_a_bad_tool_schema_is_refused_by_the_configuration(tmp_path, schema):
    """The service would take it without a word, and call the tool wrongly or never."""
    file = tmp_path / "config.toml"
    file.write_text(
        f"[[tools]]\nname = 'weather'\ndescription = 'd'\ncommand = ['true']\nparameters = {schema}\n"
    )
    with pytest.raises(ConfigError, match="parameters"):
        load(file)


async def test_a_call_that_a_bad_tool_schema_would_lead_to_is_answered_and_does_no_harm(scene):
    """Whatever the agent makes of a schema: the tool is not run with it, and the conversation goes on."""
    place = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    weather = Tool(
        name="weather", description="Tells the weather.", command=("echo", "ran"), parameters=place
    )
    async with scene(tools=(weather,)) as (simulator, kiosk):
        await kiosk.converse()
        simulator.call_tool("weather", {"town": 5})
        results = simulator.connections[0].record.tool_results
        await simulator.wait_for(lambda: results)
        assert results[0]["is_error"]
        await kiosk.until(lambda: kiosk.state.turn is Turn.NONE)
        await kiosk.converse()


async def test_an_empty_answer_is_asked_for_again(scene):
    async with scene("empty-reply") as (_, kiosk):
        await kiosk.ask(0.6)
        await kiosk.until(lambda: kiosk.name is Name.SPEAKING)


async def test_the_configuration_goes_where_the_service_reads_it(scene):
    """Under another key than `session` it would be ignored without a word."""
    async with scene(agent={"system_prompt": "You are a lighthouse keeper."}) as (simulator, kiosk):
        kiosk.press()
        await kiosk.ready()
        [first] = [
            message
            for _, side, message in simulator.connections[0].record.messages
            if side == "client" and message["type"] == "session.update"
        ]
        assert set(first) == {"type", "session"}
        assert first["session"]["system_prompt"] == "You are a lighthouse keeper."
        kiosk.release()


def test_a_keyterm_that_would_be_ignored_is_refused_by_the_configuration(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(f"[agent]\nkeyterms = ['{'x' * 51}']\n")
    with pytest.raises(ConfigError, match="keyterms"):
        load(file)
    assert Agent().keyterms == ()


async def test_nothing_that_the_service_ignores_is_relied_on(scene):
    """`conversation.message` and `reply.cancel` are taken without effect."""
    async with scene() as (simulator, kiosk):
        await kiosk.converse()
        simulator.drop(code=1006)
        await kiosk.until(lambda: len(kiosk.said(agent.Ready)) == 2)
        await kiosk.converse()
        sent = {kind for one in simulator.stats()["connections"] for kind in one["events"]}
        assert not sent & {"conversation.message", "reply.cancel"}
