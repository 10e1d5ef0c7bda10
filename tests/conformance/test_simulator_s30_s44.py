"""Checklist 12.2 of the protocol document, S30 to S44: tools, the end, resume, money, the judge."""

import asyncio
import json
from datetime import datetime

import numpy as np
import pytest
from tests.rigs.plain_client import SPEED, PlainClient, calm, request, settings, tone
from tests.rigs.virtual_session import VirtualSession

from voicekiosk.simulator import Answer, Call, Simulator

WEATHER = {"type": "function", "name": "weather", "timeout_seconds": 20}
HOLD = {"type": "function", "name": "slow", "execution_mode": "hold", "timeout_seconds": 20}
EARLY = 0.02  # real seconds by which a time of another clock may be off


def caller(*calls):
    """Return an agent that makes these calls at the user's first turn, then tells the results."""

    def agent(heard):
        if heard.reason == "turn" and heard.turn == 1:
            return Answer(calls=tuple(Call(name, {"city": "Utrecht"}) for name in calls))
        if heard.reason in ("results", "timeout"):
            return " ".join([heard.reason, heard.text, *(result.result for result in heard.results)])
        return heard.text or "yes"

    return agent


def rules(sim):
    return [broken.rule for broken in sim.violations]


async def answer(client, call, result='{"ok":true}', **more):
    await client.send("tool.result", call_id=call["call_id"], result=result, **more)


def between(first, second, sim):
    return (second["timestamp"] - first["timestamp"]) * sim.settings.speed


# --- S30


async def test_s30_variant_a_calls_in_a_reply_without_audio_or_text():
    async with Simulator(settings(agent=caller("weather"))) as sim, await PlainClient.open(sim) as client:
        await client.ready(tools=[WEATHER])
        await client.talk()
        done = await client.get("reply.done")
        types = client.types(audio=True)
        assert types[types.index("reply.started") :] == ["reply.started", "tool.call", "reply.done"]
        call = client.all("tool.call")[0]
        assert call["call_id"].startswith("chatcmpl-tool-")
        assert call["arguments"] == {"city": "Utrecht"}
        assert done["status"] == "completed"
        assert between(client.all("reply.started")[0], call, sim) >= 0.45 - EARLY * SPEED
        assert between(call, done, sim) >= 0.24 - EARLY * SPEED


async def test_s30_variant_b_streams_silence_until_done_or_an_early_result():
    scenario = calm(tools={"variant": "silent_audio"})
    async with (
        Simulator(settings(scenario, agent=caller("weather"), speed=5.0)) as sim,
        await PlainClient.open(sim) as client,
    ):
        await client.ready(tools=[WEATHER])
        await client.talk()
        call = await client.get("tool.call")
        done = await client.get("reply.done")
        assert between(call, done, sim) >= 2.2
        assert client.sound(done["reply_id"]).size > 24000
        assert not client.sound(done["reply_id"]).any()
        assert client.all("transcript.agent") == []
    async with (
        Simulator(settings(scenario, agent=caller("weather"), speed=2.0)) as sim,
        await PlainClient.open(sim) as client,
    ):
        await client.ready(tools=[WEATHER])
        await client.talk()
        call = await client.get("tool.call")
        await answer(client, call)
        assert between(call, await client.get("reply.done"), sim) < 2.2
        await client.get("reply.started", 2)


# --- S31


async def test_s31_a_result_after_reply_done_is_answered_at_once_and_noted_as_documented():
    async with Simulator(settings(agent=caller("weather"))) as sim, await PlainClient.open(sim) as client:
        await client.ready(tools=[WEATHER])
        await client.talk()
        await client.get("reply.done")
        await answer(client, client.all("tool.call")[0], '{"temp_c":22}')
        await client.get("reply.done", 2)
        assert "22" in client.all("transcript.agent")[0]["text"]
        (noted,) = sim.connections[0].facts()["tool_results"]
        assert noted["documented"] is True
        assert rules(sim) == []


