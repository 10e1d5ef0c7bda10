"""Checklist 12.2 of the protocol document, S1 to S16: the door, the first message, updates, audio in."""

import asyncio
import time

import pytest
from tests.rigs.plain_client import PlainClient, calm, request, settings, tone
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from voicekiosk.simulator import Simulator

VOICES = "alba, anna, charles, estelle, eve, george, giovanni, iris, jane, jean, juergen, lola, mary, michael, paul, rafael, reid, vera"


# --- S1


async def test_s01_a_token_of_live_length_is_given_for_the_key():
    async with Simulator(settings()) as sim:
        status, answer = await request(sim, "/v1/token", query={"expires_in_seconds": 300})
    assert status == 200
    assert answer["expires_in_seconds"] == 300
    assert 2400 <= len(answer["token"]) <= 2500


@pytest.mark.parametrize(
    ("query", "kind", "ctx"),
    [
        ({}, "missing", None),
        ({"expires_in_seconds": 0}, "greater_than_equal", {"ge": 1}),
        ({"expires_in_seconds": 601}, "less_than_equal", {"le": 600}),
        ({"expires_in_seconds": "soon"}, "int_parsing", None),
        ({"expires_in_seconds": 5, "max_session_duration_seconds": 59}, "greater_than_equal", {"ge": 60}),
    ],
)
async def test_s01_a_bad_parameter_is_422_with_its_detail(query, kind, ctx):
    async with Simulator(settings()) as sim:
        status, answer = await request(sim, "/v1/token", query=query)
    assert status == 422
    (detail,) = answer["detail"]
    assert detail["type"] == kind
    assert detail["loc"][0] == "query"
    assert detail.get("ctx") == ctx


async def test_s01_a_wrong_key_is_404_and_a_missing_one_422():
    async with Simulator(settings()) as sim:
        query = {"expires_in_seconds": 60}
        wrong = await request(sim, "/v1/token", query=query, headers={"Authorization": "Bearer nope"})
        none = await request(sim, "/v1/token", query=query, headers={})
    assert wrong == (404, {"detail": "Invalid API key"})
    assert none[0] == 422


# --- S2


@pytest.mark.parametrize("how", ["bearer", "raw", "query", "token", "bearer token"])
async def test_s02_each_form_of_credential_is_accepted(how):
    async with Simulator(settings()) as sim:
        _, answer = await request(sim, "/v1/token", query={"expires_in_seconds": 60})
        token = answer["token"]
        client = {
            "bearer": lambda: PlainClient.open(sim),
            "raw": lambda: PlainClient.open(sim, additional_headers={"Authorization": sim.key}),
            "query": lambda: PlainClient.open(sim, bearer="", query=f"?token={sim.key}"),
            "token": lambda: PlainClient.open(sim, bearer="", query=f"?token={token}"),
            "bearer token": lambda: PlainClient.open(sim, bearer=token),
        }[how]
        async with await client() as opened:
            assert (await opened.ready())["session_id"].startswith("sess_")


@pytest.mark.parametrize("bearer", ["wrong", ""])
async def test_s02_a_bad_credential_is_upgraded_and_then_refused(bearer):
    async with Simulator(settings()) as sim, await PlainClient.open(sim, bearer=bearer) as client:
        assert await client.code() == 1008
        (error,) = client.seen
        assert error.pop("timestamp") == pytest.approx(time.time(), abs=60)
        assert error == {
            "type": "session.error",
            "code": "unauthorized",
            "message": "Authentication failed",
            "session_id": None,
            "param": None,
        }


@pytest.mark.parametrize(("reuse", "second"), [(False, 1008), (True, None)])
async def test_s02_a_token_opens_one_session_unless_leniency_is_asked_for(reuse, second):
    async with Simulator(settings(calm(door={"reuse_tokens": reuse}))) as sim:
        _, answer = await request(sim, "/v1/token", query={"expires_in_seconds": 600})
        query = f"?token={answer['token']}"
        async with await PlainClient.open(sim, bearer="", query=query) as first:
            await first.ready()
            async with await PlainClient.open(sim, bearer="", query=query) as again:
                if second is None:
                    await again.ready()
                else:
                    assert await again.code() == second


