"""The microphone's whole life on a fake card: the ring holds what the card heard, when it heard it."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from tests.rigs.fake_alsa import Card, World, voice

from voicekiosk.audio.capture import Capture
from voicekiosk.audio.events import (
    MicrophoneClosed,
    MicrophoneHeard,
    MicrophoneLost,
    MicrophoneOpened,
    MicrophoneOverrun,
    MicrophoneSilent,
)
from voicekiosk.audio.ring import Reader
from voicekiosk.config import schema

RATE_HZ = 48000


@dataclass
class Desk:
    """A microphone, its world, and what it said when."""

    card: Card
    settings: schema.Capture = field(default_factory=schema.Capture)

    def __post_init__(self) -> None:
        self.world = World()
        self.world.cards["default"] = self.card
        self.said: list[tuple[float, object]] = []
        self.wakes = 0
        self.bell = self.world.bell()
        self.capture = Capture(
            self.settings,
            lambda event: self.said.append((round(self.world.now - 1000, 3), event)),
            self.wake,
            self.world.clock,
            bell=self.bell,
            alsa=self.world.alsa(),
            sysfs=Path("/nonexistent"),
        )

    def wake(self) -> None:
        self.wakes += 1

    def run(self, *, open_s: float = 0.0, stop_s: float = 1.0) -> None:
        self.world.at(open_s, self.capture.open)
        self.world.at(stop_s, lambda: self.capture.stop(0))
        self.capture.run()

    def heard(self) -> np.ndarray:
        assert self.capture.stream is not None
        return self.capture.stream.ring.reader(0).read().samples

    def kinds(self) -> list[type]:
        return [type(event) for _, event in self.said]

    def events(self, kind: type) -> list[tuple[float, object]]:
        return [(t, event) for t, event in self.said if isinstance(event, kind)]

    def assert_true_to_the_clock(self, *, start_s: float = 0.0, rate_hz: int = RATE_HZ) -> np.ndarray:
        """Check that each frame is what was heard at its time, or silence; return where it is silence."""
        heard = self.heard()
        expected = voice(round((1000 + start_s) * rate_hz) + np.arange(len(heard)))
        silent = heard == 0
        np.testing.assert_array_equal(heard[~silent], expected[~silent])
        return silent


def test_what_the_card_hears_is_in_the_ring_frame_by_frame() -> None:
    desk = Desk(Card())
    desk.run(stop_s=1.0)
    silent = desk.assert_true_to_the_clock()
    assert len(silent) == RATE_HZ
    assert silent.sum() < 10


@pytest.mark.parametrize("sample_format", ["S16_LE", "S32_LE", "S24_3LE"])
@pytest.mark.parametrize(("channels", "channel"), [([1], "mix"), ([2], 0), ([6], 0)])
def test_every_format_and_the_chosen_channel_arrive_as_mono(
    sample_format: str, channels: list[int], channel: int
) -> None:
    desk = Desk(Card(formats=[sample_format], channels=channels), schema.Capture(channel=channel))
    desk.run(stop_s=0.2)
    assert desk.assert_true_to_the_clock().sum() < 5
    assert len(desk.heard()) > 0


def test_the_rate_is_the_card_s() -> None:
    desk = Desk(Card(rates=[44100]))
    desk.run()
    assert desk.capture.stream is not None
    assert desk.capture.stream.rate_hz == 44100
    desk.assert_true_to_the_clock(rate_hz=44100)


def test_a_closed_microphone_never_wakes_up() -> None:
    desk = Desk(Card())
    desk.world.at(3600, lambda: desk.capture.stop(0))
    desk.capture.run()
    assert desk.bell.wakeups == 1
    assert desk.card.opened == []
    assert desk.said == []


def test_an_open_microphone_wakes_up_once_a_period() -> None:
    desk = Desk(Card())
    desk.run(stop_s=10)
    assert 500 <= desk.bell.wakeups <= 505


def test_an_open_microphone_that_nobody_listens_to_wakes_up_a_few_times_a_second() -> None:
    desk = Desk(Card())
    desk.capture.set_live(False)
    desk.run(stop_s=10)
    # Each time it sleeps without the card, and then looks once whether the card is well.
    assert desk.bell.wakeups <= 2 * 115
    assert desk.capture.statistics().overruns == 0
    silent = desk.assert_true_to_the_clock()
    assert silent.mean() < 1e-4
    assert len(silent) >= 9.9 * RATE_HZ


def test_what_the_card_holds_is_in_the_ring_as_soon_as_somebody_listens() -> None:
    desk = Desk(Card())
    desk.capture.set_live(False)
    written: list[int] = []
    for at_s in (1.013, 1.027, 1.041, 1.055, 1.069, 1.083):
        desk.world.at(at_s, lambda: desk.capture.set_live(True))
        desk.world.at(at_s + 0.001, lambda: written.append(desk.capture.stream.ring.written))
        desk.world.at(at_s + 0.002, lambda: desk.capture.set_live(False))
    desk.run(stop_s=2)
    for at_s, frames in zip((1.013, 1.027, 1.041, 1.055, 1.069, 1.083), written, strict=True):
        assert frames >= (at_s - 0.02) * RATE_HZ


def test_a_microphone_sleeps_while_its_listener_waits_for_more() -> None:
    desk = Desk(Card())
    readers: list[Reader] = []

    def ask() -> None:
        ring = desk.capture.stream.ring
        readers[:] = readers or [ring.reader()]
        readers[0].wake_at(ring.written + RATE_HZ // 2)

    for at_ms in range(100, 9900, 300):
        desk.world.at(at_ms / 1000, ask)
    desk.run(stop_s=10)
    # Each time it sleeps without the card, and then looks at it.
    assert desk.bell.wakeups <= 2 * 115 + 20
    assert desk.capture.statistics().overruns == 0
    silent = desk.assert_true_to_the_clock()
    assert silent.mean() < 1e-4


def test_a_sleeping_microphone_is_woken_by_a_listener_who_will_not_wait() -> None:
    desk = Desk(Card())
    written: list[int] = []

    def ask(ahead_s: float) -> None:
        ring = desk.capture.stream.ring
        ring.reader().wake_at(ring.written + round(ahead_s * RATE_HZ))

    desk.world.at(0.1, lambda: ask(0.5))
    for at_s in (1.013, 1.027, 1.041, 1.055, 1.069):
        desk.world.at(at_s, lambda: ask(0.4))
        desk.world.at(at_s + 0.004, lambda: ask(0.001))
        desk.world.at(at_s + 0.005, lambda: written.append(desk.capture.stream.ring.written))
    desk.run(stop_s=2)
    for at_s, frames in zip((1.013, 1.027, 1.041, 1.055, 1.069), written, strict=True):
        assert frames >= (at_s + 0.004 - 0.02) * RATE_HZ


def test_a_microphone_that_nobody_listens_to_closes_at_once() -> None:
    desk = Desk(Card())
    desk.capture.set_live(False)
    desk.world.at(1.03, desk.capture.close)
    desk.run(stop_s=2)
    assert desk.events(MicrophoneClosed) == [(1.03, MicrophoneClosed())]


def test_the_card_is_open_only_between_open_and_close() -> None:
    desk = Desk(Card())
    desk.world.at(0.5, lambda: desk.said.append((0.5, desk.card.handle.closed)))
    desk.world.at(1.0, desk.capture.close)
    desk.world.at(1.5, lambda: desk.said.append((1.5, desk.card.handle.closed)))
    desk.run(stop_s=2)
    assert [event for _, event in desk.said if isinstance(event, bool)] == [False, True]
    assert desk.events(MicrophoneClosed) == [(1.0, MicrophoneClosed())]


def test_opened_again_it_goes_on_in_the_same_ring_without_a_gap() -> None:
    desk = Desk(Card())
    desk.world.at(1.0, desk.capture.close)
    desk.world.at(5.0, desk.capture.open)
    desk.run(stop_s=6)
    first, second = (event.stream for _, event in desk.events(MicrophoneOpened))
    assert first.ring is second.ring
    assert second.ring.written == pytest.approx(2 * RATE_HZ, abs=2 * 960)
    # Where the second opening begins in the ring, and no moment before it is mapped into the first.
    begin = desk.capture.frame_at(1005.0)
    assert begin == desk.capture.frame_at(1003.0)
    np.testing.assert_array_equal(desk.heard()[begin : begin + 100], voice(1005 * RATE_HZ + np.arange(100)))


def test_closing_and_opening_in_one_breath_keeps_the_card_open() -> None:
    desk = Desk(Card())
    desk.world.at(0.5, lambda: (desk.capture.close(), desk.capture.open()))
    desk.run()
    assert len(desk.card.opened) == 1
    assert desk.kinds() == [MicrophoneOpened, MicrophoneClosed]


@pytest.mark.parametrize("burst_frames", [1, 48, 960])
def test_a_moment_is_found_in_the_ring_to_within_a_few_milliseconds(burst_frames: int) -> None:
    desk = Desk(Card(burst_frames=burst_frames))
    asked: list[tuple[float, int]] = []
    for t_s in (0.013, 0.1, 0.777, 2.501):
        desk.world.at(t_s, lambda t_s=t_s: asked.append((t_s, desk.capture.frame_at(1000 + t_s))))
    desk.run(stop_s=3)
    for t_s, frame in asked:
        assert frame == pytest.approx(t_s * RATE_HZ, abs=0.003 * RATE_HZ)


def test_a_moment_is_found_even_while_the_thread_is_kept_waiting() -> None:
    desk = Desk(Card())
    asked: list[int] = []
    desk.world.lag(1.0, 0.15)
    desk.world.at(1.001, lambda: asked.append(desk.capture.frame_at(1001.1)))
    desk.run(stop_s=2)
    assert asked == [pytest.approx(1.1 * RATE_HZ, abs=5)]
    assert desk.assert_true_to_the_clock().sum() < 20


def test_an_overrun_is_counted_and_its_time_is_silence() -> None:
    desk = Desk(Card())
    desk.world.lag(1.0, 0.5)
    desk.run(stop_s=3)
    silent = desk.assert_true_to_the_clock()
    ((_, overrun),) = desk.events(MicrophoneOverrun)
    assert overrun == MicrophoneOverrun(pytest.approx(0.52 * RATE_HZ, abs=960))
    assert silent.sum() == pytest.approx(0.52 * RATE_HZ, abs=960)
    assert desk.capture.statistics().overruns == 1
    assert desk.capture.statistics().filled_frames == overrun.frames
    assert desk.kinds() == [MicrophoneOpened, MicrophoneOverrun, MicrophoneClosed]


def test_a_process_that_stood_still_for_longer_than_a_card_may_does_not_blame_the_card() -> None:
    desk = Desk(Card())
    desk.world.lag(1.0, 1.5)
    desk.run(stop_s=4)
    assert desk.kinds() == [MicrophoneOpened, MicrophoneOverrun, MicrophoneClosed]
    desk.assert_true_to_the_clock()


def test_sound_lost_without_a_word_is_noticed_by_the_clock_and_is_silence() -> None:
    """As PulseAudio's plug-in does: no -32, the frames are simply not there."""
    desk = Desk(Card())

    def lose() -> None:
        desk.card.handle._first_frame += RATE_HZ
        desk.world.now += 1.0
        desk.card.handle._started_s += 1.0

    desk.world.at(1.0, lose)
    desk.run(stop_s=4)
    ((_, overrun),) = desk.events(MicrophoneOverrun)
    assert overrun == MicrophoneOverrun(pytest.approx(RATE_HZ, abs=2))
    heard = desk.heard()
    now = desk.capture.frame_at(1003.9)
    np.testing.assert_allclose(now, 3.9 * RATE_HZ, atol=5)
    end = len(heard)
    np.testing.assert_array_equal(heard[end - 960 :], voice(1000 * RATE_HZ + np.arange(end - 960, end)))