@pytest.mark.parametrize(("strict", "expected"), [(False, []), (True, [30])])
async def test_s31_a_result_before_reply_done_is_accepted_too_and_noted(strict, expected):
    scenario = calm(tools={"done_ms": 3000, "strict_timing": strict})
    async with (
        Simulator(settings(scenario, agent=caller("weather"))) as sim,
        await PlainClient.open(sim) as client,
    ):
        await client.ready(tools=[WEATHER])
        await client.talk()
        await answer(client, await client.get("tool.call"))
        await client.get("reply.done", 2)
        (noted,) = sim.connections[0].facts()["tool_results"]
        assert (noted["documented"], noted["after"]) == (False, "reply.started")
        assert rules(sim) == expected


# --- S32


async def test_s32_several_calls_in_one_reply_wait_for_all_results():
    async with (
        Simulator(settings(agent=caller("weather", "weather"))) as sim,
        await PlainClient.open(sim) as client,
    ):
        await client.ready(tools=[WEATHER])
        await client.talk()
        first, second = await client.get("tool.call"), await client.get("tool.call", 2)
        await client.get("reply.done")
        await answer(client, first, '"one"')
        await client.settle(sim, 2.0)
        assert len(client.all("reply.started")) == 1
        await answer(client, second, '"two"')
        await client.get("reply.done", 2)
        assert client.all("transcript.agent")[0]["text"].endswith('"one" "two"')


async def test_s32_chained_calls_each_have_a_reply():
    def agent(heard):
        if heard.reason == "turn" or (len(heard.results) and heard.results[0].result == '"first"'):
            return Answer(calls=(Call("weather"),))
        return "done"

    async with Simulator(settings(agent=agent)) as sim, await PlainClient.open(sim) as client:
        await client.ready(tools=[WEATHER])
        await client.talk()
        await client.get("reply.done")
        await answer(client, client.all("tool.call")[0], '"first"')
        await client.get("reply.done", 2)
        await answer(client, client.all("tool.call")[1], '"second"')
        await client.get("reply.done", 3)
        assert client.all("transcript.agent")[0]["text"] == "done"
        assert len({event["reply_id"] for event in client.all("reply.started")}) == 3


# --- S33


async def test_s33_a_timeout_leads_to_an_apology_and_a_late_result_is_only_recorded():
    async with Simulator(settings(agent=caller("weather"))) as sim, await PlainClient.open(sim) as client:
        await client.ready(tools=[WEATHER])
        await client.talk()
        call = await client.get("tool.call")
        await client.get("reply.done", 2)
        assert client.all("transcript.agent")[0]["text"] == "timeout I am sorry, that took too long."
        assert between(call, client.all("reply.started")[1], sim) >= 20 - EARLY * SPEED
        await answer(client, call)
        await sim.wait_for(lambda: rules(sim) == [34, 34])
        await client.settle(sim, 2.0)
        assert len(client.all("reply.started")) == 2
        assert client.all("session.error") == []


async def test_s33_duplicate_and_unknown_results_are_recorded_and_ignored():
    async with Simulator(settings(agent=caller("weather"))) as sim, await PlainClient.open(sim) as client:
        await client.ready(tools=[WEATHER])
        await client.talk()
        await client.get("reply.done")
        for _ in range(2):
            await answer(client, client.all("tool.call")[0])
        await answer(client, {"call_id": "never"})
        await client.get("reply.done", 2)
        await client.settle(sim, 2.0)
        assert len(client.all("reply.started")) == 2
        assert rules(sim) == [29, 29]
        assert client.all("session.error") == []


# --- S34


