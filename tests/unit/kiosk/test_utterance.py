"""The log of what was said: paced, proven, sent again."""

import numpy as np
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
