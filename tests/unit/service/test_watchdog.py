import logging

import pytest

from voicekiosk.service.notify import Notifier
from voicekiosk.service.watchdog import STALE_AFTER_S, Watchdog, stuck_parts


class FakeLoop:
    """Timers that fire when they are told to."""

    def __init__(self):
        self.timers = []

    def call_later(self, delay_s, callback, *args):
        timer = Timer(delay_s, callback, args)
        self.timers.append(timer)
        return timer

    def turn(self):
        due, self.timers = self.timers, []
        for timer in due:
            if not timer.cancelled:
                timer.callback(*timer.args)


class Timer:
    def __init__(self, delay_s, callback, args):
        self.delay_s, self.callback, self.args, self.cancelled = delay_s, callback, args, False

    def cancel(self):
        self.cancelled = True


@pytest.fixture
def fed():
    return []


@pytest.fixture
def loop():
    return FakeLoop()


def test_a_part_that_makes_progress_is_not_stuck():
    assert stuck_parts({"capture": 0.02, "playback": STALE_AFTER_S}) == ()


def test_a_part_without_progress_is_stuck():
    assert stuck_parts({"capture": STALE_AFTER_S + 0.1, "playback": 0.0}) == ("capture",)


def test_a_part_that_has_nothing_to_do_is_never_stuck():
    assert stuck_parts({"capture": None}) == ()


def test_feeds_at_once_and_then_at_each_interval(fed, loop):
    watchdog = Watchdog(Notifier(fed.append, 5.0), lambda now_s: {}, clock=lambda: 0.0)
    watchdog.start(loop)
    assert fed == ["WATCHDOG=1"]
    assert [timer.delay_s for timer in loop.timers] == [5.0]
    loop.turn()
    assert fed == ["WATCHDOG=1"] * 2


def test_makes_no_timer_without_a_watchdog(fed, loop):
    Watchdog(Notifier(fed.append, None), lambda now_s: {}).start(loop)
    assert loop.timers == []
    assert fed == []


def test_does_not_feed_while_a_part_is_stuck_and_says_so_once(fed, loop, caplog):
    ages_s = {"capture": 9.0, "playback": None}
    watchdog = Watchdog(Notifier(fed.append, 5.0), lambda now_s: ages_s, clock=lambda: 0.0)
    with caplog.at_level(logging.INFO):
        watchdog.start(loop)
        loop.turn()
    assert fed == []
    assert watchdog.stuck == ("capture",)
    assert [record.getMessage() for record in caplog.records] == [
        "capture makes no progress; systemd will restart the service"
    ]


def test_feeds_again_when_the_part_goes_on(fed, loop, caplog):
    ages_s = {"capture": 9.0}
    watchdog = Watchdog(Notifier(fed.append, 5.0), lambda now_s: ages_s, clock=lambda: 0.0)
    watchdog.start(loop)
    ages_s["capture"] = 0.1
    with caplog.at_level(logging.INFO):
        loop.turn()
    assert fed == ["WATCHDOG=1"]
    assert "capture makes progress again" in caplog.text


def test_a_failing_check_keeps_the_timer_so_that_one_fault_is_not_final(fed, loop):
    calls = []

    def ages_s(now_s):
        calls.append(now_s)
        if len(calls) == 1:
            raise RuntimeError("a bug in a part's statistics")
        return {}

    watchdog = Watchdog(Notifier(fed.append, 5.0), ages_s, clock=lambda: 0.0)
    with pytest.raises(RuntimeError):
        watchdog.start(loop)
    assert fed == []
    loop.turn()
    assert fed == ["WATCHDOG=1"]


def test_passes_the_clock_to_the_parts(fed, loop):
    seen = []

    def ages_s(now_s):
        seen.append(now_s)
        return {}

    Watchdog(Notifier(fed.append, 5.0), ages_s, clock=lambda: 42.0).start(loop)
    assert seen == [42.0]


def test_stops(fed, loop):
    watchdog = Watchdog(Notifier(fed.append, 5.0), lambda now_s: {}, clock=lambda: 0.0)
    watchdog.start(loop)
    watchdog.stop()
    watchdog.stop()
    loop.turn()
    assert fed == ["WATCHDOG=1"]
