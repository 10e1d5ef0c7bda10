"""Signs over time, and what they cost."""

import pytest

from voicekiosk.config import schema
from voicekiosk.panel import lamp
from voicekiosk.panel.lamp import Look, Sign
from voicekiosk.panel.player import ACKNOWLEDGE_S, NIGHT_CHECK_S, Player


class Recorder:
    def __init__(self, loop, settings=None, *, dimmable=False, minute=12 * 60):
        self.loop = loop
        self.minute = minute
        self.looks: list[tuple[float, Look]] = []
        self.player = Player(
            lambda look: self.looks.append((round(loop.time() - 1000, 2), look)),
            settings or schema.Lamp(),
            loop,
            dimmable=dimmable,
            minute=lambda: self.minute,
        )

    def changes(self) -> list[tuple[float, int]]:
        return [(t_s, int(look.level)) for t_s, look in self.looks]


def test_a_blink_is_shown_at_its_times(loop):
    recorder = Recorder(loop)
    recorder.player.show(Sign.OFFLINE)
    loop.pass_time(2.4)
    assert recorder.changes() == [(0, 1), (0.2, 0), (0.4, 1), (0.6, 0), (2.1, 1), (2.3, 0)]


@pytest.mark.parametrize("sign", [Sign.IDLE, Sign.MICROPHONE_LIVE, Sign.OFF])
@pytest.mark.parametrize("dimmable", [True, False])
def test_a_steady_sign_sets_no_timer(loop, sign, dimmable):
    recorder = Recorder(loop, dimmable=dimmable)
    recorder.player.show(Sign.CONNECTING)
    recorder.player.show(sign)
    before = recorder.player.wakeups
    loop.pass_time(86400)
    assert recorder.player.wakeups == before
    assert len(recorder.looks) <= 2


def test_a_rhythm_wakes_the_loop_only_for_its_changes(loop):
    recorder = Recorder(loop)
    recorder.player.show(Sign.MUTED)
    loop.pass_time(23.1)
    assert recorder.player.wakeups == 20


def test_breathing_makes_twenty_steps_a_second_and_only_on_a_lamp_that_dims(loop):
    breathing, blinking = Recorder(loop, dimmable=True), Recorder(loop)
    for recorder in (breathing, blinking):
        recorder.player.show(Sign.THINKING)
    loop.pass_time(10)
    assert 180 <= breathing.player.wakeups <= 201
    assert blinking.player.wakeups == 20


def test_the_rhythm_does_not_drift_when_timers_are_late(loop):
    recorder = Recorder(loop)
    recorder.player.show(Sign.SPEAKING)
    for _ in range(100):
        loop.pass_time(0.97)
        loop.now_s += 0.03  # nobody looks at the timers for a while
        loop.turn()
    loop.pass_time(2)
    assert recorder.looks[-1][0] == pytest.approx(round(recorder.looks[-1][0]), abs=0.03)


def test_showing_the_same_sign_again_leaves_the_rhythm_alone(loop):
    recorder = Recorder(loop)
    recorder.player.show(Sign.SPEAKING)
    loop.pass_time(0.9)
    recorder.player.show(Sign.SPEAKING)
    loop.pass_time(0.2)
    assert recorder.changes() == [(0, 1), (1.0, 0)]


@pytest.mark.parametrize("sign", [s for s in Sign if not lamp.pattern(s).steady])
@pytest.mark.parametrize("before", [Sign.MICROPHONE_LIVE, Sign.IDLE])
def test_every_new_rhythm_changes_a_plain_lamp_at_once(loop, before, sign):
    recorder = Recorder(loop)
    recorder.player.show(before)
    loop.pass_time(0.3)
    looks = len(recorder.looks)
    recorder.player.show(sign)
    assert len(recorder.looks) == looks + 1


@pytest.mark.parametrize("sign", [s for s in Sign if s not in lamp.MICROPHONE_SIGNS])
@pytest.mark.parametrize("dimmable", [True, False])
def test_acknowledging_changes_the_lamp_at_once_and_then_the_rhythm_goes_on_undisturbed(loop, sign, dimmable):
    recorder, undisturbed = Recorder(loop, dimmable=dimmable), Recorder(loop, dimmable=dimmable)
    for one in (recorder, undisturbed):
        one.player.show(sign)
    loop.pass_time(0.05)
    before = recorder.player.shown
    recorder.player.acknowledge()
    assert abs(recorder.player.shown.level - before.level) > 0.3
    for _ in range(20):
        loop.pass_time(0.17)
        assert recorder.player.shown.level == pytest.approx(undisturbed.player.shown.level, abs=0.2)


def test_a_microphone_sign_is_not_interrupted(loop):
    recorder = Recorder(loop)
    recorder.player.show(Sign.MICROPHONE_LIVE)
    recorder.player.acknowledge()
    loop.pass_time(1)
    assert recorder.changes() == [(0, 1)]


def test_acknowledging_a_steady_sign_takes_two_wake_ups_at_most(loop):
    recorder = Recorder(loop)
    recorder.player.show(Sign.IDLE)
    recorder.player.acknowledge()
    loop.pass_time(60)
    assert recorder.changes() == [(0, 1), (pytest.approx(ACKNOWLEDGE_S, abs=0.011), 0)]
    assert recorder.player.wakeups <= 2


NIGHT = schema.Lamp(night_from="22:00", night_to="06:00", night_brightness=20)


def test_at_night_a_lamp_that_dims_is_dimmed_and_the_microphone_sign_less_so(loop):
    recorder = Recorder(loop, NIGHT, dimmable=True, minute=23 * 60)
    recorder.player.show(Sign.CONFIRMING)
    assert recorder.player.shown.level == pytest.approx(0.2)
    recorder.player.show(Sign.MICROPHONE_LIVE)
    assert recorder.player.shown.level == pytest.approx(lamp.MICROPHONE_FLOOR)


def test_the_night_is_noticed_while_the_sign_is_steady(loop):
    recorder = Recorder(loop, NIGHT, dimmable=True, minute=21 * 60)
    recorder.player.show(Sign.IDLE)
    day = recorder.player.shown.level
    recorder.minute = 22 * 60
    loop.pass_time(NIGHT_CHECK_S + 1)
    assert recorder.player.shown.level == pytest.approx(day * 0.2)


def test_night_hours_cost_four_wake_ups_an_hour(loop):
    recorder = Recorder(loop, NIGHT, dimmable=True)
    recorder.player.show(Sign.IDLE)
    loop.pass_time(3601)
    assert recorder.player.wakeups == 4


def test_a_plain_lamp_is_dark_at_brightness_zero_but_for_the_microphone(loop):
    recorder = Recorder(loop, schema.Lamp(brightness=0))
    recorder.player.show(Sign.CONFIRMING)
    loop.pass_time(1)
    assert recorder.looks == []
    recorder.player.show(Sign.MICROPHONE_LIVE)
    assert recorder.player.shown.level == 1


def test_closing_puts_the_lamp_out_and_stops_the_timer(loop):
    recorder = Recorder(loop, dimmable=True)
    recorder.player.show(Sign.THINKING)
    loop.pass_time(0.2)
    recorder.player.close()
    recorder.player.close()
    wakeups = recorder.player.wakeups
    loop.pass_time(10)
    assert recorder.player.shown.level == 0
    assert recorder.player.wakeups == wakeups