async def test_s34_a_hold_tool_keeps_the_agent_silent_until_its_result():
    async with Simulator(settings(agent=caller("slow"))) as sim, await PlainClient.open(sim) as client:
        await client.ready(tools=[HOLD])
        await client.talk()
        call = await client.get("tool.call")
        await client.get("reply.done")
        await client.talk(tone(1.0, 300.0))
        await sim.wait_for(lambda: len(sim.connections[0].record.turns) == 2)
        await client.settle(sim, 2.0)
        assert len(client.all("reply.started")) == 1
        assert len(client.all("transcript.user")) == 1
        await answer(client, call)
        started = await client.get("reply.started", 2)
        assert len(client.all("transcript.user")) == 2
        assert client.seen.index(client.all("transcript.user")[1]) < client.seen.index(started)


async def test_s34_reply_create_is_allowed_while_it_runs_and_not_for_its_result():
    async with Simulator(settings(agent=caller("slow"))) as sim, await PlainClient.open(sim) as client:
        await client.ready(tools=[HOLD])
        await client.talk()
        call = await client.get("tool.call")
        await client.get("reply.done")
        await client.send("reply.create", instructions="Say exactly: one moment")
        await client.get("reply.done", 2)
        assert rules(sim) == []
        await answer(client, call)
        await client.send("reply.create")
        await sim.wait_for(lambda: rules(sim) == [32])


# --- S35


async def test_s35_a_result_that_is_no_string_is_invalid_format():
    async with Simulator(settings(agent=caller("weather"))) as sim, await PlainClient.open(sim) as client:
        await client.ready(tools=[WEATHER])
        await client.talk()
        call = await client.get("tool.call")
        await answer(client, call, {"temp_c": 22})
        error = await client.get("session.error")
        assert (error["code"], error["message"]) == (
            "invalid_format",
            "Invalid message format for type 'tool.result'",
        )
        await answer(client, call)
        await client.get("reply.started", 2)


# --- S36


async def test_s36_an_http_tool_is_told_of_and_answers_itself():
    tool = WEATHER | {"http": {"url": "https://example.org/weather", "method": "GET"}}
    async with Simulator(settings(agent=caller("weather"))) as sim:
        body = {"name": "a", "system_prompt": "p", "voice": {"voice_id": "alba"}, "tools": [tool]}
        status, stored = await request(sim, "/v1/agents", "POST", body=body)
        assert status == 201
        async with await PlainClient.open(sim) as client:
            ready = await client.ready(agent_id=stored["id"])
            assert ready["config"]["tools"][0]["http"] is not None
            await client.talk()
            call = await client.get("tool.call")
            await client.get("reply.done", 2)
            assert rules(sim) == []
            await answer(client, call)
            await sim.wait_for(lambda: rules(sim) == [33])


# --- S37


async def test_s37_session_end_is_answered_and_closed_and_the_id_is_dead():
    async with Simulator(settings(calm(lifecycle={"resume": "grant"}))) as sim:
        async with await PlainClient.open(sim) as client:
            ready = await client.ready()
            await client.settle(sim, 5.0)
            await client.send("session.end")
            assert await client.code() == 1000
            ended = client.seen[-1]
            assert ended["type"] == "session.ended"
            assert ended["audio_duration_seconds"] is None
            assert ended["session_duration_seconds"] >= 5.0
        async with await PlainClient.open(sim) as client:
            await client.send("session.resume", session_id=ready["session_id"])
            assert (await client.get("session.error"))["code"] == "session_not_found"


# --- S38


@pytest.mark.parametrize(
    ("code", "seen"), [(1006, 1006), (0, 1006), (1000, 1000), (1001, 1001), (1011, 1011), (4001, 4001)]
)
async def test_s38_the_connection_drops_on_command(code, seen):
    async with Simulator(settings()) as sim, await PlainClient.open(sim) as client:
        await client.ready()
        assert (await request(sim, "/drop", query={"connection": 1, "code": code}))[0] == 200
        assert await client.code() == seen
        assert "session.ended" not in client.types()


# --- S39


async def dropped(sim, **session):
    """Open a session, lose it, and return its `session.ready`."""
    async with await PlainClient.open(sim) as client:
        ready = await client.ready(**session)
    number = len(sim.connections)
    await sim.wait_for(lambda: sim.connections[number - 1].closed)
    return ready


