"""Louder and quieter from edges: bounce gives no steps, the direction is right, holding repeats."""

from hypothesis import given
from hypothesis import strategies as st

from voicekiosk.panel.volume import GATHER_S, REPEAT_AFTER_S, REPEAT_AT_MOST_S, REPEAT_S, Volume

LOUDER = [("encoder_a", True), ("encoder_b", True), ("encoder_a", False), ("encoder_b", False)]
QUIETER = [("encoder_b", True), ("encoder_a", True), ("encoder_b", False), ("encoder_a", False)]


def run(volume, edges, until_s):
    """Give the edges and every tick on the way."""
    steps = 0
    for name, pressed, t_s in edges:
        while volume.deadline_s <= t_s:
            steps += volume.tick(volume.deadline_s)
        steps += volume.edge(name, pressed, t_s)
    while volume.deadline_s <= until_s:
        steps += volume.tick(volume.deadline_s)
    return steps


bounces = st.lists(st.integers(0, 3), min_size=4, max_size=4)
turns = st.lists(st.tuples(st.booleans(), bounces), max_size=12)


def bouncing(turns):
    """Give each contact's edges: every change bounces an even number of times more."""
    t_s, edges = 0.0, []
    for louder, bounce in turns:
        for (name, level), times in zip(LOUDER if louder else QUIETER, bounce, strict=True):
            for flip in [level] + [not level, level] * times:
                t_s += 0.0004
                edges.append((name, flip, t_s))
            t_s += 0.002
    return edges, t_s


@given(turns)
def test_each_click_is_one_step_in_its_direction_however_it_bounces(turns):
    edges, end_s = bouncing(turns)
    wanted = sum(1 if louder else -1 for louder, _ in turns)
    assert run(Volume(30), edges, end_s + 1) == wanted


@given(turns, st.randoms(use_true_random=False))
def test_the_two_pins_may_be_told_one_after_the_other(turns, random):
    edges, end_s = bouncing(turns)
    volume = Volume(30)
    # What the kernel has for both pins is read pin by pin, up to some milliseconds late.
    late, steps, held = [], 0, []
    for edge in edges:
        held.append(edge)
        if random.random() < 0.3 or edge[2] - held[0][2] > GATHER_S / 2:
            random.shuffle(names := ["encoder_a", "encoder_b"])
            late += [edge for name in names for edge in held if edge[0] == name]
            held = []
    for name, pressed, t_s in late + held:
        steps += volume.edge(name, pressed, t_s)
        steps += volume.tick(t_s)
    steps += volume.tick(end_s + 1)
    assert steps == sum(1 if louder else -1 for louder, _ in turns)


@given(st.lists(st.tuples(st.sampled_from(["encoder_a", "encoder_b"]), st.booleans()), max_size=60))
def test_whatever_comes_there_is_at_most_a_step_for_each_cycle_of_four(flips):
    edges = [(name, level, 0.001 * number) for number, (name, level) in enumerate(flips)]
    assert abs(run(Volume(30), edges, 10)) <= len(flips) / 4


def test_half_a_click_and_back_is_nothing():
    edges = [*LOUDER[:2], *[(name, not level) for name, level in reversed(LOUDER[:2])]]
    assert run(Volume(30), [(*edge, 0.01 * number) for number, edge in enumerate(edges)], 10) == 0


def test_a_contact_that_says_what_it_said_is_no_movement():
    assert run(Volume(30), [("encoder_a", False, 0.0), ("encoder_b", False, 0.1)], 10) == 0


def test_a_press_is_a_step_and_a_bounce_none():
    volume = Volume(30)
    edges = [("louder", True, 1.0), ("louder", False, 1.001), ("louder", True, 1.002), ("louder", False, 1.2)]
    assert run(volume, edges, 10) == 1
    assert (
        run(volume, [(name.replace("louder", "quieter"), down, t_s + 10) for name, down, t_s in edges], 20)
        == -1
    )
    assert volume.deadline_s == float("inf")


@given(st.floats(0.05, 5.0))
def test_a_button_that_is_held_steps_again_and_again_until_it_is_let_go(held_s):
    volume = Volume(30)
    steps = run(volume, [("quieter", True, 1.0), ("quieter", False, 1.0 + held_s)], 20)
    repeated = 0
    while REPEAT_AFTER_S + repeated * REPEAT_S <= held_s - 1e-9:
        repeated += 1
    assert steps in (-1 - repeated, -2 - repeated)  # the last one may fall on the release itself
    assert volume.deadline_s == float("inf")


def test_the_loop_may_be_late_for_all_of_it():
    volume = Volume(30)
    steps = volume.edge("louder", True, 1.0) + volume.edge("louder", False, 1.0 + REPEAT_AFTER_S + 0.1)
    assert steps == 2
    assert volume.tick(100.0) == 0


def test_a_stuck_button_gives_up():
    volume = Volume(30)
    volume.edge("louder", True, 1.0)
    assert volume.tick(1000.0) == int((REPEAT_AT_MOST_S - REPEAT_AFTER_S) / REPEAT_S) + 1
    assert volume.deadline_s == float("inf")


def test_a_tap_within_the_dead_time_does_not_go_on():
    volume = Volume(30)
    assert volume.edge("louder", True, 1.0) == 1
    assert volume.edge("louder", False, 1.01) == 0
    assert run(volume, [], 10) == 0