def test_a_short_read_loses_nothing() -> None:
    desk = Desk(Card(short_read=312))
    desk.run()
    assert desk.assert_true_to_the_clock().sum() < 10


def test_a_lost_microphone_is_told_and_tried_again_ever_more_slowly() -> None:
    desk = Desk(Card())
    desk.world.at(6.0, lambda: setattr(desk.card, "trouble", "No such device"))
    desk.run(stop_s=30)
    lost = desk.events(MicrophoneLost)
    assert [event.retry_in_s for _, event in lost] == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0, 5.0]
    assert lost[0][0] == pytest.approx(6.0, abs=0.03)
    assert 'microphone "auto" is lost: No such device' in lost[0][1].reason
    assert "cannot be opened: No such device" in lost[1][1].reason
    assert desk.capture.statistics().losses == len(lost)


@pytest.mark.parametrize("text", ["No such device", "Input/output error", "File descriptor in bad state"])
def test_a_microphone_that_comes_back_goes_on_in_the_same_ring_with_silence_between(text: str) -> None:
    desk = Desk(Card())
    desk.world.at(1.0, lambda: setattr(desk.card, "trouble", text))
    desk.world.at(1.5, lambda: setattr(desk.card, "trouble", None))
    desk.run(stop_s=4)
    assert desk.kinds() == [
        MicrophoneOpened,
        MicrophoneLost,
        MicrophoneLost,
        MicrophoneOpened,
        MicrophoneClosed,
    ]
    silent = desk.assert_true_to_the_clock()
    # Lost at 1.0, tried at 1.25 in vain and at 1.75 with success.
    assert silent.sum() == pytest.approx(0.75 * RATE_HZ, abs=0.03 * RATE_HZ)
    assert desk.capture.frame_at(1003.5) == pytest.approx(3.5 * RATE_HZ, abs=5)


