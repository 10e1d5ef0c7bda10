"""Checklist 12.1, items 35 to 43: lifecycle. Each test says what it takes to break it."""

import asyncio
import json

import pytest

from voicekiosk.agent import events as agent
from voicekiosk.agent.session import RENEW_AFTER_S, RENEW_AT_LATEST_S
from voicekiosk.config.schema import Network
from voicekiosk.kiosk.state import Link, Name
from voicekiosk.simulator.scenario import Scenario, change, load


async def drop_and_return(s, before=1):
    """Drop the connection and wait until there is one again."""
    s.sim.drop()
    await s.kiosk.until(lambda: len(s.kiosk.said(agent.Ready)) > before)


async def test_c35_the_session_is_ended_and_its_end_waited_for(stage):
    # Break: close the socket straight after session.end.
    async with stage(changes={"lifecycle.end_ms": 400.0}) as s:
        await s.kiosk.converse()
        await s.kiosk.hang_up()
        assert s.sent()[-1]["type"] == "session.end"
        (ended,) = s.kiosk.said(agent.Ended)
        assert ended.duration_s is not None
        assert s.kept_the_rules()


async def test_c35_a_daemon_that_stops_ends_its_session_too(stage):
    # Break: leave the socket to the kernel at SIGTERM.
    async with stage() as s:
        s.kiosk.press()
        await s.kiosk.ready()
        await s.kiosk.conductor.stop()
        assert s.sent()[-1]["type"] == "session.end"
        assert s.kept_the_rules()


async def test_c36_each_ready_brings_the_id_and_token_for_the_next_resume(stage):
    # Break: keep the token of the first ready.
    async with stage("resume-with-token") as s:
        s.kiosk.press()
        await s.kiosk.ready()
        await drop_and_return(s, 1)
        await drop_and_return(s, 2)
        readies = s.kiosk.said(agent.Ready)
        assert [ready.resumed for ready in readies] == [False, True, True]
        assert len({ready.session_id for ready in readies}) == 1
        assert s.kept_the_rules()


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1011])
async def test_c37_a_close_without_session_ended_is_a_drop(stage, code):
    # Break: treat a clean close code as the end of the session.
    async with stage("resume-granted") as s:
        s.kiosk.press()
        await s.kiosk.ready()
        s.sim.drop(code=code)
        await s.kiosk.until(lambda: s.kiosk.said(agent.Dropped))
        assert not s.kiosk.said(agent.Ended)
        await s.kiosk.until(lambda: len(s.kiosk.said(agent.Ready)) == 2)


async def test_c38_resume_is_tried_once_and_then_a_fresh_session(stage):
    # Break: repeat session.resume after session_not_found.
    async with stage() as s:
        s.kiosk.press()
        await s.kiosk.ready()
        await drop_and_return(s)
        s.kiosk.release()
        await asyncio.sleep(0.3)
        await s.kiosk.hang_up()
        assert s.kiosk.said(agent.Ready)[1].continued
        assert [frame["type"] for frame in s.sent(connection=2)] == ["session.resume"]
        assert s.sent(connection=3)[0]["type"] == "session.update"
        assert not s.sent("session.resume", connection=3)
        assert s.kept_the_rules()


async def test_c38_after_the_window_no_resume_is_tried(stage):
    # Break: send session.resume however long ago the drop was.
    assert Network().resume_window_s <= 25.0
    async with stage("resume-granted", network={"resume_window_s": 0.5}) as s:
        s.kiosk.press()
        await s.kiosk.ready()
        s.sim.use_scenario(change(Scenario(), {"door.http_status": 503}))
        s.sim.drop()
        await s.kiosk.until(lambda: len(s.kiosk.said(agent.Dropped)) >= 2)
        await asyncio.sleep(0.6)
        s.sim.use_scenario(change(load("resume-granted"), {"ready.updated_ms": 20.0}))
        await s.kiosk.until(lambda: len(s.kiosk.said(agent.Ready)) == 2, timeout_s=40)
        s.kiosk.release()
        assert not s.kiosk.said(agent.Ready)[1].resumed
        await s.sim.wait_for(lambda: s.sent(connection=2))
        assert s.sent(connection=2)[0]["type"] == "session.update"
        assert not s.sent("session.resume", connection=2)
        assert s.kept_the_rules()


