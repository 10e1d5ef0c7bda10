"""What a sign looks like, on every kind of lamp and at every hour."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekiosk.panel import lamp
from voicekiosk.panel.lamp import PATTERNS, PLAIN_THRESHOLD, Look, Pattern, Sign, Step

SIGNS = list(Sign)
RHYTHMIC = [sign for sign in Sign if not PATTERNS[sign].steady]


def plain_rhythm(pattern: Pattern) -> tuple[tuple[bool, int], ...]:
    """What a plain LED shows in one period: (on, milliseconds), neighbours of the same light merged."""
    merged = [
        (lit, sum(step.duration_ms for step in steps))
        for lit, steps in itertools.groupby(pattern.steps, key=lambda step: step.level >= PLAIN_THRESHOLD)
    ]
    return tuple(merged)


def look_alike(one: Pattern, other: Pattern) -> bool:
    """Whether a person could take one for the other: as many flashes, and no phase 1.8 times the other's."""
    a, b = plain_rhythm(one), plain_rhythm(other)
    if len(a) != len(b):
        return False
    if len(a) == 1:
        return a[0][0] == b[0][0]
    turns = [b[n:] + b[:n] for n in range(0, len(b), 2)]
    return any(
        all(max(x, y) < 1.8 * min(x, y) for (_, x), (_, y) in zip(a, turn, strict=True)) for turn in turns
    )


def test_every_sign_has_a_pattern():
    assert set(PATTERNS) == set(Sign)


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(SIGNS, 2)))
def test_no_two_signs_look_alike_on_a_plain_led(one: Sign, other: Sign):
    if {one, other} == {Sign.IDLE, Sign.OFF}:
        # The one pair: a lamp without wake-ups that is not "microphone live" can only be dark.
        assert look_alike(PATTERNS[one], PATTERNS[other])
    else:
        assert not look_alike(PATTERNS[one], PATTERNS[other])


def test_only_the_live_microphone_is_steadily_lit():
    lit = [sign for sign in Sign if plain_rhythm(PATTERNS[sign]) == ((True, 0),)]
    assert lit == [Sign.MICROPHONE_LIVE]


def test_idle_and_microphone_live_never_wake_the_event_loop():
    for sign in (Sign.IDLE, Sign.MICROPHONE_LIVE, Sign.OFF):
        assert lamp.look(lamp.pattern(sign), 12.0)[1] is None


def test_only_thinking_breathes():
    assert [sign for sign in Sign if PATTERNS[sign].breathes] == [Sign.THINKING]


@pytest.mark.parametrize("sign", RHYTHMIC)
def test_no_sign_flashes_more_than_three_times_in_a_second(sign: Sign):
    flashes, at_ms = [], 0
    for _ in range(20):
        for step in PATTERNS[sign].steps:
            if step.level >= PLAIN_THRESHOLD:
                flashes.append(at_ms)
            at_ms += step.duration_ms
    assert all(later - first >= 1000 for first, later in zip(flashes, flashes[3:], strict=False))


@pytest.mark.parametrize("sign", RHYTHMIC)
@pytest.mark.parametrize("lit", [True, False])
def test_a_new_sign_can_be_entered_where_a_plain_lamp_changes_at_once(sign: Sign, lit: bool):
    shown, _ = lamp.look(PATTERNS[sign], PATTERNS[sign].entry_s(lit), dimmable=False)
    assert (shown.level >= PLAIN_THRESHOLD) != lit


def test_a_steady_sign_is_entered_at_its_start():
    assert PATTERNS[Sign.MICROPHONE_LIVE].entry_s(lit=True) == 0
    assert PATTERNS[Sign.MICROPHONE_LIVE].entry_s(lit=False) == 0


def test_a_blink_is_on_then_off_and_tells_when_it_changes():
    blink = Pattern((Step(1.0, 250), Step(0.0, 750)), (1, 0, 0), "")
    assert lamp.look(blink, 0.0) == (Look(1.0, (1, 0, 0)), pytest.approx(0.25))
    assert lamp.look(blink, 0.125) == (Look(1.0, (1, 0, 0)), pytest.approx(0.125))
    assert lamp.look(blink, 0.25) == (Look(0.0, (1, 0, 0)), pytest.approx(0.75))
    assert lamp.look(blink, 1.0)[0] == Look(1.0, (1, 0, 0))


