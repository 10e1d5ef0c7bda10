"""The demo's verdict on made-up recordings: right when all is well, and not otherwise."""

import base64
from pathlib import Path

import numpy as np
import pytest

from demolib import judge, report
from demolib.clips import Clip
from demolib.server import Connection, Frame, Reply
from voicekiosk.audio.resample import Resampler

MIC_HZ, SERVER_HZ = 48000, 24000
FRAME = 960


class Tape:
    """A recording that began at second 100."""

    def __init__(self, samples):
        self.samples = samples.astype(np.int16)

    def time_of(self, index):
        return 100 + index / MIC_HZ

    def index_at(self, t_s):
        return round((t_s - 100) * MIC_HZ)


def voice(seconds, seed):
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * MIC_HZ)) / MIC_HZ
    return (3000 * np.sin(2 * np.pi * 200 * t + 5 * np.sin(7 * t)) + rng.normal(0, 12, len(t))).astype(
        np.int16
    )


def silence(seconds, rate_hz=MIC_HZ):
    return np.zeros(round(seconds * rate_hz), np.int16)


def connection(samples, began_s=101.05):
    """Make the record of a client that sends `samples` in frames of 40 ms."""
    frames = tuple(
        Frame(
            began_s + at / SERVER_HZ,
            "client",
            {"type": "input.audio", "audio": base64.b64encode(samples[at : at + FRAME].tobytes()).decode()},
        )
        for at in range(0, len(samples), FRAME)
    )
    return Connection(1, frames, samples)


def taken_up(microphone, start, stop):
    """Do what a daemon does: open the microphone at `start`, resample, stop at `stop`."""
    return np.concatenate(
        [Resampler(MIC_HZ, SERVER_HZ).process(microphone[start:stop]), silence(0.3, SERVER_HZ)]
    )


@pytest.fixture
def scene():
    """A visitor who presses at 101.0 s, speaks from 101.1 to 102.6 s and lets go at 102.8 s."""
    spoken = voice(1.5, 1)
    microphone = np.concatenate([silence(1.1), spoken, silence(2)])
    take = judge.Take("test", Clip("words", spoken, Path("x.wav")), pressed_s=101.0, released_s=102.8)
    return take, microphone


@pytest.mark.parametrize("phase", [0, 1])
def test_a_question_that_arrived_whole_lost_nothing_at_any_start_phase(scene, phase):
    take, microphone = scene
    up = taken_up(microphone, 48000 + phase, 48000 + phase + 2 * MIC_HZ)
    sent = judge.judge_sent(take, [connection(up)], Tape(microphone), 200.0)
    assert (sent.lost, sent.extra, sent.phase) == (0, 0, phase)
    assert sent.frames == 72000
    assert sent.samples in (36000, 36001)
    assert sent.correlation > 0.9999
    assert sent.first_audio_s == pytest.approx(0.05)
    assert sent.voice_after_press_s == pytest.approx(0.1)


def test_a_microphone_that_opens_too_late_loses_the_first_syllable(scene):
    take, microphone = scene
    opened = round(1.3 * MIC_HZ)
    up = taken_up(microphone, opened, opened + 2 * MIC_HZ)
    sent = judge.judge_sent(take, [connection(up)], Tape(microphone), 200.0)
    assert sent.lost == pytest.approx(0.2 * SERVER_HZ, abs=100)


def test_one_sample_dropped_on_the_way_is_named(scene):
    take, microphone = scene
    up = taken_up(microphone, 48000, 48000 + 2 * MIC_HZ)
    sent = judge.judge_sent(take, [connection(np.delete(up, 20000))], Tape(microphone), 200.0)
    assert sent.lost == 1
    verdict = judge.Verdict(sent=[sent])
    assert any("1 of 360" in sentence for sentence in report.check(verdict, [], []))


def test_a_block_sent_twice_is_named(scene):
    take, microphone = scene
    up = taken_up(microphone, 48000, 48000 + 2 * MIC_HZ)
    twice = np.concatenate([up[:20000], up[19040:20000], up[20000:]])
    sent = judge.judge_sent(take, [connection(twice)], Tape(microphone), 200.0)
    assert (sent.lost, sent.extra) == (0, 960)