async def test_c39_a_fresh_session_is_configured_and_told_what_was_said(stage):
    # Break: continue without session.update, or greet again.
    async with stage(agent={"greeting": "Welcome"}) as s:
        s.kiosk.press()
        await s.kiosk.ready()
        s.kiosk.release()
        await asyncio.sleep(0.2)
        await s.kiosk.converse()
        s.kiosk.press()
        await asyncio.sleep(0.3)
        await drop_and_return(s)
        s.kiosk.release()
        await asyncio.sleep(0.3)
        await s.kiosk.hang_up()
        first = s.sent("session.update")[0]["session"]
        again = s.sent("session.update", connection=3)[0]["session"]
        said = s.got("transcript.user")[-1]["text"]
        assert first["greeting"] == "Welcome"
        assert "greeting" not in again
        assert said in again["system_prompt"]
        assert said not in first["system_prompt"]
        assert s.kept_the_rules()


@pytest.mark.parametrize("repeated", [True, False])
async def test_c40_a_greeting_after_resume_may_come_or_not(stage, repeated):
    # Break: wait for a greeting after resume, or be put off by one.
    changes = {"lifecycle.repeat_greeting": repeated}
    async with stage("resume-granted", changes=changes, agent={"greeting": "Welcome"}) as s:
        await s.kiosk.converse()
        s.kiosk.press()
        await asyncio.sleep(0.3)
        await drop_and_return(s)
        await s.kiosk.speak(0.6)
        s.kiosk.release()
        before = len(s.kiosk.said(agent.UserText))
        await s.kiosk.until(lambda: len(s.kiosk.said(agent.UserText)) > before)
        await s.kiosk.until(lambda: s.kiosk.name is Name.IDLE)


async def test_c41_an_idle_session_is_hung_up_by_itself(stage):
    # Break: keep the session open after the last word.
    async with stage(conversation={"keep_open_s": 1.0}) as s:
        await s.kiosk.converse()
        await s.kiosk.until(lambda: s.kiosk.said(agent.Ended), timeout_s=5)
        assert s.sent()[-1]["type"] == "session.end"
        assert s.kiosk.state.link is Link.CLOSED
        assert s.kept_the_rules()


async def test_c41_a_session_is_renewed_before_the_service_ends_it(stage, monkeypatch):
    # Break: wait for session.ended at the service's limit, after which nobody may speak for a second.
    assert RENEW_AFTER_S < RENEW_AT_LATEST_S < Scenario().lifecycle.max_duration_s
    monkeypatch.setattr("voicekiosk.agent.session.RENEW_AFTER_S", 1.0)
    async with stage(changes={"lifecycle.max_duration_s": 60.0}) as s:
        await s.kiosk.converse()
        await s.kiosk.until(lambda: len(s.kiosk.said(agent.Ready)) == 2, timeout_s=30)
        assert s.sent()[-1]["type"] == "session.end"
        assert s.kiosk.said(agent.Ready)[1].continued
        await s.kiosk.hang_up()
        assert s.kept_the_rules()


@pytest.mark.parametrize("shape", ["session.error", "error", "typeless"])
@pytest.mark.parametrize("upper", [True, False])
async def test_c42_errors_are_understood_in_every_shape_and_case(stage, shape, upper):
    # Break: look only at session.error, or compare codes as they come.
    changes = {
        "door.refuse": "at_capacity",
        "door.times": 1,
        "events.error_shape": shape,
        "events.upper_case_codes": upper,
    }
    async with stage(changes=changes) as s:
        s.kiosk.press()
        await s.kiosk.ready()
        (dropped,) = s.kiosk.said(agent.Dropped)
        assert dropped.cause is agent.Cause.CAPACITY


async def test_c43_what_does_not_work_live_is_not_used(stage):
    # Break: send conversation.message or reply.cancel, or plan by expires_at.
    async with stage(changes={"ready.expires_in_s": 1, "reply.pace": 1.0}) as s:
        await s.kiosk.converse()
        await asyncio.sleep(1.2)
        await s.kiosk.ask(1.0)
        await s.kiosk.until(lambda: s.kiosk.name is Name.SPEAKING)
        s.kiosk.press()
        await asyncio.sleep(0.3)
        s.kiosk.release()
        await s.kiosk.hang_up()
        kinds = {frame["type"] for frame in s.sent()}
        assert kinds <= {"session.update", "session.end", "input.audio", "reply.create", "tool.result"}
        assert not s.kiosk.said(agent.Dropped)
        assert "expires_at" not in json.dumps(s.sent())
