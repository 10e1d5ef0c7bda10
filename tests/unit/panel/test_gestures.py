"""Edges in, gestures out."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekiosk.panel.gestures import (
    DOUBLE_TAP_S,
    LONG_PRESS_S,
    TAP_S,
    DoubleTapped,
    Gesture,
    Gestures,
    LongPressed,
    Pressed,
    Released,
)

DEBOUNCE_MS = 30
Edge = tuple[float, bool]


def play(edges: list[Edge], until_s: float, debounce_ms: int = DEBOUNCE_MS) -> list[Gesture]:
    """Give the gestures of `edges`, ticking exactly when the recogniser asks for it."""
    gestures = Gestures(debounce_ms)
    heard: list[Gesture] = []
    for t_s, pressed in [*edges, (until_s, None)]:
        while (deadline_s := gestures.deadline_s) is not None and deadline_s <= t_s:
            heard += gestures.tick(deadline_s)
        if pressed is not None:
            heard += gestures.edge(pressed, t_s)
    return heard


def tap(down_s: float, held_s: float = 0.1) -> list[Edge]:
    return [(down_s, True), (down_s + held_s, False)]


def test_a_press_acts_at_its_first_edge():
    assert Gestures(DEBOUNCE_MS).edge(True, 5.0) == (Pressed(5.0),)


def test_a_release_tells_how_long_the_button_was_held():
    assert play(tap(1.0, 0.5), 9) == [Pressed(1.0), Released(1.5, 0.5)]


def test_bounce_in_the_dead_time_is_not_seen():
    edges = [(1.0, True), (1.002, False), (1.004, True), (1.010, False), (1.012, True), (2.0, False)]
    assert play(edges, 9) == [Pressed(1.0), Released(2.0, 1.0)]


def test_a_quick_release_in_the_dead_time_is_reported_when_the_dead_time_ends_with_the_time_it_happened():
    gestures = Gestures(DEBOUNCE_MS)
    gestures.edge(True, 1.0)
    assert gestures.edge(False, 1.02) == ()
    assert gestures.deadline_s == pytest.approx(1.03)
    assert gestures.tick(1.03) == (Released(1.02, pytest.approx(0.02)),)


def test_no_tick_is_asked_for_when_the_bounce_settled_where_it_began():
    gestures = Gestures(DEBOUNCE_MS)
    gestures.edge(True, 1.0)
    gestures.edge(False, 1.001)
    gestures.edge(True, 1.002)
    assert gestures.deadline_s == pytest.approx(1.0 + LONG_PRESS_S)


def test_an_edge_that_comes_after_a_missed_deadline_does_not_hide_what_the_deadline_would_have_told():
    gestures = Gestures(DEBOUNCE_MS)
    gestures.edge(True, 1.0)
    gestures.edge(False, 1.01)
    assert gestures.edge(True, 1.5) == (Released(1.01, pytest.approx(0.01)), Pressed(1.5))


def test_an_edge_older_than_the_last_tick_counts_as_happening_now():
    gestures = Gestures(DEBOUNCE_MS)
    gestures.edge(True, 1.0)
    assert gestures.tick(3.0) == (LongPressed(3.0),)
    assert gestures.edge(False, 2.999) == (Released(3.0, 2.0),)


def test_without_debounce_every_change_acts():
    assert [type(g) for g in play([(1.0, True), (1.0, False), (1.0, True)], 1.5, debounce_ms=0)] == [
        Pressed,
        Released,
        Pressed,
    ]


def test_two_taps_are_a_double_tap_told_after_the_second_release():
    edges = tap(1.0) + tap(1.3)
    assert play(edges, 9)[-2:] == [
        Released(pytest.approx(1.4), pytest.approx(0.1)),
        DoubleTapped(pytest.approx(1.4)),
    ]


@pytest.mark.parametrize(
    "edges",
    [
        pytest.param(tap(1.0) + tap(1.01 + DOUBLE_TAP_S), id="downs too far apart"),
        pytest.param(tap(1.0, TAP_S) + tap(1.35), id="the first is no tap"),
        pytest.param(tap(1.0) + tap(1.3, TAP_S + 0.01), id="the second is no tap"),
        pytest.param(tap(1.0), id="one tap"),
    ],
)
def test_other_pairs_of_presses_are_no_double_tap(edges: list[Edge]):
    assert not any(isinstance(g, DoubleTapped) for g in play(edges, 9))


def test_a_third_tap_is_not_a_second_double_tap_but_a_fourth_is():
    four = [edge for n in range(4) for edge in tap(1.0 + 0.2 * n)]
    three = four[:6]
    assert [g for g in play(three, 9) if isinstance(g, DoubleTapped)] == [DoubleTapped(pytest.approx(1.3))]
    assert len([g for g in play(four, 9) if isinstance(g, DoubleTapped)]) == 2


def test_a_long_press_is_told_once_while_the_button_is_down():
    assert play([(1.0, True), (60.0, False)], 99) == [
        Pressed(1.0),
        LongPressed(1.0 + LONG_PRESS_S),
        Released(60.0, 59.0),
    ]


def test_a_button_held_down_at_start_up_gives_nothing_until_it_was_released_once():
    # The driver keeps quiet about a button that is down when it starts: the first edge is the release.
    edges = [(5.0, False), (5.003, True), (5.006, False), (8.0, True), (9.0, False)]
    assert play(edges, 9.5) == [Pressed(8.0), Released(9.0, 1.0)]


def test_a_leaned_on_button_asks_for_no_more_ticks_after_its_long_press():
    gestures = Gestures(DEBOUNCE_MS)
    gestures.edge(True, 0.0)
    gestures.tick(LONG_PRESS_S)
    assert gestures.deadline_s is None
    assert gestures.pressed


def test_an_idle_button_asks_for_no_tick():
    assert Gestures(DEBOUNCE_MS).deadline_s is None


# --- properties ---

# Multiples of 1/1024 s are exact in binary, so sums and differences of times are too.
gap_s = st.integers(0, 3072).map(lambda n: n / 1024)
edge_lists = st.lists(st.tuples(gap_s, st.booleans()), max_size=40).map(
    lambda steps: list(
        zip(itertools.accumulate(gap for gap, _ in steps), (level for _, level in steps), strict=True)
    )
)


@given(edge_lists, st.sampled_from([0, 5, 30, 200]))
def test_presses_and_releases_strictly_alternate_and_time_never_runs_backwards(edges, debounce_ms):
    heard = play(edges, 999, debounce_ms)
    changes = [g for g in heard if isinstance(g, Pressed | Released)]
    assert all(isinstance(g, Pressed) == (n % 2 == 0) for n, g in enumerate(changes))
    assert [g.t_s for g in changes] == sorted(g.t_s for g in changes)


@given(edge_lists, st.sampled_from([0, 5, 30, 200]))
def test_the_last_report_agrees_with_the_level_in_the_end(edges, debounce_ms):
    changes = [g for g in play(edges, 999, debounce_ms) if isinstance(g, Pressed | Released)]
    down = bool(changes) and isinstance(changes[-1], Pressed)
    assert down == (bool(edges) and edges[-1][1])


@given(
    edge_lists, st.lists(st.floats(min_value=0, max_value=200), max_size=20), st.sampled_from([0, 30, 200])
)
def test_gestures_do_not_depend_on_when_the_ticks_come(edges, extra_ticks, debounce_ms):
    punctual = play(edges, 999, debounce_ms)
    gestures, late = Gestures(debounce_ms), []
    moments = [(t, level) for t, level in edges] + [(t, None) for t in extra_ticks]
    for t_s, level in sorted(moments, key=lambda m: m[0]):
        late += gestures.tick(t_s) if level is None else gestures.edge(level, t_s)
    late += gestures.tick(999)
    assert late == punctual


@st.composite
def bounces(draw: st.DrawFn, start_s: float, level: bool) -> list[Edge]:
    """An edge to `level` at `start_s` whose contacts bounce for 1 to 20 ms."""
    bounce_s = draw(st.floats(min_value=0.001, max_value=0.020))
    times = sorted(draw(st.lists(st.floats(min_value=0, max_value=1), max_size=5)))
    edges = [(start_s, level)]
    for at in times:
        edges += [(start_s + bounce_s * at, not level), (start_s + bounce_s * at, level)]
    return edges


@st.composite
def bouncing_press(draw: st.DrawFn) -> tuple[float, list[Edge]]:
    held_s = draw(st.floats(min_value=0.021, max_value=1.9))
    return held_s, draw(bounces(1.0, level=True)) + draw(bounces(1.0 + held_s, level=False))


@given(bouncing_press())
def test_a_bouncing_press_is_exactly_one_press_and_one_release(case):
    held_s, edges = case
    heard = play(edges, 9)
    assert [type(g) for g in heard] == [Pressed, Released]
    assert heard[0].t_s == 1.0
    # Between the first and the last contact of the release, 20 ms at most.
    assert held_s <= heard[1].held_s + 1e-9
    assert heard[1].held_s <= held_s + 0.0201


@given(
    st.floats(min_value=0.0, max_value=0.4), st.floats(min_value=0.0, max_value=0.4), st.floats(0.001, 0.5)
)
def test_a_double_tap_is_two_taps_with_close_downs_and_nothing_else(held1_s, held2_s, pause_s):
    down2_s = 1.0 + held1_s + pause_s
    heard = play(tap(1.0, held1_s) + tap(down2_s, held2_s), 9, debounce_ms=0)
    presses = [g for g in heard if isinstance(g, Pressed)]
    held = [g.held_s for g in heard if isinstance(g, Released)]
    expected = max(held) < TAP_S and presses[1].t_s - presses[0].t_s < DOUBLE_TAP_S
    assert any(isinstance(g, DoubleTapped) for g in heard) == expected


@given(edge_lists)
def test_a_long_press_comes_exactly_for_presses_of_two_seconds(edges):
    heard = play(edges, 999, debounce_ms=0)
    changes = [g for g in heard if isinstance(g, Pressed | Released)] + [Released(999, 0)]
    presses = [(p.t_s, r.t_s) for p, r in itertools.pairwise(changes) if isinstance(p, Pressed)]
    # A release at exactly two seconds comes after the tick of the same moment.
    expected = [
        LongPressed(down_s + LONG_PRESS_S) for down_s, up_s in presses if up_s - down_s >= LONG_PRESS_S
    ]
    assert [g for g in heard if isinstance(g, LongPressed)] == expected
