"""What is known of the moments in which the machine stood still."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demolib.stalls import Stalls, merged

TIMES = st.integers(0, 200)
INTERVALS = st.lists(st.tuples(TIMES, TIMES).map(lambda pair: (min(pair), max(pair))), max_size=12)


def stalls(*seen):
    known = Stalls()
    known.seen = list(seen)
    return known


def test_nothing_seen_is_no_time_at_all():
    assert stalls().within(0.0, 1e9) == 0.0
    assert stalls().longest_s == 0.0


def test_only_what_lies_within_counts():
    known = stalls((1.0, 1.5), (3.0, 3.25))
    assert known.within(1.25, 3.125) == pytest.approx(0.375)
    assert known.within(1.5, 3.0) == 0.0
    assert known.longest_s == 0.5


def test_processors_that_stand_still_together_do_not_count_twice():
    assert merged([(3.0, 4.0), (1.0, 2.0), (1.5, 2.5)]) == [(1.0, 2.5), (3.0, 4.0)]


@given(intervals=INTERVALS)
def test_what_is_merged_covers_the_same_moments(intervals):
    covered = {moment for first, last in intervals for moment in range(first, last)}
    known = merged(intervals)
    assert {moment for first, last in known for moment in range(round(first), round(last))} == covered
    assert all(before[1] < after[0] for before, after in pairwise(known))