async def test_s02_a_token_expires():
    async with Simulator(settings(speed=100.0)) as sim:
        _, answer = await request(sim, "/v1/token", query={"expires_in_seconds": 1})
        await asyncio.sleep(0.05)
        async with await PlainClient.open(sim, bearer="", query=f"?token={answer['token']}") as client:
            assert await client.code() == 1008


@pytest.mark.parametrize("status", [401, 499, 503])
async def test_s02_the_upgrade_itself_can_be_refused(status):
    async with Simulator(settings(calm(door={"http_status": status, "times": 1}))) as sim:
        with pytest.raises(InvalidStatus) as refused:
            await connect(sim.url, additional_headers={"Authorization": "Bearer sim-key"}, proxy=None)
        assert refused.value.response.status_code == status
        async with await PlainClient.open(sim) as client:
            await client.ready()


async def test_s02_another_path_is_404():
    async with Simulator(settings()) as sim:
        with pytest.raises(InvalidStatus) as refused:
            await connect(sim.url.replace("/v1/ws", "/v1/realtime"), proxy=None)
    assert refused.value.response.status_code == 404


# --- S3


async def test_s03_nothing_is_sent_before_the_first_message():
    async with Simulator(settings()) as sim, await PlainClient.open(sim) as client:
        await client.settle(sim, 10.0)
        assert client.seen == []
        assert client.closed is None


# --- S4


async def test_s04_updated_and_then_ready_in_live_times():
    async with Simulator(settings(speed=1.0)) as sim, await PlainClient.open(sim) as client:
        began = time.monotonic()
        await client.ready()
        assert time.monotonic() - began >= 0.18
        updated, ready = client.seen
        assert [updated["type"], ready["type"]] == ["session.updated", "session.ready"]
        assert updated["config"] == ready["config"]
        assert ready["timestamp"] > updated["timestamp"]


# --- S5

FATAL = [
    ({"output": {"voice": "not_a_voice"}}, "invalid_value", "output.voice",
     f"Invalid voice 'not_a_voice'. Must be one of: {VOICES}"),
    ({"agent_id": "agent_1", "greeting": "x"}, "invalid_value", "agent_id",
     "agent_id is mutually exclusive with other session fields"),
    ({"agent_id": "agent_1"}, "agent_not_found", "agent_id", "Agent not found"),
    ({"llm": []}, "invalid_value", "llm",
     "BYO LLM config is not allowed on session.update; define it on a stored agent via POST /v1/agents"),
    ({"input": {"format": "audio/pcm"}}, "invalid_value", "format", "Audio format must be a JSON object"),
    ({"input": {"turn_detection": {"min_silence": 900, "max_silence": 900}}}, "invalid_value",
     "input.turn_detection.min_silence", None),
    ({"tools": [{"type": "function", "name": "t", "parameters": {"properties": 5}}]}, "invalid_value",
     "tools[0].parameters.properties", "'tools[0].parameters.properties' must be an object"),
]  # fmt: skip


@pytest.mark.parametrize(("session", "code", "param", "message"), FATAL)
async def test_s05_a_bad_value_in_the_first_update_is_fatal(session, code, param, message):
    async with Simulator(settings()) as sim, await PlainClient.open(sim) as client:
        await client.update(**session)
        assert await client.code() == 1008
        (error,) = client.seen
        assert (error["code"], error["param"]) == (code, param)
        assert message in (None, error["message"])


@pytest.mark.parametrize(
    "session", [{"greeting": None}, {"system_prompt": 5}, {"unknown_key": 1}, {"tools": {}}]
)
async def test_s05_a_bad_shape_leaves_the_socket_open_for_a_corrected_update(session):
    async with Simulator(settings()) as sim, await PlainClient.open(sim) as client:
        await client.update(**session)
        error = await client.get("session.error")
        assert error["code"] == "invalid_format"
        assert error["message"] == "Invalid message format for type 'session.update'"
        await client.ready(system_prompt="corrected")
        assert client.closed is None