def test_hours_without_a_microphone_cost_no_more_than_one_ring_of_silence() -> None:
    desk = Desk(Card())
    desk.world.at(1.0, lambda: setattr(desk.card, "trouble", "No such device"))
    desk.world.at(7200.0, lambda: setattr(desk.card, "trouble", None))
    desk.run(stop_s=7210)
    assert desk.capture.stream is not None
    assert desk.capture.stream.ring.written == pytest.approx(7210 * RATE_HZ, abs=0.05 * RATE_HZ)
    assert desk.capture.frame_at(7206.0 + 1000) == pytest.approx(7206 * RATE_HZ, abs=5)


def test_asking_to_open_again_does_not_wait_for_the_back_off() -> None:
    desk = Desk(Card(trouble="Device or resource busy"))
    desk.world.at(10.0, lambda: setattr(desk.card, "trouble", None))
    desk.world.at(10.0, desk.capture.open)
    desk.run(stop_s=11)
    assert desk.events(MicrophoneOpened)[0][0] == 10.0


def test_closing_does_not_wait_for_the_back_off() -> None:
    desk = Desk(Card(trouble="Device or resource busy"))
    desk.world.at(10.0, desk.capture.close)
    desk.run(stop_s=11)
    assert desk.said[-1] == (10.0, MicrophoneClosed())