async def test_s39_a_resume_is_refused_by_default_as_live():
    async with Simulator(settings()) as sim:
        old = await dropped(sim)
        async with await PlainClient.open(sim) as client:
            await client.send("session.resume", session_id=old["session_id"])
            assert await client.code() == 1008
            (error,) = client.seen
            assert error["code"] == "session_not_found"
            assert error["message"] == "Session not found or grace window has expired"


async def test_s39_granted_as_documented_it_keeps_the_context():
    async with Simulator(settings(calm(lifecycle={"resume": "grant", "grace_s": 600}))) as sim:
        old = await dropped(sim, system_prompt="remember me", greeting="hello")
        async with await PlainClient.open(sim) as client:
            await client.send("session.resume", session_id=old["session_id"])
            ready = await client.get("session.ready")
            assert ready["session_id"] == old["session_id"]
            assert ready["resume_token"] not in ("", old["resume_token"])
            assert ready["config"] == old["config"]
            assert client.types() == ["session.ready"]
            await client.talk()
            await client.get("reply.done")
            assert client.types().count("reply.started") == 1


async def test_s39_a_tool_that_runs_over_the_drop_is_still_awaited():
    scenario = calm(lifecycle={"resume": "grant", "grace_s": 600})
    async with Simulator(settings(scenario, agent=caller("weather"))) as sim:
        async with await PlainClient.open(sim) as client:
            ready = await client.ready(tools=[WEATHER])
            await client.talk()
            call = await client.get("tool.call")
            await client.get("reply.done")
        await sim.wait_for(lambda: sim.connections[0].closed)
        async with await PlainClient.open(sim) as client:
            await client.send("session.resume", session_id=ready["session_id"])
            await client.get("session.ready")
            await answer(client, call)
            await client.get("reply.started")


async def test_s39_after_the_grace_window_it_is_refused():
    async with Simulator(settings(calm(lifecycle={"resume": "grant", "grace_s": 1}))) as sim:
        old = await dropped(sim)
        await asyncio.sleep(2.0 / SPEED)
        async with await PlainClient.open(sim) as client:
            await client.send("session.resume", session_id=old["session_id"])
            assert (await client.get("session.error"))["code"] == "session_not_found"


@pytest.mark.parametrize(
    ("mode", "code", "close"),
    [
        ("forbidden", "session_forbidden", 1008),
        ("expired", "session_expired", 1008),
        ("refuse_open", "session_not_found", None),
    ],
)
async def test_s39_the_other_refusals(mode, code, close):
    async with Simulator(settings(calm(lifecycle={"resume": mode, "grace_s": 600}))) as sim:
        old = await dropped(sim)
        async with await PlainClient.open(sim) as client:
            await client.send("session.resume", session_id=old["session_id"])
            assert (await client.get("session.error"))["code"] == code
            await client.settle(sim, 2.0)
            assert client.closed == close


async def test_s39_it_may_want_the_resume_token_as_bearer():
    async with Simulator(settings(calm(lifecycle={"resume": "token_only", "grace_s": 600}))) as sim:
        old = await dropped(sim)
        for bearer, expected in ((None, "session.error"), (old["resume_token"], "session.ready")):
            async with await PlainClient.open(sim, bearer=bearer) as client:
                await client.send("session.resume", session_id=old["session_id"])
                await client.get(expected)


# --- S40


async def test_s40_an_idle_session_stays_open():
    async with Simulator(settings(speed=200.0)) as sim, await PlainClient.open(sim) as client:
        await client.ready()
        await client.settle(sim, 120.0)
        await client.send("reply.create")
        await client.get("reply.started")


@pytest.mark.parametrize(
    ("how", "kind", "close"), [("ended", "session.ended", 1000), ("expired", "session.error", 1008)]
)
async def test_s40_the_longest_duration_ends_a_session_in_either_way(how, kind, close):
    scenario = calm(lifecycle={"max_duration_s": 10, "at_limit": how})
    async with Simulator(settings(scenario)) as sim, await PlainClient.open(sim) as client:
        await client.ready()
        assert await client.code() == close
        assert client.seen[-1]["type"] == kind
        assert client.seen[-1].get("code") in (None, "session_expired")
        assert rules(sim) == [41]


