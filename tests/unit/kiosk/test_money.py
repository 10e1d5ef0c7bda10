"""The meter: what was open is what is counted, whatever the clock on the wall does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekiosk.kiosk.money import GRACE_S, WRITE_EVERY_S, Day, Level, Meter, Prices

NOON_S = 1_795_348_800.0  # 2026-11-22 12:00 UTC
DAY_S = 86400.0


class Clocks:
    """Two clocks, the one on the wall of which can be set."""

    def __init__(self, meter, wall_s=NOON_S):
        self.meter, self.now_s, self.wall_s = meter, 100.0, wall_s
        self.look()

    def day(self):
        from datetime import UTC, datetime

        return datetime.fromtimestamp(self.wall_s, UTC).date().isoformat()

    def look(self):
        self.meter.look(self.now_s, self.wall_s, self.day())

    def wait(self, seconds):
        self.now_s += seconds
        self.wall_s += seconds
        self.look()

    def set_wall(self, wall_s):
        self.wall_s = wall_s
        self.look()


def metered(days=None, **options):
    meter = Meter(days or {}, **options)
    return meter, Clocks(meter)


def test_only_open_time_is_counted():
    meter, clocks = metered()
    clocks.wait(1000)
    meter.opened(clocks.now_s, resumed=False)
    clocks.wait(90)
    meter.closed(clocks.now_s, ended=True)
    clocks.wait(1000)
    assert meter.today.seconds == 90
    assert meter.month_s == 90


def test_a_session_that_was_not_ended_is_counted_for_the_grace_too():
    meter, clocks = metered()
    meter.opened(clocks.now_s, resumed=False)
    clocks.wait(10)
    meter.closed(clocks.now_s, ended=False)
    assert meter.today.seconds == 10 + GRACE_S


def test_a_session_that_was_resumed_is_counted_through_and_once():
    meter, clocks = metered()
    meter.opened(clocks.now_s, resumed=False)
    clocks.wait(10)
    meter.closed(clocks.now_s, ended=False)
    clocks.wait(4)
    meter.opened(clocks.now_s, resumed=True)
    clocks.wait(6)
    meter.closed(clocks.now_s, ended=True)
    assert meter.today.seconds == pytest.approx(20)


def test_a_turn_costs_what_was_open_since_it_began():
    meter, clocks = metered()
    meter.opened(clocks.now_s, resumed=False)
    clocks.wait(20)
    meter.turn_begins()
    clocks.wait(7)
    assert (meter.turn_s, meter.today.turns) == (7, 1)


def test_midnight_begins_a_new_count_and_the_month_goes_on():
    meter, clocks = metered()
    meter.opened(clocks.now_s, resumed=False)
    for _ in range(24 * 60):
        clocks.wait(60)
    meter.closed(clocks.now_s, ended=True)
    assert meter.day == "2026-11-23"
    assert meter.today.seconds == pytest.approx(12 * 3600, abs=61)
    assert meter.month_s == DAY_S


def test_another_month_begins_at_nothing():
    meter, clocks = metered({"2026-11-22": Day(600, 3), "2026-10-31": Day(999, 9)})
    assert meter.month_s == 600
    clocks.set_wall(NOON_S)
    assert meter.today == Day(600, 3)


@pytest.mark.parametrize("jump_s", [DAY_S, -DAY_S, 400 * DAY_S, -400 * DAY_S, 9 * 365 * DAY_S])
def test_a_clock_that_is_set_gives_no_money_out_twice(jump_s):
    meter, clocks = metered()
    meter.opened(clocks.now_s, resumed=False)
    clocks.wait(600)
    clocks.set_wall(NOON_S + jump_s)
    assert meter.today.seconds == 600
    clocks.set_wall(NOON_S + 600)
    assert meter.today.seconds == 600
    assert meter.kept() == {"2026-11-22": Day(600.0, 0)}


def test_a_board_without_a_clock_goes_on_with_the_last_day_it_knows():
    meter = Meter({"2026-11-22": Day(500, 2)})
    clocks = Clocks(meter, wall_s=0.0)
    meter.opened(clocks.now_s, resumed=False)
    clocks.wait(60)
    assert (meter.day, meter.today.seconds) == ("2026-11-22", 560)
    clocks.set_wall(NOON_S + DAY_S)
    # What was counted before the network told the time belongs to the day that it really was.
    assert (meter.day, meter.today.seconds) == ("2026-11-23", 60)
    assert meter.days["2026-11-22"].seconds == 500


def test_a_process_that_died_with_an_open_session_left_a_bill():
    meter, _ = metered({"2026-11-22": Day(100, 1)}, unended=True)
    assert meter.today.seconds == 100 + WRITE_EVERY_S + GRACE_S


def test_the_cap_is_warned_of_and_then_reached():
    prices = Prices(per_hour=3600.0, daily_cap=100.0, warn_percent=80)
    meter, clocks = metered()
    meter.opened(clocks.now_s, resumed=False)
    assert meter.due_in_s(prices) == pytest.approx(80)
    clocks.wait(79)
    assert meter.level(prices) is Level.FINE
    clocks.wait(1)
    assert meter.level(prices) is Level.WARNING
    assert meter.due_in_s(prices) == pytest.approx(20)
    clocks.wait(20)
    assert meter.level(prices) is Level.SPENT
    assert meter.due_in_s(prices) == float("inf")


@pytest.mark.parametrize("prices", [Prices(4.5, 0.0, 80), Prices(0.0, 10.0, 80)])
def test_without_cap_or_price_nothing_is_ever_spent(prices):
    meter, clocks = metered()
    meter.opened(clocks.now_s, resumed=False)
    clocks.wait(DAY_S)
    assert meter.level(prices) is Level.FINE
    assert meter.due_in_s(prices) == float("inf")


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("wait"), st.floats(0, 3000)),
            st.tuples(st.just("set"), st.floats(-900 * DAY_S, 900 * DAY_S)),
            st.tuples(st.just("open"), st.just(0.0)),
            st.tuples(st.just("end"), st.just(0.0)),
        ),
        max_size=40,
    )
)
def test_whatever_the_clocks_do_no_open_second_is_lost_or_counted_twice(steps):
    meter, clocks = metered()
    open_s = 0.0
    for what, number in steps:
        match what:
            case "wait":
                open_s += number if meter.open else 0.0
                clocks.wait(number)
            case "set":
                clocks.set_wall(max(NOON_S - 300 * DAY_S, NOON_S + number))
            case "open":
                meter.opened(clocks.now_s, resumed=False)
            case "end":
                meter.closed(clocks.now_s, ended=True)
    assert sum(day.seconds for day in meter.days.values()) == pytest.approx(open_s, abs=1e-3)