# --- S6


async def test_s06_ready_carries_every_field_and_nulls_for_what_is_unset():
    async with Simulator(settings()) as sim, await PlainClient.open(sim) as client:
        ready = await client.ready(system_prompt="p", output={"voice": "eve"})
        assert set(ready) == {"type", "session_id", "expires_at", "resume_token", "config", "timestamp"}
        session_id = ready["session_id"]
        assert len(session_id) == 37
        int(session_id.removeprefix("sess_"), 16)
        assert ready["expires_at"] - ready["timestamp"] == pytest.approx(3595, abs=1)
        assert ready["resume_token"]
        pcm = {"encoding": "audio/pcm", "sample_rate": 24000}
        assert ready["config"] == {
            "id": session_id,
            "system_prompt": "p",
            "greeting": None,
            "input": {
                "type": "audio",
                "format": pcm,
                "turn_detection": None,
                "keyterms": None,
                "transcription_mode": None,
                "continuous_partials": None,
                "transcription_prompt": None,
                "language_codes": None,
                "voice_focus": None,
                "voice_focus_threshold": None,
            },
            "output": {"type": "audio", "voice": "eve", "format": pcm, "volume": None},
            "tools": [],
            "llm": [],
            "pre_connect_requests": [],
        }


async def test_s06_g711_tools_and_turn_detection_are_echoed_as_live():
    tool = {"type": "function", "name": "t", "description": "d", "parameters": {"type": "object"}}
    async with Simulator(settings()) as sim, await PlainClient.open(sim) as client:
        given = {"format": {"encoding": "audio/pcmu"}, "turn_detection": {"vad_threshold": 0.6}}
        config = (await client.ready(input=given, tools=[tool]))["config"]
    assert config["input"]["format"] == {"encoding": "audio/pcmu", "sample_rate": 8000}
    assert config["input"]["turn_detection"]["vad_threshold"] == 0.6
    assert config["input"]["turn_detection"]["min_silence"] is None
    added = {"timeout_seconds": 120, "execution_mode": "interactive", "http": None, "response_instructions": None,
             "deployment_id": None, "session_update": None, "image_tag": None}  # fmt: skip
    assert config["tools"] == [tool | added]


# --- S7


@pytest.mark.parametrize("kind", ["input.audio", "reply.create", "session.end", "nope"])
async def test_s07_another_first_message_is_invalid_format_and_the_socket_stays(kind):
    async with Simulator(settings()) as sim, await PlainClient.open(sim) as client:
        await client.send(kind, audio="AAAA")
        assert (await client.get("session.error"))["code"] == "invalid_format"
        await client.ready()


# --- S8


@pytest.mark.parametrize(
    ("code", "close"),
    [
        ("at_capacity", 1008),
        ("concurrency_exceeded", 1008),
        ("internal_error", 1011),
        ("agent_timeout", 1008),
    ],
)
async def test_s08_the_door_refuses_with_the_code_that_is_asked_for(code, close):
    async with Simulator(settings(calm(door={"refuse": code, "times": 1}))) as sim:
        async with await PlainClient.open(sim) as client:
            await client.update()
            assert await client.code() == close
            assert [event["code"] for event in client.seen] == [code]
        async with await PlainClient.open(sim) as client:
            await client.ready()


async def test_s08_it_can_keep_silent_for_ever():
    async with (
        Simulator(settings(calm(door={"refuse": "silence"}))) as sim,
        await PlainClient.open(sim) as client,
    ):
        await client.update()
        await client.settle(sim, 20.0)
        assert client.seen == []
        assert client.closed is None