@pytest.mark.parametrize("enforced", [False, True])
async def test_s40_the_cap_of_a_token_holds_only_if_asked_for(enforced):
    async with Simulator(settings(calm(door={"enforce_token_cap": enforced}), speed=100.0)) as sim:
        query = {"expires_in_seconds": 600, "max_session_duration_seconds": 60}
        _, answer_ = await request(sim, "/v1/token", query=query)
        async with await PlainClient.open(sim, bearer="", query=f"?token={answer_['token']}") as client:
            await client.ready()
            await client.settle(sim, 100.0)
            if enforced:
                assert await client.code() == 1000
            else:
                assert client.closed is None


# --- S41


async def test_s41_open_time_is_billed_and_30_s_more_without_an_end():
    async with Simulator(settings()) as sim:
        async with await PlainClient.open(sim) as client:
            await client.ready()
            await client.settle(sim, 10.0)
            await client.send("session.end")
            await client.code()
        await dropped(sim)
        await sim.wait_for(lambda: sim.connections[0].closed)
        _, stats = await request(sim, "/stats")
        ended, lost = stats["connections"]
        assert ended["billed_s"] == pytest.approx(ended["open_s"] * SPEED, abs=0.1)
        assert ended["billed_s"] >= 10.0
        assert lost["billed_s"] == pytest.approx(lost["open_s"] * SPEED + 30.0, abs=0.1)


# --- S42

SLIPS = [
    (4, '{"type":"session.update","session":{}}'),
    (6, "no json"),
    (9, '{"type":"session.update","config":{"system_prompt":"x"}}'),
    (9, '{"type":"session.update","session":{"input":{"keyterms":null}}}'),
    (10, '{"type":"session.update","session":{"agent_id":"x"}}'),
    (11, '{"type":"session.update","session":{"greeting":"x"}}'),
    (
        14,
        '{"type":"session.update","session":{"input":{"turn_detection":{"min_silence":500,"max_silence":400}}}}',
    ),
    (15, '{"type":"session.update","session":{"input":{"format":"audio/pcm"}}}'),
    (
        17,
        '{"type":"session.update","session":{"input":{"format":{"encoding":"audio/pcm","sample_rate":16000}}}}',
    ),
    (17, '{"type":"input.audio","audio":"AA=="}'),
    (19, '{"type":"input.audio","data":"AAAA"}'),
    (29, '{"type":"tool.result","call_id":"never","result":"1"}'),
    (29, '{"type":"tool.result","call_id":"never","result":1}'),
    (43, '{"type":"conversation.message","role":"user","content":"x"}'),
    (43, '{"type":"reply.cancel","reply_id":"x"}'),
    (7, '{"type":"reply.create","instructions":"the key is sim-key"}'),
]


@pytest.mark.parametrize(("rule", "text"), SLIPS[1:])
async def test_s42_a_slip_is_recorded_under_the_number_of_its_rule(rule, text):
    async with Simulator(settings()) as sim, await PlainClient.open(sim) as client:
        await client.ready()
        await client.raw(text)
        await sim.wait_for(lambda: rules(sim) == [rule])
        (connection,) = (await request(sim, "/stats"))[1]["connections"]
        (broken,) = connection["violations"]
        assert set(broken) == {"rule", "text", "t_s"}
        assert broken["rule"] == rule


async def test_s42_a_second_first_message_breaks_rule_4():
    async with (
        Simulator(settings(calm(ready={"updated_ms": 5000}))) as sim,
        await PlainClient.open(sim) as client,
    ):
        for _ in range(2):
            await client.raw(SLIPS[0][1])
        await sim.wait_for(lambda: rules(sim) == [4])


