"""Levels are those of the textbook, and a microphone that stands still is noticed to the frame."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekiosk.audio.levels import FLOOR_DBFS, ConstantSignal, is_constant, peak_dbfs, rms_dbfs

SINE = np.rint(32767 * np.sin(2 * np.pi * np.arange(4800) / 48)).astype(np.int16)
NOTHING = np.zeros(0, np.int16)
SILENCE = np.zeros(960, np.int16)


def test_a_sine_at_full_scale_has_a_peak_of_0_and_an_rms_of_minus_3_dbfs() -> None:
    assert peak_dbfs(SINE) == pytest.approx(0, abs=0.001)
    assert rms_dbfs(SINE) == pytest.approx(-3.01, abs=0.01)


def test_a_tenth_of_the_amplitude_is_20_db_less() -> None:
    assert rms_dbfs(SINE // 10) == pytest.approx(rms_dbfs(SINE) - 20, abs=0.05)
    assert peak_dbfs(SINE // 10) == pytest.approx(-20, abs=0.05)


def test_the_most_negative_sample_counts_as_full_scale() -> None:
    assert peak_dbfs(np.array([0, -32768, 5], np.int16)) == 0
    assert rms_dbfs(np.full(48_000, -32768, np.int16)) == pytest.approx(0, abs=0.001)


@pytest.mark.parametrize("block", [NOTHING, SILENCE])
def test_silence_and_nothing_are_at_the_floor(block: np.ndarray) -> None:  # type: ignore[type-arg]
    assert rms_dbfs(block) == peak_dbfs(block) == FLOOR_DBFS


def test_one_faint_click_in_a_minute_is_not_below_the_floor() -> None:
    click = np.zeros(60 * 384_000, np.int16)
    click[1000] = 1
    assert rms_dbfs(click) == FLOOR_DBFS
    assert peak_dbfs(click) == pytest.approx(-90.3, abs=0.01)


@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=300))
def test_levels_are_those_of_the_definition(values: list[int]) -> None:
    block = np.array(values, np.int16)
    exact = np.array(values, np.float64) / 32768
    if any(values):
        assert rms_dbfs(block) == pytest.approx(
            max(-120, 20 * np.log10(np.sqrt(np.mean(exact**2)))), abs=0.001
        )
        assert peak_dbfs(block) == pytest.approx(20 * np.log10(np.abs(exact).max()))


def test_a_view_of_one_channel_is_measured_as_it_lies() -> None:
    stereo = np.stack([SINE, np.zeros_like(SINE)], axis=1)
    assert rms_dbfs(stereo[:, 0]) == rms_dbfs(SINE)
    assert peak_dbfs(stereo[:, 1]) == FLOOR_DBFS


def test_a_block_is_constant_when_all_of_it_is_one_value() -> None:
    assert is_constant(SILENCE)
    assert is_constant(np.full(5, -123, np.int16))
    assert is_constant(NOTHING)
    assert not is_constant(np.array([0, 0, 1], np.int16))


def test_a_signal_that_stands_still_for_five_seconds_is_noticed_in_that_period() -> None:
    signal = ConstantSignal(limit_frames=5 * 48_000)
    signal.feed(SINE)
    noticed = [signal.feed(SILENCE) for _ in range(251)]
    # The last sample of the sine is not 0, so the first silent frame is the first that counts.
    assert noticed.index(True) == 249


def test_one_different_sample_starts_the_count_anew() -> None:
    signal = ConstantSignal(limit_frames=1000)
    signal.feed(SILENCE)
    almost = SILENCE.copy()
    almost[500] = 1
    assert not signal.feed(almost)
    assert signal.constant_frames == 459


def test_another_constant_value_starts_the_count_anew() -> None:
    signal = ConstantSignal(limit_frames=1000)
    signal.feed(SILENCE)
    assert not signal.feed(SILENCE + np.int16(1))
    assert signal.constant_frames == 960


def test_reset_forgets_what_was_counted() -> None:
    signal = ConstantSignal(limit_frames=1000)
    signal.feed(SILENCE)
    signal.reset()
    assert not signal.feed(SILENCE)
    assert signal.feed(SILENCE)


@given(st.lists(st.integers(0, 1), max_size=60), st.lists(st.integers(0, 60), max_size=8))
def test_frames_are_counted_the_same_however_they_are_cut(values: list[int], cuts: list[int]) -> None:
    samples = np.array(values, np.int16)
    signal = ConstantSignal(limit_frames=10)
    edges = [0, *sorted(min(cut, len(values)) for cut in cuts), len(values)]
    noticed = [signal.feed(samples[begin:end]) for begin, end in pairwise(edges)][-1]
    expected = 0
    for value in reversed(values):
        if value != values[-1]:
            break
        expected += 1
    assert signal.constant_frames == expected
    assert noticed == (expected >= 10)