async def test_s08_open_and_unended_sessions_count_against_concurrency():
    async with Simulator(settings(calm(door={"max_sessions": 1}, lifecycle={"grace_s": 300}))) as sim:
        async with await PlainClient.open(sim) as first:
            await first.ready()
        await sim.wait_for(lambda: sim.connections[0].closed)
        async with await PlainClient.open(sim) as second:
            await second.update()
            assert (await second.get("session.error"))["code"] == "concurrency_exceeded"


# --- S9


async def test_s09_later_updates_merge_and_echo_the_whole_config():
    async with Simulator(settings()) as sim, await PlainClient.open(sim) as client:
        await client.ready(system_prompt="first", input={"keyterms": ["a"]})
        await client.update(
            input={"transcription_mode": "min_latency", "turn_detection": {"vad_threshold": 0.2}}
        )
        await client.update(
            system_prompt="second",
            input={"turn_detection": {"interrupt_response": False}},
            output={"volume": 50},
        )
        config = (await client.get("session.updated", 3))["config"]
    assert config["system_prompt"] == "second"
    assert config["input"]["keyterms"] == ["a"]
    assert config["input"]["transcription_mode"] == "min_latency"
    assert config["input"]["turn_detection"]["vad_threshold"] == 0.2
    assert config["input"]["turn_detection"]["interrupt_response"] is False
    assert config["output"]["volume"] == 50


# --- S10


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"greeting": "new"}, "greeting"),
        ({"output": {"voice": "eve"}}, "output.voice"),
        ({"output": {"voice": "not_a_voice"}}, "output.voice"),
        ({"output": {"format": {"encoding": "audio/pcmu"}}}, "output.format"),
    ],
)
async def test_s10_a_frozen_field_is_refused_and_the_session_goes_on(session, param):
    async with Simulator(settings()) as sim, await PlainClient.open(sim) as client:
        ready = await client.ready()
        await client.update(**session)
        error = await client.get("session.error")
        assert (error["code"], error["param"]) == ("immutable_field", param)
        assert error["message"] == f"'{param}' cannot be changed after the first session.update"
        assert error["session_id"] == ready["session_id"]
        await client.update(system_prompt="on")
        config = (await client.get("session.updated", 2))["config"]
        assert config["output"] == ready["config"]["output"]
        assert config["greeting"] is None


@pytest.mark.parametrize(("mode", "prompt"), [("refuse", ""), ("apply_rest", "new")])
async def test_s10_what_a_mixed_update_does_is_a_switch(mode, prompt):
    async with (
        Simulator(settings(calm(lifecycle={"mixed_update": mode}))) as sim,
        await PlainClient.open(sim) as client,
    ):
        await client.ready()
        await client.update(system_prompt="new", output={"voice": "eve"})
        await client.get("session.error")
        await client.update(output={"volume": 10})
        await client.until(lambda: client.seen[-1].get("config", {}).get("output", {}).get("volume") == 10)
        assert client.seen[-1]["config"]["system_prompt"] == prompt
        assert client.seen[-1]["config"]["output"]["voice"] == "alba"


# --- S11


async def test_s11_tools_are_replaced_as_a_whole_and_need_a_type():
    def tool(name):
        return {"type": "function", "name": name}

    async with Simulator(settings()) as sim, await PlainClient.open(sim) as client:
        await client.ready(tools=[tool("a"), tool("b")])
        await client.update(tools=[tool("c")])
        config = (await client.get("session.updated", 2))["config"]
        assert [entry["name"] for entry in config["tools"]] == ["c"]
        await client.update(tools=[{"name": "d"}])
        error = await client.get("session.error")
        assert (error["code"], error["param"]) == ("invalid_value", "tools[0].type")
        assert client.closed is None


# --- S12


async def test_s12_a_late_agent_id_is_refused_and_the_session_goes_on():
    async with Simulator(settings()) as sim, await PlainClient.open(sim) as client:
        await client.ready()
        await client.update(agent_id="agent_1")
        error = await client.get("session.error")
        assert error["code"] == "agent_id_not_first"
        assert error["message"] == "agent_id can only be set on the first session.update"
        await client.send("reply.create")
        await client.get("reply.started")