def test_a_pre_roll_is_asked_for_back_to_where_it_should_begin():
    spoken = voice(4.0, 2)
    microphone = np.concatenate([silence(0.5), spoken, silence(1)])
    take = judge.Take("warm", Clip("words", spoken, Path("x.wav")), 102.0, 103.5, preroll_s=0.3, warm=True)
    begun = round(1.7 * MIC_HZ)
    whole = judge.judge_sent(
        take, [connection(taken_up(microphone, begun, begun + 2 * MIC_HZ), 102.02)], Tape(microphone), 200.0
    )
    assert whole.lost == 0
    assert whole.frames == round((1.8 - judge.MARGIN_S) * MIC_HZ)
    without = judge.judge_sent(
        take, [connection(taken_up(microphone, 2 * MIC_HZ, 4 * MIC_HZ), 102.02)], Tape(microphone), 200.0
    )
    assert without.lost == pytest.approx(0.28 * SERVER_HZ, abs=100)


def test_a_rig_that_loses_sound_itself_is_blamed_and_not_the_kiosk(scene):
    take, microphone = scene
    broken = np.delete(microphone, 60000)
    with pytest.raises(judge.RigError, match="too busy"):
        judge.judge_sent(take, [connection(taken_up(broken, 48000, 144000))], Tape(broken), 200.0)


def test_nothing_received_is_everything_lost(scene):
    take, microphone = scene
    sent = judge.judge_sent(take, [], Tape(microphone), 200.0)
    assert sent.lost == sent.samples
    assert sent.first_audio_s == float("inf")


def played_by(samples, cut_at=None):
    resampler = Resampler(SERVER_HZ, MIC_HZ)
    sound = np.concatenate([resampler.process(samples), resampler.flush()])
    if cut_at is not None:
        sound = sound[:cut_at]
    return Tape(np.concatenate([silence(2.1), sound, silence(4)]))


def reply(seed=5):
    return Reply("resp_1", 102.0, 103.0, voice(2.0, seed)[::2].copy(), interrupted=False)


def test_a_reply_that_was_played_whole_is_alike_and_its_delay_is_known():
    said = reply()
    played = judge.judge_played(said, played_by(said.samples), [])
    assert played.correlation > 0.9999
    assert played.sound_s == pytest.approx(0.1, abs=0.001)
    assert played.silent_after_s is None
    assert played.samples == pytest.approx(len(said.samples), abs=200)


def test_a_reply_that_was_cut_is_judged_up_to_the_cut_and_the_silence_is_timed():
    said = reply()
    tape = played_by(said.samples, cut_at=MIC_HZ)
    played = judge.judge_played(said, tape, [103.05])
    assert played.correlation > 0.9999
    assert played.silent_after_s == pytest.approx(0.05, abs=0.002)
    assert played.samples < len(said.samples) / 2 + 100


def test_a_reply_with_a_hole_in_the_middle_is_not_alike():
    said = reply()
    tape = played_by(said.samples)
    holed = np.concatenate([tape.samples[:130000], silence(0.02), tape.samples[130000:]])
    assert judge.judge_played(said, Tape(holed), []).correlation < report.LEAST_CORRELATION


def test_what_the_report_allows_is_what_the_issue_asks_for():
    verdict = judge.Verdict()
    failures = report.check(verdict, [{"rule": 18, "text": "too fast", "t_s": 1.0}], [])
    assert "the client broke rule 18: too fast" in failures
    assert any("press_to_silence could not be measured" in failure for failure in failures)


def test_a_session_that_was_never_ended_is_a_failure():
    ready = Frame(101.0, "server", {"type": "session.ready"})
    ended = Frame(102.0, "server", {"type": "session.ended"})
    none = np.zeros(0, np.int16)
    failures = report.check(
        judge.Verdict(), [], [Connection(7, (ready,), none), Connection(8, (ready, ended), none)]
    )
    assert [failure for failure in failures if "never ended" in failure] == [
        "session 7 was never ended, so it would be billed on"
    ]


def test_the_data_has_the_keys_that_others_read():
    result = report.data(judge.Verdict(), [], [])
    assert set(result) >= {"mic", "server", "speaker", "latency_ms", "timeline"}
    assert set(result["server"]) == {"samples", "lost_samples", "correlation", "violations"}
    assert set(result["latency_ms"]) == {
        "press_to_first_audio",
        "press_to_first_audio_warm",
        "reply_to_sound",
        "press_to_silence",
    }