def test_thinking_swells_on_a_lamp_that_dims_and_blinks_on_one_that_does_not():
    thinking = PATTERNS[Sign.THINKING]
    swelling = [lamp.look(thinking, n / 20)[0].level for n in range(20)]
    assert swelling[0] == pytest.approx(1)
    assert swelling[10] == pytest.approx(0)
    assert len({round(level, 3) for level in swelling}) > 8
    assert lamp.look(thinking, 0.0, dimmable=False) == (Look(1.0, thinking.rgb), pytest.approx(0.5))


@given(st.sampled_from(RHYTHMIC), st.floats(0, 1e6), st.booleans())
def test_the_look_stays_until_the_next_change_which_always_comes(sign, t_s, dimmable):
    pattern = PATTERNS[sign]
    shown, next_s = lamp.look(pattern, t_s, dimmable=dimmable)
    assert 0 < next_s <= pattern.period_s
    # Closer than a microsecond to a change, adding to a time of days is rounding.
    if next_s > 1e-6 and not (pattern.breathes and dimmable):
        assert lamp.look(pattern, t_s + next_s * 0.99, dimmable=dimmable)[0] == shown


@given(st.sampled_from(SIGNS), st.floats(0, 1000), st.booleans())
def test_levels_and_colours_stay_between_dark_and_full(sign, t_s, dimmable):
    shown, _ = lamp.look(PATTERNS[sign], t_s, dimmable=dimmable)
    assert all(0 <= value <= 1 for value in (shown.level, *shown.rgb, *lamp.duties(shown)))


@given(st.sampled_from(sorted(lamp.MICROPHONE_SIGNS)), st.floats(0, 1), st.floats(0, 100))
def test_no_brightness_puts_the_microphone_sign_out(sign, brightness, t_s):
    shown = lamp.dimmed(lamp.look(PATTERNS[sign], t_s)[0], sign, brightness)
    assert lamp.duty(shown.level) > 0.009
    assert max(lamp.duties(shown)) > 0.009


def test_the_microphone_sign_is_lit_on_a_plain_led_at_brightness_zero():
    assert lamp.is_lit(Look(1.0), Sign.MICROPHONE_LIVE, 0.0)
    assert not lamp.is_lit(Look(1.0), Sign.SPEAKING, 0.0)


def test_brightness_scales_what_is_shown():
    assert lamp.dimmed(Look(1.0), Sign.SPEAKING, 0.5).level == pytest.approx(0.5)
    assert lamp.dimmed(Look(1.0), Sign.MICROPHONE_LIVE, 0.5).level == pytest.approx(0.5)


def test_a_plain_led_is_on_from_half_level():
    assert lamp.is_lit(Look(0.5), Sign.SPEAKING, 0.1)
    assert not lamp.is_lit(Look(0.49), Sign.MICROPHONE_LIVE, 1.0)


def test_colour_is_scaled_by_the_level_as_the_eye_sees_it():
    assert lamp.duties(Look(0.5, (1.0, 0.5, 0.0))) == (0.25, 0.125, 0.0)


@pytest.mark.parametrize(
    ("night_from", "night_to", "minute", "night"),
    [
        ("22:00", "06:30", 22 * 60, True),
        ("22:00", "06:30", 0, True),
        ("22:00", "06:30", 6 * 60 + 29, True),
        ("22:00", "06:30", 6 * 60 + 30, False),
        ("22:00", "06:30", 12 * 60, False),
        ("01:00", "05:00", 3 * 60, True),
        ("01:00", "05:00", 0, False),
        ("01:00", "05:00", 5 * 60, False),
        ("", "", 3 * 60, False),
        ("22:00", "", 23 * 60, False),
        ("22:00", "22:00", 22 * 60, False),
    ],
)
def test_the_night_may_span_midnight(night_from: str, night_to: str, minute: int, night: bool):
    assert lamp.is_night(night_from, night_to, minute) == night