# --- S13


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ('{"type":"nope"}', "invalid_format", "Unknown message type: nope"),
        ("not json", "invalid_format", "Invalid JSON format."),
        ("[1,2]", "invalid_format", "Invalid JSON format."),
        ('{"type":"input.audio"}', "invalid_format", "Invalid message format for type 'input.audio'"),
        ('{"type":"input.audio","audio":"***"}', "invalid_audio", "Invalid audio data"),
        ('{"type":"input.audio","audio":"AA=="}', "invalid_audio", "Invalid audio data"),
        ('{"type":"reply.create","instructions":5}', "invalid_format", "Invalid message format for type 'reply.create'"),
        ('{"type":"conversation.message","role":"tool","content":"x"}', "invalid_format",
         "Invalid message format for type 'conversation.message'"),
        ('{"type":"session.update","session":{"output":{"volume":101}}}', "invalid_value", None),
    ],
)  # fmt: skip
async def test_s13_what_cannot_be_understood_is_answered_and_survived(text, code, message):
    async with Simulator(settings()) as sim, await PlainClient.open(sim) as client:
        await client.ready()
        await client.raw(text)
        error = await client.get("session.error")
        assert error["code"] == code
        assert message in (None, error["message"])
        await client.send("session.end")
        assert await client.code() == 1000


# --- S14


@pytest.mark.parametrize("frame", [240, 2400, 24000])
async def test_s14_any_chunk_size_is_taken_whole(frame):
    async with Simulator(settings()) as sim, await PlainClient.open(sim) as client:
        await client.ready()
        samples = tone(2.0)
        await client.audio(samples, frame)
        await sim.wait_for(lambda: sim.connections[0].record.received_samples == samples.size)
        assert bytes(sim.connections[0].record.up) == samples.tobytes()


async def test_s14_audio_faster_than_real_time_is_dropped_and_said_once_a_second():
    scenario = calm(audio={"rate_limit": True, "rate_allowance_s": 1.5})
    async with Simulator(settings(scenario, speed=1.0)) as sim, await PlainClient.open(sim) as client:
        await client.ready()
        await client.audio(tone(20.0))
        await sim.wait_for(lambda: sim.connections[0].record.received_samples == 20 * 24000)
        error = await client.get("session.error")
        assert error["code"] == "audio_rate_violation"
        took_s = time.monotonic() - sim.connections[0].opened_s
        kept_s = 20.0 - sim.connections[0].record.dropped_samples / 24000
        assert 1.5 <= kept_s <= 1.5 + took_s
        assert len(client.all("session.error")) <= 1 + took_s
        assert client.closed is None


async def test_s14_the_live_leniency_is_a_switch():
    async with (
        Simulator(settings(calm(audio={"rate_limit": False}), speed=1.0)) as sim,
        await PlainClient.open(sim) as client,
    ):
        await client.ready()
        await client.audio(tone(7.3))
        await sim.wait_for(lambda: sim.connections[0].record.received_samples == round(7.3 * 24000))
        assert sim.connections[0].record.dropped_samples == 0
        assert client.all("session.error") == []


# --- S15


async def test_s15_audio_before_ready_is_refused_and_not_heard():
    async with (
        Simulator(settings(calm(ready={"updated_ms": 5000}))) as sim,
        await PlainClient.open(sim) as client,
    ):
        await client.update()
        await client.audio(tone(0.04))
        assert (await client.get("session.error"))["code"] == "invalid_format"
        await client.get("session.ready")
        assert sim.connections[0].record.received_samples == 0


# --- S16


async def test_s16_a_wrong_declared_rate_ends_in_an_internal_error_after_ready():
    async with Simulator(settings()) as sim, await PlainClient.open(sim) as client:
        given = {"format": {"encoding": "audio/pcm", "sample_rate": 16000}}
        ready = await client.ready(input=given)
        assert await client.code() == 1011
        error = client.seen[-1]
        assert error["code"] == "internal_error"
        assert (error["timestamp"] - ready["timestamp"]) * sim.settings.speed >= 9.9
