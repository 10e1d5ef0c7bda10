"""Which frame was captured when."""

from hypothesis import given
from hypothesis import strategies as st

from voicekiosk.audio.timeline import Timeline

RATE_HZ = 48000


def test_a_frame_is_found_by_the_time_it_was_captured() -> None:
    timeline = Timeline(RATE_HZ)
    timeline.start(100.0, 5000)
    timeline.observe(100.02, 5960)
    assert timeline.frame_at(100.01) == 5480
    assert timeline.frame_at(100.5) == 29000


def test_nothing_was_captured_before_the_start() -> None:
    timeline = Timeline(RATE_HZ)
    timeline.start(100.0, 5000)
    assert timeline.frame_at(99.0) == 5000


def test_before_the_first_start_every_moment_is_at_zero() -> None:
    assert Timeline(RATE_HZ).frame_at(12345.0) == 0


@given(st.lists(st.floats(0, 0.15), min_size=60, max_size=120))
def test_a_thread_kept_waiting_does_not_move_the_line(delays_s: list[float]) -> None:
    timeline = Timeline(RATE_HZ)
    timeline.start(0.0, 0)
    for index, delay_s in enumerate(delays_s):
        # Each report is of an earlier moment than the one it is made at, but one in ten is in time.
        captured = (index + 1) * 960
        late_s = delay_s if index % 10 else 0.0
        assert timeline.observe(captured / RATE_HZ + late_s, captured) == 0
    now_s = len(delays_s) * 0.02
    assert abs(timeline.frame_at(now_s) - round(now_s * RATE_HZ)) <= 1


@given(st.floats(-500e-6, 500e-6))
def test_the_line_follows_a_card_whose_clock_is_off(error: float) -> None:
    timeline = Timeline(RATE_HZ)
    timeline.start(0.0, 0)
    for index in range(1, 3000):
        t_s = index * 0.02
        assert timeline.observe(t_s, int(t_s * RATE_HZ * (1 + error))) == 0
    assert abs(timeline.frame_at(60.0) - 60.0 * RATE_HZ * (1 + error)) < RATE_HZ * 0.001


def test_sound_that_was_lost_in_silence_is_noticed_once_and_exactly() -> None:
    timeline = Timeline(RATE_HZ)
    timeline.start(0.0, 0)
    written = lost = 0
    for index in range(1, 200):
        # One second of frames goes missing after the first.
        t_s = index * 0.02 + (1.0 if index > 50 else 0.0)
        written += 960
        missing = timeline.observe(t_s, written)
        written += missing
        lost += missing
    assert lost == RATE_HZ
    assert timeline.frame_at(t_s) == written


def test_a_card_that_falls_behind_a_little_is_followed_without_adding_silence() -> None:
    timeline = Timeline(RATE_HZ)
    timeline.start(0.0, 0)
    for index in range(1, 200):
        t_s = index * 0.02 + (0.1 if index > 50 else 0.0)
        assert timeline.observe(t_s, index * 960) == 0
    assert timeline.frame_at(t_s) == 199 * 960