def test_a_microphone_that_is_lost_at_once_each_time_is_not_tried_ever_faster() -> None:
    desk = Desk(Card())
    for index in range(2000):
        t_s = index * 0.01
        desk.world.at(t_s, lambda: setattr(desk.card, "trouble", "No such device"))
        desk.world.at(t_s + 0.005, lambda: setattr(desk.card, "trouble", None))
    desk.run(stop_s=20)
    assert len(desk.events(MicrophoneLost)) <= 9


def test_a_card_that_comes_back_at_another_rate_gets_a_ring_of_its_own() -> None:
    desk = Desk(Card(rates=[48000]))
    desk.world.at(1.0, lambda: setattr(desk.card, "trouble", "No such device"))
    desk.world.at(1.1, lambda: setattr(desk.card, "trouble", None))
    desk.world.at(1.1, lambda: setattr(desk.card, "rates", [44100]))
    desk.run(stop_s=3)
    first, second = (event.stream for _, event in desk.events(MicrophoneOpened))
    assert first.ring is not second.ring
    assert second.rate_hz == 44100
    desk.assert_true_to_the_clock(start_s=1.25, rate_hz=44100)


def test_a_stalled_card_is_reopened_after_a_second_without_a_frame() -> None:
    desk = Desk(Card())
    desk.world.at(2.0, lambda: setattr(desk.card, "stalled_at_s", desk.world.now))
    desk.world.at(3.1, lambda: setattr(desk.card, "stalled_at_s", None))
    desk.run(stop_s=5)
    ((t_s, lost),) = desk.events(MicrophoneLost)
    assert t_s == pytest.approx(3.0, abs=0.03)
    assert "has given nothing for 1 s" in lost.reason
    assert len(desk.card.opened) == 2
    assert desk.assert_true_to_the_clock().sum() == pytest.approx(1.25 * RATE_HZ, abs=0.05 * RATE_HZ)


def test_a_microphone_that_gives_one_value_for_five_seconds_is_told_once_and_reopened_once() -> None:
    desk = Desk(Card(hears=lambda n: np.full(len(n), 123, np.int16)))
    desk.run(stop_s=60)
    ((t_s, silent),) = desk.events(MicrophoneSilent)
    assert t_s == pytest.approx(5.0, abs=0.03)
    assert silent == MicrophoneSilent(pytest.approx(5.0))
    assert len(desk.card.opened) == 2


