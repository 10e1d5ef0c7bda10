"""How much audio may be unproven."""

from hypothesis import given
from hypothesis import strategies as st

from voicekiosk.agent.link import PING_INTERVAL_SPEAKING_S as PING_S
from voicekiosk.agent.window import FRAME_S, MOST_S, RATE_HZ, Window


def test_before_the_first_pong_nothing_is_known_and_much_may_go():
    assert Window().samples(PING_S) == MOST_S * RATE_HZ


def test_a_near_service_leaves_less_than_a_quarter_of_a_second_unproven():
    window = Window()
    window.pong(0.005)
    assert window.samples(PING_S) <= 0.25 * RATE_HZ


def test_a_far_service_gets_as_much_more_as_its_pongs_take():
    window = Window()
    window.pong(0.5)
    assert window.samples(PING_S) == round((PING_S + 0.5 + FRAME_S) * RATE_HZ)


def test_one_late_pong_does_not_make_a_slow_link():
    window = Window()
    window.pong(0.01)
    window.pong(1.0)
    assert window.samples(PING_S) < 0.5 * RATE_HZ


@given(st.lists(st.floats(0.0, 60.0), min_size=1))
def test_there_is_always_room_for_what_a_steady_link_has_on_its_way_and_never_for_a_long_queue(pongs_s):
    window = Window()
    for round_trip_s in pongs_s:
        window.pong(round_trip_s)
    assert (PING_S + FRAME_S) * RATE_HZ <= window.samples(PING_S) <= MOST_S * RATE_HZ
