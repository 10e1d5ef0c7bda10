"""Key strokes in, button edges out."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekiosk.panel.gestures import DoubleTapped, Gestures, Pressed, Released
from voicekiosk.panel.keyboard import FIRST_REPEAT_S, RELEASE_S, REPEAT_S, TAP_S, SpaceBar


def play(strokes: list[float], *, latching: bool, until_s: float = 999) -> list[tuple[bool, float]]:
    space = SpaceBar(latching=latching)
    edges = []
    for t_s in [*strokes, until_s]:
        while (deadline_s := space.deadline_s) is not None and deadline_s <= t_s:
            edges += space.tick(deadline_s)
        if t_s != until_s:
            edges += space.stroke(t_s)
    return edges


def held(start_s: float, seconds: float, delay_s: float = 0.5, every_s: float = 0.033) -> list[float]:
    """The strokes of a key that is held down."""
    count = int((seconds - delay_s) / every_s) + 1
    return [start_s] + [start_s + delay_s + n * every_s for n in range(max(0, count))]


@pytest.mark.parametrize("latching", [True, False])
@pytest.mark.parametrize("delay_s", [0.25, 0.5, 0.66])
def test_holding_the_key_holds_the_button(latching, delay_s):
    strokes = held(1.0, 3.0, delay_s)
    edges = play(strokes, latching=latching)
    assert edges == [(True, 1.0), (False, strokes[-1])]


@pytest.mark.parametrize("latching", [True, False])
def test_a_stroke_presses_at_once(latching):
    assert SpaceBar(latching=latching).stroke(1.0) == [(True, 1.0)]


def test_latching_a_stroke_presses_and_the_next_releases():
    assert play([1.0, 4.0], latching=True) == [(True, 1.0), (False, 4.0)]


def test_latching_the_button_stays_down_without_a_timer():
    space = SpaceBar(latching=True)
    space.stroke(1.0)
    assert space.deadline_s is None


def test_not_latching_a_stroke_is_a_tap():
    assert play([1.0], latching=False) == [(True, 1.0), (False, 1.0 + TAP_S)]


def test_not_latching_two_quick_strokes_are_two_taps_and_so_a_double_tap():
    gestures, heard = Gestures(30), []
    for pressed, t_s in play([1.0, 1.25], latching=False):
        heard += gestures.edge(pressed, t_s)
    assert [type(g) for g in heard] == [Pressed, Released, Pressed, Released, DoubleTapped]


def test_a_release_is_noticed_soon_after_the_last_repeat():
    space = SpaceBar(latching=True)
    for t_s in held(1.0, 2.0):
        space.stroke(t_s)
        last_s = t_s
    assert space.deadline_s == pytest.approx(last_s + RELEASE_S)


@given(st.lists(st.floats(0.001, 2.0), max_size=30), st.booleans())
def test_edges_alternate_and_begin_with_a_press(gaps, latching):
    edges = play(list(itertools.accumulate(gaps, initial=1.0)), latching=latching)
    assert all(pressed == (n % 2 == 0) for n, (pressed, _) in enumerate(edges))


@given(st.lists(st.floats(0.001, 2.0), max_size=30))
def test_without_latching_the_button_always_comes_up_by_itself(gaps):
    edges = play(list(itertools.accumulate(gaps, initial=1.0)), latching=False)
    assert edges[-1][0] is False


@given(st.lists(st.floats(0.001, 2.0), max_size=30), st.booleans())
def test_a_deadline_is_never_far_away(gaps, latching):
    space = SpaceBar(latching=latching)
    for t_s in itertools.accumulate(gaps, initial=1.0):
        space.stroke(t_s)
        if space.deadline_s is not None:
            assert space.deadline_s <= t_s + max(FIRST_REPEAT_S, RELEASE_S, REPEAT_S) + 1e-9
