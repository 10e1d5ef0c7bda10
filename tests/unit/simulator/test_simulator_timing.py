"""Appendix B in virtual time: each interval lies where live ones lay, and rates are exact."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.rigs.plain_client import tone
from tests.rigs.virtual_session import VirtualSession


@pytest.mark.parametrize("seed", range(20))
def test_update_to_updated_to_ready_to_greeting(seed):
    session = VirtualSession(seed=seed)
    session.ready(greeting="Hello there")
    session.run(10.0)
    (updated,), (ready,) = session.times("session.updated"), session.times("session.ready")
    (started,), first_audio = session.times("reply.started"), session.times("reply.audio")[0]
    assert 0.18 <= updated <= 0.46
    assert 0.001 <= ready - updated <= 0.040
    assert 0.18 <= ready <= 0.5
    assert 0.001 <= started - ready <= 0.2
    assert 0.29 <= first_audio - started <= 0.52


def test_chunks_come_one_per_10_ms_after_the_burst_and_done_with_the_last():
    session = VirtualSession()
    session.ready(greeting=" ".join(["word"] * 20))
    session.run(30.0)
    times = np.array(session.times("reply.audio")) - session.times("reply.audio")[0]
    assert times[:20].max() == 0.0
    assert times[20:] == pytest.approx(0.010 * np.arange(1, times.size - 19))
    assert session.times("reply.done")[0] == pytest.approx(session.times("reply.audio")[-1])
    ahead_s = session.times("reply.done")[0] - session.times("transcript.agent")[0]
    assert 0.3 <= ahead_s <= 0.48
    words_s = session.times("transcript.agent.delta")[0] - session.times("reply.audio")[0]
    assert words_s == pytest.approx(0.48)


@pytest.mark.parametrize("seed", range(10))
def test_a_turn_from_the_first_sound_to_the_reply(seed):
    session = VirtualSession(seed=seed)
    session.ready()
    began_s = session.now_s
    session.speak(tone(4.0), 240)
    ended_s = session.now_s
    session.silence(4.0)
    onset_s = session.times("input.speech.started")[0] - began_s
    assert 0.6 - 0.05 <= onset_s <= 1.0 + 0.05
    assert session.times("transcript.user.delta")[0] == session.times("input.speech.started")[0]
    gaps = np.diff(session.times("transcript.user.delta"))
    assert np.all((gaps >= 0.9 - 0.05) & (gaps <= 1.3 + 0.05))
    closed_s = session.times("input.speech.stopped")[0] - ended_s
    assert 1.9 - 0.05 <= closed_s <= 2.0 + 0.05
    assert session.times("reply.started")[0] == session.times("input.speech.stopped")[0]
    audible_s = 0.29 + 0.2, 0.52 + 0.8 + 0.02
    sound = session.record.replies[0]
    lead_s = sound["lead_samples"] / 24000
    first_s = session.times("reply.audio")[0] - session.times("reply.started")[0]
    assert audible_s[0] - 0.05 <= first_s + lead_s <= audible_s[1] + 0.05


@pytest.mark.parametrize("seed", range(10))
def test_barge_in_is_decided_after_1_1_to_2_2_s_of_speech(seed):
    session = VirtualSession(seed=seed)
    session.ready(greeting=" ".join(["word"] * 60))
    session.run(2.0)
    began_s = session.now_s
    session.speak(tone(3.0))
    (decided_s,) = session.times("input.speech.started")
    assert 1.1 - 0.05 <= decided_s - began_s <= 2.2 + 0.05
    assert session.times("reply.done")[0] - decided_s <= 0.002
    assert session.all("reply.done")[0]["status"] == "interrupted"


def test_interruption_delay_wants_that_much_speech():
    session = VirtualSession({"barge_in.decision_ms": 500, "barge_in.backchannel_ms": 0})
    session.ready(greeting=" ".join(["word"] * 60), input={"turn_detection": {"interruption_delay": 1000}})
    session.run(2.0)
    began_s = session.now_s
    session.speak(tone(3.0))
    assert session.times("input.speech.started")[0] - began_s == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("seed", range(5))
def test_tool_turn_intervals(seed):
    from voicekiosk.simulator.brain import Answer, Call

    def agent(heard):
        return Answer(calls=(Call("t"),)) if heard.reason == "turn" else "done"

    session = VirtualSession({"turn.end_ms": 500}, agent=agent, seed=seed)
    session.ready(tools=[{"type": "function", "name": "t"}])
    session.speak(tone(1.0))
    session.silence(0.6)
    session.run(3.0)
    started_s, called_s, done_s = (
        session.times(kind)[0] for kind in ("reply.started", "tool.call", "reply.done")
    )
    assert 0.45 <= called_s - started_s <= 2.0
    assert 0.24 <= done_s - called_s <= 0.34
    answered_s = session.now_s
    session.send("tool.result", call_id=session.all("tool.call")[0]["call_id"], result="1")
    session.run(1.0)
    assert 0.025 <= session.times("reply.started")[1] - answered_s <= 0.070


def test_create_and_end_intervals():
    session = VirtualSession()
    session.ready()
    asked_s = session.now_s
    session.send("reply.create")
    session.run(20.0)
    assert 0.030 <= session.times("reply.started")[0] - asked_s <= 0.190
    ended_s = session.now_s
    session.send("session.end")
    session.run(1.0)
    assert session.times("session.ended")[0] - ended_s == pytest.approx(0.19)
    assert session.wire.closed == 1000


def test_a_session_idle_for_hours_ends_after_three_of_them():
    session = VirtualSession()
    session.ready()
    session.run(10_700.0)
    assert session.wire.closed is None
    session.run(200.0)
    assert session.times("session.ended") == [pytest.approx(10_800.0)]


@given(
    st.lists(st.tuples(st.floats(0.2, 3.0), st.floats(0.1, 4.0)), min_size=1, max_size=5),
    st.integers(1, 1000),
    st.integers(100, 5000),
)
@settings(max_examples=25, deadline=None)
def test_however_speech_and_frames_are_cut_the_parrot_is_exact(phrases, seed, frame):
    """Property: each reply is its turn to the bit, turns do not overlap, and every reply comes to an end."""
    session = VirtualSession(
        {"turn.end_ms": 600, "audio.rate_limit": False, "reply.during_reply": "queue"}, seed=seed
    )
    session.ready(input={"turn_detection": {"interrupt_response": False}})
    rng = np.random.default_rng(seed)
    for speech_s, pause_s in phrases:
        session.speak(rng.integers(-9000, 9000, round(24000 * speech_s)).astype("<i2"), frame)
        session.silence(pause_s)
    session.silence(3.0)
    session.run(120.0)
    record = session.record
    up, down = np.frombuffer(bytes(record.up), "<i2"), np.frombuffer(bytes(record.down), "<i2")
    assert len(record.turns) == len(record.replies) >= 1
    position = 0
    for turn, reply in zip(record.turns, record.replies, strict=True):
        assert turn["start"] >= position
        position = turn["end"]
        start = reply["down_start"] + reply["lead_samples"]
        assert reply["status"] == "completed"
        assert np.array_equal(down[start : start + reply["samples"]], up[turn["start"] : turn["end"]])
    # No voiced sample is outside of the turns.
    outside = np.ones(up.size, bool)
    for turn in record.turns:
        outside[turn["start"] : turn["end"]] = False
    loud = np.abs(up[outside].astype(int)) > 4500
    assert np.count_nonzero(loud) < 24000 * 0.1
