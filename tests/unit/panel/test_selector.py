"""Which position a rotary switch has been left in."""

import pytest

from voicekiosk.panel.selector import SETTLED_S, Selector


@pytest.fixture
def switch():
    selector = Selector()
    selector.edge("guide", True, 1.0)
    selector.edge("clock", False, 1.0)
    assert selector.tick(selector.deadline_s) == "guide"
    return selector


def test_what_it_is_at_the_start_holds_at_once(switch):
    assert switch.deadline_s is None
    assert switch.tick(2.0) == ""


def test_a_position_counts_when_it_was_left_there(switch):
    switch.edge("guide", False, 5.0)
    switch.edge("child", True, 5.1)
    switch.edge("child", False, 5.2)
    switch.edge("clock", True, 5.3)
    assert switch.tick(5.3 + SETTLED_S / 2) == ""
    assert switch.tick(5.3 + SETTLED_S) == "clock"
    assert switch.tick(9.0) == ""


def test_between_two_positions_the_one_before_stays(switch):
    switch.edge("guide", False, 5.0)
    assert switch.tick(6.0) == ""
    switch.edge("guide", True, 7.0)
    assert switch.tick(8.0) == ""


def test_two_wires_that_touch_choose_nothing(switch):
    switch.edge("clock", True, 5.0)
    assert switch.tick(6.0) == ""
    switch.edge("guide", False, 7.0)
    assert switch.tick(8.0) == "clock"
