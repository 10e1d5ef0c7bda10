import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekiosk.agent.events import Cause
from voicekiosk.agent.failures import Failure, Remedy
from voicekiosk.agent.ladder import Ladder

NETWORK = Failure(Cause.NETWORK, Remedy.AGAIN, "close_1006", "")
SERVER = Failure(Cause.SERVER, Remedy.LATER, "internal_error", "")
FRESH = Failure(Cause.EXPIRED, Remedy.FRESH, "session_not_found", "")


def ladder(seed: int = 1, **settings: float) -> Ladder:
    values = {"backoff_max_s": 60.0, "connect_timeout_s": 10.0} | settings
    return Ladder(rng=random.Random(seed), **values)


def attempts_at(steps: Ladder, failure: Failure, until_s: float, took_s: float = 0.0) -> list[float]:
    """When attempts start, if each fails after `took_s`."""
    now_s, starts = 0.0, []
    while now_s < until_s:
        starts.append(now_s)
        steps.began(now_s)
        now_s += took_s
        now_s += steps.failed(failure, now_s)
        assert len(starts) < 10_000
    return starts


def test_a_dropped_session_is_tried_again_at_once():
    steps = ladder()
    steps.began(0)
    steps.ready()
    assert steps.failed(NETWORK, 100.0, lived_s=100.0) == 0.0


def test_for_25_seconds_there_is_one_attempt_a_second():
    starts = [start for start in attempts_at(ladder(), NETWORK, 200) if start < 25]
    assert starts == [float(second) for second in range(25)]


def test_attempts_that_take_longer_than_a_second_follow_one_another():
    starts = attempts_at(ladder(), NETWORK, 20, took_s=2.0)
    assert starts[:4] == [0.0, 2.0, 4.0, 6.0]


def test_after_25_seconds_the_pauses_grow_to_the_cap():
    starts = attempts_at(ladder(), NETWORK, 5000)
    pauses = [after - before for before, after in pairwise(starts)]
    late = pauses[-20:]
    assert max(late) > 20
    assert all(pause <= 60 for pause in pauses)


def test_the_pauses_are_spread_so_that_kiosks_do_not_come_in_step():
    starts = {tuple(attempts_at(ladder(seed), NETWORK, 300)) for seed in range(5)}
    assert len(starts) == 5


def test_a_failure_of_the_server_skips_the_quick_attempts():
    starts = attempts_at(ladder(3), SERVER, 25)
    assert len(starts) < 15


def test_a_refused_resume_is_followed_by_a_fresh_session_without_a_pause():
    steps = ladder()
    steps.began(0)
    steps.failed(NETWORK, 0.0, lived_s=100.0)
    assert steps.failed(FRESH, 0.3) == 0.0


def test_a_session_that_lived_a_minute_is_forgiven_everything():
    steps = ladder()
    attempts_at(steps, SERVER, 500)
    steps.ready()
    assert steps.failed(SERVER, 1000.0, lived_s=61.0) == 0.0


def test_a_server_that_ends_sessions_at_once_is_not_hammered():
    steps, now_s, starts = ladder(), 0.0, 0
    while now_s < 600:
        starts += 1
        steps.began(now_s)
        steps.ready()
        now_s += 0.5
        now_s += steps.failed(SERVER, now_s, lived_s=0.3)
    assert starts < 80


def drops(steps: Ladder, until_s: float, lived_s: float, pressing: bool = False) -> list[float]:
    """The pauses after sessions that are ready, live so long and are gone."""
    now_s, pauses = 0.0, []
    while now_s < until_s:
        if pressing:
            steps.reset()
        steps.began(now_s)
        steps.ready()
        now_s += lived_s
        pauses.append(steps.failed(NETWORK, now_s, lived_s=lived_s))
        now_s += pauses[-1]
    return pauses


@pytest.mark.parametrize("lived_s", [0.1, 2.5, 10.0])
def test_a_network_that_drops_every_few_seconds_is_not_hammered(lived_s):
    pauses = drops(ladder(), 300.0, lived_s)
    assert pauses[0] == 0.0, "a first drop costs nothing"
    assert len(pauses) < 50
    assert max(pauses) > 4.0


def test_a_network_that_drops_once_a_minute_is_met_at_once_each_time():
    assert set(drops(ladder(), 3600.0, 61.0)) == {0.0}


def test_a_visitor_who_goes_on_talking_is_met_at_once_at_each_drop():
    assert set(drops(ladder(), 300.0, 3.5, pressing=True)) == {0.0}


def test_a_press_starts_again_from_the_foot():
    steps = ladder()
    attempts_at(steps, NETWORK, 1000)
    steps.reset()
    steps.began(1000.0)
    assert steps.failed(NETWORK, 1000.1) <= 1.0
    assert steps.attempts == 1


def test_an_attempt_is_given_up_after_two_seconds():
    assert ladder().began(0) == 2.0


def test_the_limit_grows_with_timeouts_so_that_a_slow_link_gets_there():
    steps = ladder()
    limits = []
    for second in range(10):
        limits.append(steps.began(second))
        steps.timed_out()
    assert limits[:3] == [2.0, 2.0, 3.0]
    assert limits[-1] == 10.0


@given(
    st.lists(
        st.tuples(st.sampled_from([NETWORK, SERVER, FRESH]), st.none() | st.floats(0, 200)),
        max_size=60,
    )
)
def test_a_pause_is_never_negative_and_never_over_the_cap(failures):
    steps, now_s = ladder(backoff_max_s=30.0), 0.0
    for failure, lived_s in failures:
        assert 0 < steps.began(now_s) <= 10.0
        now_s += lived_s or 0.0
        pause_s = steps.failed(failure, now_s, lived_s=lived_s)
        assert 0.0 <= pause_s <= 30.0
        now_s += pause_s
