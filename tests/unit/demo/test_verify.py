"""The demo's verification must be able to fail: each damage that a record can have is found and counted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demolib import verify

RATE_HZ = 24000


def voice(seconds: float = 1.0, seed: int = 1) -> np.ndarray:
    """Make something like speech in a room: loud and faint stretches, never digital silence."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    loudness = 4000 * np.clip(np.sin(2 * np.pi * 1.7 * t), 0, 1)
    sound = loudness * np.sin(2 * np.pi * 180 * t + 3 * np.sin(2 * np.pi * 5 * t)) + rng.normal(0, 12, len(t))
    return sound.astype(np.int16)


def silence(samples: int) -> np.ndarray:
    return np.zeros(samples, np.int16)


def test_a_faithful_record_loses_nothing_wherever_it_stands():
    sent = voice()
    found = verify.search(sent, np.concatenate([silence(1234), sent, silence(777)]))
    assert (found.lost, found.extra, found.at) == (0, 0, 1234)


def test_a_record_may_differ_by_one_lsb_everywhere():
    sent = voice()
    noise = np.random.default_rng(2).integers(-1, 2, len(sent)).astype(np.int16)
    assert verify.search(sent, sent + noise).lost == 0


def test_two_lsb_are_too_many():
    sent = voice()
    assert verify.search(sent, sent + np.int16(2)).lost == len(sent)


@given(at=st.integers(200, 23000), count=st.integers(1, 700))
@settings(max_examples=60, deadline=None)
def test_dropped_samples_are_counted_exactly(at, count):
    sent = voice()
    count = min(count, len(sent) - at - 100)
    found = verify.search(sent, np.concatenate([silence(500), sent[:at], sent[at + count :]]))
    assert (found.lost, found.extra) == (count, 0)


@given(at=st.integers(800, 23000), count=st.integers(1, 700))
@settings(max_examples=60, deadline=None)
def test_repeated_samples_are_counted_exactly(at, count):
    sent = voice()
    found = verify.search(sent, np.concatenate([sent[:at], sent[at - count : at], sent[at:]]))
    assert (found.lost, found.extra) == (0, count)


@given(at=st.integers(200, 23000), count=st.integers(1, 2000))
@settings(max_examples=60, deadline=None)
def test_a_gap_that_delays_the_rest_is_extra_and_not_lost(at, count):
    sent = voice()
    found = verify.search(sent, np.concatenate([sent[:at], silence(count), sent[at:]]))
    assert (found.lost, found.extra) == (0, count)


def test_samples_replaced_by_silence_are_lost():
    sent = voice()
    record = sent.copy()
    record[10000:10480] = 0
    found = verify.search(sent, record)
    # One that happens to be within an LSB of zero at the hole's edge cannot be told from a found one.
    assert 470 <= found.lost <= 480
    assert found.lost == found.extra


def test_a_beginning_that_never_arrived_is_lost():
    sent = voice()
    assert verify.search(sent, sent[300:]).lost == 300


def test_an_end_that_never_arrived_is_lost():
    sent = voice()
    assert verify.search(sent, np.concatenate([sent[:-300], silence(3000)])).lost == 300


def test_only_the_window_is_asked_for():
    sent = voice()
    found = verify.search(sent, sent[5000:15000], 6000, 14000)
    assert (found.wanted, found.lost, found.at) == (8000, 0, 1000)


def test_blocks_that_changed_places_are_not_accepted():
    sent = voice()
    found = verify.search(
        sent, np.concatenate([sent[:8000], sent[12000:16000], sent[8000:12000], sent[16000:]])
    )
    assert found.lost == 4000


def test_a_record_of_something_else_holds_nothing():
    sent = voice(seed=1)
    assert verify.search(sent, voice(seed=2)).lost == len(sent)
    assert verify.search(sent, silence(len(sent))).lost == len(sent)
    assert verify.search(sent, silence(10)).lost == len(sent)


def test_silence_cannot_be_verified_and_is_refused():
    sent = np.concatenate([voice(), silence(2000), voice()])
    with pytest.raises(ValueError, match="silent from sample 24000"):
        verify.search(sent, sent)


