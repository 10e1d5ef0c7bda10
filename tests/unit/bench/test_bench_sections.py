"""What the sections of the bench make of what they have seen."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from benchlib import pythons, summary
from benchlib.sections import idle, knobs, latency, memory
from benchlib.usage import Usage

RATE_HZ = 48000
PRESS_S = 1.0


@dataclass
class Loudspeaker:
    """What it played from second 0 on."""

    samples: NDArray[np.int16]

    def index_at(self, t_s: float) -> int:
        return round(t_s * RATE_HZ)

    def time_of(self, index: int) -> float:
        return index / RATE_HZ


def played(begin_s: float, end_s: float) -> Loudspeaker:
    samples = np.zeros(3 * RATE_HZ, np.int16)
    samples[round(begin_s * RATE_HZ) : round(end_s * RATE_HZ)] = -1000
    return Loudspeaker(samples)


@pytest.mark.parametrize("after_s", [0.03, 0.2, -0.01])
def test_silence_is_counted_from_the_press_even_where_it_came_before(after_s: float) -> None:
    speaker = played(0.5, PRESS_S + after_s)
    assert latency.silence_ms(speaker, PRESS_S) == pytest.approx(1000 * after_s, abs=0.1)


def test_a_press_while_nothing_plays_has_no_silence_to_wait_for() -> None:
    assert latency.silence_ms(played(0.2, 0.8), PRESS_S) is None


def test_a_loudspeaker_that_plays_on_is_far_from_what_is_promised() -> None:
    ms = latency.silence_ms(played(0.5, 2.5), PRESS_S)
    assert ms == pytest.approx(1000 * latency.SILENT_WITHIN_S, abs=0.1)
    assert list(latency.shortfalls(figures(press_to_silence=[30.0] * 29 + [ms or 0.0]), 30))


def test_what_comes_too_late_or_before_is_not_taken_for_the_first() -> None:
    assert latency.first_after([0.9, 1.2, 1.1], 1.0, 0.5) == 1.1
    assert latency.first_after([0.9, 1.6], 1.0, 0.5) is None


def figures(**changes: list[float]) -> dict[str, dict[str, float]]:
    times = {
        "press_to_first_audio_warm": [10.0] * 30,
        "press_to_first_audio_closed": [40.0] * 30,
        "press_to_silence": [30.0] * 30,
        "reply_to_sound": [5.0] * 30,
    }
    return {name: latency.distribution(values) for name, values in (times | changes).items()}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        ({"press_to_first_audio_warm": [10.0] * 20 + [90.0] * 10}, None),
        ({"press_to_first_audio_warm": [26.0] * 30}, "median 26 ms, promised under 25"),
        ({"press_to_first_audio_closed": [61.0] * 30}, "median 61 ms"),
        ({"press_to_silence": [30.0] * 29 + [61.0]}, "worst 61 ms, promised under 60"),
        ({"press_to_silence": [30.0] * 29}, "29 times of 30"),
    ],
)
def test_silence_is_promised_of_the_worst_press_and_every_promise_of_enough_presses(
    changes: dict[str, list[float]], words: str | None
) -> None:
    found = list(latency.shortfalls(figures(**changes), 30))
    assert len(found) == (words is not None)
    assert words is None or words in found[0]


def test_growth_is_of_quarters_so_that_no_one_sample_decides() -> None:
    values = [*range(50), *[100] * 49, 900, *[100] * 50, *[101] * 49, 5000]
    assert memory.by_quarters(values) == [24.5, 100, 100, 101]


def usage(cpu_ms_per_s: float, wakeups_per_s: float) -> Usage:
    return Usage(20.0, cpu_ms_per_s, wakeups_per_s, {})


def test_an_idle_kiosk_sleeps_on_every_python() -> None:
    seen = {
        ("3.11.2", "closed"): usage(0.0, 0.0),
        ("3.11.2", "warm"): usage(5.0, 100.0),
        ("3.13.1", "closed"): usage(0.1, 3.0),
        ("", idle.PLAIN): usage(13.0, 170.0),
    }
    assert [text for text in idle.shortfalls(seen) if "3.13.1" in text] == idle.shortfalls(seen) != []
    data = idle.figures_of(seen, "3.11.2")
    assert (data["cpu_ms_per_s"], data["wakeups_per_s"]) == (0.0, 0.0)
    assert set(data["others"]) == {"closed", "warm", idle.PLAIN}
    assert set(data["pythons"]) == {"3.11.2", "3.13.1"}


def test_a_python_that_is_promised_and_not_here_is_named_with_what_makes_it_ready() -> None:
    assert pythons.lacking(["3.11.2", "3.13.0"]) == ""
    assert "VOICEKIOSK_VENV=.venv-3.13" in pythons.lacking(["3.11.2"])


def test_the_first_sound_is_the_first_that_is_heard_after_the_release() -> None:
    assert knobs.first_sound(played(1.5, 2.0), PRESS_S, 1.0) == pytest.approx(1.5, abs=0.001)
    assert knobs.first_sound(played(0.2, 0.9), PRESS_S, 1.0) is None


def test_every_time_of_the_simulator_that_is_a_span_is_put_at_its_middle() -> None:
    assert {"turn.min_latency_end_ms=1300", "reply.lead_in_ms=500"} <= set(knobs.middles())
    assert not any("," in change for change in knobs.middles())


def test_settings_are_shown_beside_the_defaults() -> None:
    seen = {name: {"closed_p50": 1.0, "p50": p50, "max": 3.0} for name, p50 in (("usual", 2.5), ("x", 1.75))}
    assert [row[3] for row in knobs.table(seen, 5).rows] == ["+0.00", "-0.75"]


def test_the_page_about_settings_has_a_place_for_their_table() -> None:
    assert summary.lacks_place(knobs.PAGE, knobs.BEGIN) == ""