async def test_s42_a_raw_key_breaks_rule_2():
    raw = {"Authorization": "sim-key"}
    async with Simulator(settings()) as sim, await PlainClient.open(sim, additional_headers=raw) as client:
        await client.ready()
        assert rules(sim) == [2]


async def test_s42_sending_before_ready_breaks_rules_3_and_16():
    async with (
        Simulator(settings(calm(ready={"updated_ms": 10000}))) as sim,
        await PlainClient.open(sim) as client,
    ):
        await client.update()
        await client.send("reply.create")
        await client.audio(tone(0.04))
        await sim.wait_for(lambda: rules(sim) == [3, 16])


async def test_s42_a_binary_frame_breaks_rule_6():
    async with Simulator(settings()) as sim, await PlainClient.open(sim) as client:
        await client.ready()
        await client.raw(b"\x00\x01")
        assert (await client.get("session.error"))["code"] == "invalid_format"
        assert rules(sim) == [6]


async def test_s42_an_unanswered_ping_breaks_rule_5():
    async with Simulator(settings(calm(door={"ping_interval_s": 0.2}))) as sim:
        reader, writer = await asyncio.open_connection("127.0.0.1", sim.port)
        writer.write(
            b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAuthorization: Bearer sim-key\r\n\r\n"
        )
        await sim.wait_for(lambda: sim.connections and sim.connections[0].closed)
        assert rules(sim) == [5, 8] or rules(sim) == [5]
        writer.close()
        await reader.read()


async def test_s42_a_refused_credential_tried_again_breaks_rule_8():
    async with Simulator(settings()) as sim:
        for _ in range(2):
            async with await PlainClient.open(sim, bearer="wrong") as client:
                await client.code()
        assert 8 in rules(sim)


async def test_s42_going_on_after_an_error_before_ready_breaks_rule_12():
    async with Simulator(settings()) as sim, await PlainClient.open(sim) as client:
        await client.update(unknown_key=1)
        await client.get("session.error")
        await client.update()
        await sim.wait_for(lambda: rules(sim) == [12])


async def test_s42_a_burst_breaks_rule_18_and_real_time_does_not():
    scenario = calm(audio={"pace_tolerance_s": 0.05})
    async with Simulator(settings(scenario, speed=1.0)) as sim, await PlainClient.open(sim) as client:
        await client.ready()
        for _ in range(10):
            await client.audio(tone(0.04))
            await asyncio.sleep(0.06)
        assert rules(sim) == []
        await client.audio(tone(0.6))
        await sim.wait_for(lambda: 18 in rules(sim))


async def test_s42_falling_silent_in_a_turn_breaks_rule_22():
    async with Simulator(settings()) as sim, await PlainClient.open(sim) as client:
        await client.ready()
        await client.audio(tone(1.0))
        await client.get("input.speech.started")
        await sim.wait_for(lambda: rules(sim) == [22], timeout_s=20)


async def test_s42_a_result_of_an_interrupted_reply_breaks_rule_31():
    scenario = calm(tools={"done_ms": 60000})
    async with (
        Simulator(settings(scenario, agent=caller("weather"))) as sim,
        await PlainClient.open(sim) as client,
    ):
        await client.ready(tools=[WEATHER])
        await client.talk()
        call = await client.get("tool.call")
        await client.talk(tone(2.0))
        assert (await client.get("reply.done"))["status"] == "interrupted"
        await answer(client, call)
        await sim.wait_for(lambda: rules(sim) == [31])


async def test_s42_a_good_result_of_an_unknown_tool_breaks_rule_33():
    async with Simulator(settings(agent=caller("nobody"))) as sim, await PlainClient.open(sim) as client:
        await client.ready()
        await client.talk()
        await client.get("reply.done")
        await answer(client, client.all("tool.call")[0])
        await sim.wait_for(lambda: rules(sim) == [33])