@given(pause=st.integers(0, 3000), at=st.integers(200, 23000), count=st.integers(49, 2000))
@settings(max_examples=60, deadline=None)
def test_silence_that_may_be_there_is_no_halt_and_more_of_it_is_one(pause: int, at: int, count: int):
    sent = np.concatenate([voice(), silence(pause), voice(seed=2)])
    record = np.concatenate([silence(500), sent[:at], silence(count), sent[at:]])
    found = verify.search(sent, record, may_be_silent=True)
    assert found.lost == 0
    assert sum(halt.samples for halt in verify.halts(found, record)) == found.extra == count
    whole = verify.search(sent, sent, may_be_silent=True)
    assert (whole.lost, whole.extra, verify.halts(whole, sent)) == (0, 0, ())


@given(pause=st.integers(300, 3000), count=st.integers(1, 290))
@settings(max_examples=60, deadline=None)
def test_silence_that_is_cut_short_is_lost(pause: int, count: int):
    sent = np.concatenate([voice(), silence(pause), voice(seed=2)])
    record = np.delete(sent, slice(24004, 24004 + count))
    assert verify.search(sent, record, may_be_silent=True).lost == count


def test_the_right_start_phase_is_found_and_the_wrong_one_is_not_enough():
    fine = voice(2.0)
    phases = [fine[0::2], fine[1::2]]
    windows = [(100, 20000), (100, 20000)]
    phase, found = verify.best_phase(phases, np.concatenate([silence(50), phases[1]]), windows)
    assert (phase, found.lost) == (1, 0)
    assert verify.search(phases[0], phases[1]).lost > 0


@pytest.mark.parametrize("right", [0, 1])
def test_the_right_start_phase_is_found_where_the_window_s_beginning_is_lost(right: int):
    fine = voice(2.0)
    phases = [fine[0::2], fine[1::2]]
    windows = [(100, 20000), (100, 20000)]
    phase, found = verify.best_phase(phases, phases[right][100 + verify.PROBE + 500 :], windows)
    assert phase == right
    assert found.lost == pytest.approx(verify.PROBE + 500, abs=verify.ANCHOR)


def test_the_breaks_are_described():
    sent = voice()
    found = verify.search(sent, np.concatenate([sent[:9000], sent[9010:]]))
    assert verify.breaks(found) == [f"at sample {found.runs[0].stop}: 10 missing, 0 too many"]


def test_likeness_of_a_faithful_copy_is_one_also_when_it_is_quieter():
    sent = voice()
    correlation, at = verify.compare(sent, np.concatenate([silence(4000), sent // 2, silence(4000)]))
    assert correlation > 0.9999
    assert at == 4000


def test_likeness_suffers_from_a_sample_that_is_missing_in_the_middle():
    sent = voice()
    correlation, _ = verify.compare(sent, np.concatenate([sent[:12000], sent[12060:], silence(4000)]))
    assert correlation < 0.9


@pytest.mark.parametrize("length", [verify.HALF_BLOCK - 1, verify.HALF_BLOCK, 2 * verify.HALF_BLOCK + 1])
@pytest.mark.parametrize("at", [0, 1, verify.HALF_BLOCK - 1, verify.HALF_BLOCK, 99_999])
def test_a_long_reference_is_found_at_its_place_in_a_longer_record(length: int, at: int):
    rng = np.random.default_rng(3)
    record = rng.integers(-3000, 3000, 100_000 + length).astype(np.int16)
    likeness, shift = verify.compare(record[at : at + length], record)
    assert (shift, likeness) == (at, pytest.approx(1.0))


def test_likeness_to_silence_to_noise_and_to_too_little_is_none():
    sent = voice()
    assert verify.compare(sent, silence(50000))[0] == 0.0
    assert verify.compare(sent, silence(10))[0] == 0.0
    assert abs(verify.compare(sent, np.random.default_rng(3).normal(0, 900, 50000).astype(np.int16))[0]) < 0.2


def test_a_faint_place_that_is_alike_wins_over_a_loud_one_that_is_not():
    sent = voice()
    loud = np.random.default_rng(3).normal(0, 9000, 30000).astype(np.int16)
    correlation, at = verify.compare(sent, np.concatenate([loud, sent // 8]))
    assert at == 30000
    assert correlation > 0.99


def test_the_last_loud_sample_is_where_silence_begins():
    sound = np.concatenate(
        [silence(100), np.full(50, 400, np.int16), np.full(50, 20, np.int16), silence(100)]
    )
    assert verify.last_above(sound, -60) == 149
    assert verify.last_above(silence(10), -60) is None
