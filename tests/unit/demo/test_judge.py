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
    assert (played.lost, played.extra, played.pauses) == (0, 0, ())
    assert played.samples == pytest.approx(len(said.samples), abs=200)


def test_a_reply_that_was_cut_is_judged_up_to_the_cut_and_the_silence_is_timed():
    said = reply()
    tape = played_by(said.samples, cut_at=MIC_HZ)
    played = judge.judge_played(said, tape, [103.05])
    assert played.correlation > 0.9999
    assert played.silent_after_s == pytest.approx(0.05, abs=0.002)
    assert (played.lost, played.extra, played.pauses) == (0, 0, ())
    assert len(said.samples) / 2 - 500 < played.samples < len(said.samples) / 2 + 100


def paused_by(samples, at, seconds=0.02, cut_at=None):
    whole = played_by(samples, cut_at).samples
    return Tape(np.concatenate([whole[:at], silence(seconds), whole[at:]]))


def complaints(played):
    failures = report.check(judge.Verdict(played=[played]), [], [])
    return [failure for failure in failures if "the answer" in failure]


def test_a_reply_that_pauses_where_the_machine_ran_is_a_failure():
    said = reply()
    played = judge.judge_played(said, paused_by(said.samples, 130000), [])
    assert (played.lost, played.extra, len(played.pauses)) == (0, 0, 1)
    assert played.pauses[0].seconds == pytest.approx(0.02)
    assert played.pauses[0].t_s == pytest.approx(100 + 130000 / MIC_HZ, abs=0.001)
    assert played.correlation > 0.9999
    (complaint,) = complaints(played)
    assert complaint.endswith("paused for 20 ms in the middle, while this machine kept running")


def test_a_reply_that_pauses_as_the_machine_stands_still_is_none():
    said = reply()
    asked = []

    def stood_still(start_s, stop_s):
        asked.append((start_s, stop_s))
        return 0.03

    played = judge.judge_played(said, paused_by(said.samples, 130000), [], stood_still)
    assert complaints(played) == []
    paused_s = 100 + 130000 / MIC_HZ
    assert asked == [pytest.approx((paused_s - judge.BEFORE_PAUSE_S, paused_s + 0.02), abs=0.001)]
    assert "as this machine stood still for 30 ms" in report.text(judge.Verdict(played=[played]), [], 10)


@pytest.mark.parametrize(
    ("paused_s", "stood_still_s", "fails"),
    [(0.054, 0.03, False), (0.056, 0.03, True), (0.02, 0.014, True), (0.02, 0.016, False), (0.2, 0.1, True)],
)
def test_a_pause_is_no_failure_only_where_the_machine_stood_still_for_about_as_long(
    paused_s, stood_still_s, fails
):
    said = reply()
    tape = paused_by(said.samples, 130000, paused_s)
    played = judge.judge_played(said, tape, [], lambda *_: stood_still_s)
    assert bool(complaints(played)) == fails


def test_a_reply_that_pauses_and_is_cut_then_is_judged_up_to_the_cut():
    said = reply()
    tape = paused_by(said.samples, 120000, cut_at=MIC_HZ)
    played = judge.judge_played(said, tape, [103.05], lambda *_: 0.03)
    assert (played.lost, played.extra, len(played.pauses)) == (0, 0, 1)
    assert played.silent_after_s == pytest.approx(0.07, abs=0.002)
    assert complaints(played) == []


def test_pauses_that_are_spoken_are_none():
    said = reply()
    samples = said.samples.copy()
    samples[20000:24000] = 0
    said = Reply(said.id, said.began_s, said.ended_s, samples, interrupted=False)
    played = judge.judge_played(said, played_by(samples), [])
    assert (played.lost, played.extra, played.pauses) == (0, 0, ())
    assert complaints(played) == []


@pytest.mark.parametrize("count", [1, 480])
def test_samples_of_a_reply_that_were_never_heard_are_counted(count):
    said = reply()
    whole = played_by(said.samples).samples
    tape = Tape(np.delete(whole, slice(130000, 130000 + count)))
    played = judge.judge_played(said, tape, [], lambda *_: 1.0)
    assert played.lost == -(-count // 2)
    assert any(f"{played.lost} of {played.samples} samples" in complaint for complaint in complaints(played))


def test_sound_that_nobody_sent_is_counted():
    said = reply()
    whole = played_by(said.samples).samples
    tape = Tape(np.concatenate([whole[:130000], voice(0.02, 9), whole[130000:]]))
    played = judge.judge_played(said, tape, [], lambda *_: 1.0)
    assert (played.lost, played.pauses) == (0, ())
    assert played.extra == pytest.approx(480, abs=2)
    assert any("that nobody sent" in complaint for complaint in complaints(played))


def test_a_reply_that_nobody_heard_is_lost_with_every_sample():
    said = reply()
    played = judge.judge_played(said, Tape(silence(10)), [], lambda *_: 1.0)
    assert played.lost == played.samples >= len(said.samples)
    assert any("never came out" in complaint for complaint in complaints(played))


def test_a_reply_that_is_a_little_quieter_is_not_what_was_sent():
    said = reply()
    quieter = Tape((played_by(said.samples).samples * 0.95).astype(np.int16))
    assert judge.judge_played(said, quieter, []).lost > len(said.samples) / 2


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
    assert set(result["speaker"]) == {"samples", "lost_samples", "pauses_ms", "correlation"}
    assert result["machine"] == {"longest_stall_ms": 0.0}
    assert set(result["server"]) == {"samples", "lost_samples", "correlation", "violations"}
    assert set(result["latency_ms"]) == {
        "press_to_first_audio",
        "press_to_first_audio_warm",
        "reply_to_sound",
        "press_to_silence",
    }
