"""The log of what was said: paced, proven, sent again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekiosk.kiosk.utterance import MAX_SAMPLES, RATE_HZ, Pacer, Utterance

FRAME = 960


def speech(samples, seed=0):
    return np.random.default_rng(seed).integers(-8000, 8000, samples).astype("<i2").tobytes()


def send_all(log, limit=10_000):
    sent = b""
    for _ in range(limit):
        pcm = log.frame(FRAME)
        if not pcm:
            return sent
        log.frame_sent(pcm)
        sent += pcm
    raise AssertionError("never done")


@given(st.lists(st.tuples(st.floats(0, 0.5), st.integers(1, 2000)), max_size=200))
def test_the_pacer_never_lets_more_than_t_plus_200_ms_through(moves):
    pacer, now_s, sent = Pacer(), 50.0, []
    for pause_s, samples in moves:
        now_s += pause_s
        due_s = pacer.due_s(samples, now_s)
        now_s = max(now_s, due_s)
        assert pacer.due_s(samples, now_s) <= now_s + 1e-9
        pacer.take(samples)
        sent.append((now_s, samples))
    for first in range(len(sent)):
        total = 0
        for t_s, samples in sent[first:]:
            total += samples
            assert total / RATE_HZ <= t_s - sent[first][0] + 0.2


@given(st.integers(1, 5000), st.integers(0, 5000))
def test_everything_unproven_is_sent_again_and_nothing_else(first, second):
    log = Utterance()
    said = speech(first + second)
    log.append(said[: 2 * first])
    send_all(log)
    log.prove(first)
    log.append(said[2 * first :])
    send_all(log)
    log.connected()
    log.rewind(whole=False)
    assert send_all(log) == said[2 * first :]


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=10), st.integers(0, 30_000))
def test_a_pong_proves_whole_frames_that_were_sent_before_it(sizes, proven):
    log = Utterance()
    for size in sizes:
        log.append(speech(size))
        send_all(log)
    log.prove(proven)
    assert log.proven <= min(proven, log.sent)
    assert log.proven >= min(proven, log.sent) - FRAME


def test_a_fresh_session_is_sent_everything_from_the_start():
    log = Utterance()
    said = speech(4000)
    log.append(said)
    send_all(log)
    log.prove(4000)
    log.connected()
    log.rewind(whole=True)
    assert send_all(log) == said


def test_silence_of_our_own_counts_on_the_connection_but_not_in_the_log():
    log = Utterance()
    log.append(speech(960))
    send_all(log)
    log.silence_sent(960)
    log.prove(1920)
    assert log.proven == 960


def test_long_silence_is_left_out_only_while_far_behind():
    log = Utterance()
    quiet = bytes(2 * RATE_HZ * 3)
    log.append(quiet)
    log.append(speech(RATE_HZ))
    sent = send_all(log)
    assert log.skipped > RATE_HZ * 3 // 2
    assert sent.endswith(speech(RATE_HZ)), "speech is never left out"
    near = Utterance()
    near.append(bytes(2 * RATE_HZ * 9 // 10))
    send_all(near)
    assert near.skipped == 0, "what waited for the connection goes out whole"


def test_300_ms_of_a_silence_are_kept():
    log = Utterance()
    log.append(speech(960) + bytes(2 * RATE_HZ * 2) + speech(RATE_HZ * 2, seed=1))
    sent = np.frombuffer(send_all(log), "<i2")
    assert np.count_nonzero(sent == 0) >= RATE_HZ * 3 // 10


def sound(seconds, rms, seed=0):
    """Something like a voice: noise whose loudness rises and falls four times a second."""
    samples = round(seconds * RATE_HZ)
    shape = np.abs(np.sin(np.arange(samples) * (4 * np.pi / RATE_HZ)))
    noise = np.random.default_rng(seed).standard_normal(samples) * shape
    return noise * (rms / np.sqrt(np.mean(noise**2)))


def room(seconds, rms, seed=1):
    return np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ)) * rms


def pcm16(*parts):
    return np.rint(np.concatenate(parts)).astype("<i2").tobytes()


@pytest.mark.parametrize("rms", [12.0, 33.0, 90.0, 300.0, 3000.0])
def test_soft_speech_is_sent_whole_however_far_behind_it_is(rms):
    log = Utterance()
    said = pcm16(sound(4, rms) + room(4, rms / 30))
    log.append(said)
    assert send_all(log) == said


def test_a_soft_sound_that_never_pauses_is_no_silence():
    log = Utterance()
    log.append(pcm16(room(4, 90)))
    send_all(log)
    assert log.skipped == 0


@pytest.mark.parametrize(("voice", "floor"), [(33.0, 1.5), (300.0, 5.0), (3000.0, 20.0)])
def test_the_pauses_of_any_microphone_are_left_out_but_not_what_borders_on_a_sound(voice, floor):
    first, second = sound(1, voice, 2), sound(2, voice, 3)
    pause = room(4, floor, 4)
    log = Utterance()
    log.append(pcm16(first, pause, second))
    sent = send_all(log)
    assert log.skipped > 3 * RATE_HZ
    before, after = round(0.3 * RATE_HZ), round(0.2 * RATE_HZ)
    assert sent.startswith(pcm16(first, pause[:before]))
    assert sent.endswith(pcm16(pause[-after:], second))


def test_a_pause_that_went_out_as_it_was_is_left_out_from_where_it_fell_behind():
    log = Utterance()
    log.append(pcm16(sound(1, 1000), room(1, 2)))
    send_all(log)
    log.append(pcm16(room(2, 2, 5), sound(1, 1000)))
    send_all(log)
    assert log.skipped > 1.5 * RATE_HZ


@pytest.mark.parametrize("voice", [33.0, 90.0, 300.0, 3000.0])
def test_speech_is_loud_for_any_microphone(voice):
    log = Utterance()
    log.append(pcm16(room(0.3, voice / 30), sound(1, voice), room(0.3, voice / 30)))
    assert log.loud


@pytest.mark.parametrize("floor", [0.5, 5.0, 50.0, 200.0])
def test_a_room_is_not_loud_nor_is_the_click_of_a_button_in_it(floor):
    log = Utterance()
    log.append(pcm16(room(0.1, floor), room(0.015, min(9 * floor, 250)), room(2, floor, 2)))
    assert not log.loud


def test_the_log_is_bounded_and_says_what_it_dropped():
    log = Utterance()
    log.append(bytes(2 * (MAX_SAMPLES + 100)))
    assert log.taken == MAX_SAMPLES
    assert log.dropped == 100


def test_loud_tells_speech_from_a_room():
    log = Utterance()
    log.append(np.full(2000, 30, "<i2").tobytes())
    assert not log.loud
    log.append(speech(960))
    assert log.loud
    log.clear()
    assert not log.loud
