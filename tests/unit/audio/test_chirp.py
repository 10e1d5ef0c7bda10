import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekiosk.audio.chirp import RATE_HZ, chirp, find


def room(delay_s, gain, noise, seconds=1.5, seed=1):
    """What a microphone hears of a chirp that was sent at its start."""
    rng = np.random.default_rng(seed)
    heard = rng.normal(0, noise, round(seconds * RATE_HZ))
    start = round(delay_s * RATE_HZ)
    heard[start : start + len(chirp())] += gain * chirp()
    return np.asarray(heard.clip(-32768, 32767), np.int16)


@given(
    delay_s=st.floats(0, 1.0),
    gain_db=st.floats(-30, 0),
    seed=st.integers(0, 100),
)
def test_a_chirp_is_found_at_its_place_and_loudness(delay_s, gain_db, seed):
    echo = find(room(delay_s, 10 ** (gain_db / 20), 30, seed=seed))
    assert echo is not None
    assert echo.delay_s == pytest.approx(delay_s, abs=0.001)
    assert echo.gain_db == pytest.approx(gain_db, abs=1)


def test_the_moment_it_was_sent_is_taken_off():
    echo = find(room(0.5, 0.3, 30), after_s=0.45)
    assert echo is not None
    assert echo.delay_s == pytest.approx(0.05, abs=0.001)


def test_a_loudspeaker_that_turns_the_phase_is_heard_all_the_same():
    assert find(room(0.2, -0.3, 30)) is not None


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_no_chirp(seed):
    assert find(room(0, 0, 1000, seed=seed)) is None


def test_silence_is_no_chirp():
    assert find(np.zeros(RATE_HZ, np.int16)) is None


def test_a_recording_shorter_than_the_chirp_holds_none():
    assert find(chirp()[:100]) is None
