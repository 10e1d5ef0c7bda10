"""Checklist 12.1, items 23 to 28: turns. Each test says what it takes to break it."""

import asyncio
import itertools

import pytest

from voicekiosk.agent import events as agent
from voicekiosk.kiosk import events as kiosk
from voicekiosk.kiosk.state import Name, Turn


async def speaking(s, seconds=1.5):
    """Bring a kiosk to the middle of an answer."""
    await s.kiosk.ask(seconds)
    await s.kiosk.until(lambda: s.kiosk.name is Name.SPEAKING)
    await asyncio.sleep(0.3)


async def test_c23_speech_that_the_service_hears_silences_the_loudspeaker(stage):
    # Break: ignore input.speech.started while speaking.
    async with stage() as s:
        await speaking(s)
        s.kiosk.conductor.on_agent(agent.SpeechStarted())
        played = s.kiosk.conductor.parts.playback
        assert "flush" in played.calls
        assert played.queued_samples == 0


async def test_c23_an_interrupted_reply_silences_the_loudspeaker(stage):
    # Break: treat `interrupted` like `completed`.
    async with stage() as s:
        await speaking(s)
        reply_id = s.kiosk.state.reply_id
        s.kiosk.conductor.on_agent(agent.ReplyDone(reply_id, interrupted=True))
        assert "flush" in s.kiosk.conductor.parts.playback.calls
        assert s.kiosk.state.turn is Turn.THINKING


async def test_c24_stale_audio_of_a_flushed_reply_is_never_heard(stage):
    # Break: play every reply.audio that comes.
    async with stage("barge-in-stale", changes={"barge_in.stale_decision_ms": 400.0}) as s:
        await speaking(s, seconds=2.0)
        s.kiosk.press()
        await s.kiosk.speak(1.0)
        heard = len(s.kiosk.heard)
        await asyncio.sleep(0.6)
        assert len(s.kiosk.heard) == heard, "nothing plays while the button is down"
        s.kiosk.release()
        await s.kiosk.until(lambda: len(s.kiosk.said(agent.ReplyStarted)) >= 2)
        second = s.kiosk.said(agent.ReplyStarted)[-1].reply_id
        await s.kiosk.until(lambda: s.kiosk.said(kiosk.AudioArrived)[-1].reply_id == second)
        assert s.kiosk.state.reply_id == second


async def test_c25_user_text_replaces_and_agent_text_grows(stage):
    # Break: append user deltas, or replace by agent deltas.
    async with stage(changes={"turn.delta_ms": 150.0, "turn.end_ms": 400.0}) as s:
        await s.kiosk.converse(seconds=2.0)
        theirs = [event.text for event in s.kiosk.said(agent.UserText)]
        deltas = [frame["text"] for frame in s.got("transcript.user.delta")]
        assert theirs[: len(deltas)] == deltas
        final = s.got("transcript.user")[0]["text"]
        assert theirs[-1] == final
        ours = [event.text for event in s.kiosk.said(agent.AgentText)]
        words = [frame["delta"] for frame in s.got("transcript.agent.delta")]
        assert len(words) > 1
        assert ours[-1].split() == " ".join(word.strip() for word in words).split()
        assert all(len(a) <= len(b) for a, b in itertools.pairwise(ours))


@pytest.mark.parametrize("scenario", ["unbalanced", "double-done", "no-done", "premature-carried"])
async def test_c26_unbalanced_events_never_leave_it_stuck(stage, scenario):
    # Break: wait for input.speech.started or reply.done without a deadline.
    conversation = {"thinking_timeout_s": 3.0, "speaking_stall_s": 1.0, "nudge_after_s": 1.0}
    async with stage(scenario, conversation=conversation) as s:
        await s.kiosk.ask(0.6)
        await s.kiosk.until(lambda: s.kiosk.state.turn is Turn.NONE, timeout_s=15)
        await s.kiosk.ask(0.6)
        assert s.kiosk.state.turn is not Turn.NONE
        await s.kiosk.until(lambda: s.kiosk.state.turn is Turn.NONE, timeout_s=15)


async def test_c27_a_done_without_status_is_completed(stage):
    # Break: treat a missing status as interrupted.
    async with stage(changes={"events.strip": ["reply.done.status"]}) as s:
        await s.kiosk.converse()
        assert [done.interrupted for done in s.kiosk.said(agent.ReplyDone)] == [False]
        assert "flush" not in s.kiosk.conductor.parts.playback.calls


async def test_c28_unknown_events_and_fields_are_ignored(stage):
    # Break: forbid unknown fields in wire.py, or raise on an unknown type.
    async with stage("strange-events") as s:
        await s.kiosk.converse()
        await s.kiosk.converse()
        assert len(s.kiosk.heard) > 24000
        assert not s.kiosk.said(agent.Dropped)


async def test_c28_garbage_between_the_frames_never_stops_a_conversation(stage):
    # Break: let json errors out of wire.decode.
    async with stage("garbage") as s:
        await s.kiosk.converse()
        assert len(s.kiosk.heard) > 0
        assert not s.kiosk.said(agent.Dropped)