@pytest.mark.parametrize(("waited_s", "broken"), [(0.0, []), (6.0, [29])])
def test_s42_ending_with_a_call_long_unanswered_breaks_rule_29(waited_s, broken):
    session = VirtualSession({"turn.end_ms": 500}, agent=caller("weather"))
    session.ready(tools=[WEATHER])
    session.speak(tone(1.0))
    session.silence(1.0)
    session.run(3.0)
    assert session.all("reply.done")
    session.run(waited_s)
    session.send("session.end")
    assert session.rules() == broken


@pytest.mark.parametrize("ending", [False, True])
async def test_s42_closing_without_an_end_or_before_it_is_confirmed_breaks_rule_35(ending):
    async with (
        Simulator(settings(calm(lifecycle={"end_ms": 60000}))) as sim,
        await PlainClient.open(sim) as client,
    ):
        await client.ready()
        if ending:
            await client.send("session.end")
        await client.websocket.close()
        await sim.wait_for(lambda: rules(sim) == [35])


async def test_s42_a_lost_connection_breaks_no_rule():
    async with Simulator(settings()) as sim:
        await dropped(sim)
        assert rules(sim) == []


async def test_s42_a_second_resume_breaks_rule_38_and_an_update_with_it_39():
    async with Simulator(settings()) as sim:
        old = await dropped(sim)
        for _ in range(2):
            async with await PlainClient.open(sim) as client:
                await client.send("session.resume", session_id=old["session_id"])
                await client.code()
        assert rules(sim) == [38]
    async with (
        Simulator(settings(calm(ready={"updated_ms": 10000}))) as sim,
        await PlainClient.open(sim) as client,
    ):
        await client.send("session.resume", session_id="sess_1")
        await client.update()
        await sim.wait_for(lambda: rules(sim) == [39])


# --- S43


async def test_s43_messages_without_effect_are_taken_in_silence():
    async with Simulator(settings()) as sim, await PlainClient.open(sim) as client:
        await client.ready()
        await client.send("conversation.message", role="user", content="Hello?")
        await client.send("reply.cancel", reply_id="resp_1")
        await client.settle(sim, 5.0)
        assert client.types() == ["session.updated", "session.ready"]


# --- S44


@pytest.mark.parametrize(("shape", "kind"), [("error", "error"), ("typeless", None)])
async def test_s44_errors_can_have_their_older_shapes(shape, kind):
    scenario = calm(events={"error_shape": shape, "upper_case_codes": True})
    async with Simulator(settings(scenario)) as sim, await PlainClient.open(sim) as client:
        await client.ready()
        await client.send("nope")
        await client.until(lambda: len(client.seen) == 3)
        assert client.seen[-1].get("type") == kind
        assert client.seen[-1]["code"] == "INVALID_FORMAT"


@pytest.mark.parametrize("form", ["iso", "none"])
async def test_s44_the_timestamp_can_be_iso_or_missing(form):
    async with (
        Simulator(settings(calm(events={"timestamps": form}))) as sim,
        await PlainClient.open(sim) as client,
    ):
        ready = await client.ready()
        if form == "iso":
            datetime.fromisoformat(ready["timestamp"])
        else:
            assert "timestamp" not in ready


async def test_the_parrot_repeats_each_sample_of_each_turn():
    """Both directions at once: what came up goes down again, to the bit."""
    async with Simulator(settings()) as sim, await PlainClient.open(sim) as client:
        await client.ready()
        for number, hz in enumerate((300.0, 500.0, 700.0), 1):
            await client.talk(tone(1.0, hz))
            await client.get("reply.done", number)
        record = sim.connections[0].record
        up, down = (np.frombuffer(bytes(tape), "<i2") for tape in (record.up, record.down))
        assert np.array_equal(down, client.sound())
        assert len(record.turns) == len(record.replies) == 3
        for turn, reply in zip(record.turns, record.replies, strict=True):
            start = reply["down_start"] + reply["lead_samples"]
            heard = up[turn["start"] : turn["end"]]
            assert heard.size >= 24000
            assert np.array_equal(down[start : start + reply["samples"]], heard)
        json.dumps(sim.stats())