def test_a_silent_microphone_that_gives_a_signal_again_is_told_and_may_fall_silent_anew() -> None:
    desk = Desk(
        Card(hears=lambda n: np.where(n % (20 * RATE_HZ) < 10 * RATE_HZ, 0, voice(n)).astype(np.int16))
    )
    desk.run(stop_s=39)
    kinds = [kind for kind in desk.kinds() if kind in (MicrophoneSilent, MicrophoneHeard)]
    assert kinds == [MicrophoneSilent, MicrophoneHeard, MicrophoneSilent, MicrophoneHeard]


def test_readers_are_woken_when_they_asked_and_not_each_period() -> None:
    desk = Desk(Card())

    def ask() -> None:
        assert desk.capture.stream is not None
        ring = desk.capture.stream.ring
        ring.reader().wake_at(ring.written + RATE_HZ // 2)

    desk.world.at(0.1, ask)
    desk.run(stop_s=5)
    assert desk.wakes == 1


def test_the_watchdog_sees_a_card_that_hangs_as_it_is_opened() -> None:
    desk = Desk(Card())
    ages: list[float | None] = []
    world, alsa = desk.world, desk.world.alsa()
    open_card = alsa.PCM

    def hang(**wish: object) -> object:
        world.pass_time(3.0)
        ages.append(desk.capture.progress_age_s(world.now))
        return open_card(**wish)

    alsa.PCM = hang
    desk.capture._alsa = alsa
    desk.run()
    assert ages == [3.0]


def test_the_watchdog_expects_nothing_of_a_closed_or_waiting_microphone() -> None:
    desk = Desk(Card(trouble="Device or resource busy"))
    ages: list[float | None] = []
    for t_s in (0.5, 12.0):
        desk.world.at(t_s, lambda: ages.append(desk.capture.progress_age_s(desk.world.now)))
    desk.run(open_s=1.0, stop_s=20)
    assert ages == [None, None]
    assert desk.capture.progress_age_s(desk.world.now) is None


def test_the_watchdog_sees_an_open_microphone_make_progress() -> None:
    desk = Desk(Card())
    ages: list[float | None] = []
    desk.world.at(0.5, lambda: ages.append(desk.capture.progress_age_s(desk.world.now)))
    desk.run()
    assert ages == [pytest.approx(0.0, abs=0.021)]


def test_the_watchdog_sees_a_parked_thread_that_does_not_wake() -> None:
    desk = Desk(Card())
    ages: list[float | None] = []

    def frozen() -> None:
        ages.append(desk.capture.progress_age_s(desk.world.now))
        desk.capture.open()
        desk.world.pass_time(3.0)
        # Whoever asks again does not make it look livelier.
        desk.capture.open()
        desk.world.pass_time(3.0)
        ages.append(desk.capture.progress_age_s(desk.world.now))

    desk.world.at(1.0, frozen)
    desk.world.at(7.5, lambda: ages.append(desk.capture.progress_age_s(desk.world.now)))
    desk.run(open_s=100.0, stop_s=8.0)
    assert ages == [None, pytest.approx(6.0), pytest.approx(0.0, abs=0.021)]


def test_the_watchdog_expects_nothing_of_a_thread_that_woke_and_parked_again() -> None:
    desk = Desk(Card())
    ages: list[float | None] = []
    desk.world.at(2.0, desk.capture.close)
    desk.world.at(9.0, lambda: ages.append(desk.capture.progress_age_s(desk.world.now)))
    desk.run(stop_s=10.0)
    assert ages == [None]


def test_a_thread_that_died_of_a_bug_looks_stuck() -> None:
    desk = Desk(Card(hears=lambda n: 1 / 0))
    with pytest.raises(ZeroDivisionError):
        desk.run()
    assert desk.card.handle.closed
    assert desk.capture.progress_age_s(desk.world.now + 10) == pytest.approx(10, abs=0.1)


def test_the_thread_starts_parked_and_stops_when_asked() -> None:
    desk = Desk(Card())
    capture = Capture(schema.Capture(), lambda _: None, lambda: None, alsa=desk.world.alsa())
    capture.start()
    assert capture.stream is None
    assert capture.stop(5.0)
    assert desk.card.opened == []
