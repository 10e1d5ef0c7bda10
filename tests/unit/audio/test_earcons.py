"""The short signs: audible, soft at the edges, and never loud."""

from itertools import pairwise

import numpy as np
import pytest

from voicekiosk.audio.earcons import EARCONS, RATE_HZ, Earcon, earcon
from voicekiosk.audio.levels import peak_dbfs, rms_dbfs


def sound(name: Earcon) -> np.ndarray:
    return np.frombuffer(earcon(name), "<i2")


@pytest.mark.parametrize("name", EARCONS)
def test_a_sign_is_short_audible_and_not_loud(name: Earcon) -> None:
    assert 0.02 <= len(sound(name)) / RATE_HZ <= 0.7
    assert rms_dbfs(sound(name)) > -35
    assert peak_dbfs(sound(name)) < -12


@pytest.mark.parametrize("name", EARCONS)
def test_a_sign_begins_and_ends_without_a_click(name: Earcon) -> None:
    assert abs(int(sound(name)[0])) < 10
    assert abs(int(sound(name)[-1])) < 10
    # The steepest a sine of the highest pitch and loudest level can be.
    assert np.abs(np.diff(sound(name).astype(int))).max() < 32767 * 0.2 * 2 * np.pi * 900 / RATE_HZ


def test_the_signs_differ_in_rhythm() -> None:
    lengths = sorted(len(sound(name)) for name in EARCONS)
    assert all(longer > 1.4 * shorter for shorter, longer in pairwise(lengths))


def test_a_sign_is_made_once() -> None:
    assert earcon("tick") is earcon("tick")
