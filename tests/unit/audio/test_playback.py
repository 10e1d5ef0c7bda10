"""The loudspeaker's whole life on a fake card: it plays exactly what it was given, and stops when told."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.rigs.fake_alsa import Card, World

from voicekiosk.audio.events import (
    SpeakerClosed,
    SpeakerDrained,
    SpeakerFlushed,
    SpeakerLost,
    SpeakerOpened,
    SpeakerStarted,
    SpeakerUnderrun,
)
from voicekiosk.audio.playback import KEPT_WITHOUT_CARD_SAMPLES, Playback
from voicekiosk.audio.resample import Resampler
from voicekiosk.config import schema

RATE_HZ = 24000


def plain(**changes: object) -> schema.Playback:
    """Settings under which what is played is what was given, bit by bit."""
    return schema.Playback(**{"volume": 100, "rate_hz": 24000, **changes})  # type: ignore[arg-type]


def speech(seconds: float, seed: int = 1) -> np.ndarray:
    """Samples none of which is 0, so that silence can be told from them."""
    noise = np.random.default_rng(seed).integers(1, 12000, round(seconds * RATE_HZ))
    return (noise * (1 - 2 * (noise & 1))).astype("<i2")


def without_silence(sound: np.ndarray) -> np.ndarray:
    return sound[sound != 0]


def through(rate_hz: int, pcm: np.ndarray) -> np.ndarray:
    resampler = Resampler(RATE_HZ, rate_hz)
    return np.concatenate([resampler.process(pcm), resampler.flush()])


def position_of(needle: np.ndarray, sound: np.ndarray) -> int:
    """Where `needle` is in `sound`, sample by sample; -1 when it is not."""
    for start in np.flatnonzero(sound[: len(sound) - len(needle) + 1] == needle[0]):
        if np.array_equal(sound[start : start + len(needle)], needle):
            return int(start)
    return -1


@dataclass
class Stage:
    """A loudspeaker, its world, and what it said when."""

    card: Card = field(default_factory=Card)
    settings: schema.Playback = field(default_factory=plain)

    def __post_init__(self) -> None:
        self.world = World()
        self.world.cards["default"] = self.card
        self.said: list[tuple[float, object]] = []
        self.bell = self.world.bell()
        self.playback = Playback(
            self.settings,
            lambda event: self.said.append((round(self.world.now - 1000, 4), event)),
            self.world.clock,
            bell=self.bell,
            alsa=self.world.alsa(),
            sysfs=Path("/nonexistent"),
        )

    def say(self, t_s: float, pcm: np.ndarray, *, end: bool = True) -> None:
        self.world.at(t_s, lambda: self.playback.play(pcm.tobytes()))
        if end:
            self.world.at(t_s, self.playback.end)

    def stream(self, t_s: float, pcm: np.ndarray, block_s: float = 0.05, speed: float = 1.0) -> None:
        """Send `pcm` in blocks, as a network does."""
        size = round(block_s * RATE_HZ)
        for index, start in enumerate(range(0, len(pcm), size)):
            self.say(t_s + index * block_s / speed, pcm[start : start + size], end=start + size >= len(pcm))

    def run(self, *, stop_s: float = 5.0) -> None:
        self.world.at(0, self.playback.open)
        self.world.at(stop_s, lambda: self.playback.stop(0))
        self.playback.run()

    def sound(self, channel: int = 0) -> np.ndarray:
        return self.card.sound(channel)

    def silent_from_s(self) -> float:
        """When the last sample that is not silence had left the loudspeaker."""
        self.sound()
        last = 0.0
        for began_s, frames in self.card.played:
            loud = np.flatnonzero(frames[:, 0])
            if len(loud):
                last = began_s - 1000 + (loud[-1] + 1) / self.card.handle.rate
        return last

    def events(self, kind: type) -> list[tuple[float, object]]:
        return [(t, event) for t, event in self.said if isinstance(event, kind)]

    def kinds(self) -> list[type]:
        return [type(event) for _, event in self.said]


def test_a_reply_is_played_bit_by_bit_and_answered() -> None:
    stage = Stage()
    pcm = speech(1.0)
    stage.say(0.5, pcm)
    stage.run()
    np.testing.assert_array_equal(without_silence(stage.sound()), pcm)
    assert stage.kinds() == [SpeakerOpened, SpeakerStarted, SpeakerDrained, SpeakerClosed]
    assert stage.events(SpeakerStarted)[0][0] == 0.5
    ((t_s, drained),) = stage.events(SpeakerDrained)
    assert t_s == pytest.approx(1.5, abs=0.002)
    assert drained.played_samples == len(pcm)
    assert drained.t_s == pytest.approx(1000 + t_s, abs=0.001)


@pytest.mark.parametrize("rate_hz", [48000, 44100, 16000])
def test_a_reply_is_exactly_its_resampled_self_at_the_rate_of_the_card(rate_hz: int) -> None:
    stage = Stage(Card(rates=[rate_hz]), plain(rate_hz=0))
    pcm = speech(0.8)
    stage.stream(0.1, pcm, speed=1.1)
    stage.run()
    expected = through(rate_hz, pcm)
    start = position_of(expected, stage.sound())
    assert start >= 0
    assert not stage.sound()[:start].any()
    assert not stage.sound()[start + len(expected) :].any()
    assert stage.events(SpeakerDrained)[0][1].played_samples == len(pcm)


@pytest.mark.parametrize("sample_format", ["S16_LE", "S32_LE", "S24_3LE"])
def test_all_channels_of_every_format_play_the_same(sample_format: str) -> None:
    stage = Stage(Card(formats=[sample_format], channels=[6]))
    pcm = speech(0.2)
    stage.say(0.1, pcm)
    stage.run()
    for channel in range(6):
        np.testing.assert_array_equal(without_silence(stage.sound(channel)), pcm)


def test_the_volume_is_a_factor_on_every_sample() -> None:
    stage = Stage(settings=plain(volume=50))
    pcm = speech(0.5)
    stage.say(0.1, pcm)
    stage.run()
    expected = np.rint(pcm * 0.25).astype(np.int16)
    np.testing.assert_array_equal(without_silence(stage.sound()), without_silence(expected))


def test_a_change_of_volume_does_not_click() -> None:
    stage = Stage()
    stage.say(0.1, np.full(RATE_HZ, 10000, "<i2"))
    stage.world.at(0.5, lambda: stage.playback.set_volume(50))
    stage.run()
    steps = np.abs(np.diff(without_silence(stage.sound()).astype(int)))
    assert steps.max() < 100
    assert without_silence(stage.sound())[-1] == 2500


def test_nobody_can_make_it_louder_than_the_configuration_allows() -> None:
    stage = Stage(settings=plain(volume_max=50))
    stage.playback.set_volume(100)
    stage.say(0.1, np.full(2400, 10000, "<i2"))
    stage.run()
    assert stage.sound().max() == 2500


def test_between_replies_nothing_wakes_up_and_the_card_is_stopped() -> None:
    stage = Stage()
    stage.say(0.1, speech(0.1))
    before: list[int] = []
    stage.world.at(1.0, lambda: before.append(stage.bell.wakeups))
    stage.run(stop_s=3600)
    assert stage.bell.wakeups - before[0] == 0
    assert len(stage.sound()) < 0.3 * RATE_HZ


def test_speaking_wakes_up_when_three_fifths_of_the_queue_have_been_played() -> None:
    stage = Stage(settings=plain(queue_ms=50))
    stage.say(0.1, speech(10.0))
    stage.run(stop_s=9)
    assert 290 <= stage.bell.wakeups <= 310


def test_a_thread_that_was_late_once_wakes_up_with_each_period() -> None:
    stage = Stage(settings=plain(queue_ms=50))
    stage.say(0.1, speech(10.0))
    stage.world.lag(0.5, 0.045)
    stage.run(stop_s=9)
    assert 860 <= stage.bell.wakeups <= 950


def test_the_queue_in_the_card_is_as_long_as_configured() -> None:
    stage = Stage(Card(buffer_at_least=20000), plain(queue_ms=30))
    stage.say(0.1, speech(2.0))
    queued: list[float] = []
    for index in range(100):
        stage.world.at(
            0.5 + index * 0.0123,
            lambda: queued.append((20000 - stage.card.handle.avail()) / RATE_HZ),
        )
    stage.run()
    assert max(queued) <= 0.030
    assert min(queued) >= 0.013


def test_a_reply_waits_for_its_cushion() -> None:
    stage = Stage(settings=plain(cushion_ms=60))
    stage.stream(0.1, speech(1.0), block_s=0.02)
    stage.run()
    assert stage.events(SpeakerStarted)[0][0] == pytest.approx(0.14, abs=1e-6)


def test_a_reply_shorter_than_the_cushion_starts_when_it_ends() -> None:
    stage = Stage(settings=plain(cushion_ms=500))
    stage.say(0.1, speech(0.02), end=False)
    stage.world.at(0.2, stage.playback.end)
    stage.run()
    assert stage.events(SpeakerStarted)[0][0] == pytest.approx(0.2)


def test_a_reply_that_never_fills_its_cushion_starts_all_the_same() -> None:
    stage = Stage(settings=plain(cushion_ms=500))
    stage.say(0.1, speech(0.02), end=False)
    stage.run()
    assert stage.events(SpeakerStarted)[0][0] == pytest.approx(0.6)


def test_jitter_up_to_the_cushion_leaves_no_gap() -> None:
    stage = Stage(settings=plain(cushion_ms=60))
    pcm = speech(2.0)
    for index in range(100):
        late_s = 0.05 * (index * 7 % 10) / 10
        stage.say(
            0.1 + max(0, index * 0.02 + late_s - 0.02), pcm[index * 480 : index * 480 + 480], end=index == 99
        )
    stage.run()
    assert position_of(pcm, stage.sound()) >= 0
    assert stage.playback.statistics().starvations == 0


def test_a_starved_reply_has_silence_in_it_is_counted_and_goes_on() -> None:
    stage = Stage()
    pcm = speech(1.0)
    stage.say(0.1, pcm[:12000], end=False)
    stage.say(1.0, pcm[12000:])
    stage.run()
    np.testing.assert_array_equal(without_silence(stage.sound()), pcm)
    gap = position_of(pcm[12000:], stage.sound()) - position_of(pcm[:12000], stage.sound()) - 12000
    assert gap == pytest.approx(0.4 * RATE_HZ, abs=0.03 * RATE_HZ)
    statistics = stage.playback.statistics()
    assert (statistics.starvations, statistics.underruns) == (1, 0)
    assert stage.kinds() == [SpeakerOpened, SpeakerStarted, SpeakerDrained, SpeakerClosed]


def test_two_replies_follow_each_other_each_with_its_own_start_and_end() -> None:
    stage = Stage()
    first, second = speech(0.5, 1), speech(0.5, 2)
    stage.say(0.1, first)
    stage.say(0.1, second)
    stage.run()
    np.testing.assert_array_equal(without_silence(stage.sound()), np.concatenate([first, second]))
    assert stage.kinds()[1:-1] == [SpeakerStarted, SpeakerStarted, SpeakerDrained, SpeakerDrained]
    assert [event.played_samples for _, event in stage.events(SpeakerDrained)] == [12000, 24000]


def test_a_reply_without_audio_is_answered_at_once() -> None:
    stage = Stage()
    stage.world.at(0.5, stage.playback.end)
    stage.run()
    assert stage.events(SpeakerDrained) == [(0.5, SpeakerDrained(1000.5, 0))]
    assert len(stage.sound()) == 0


def test_the_silence_before_a_reply_wakes_the_amplifier() -> None:
    stage = Stage(settings=plain(lead_silence_ms=200))
    pcm = speech(0.3)
    stage.say(0.1, pcm)
    stage.run()
    assert position_of(pcm, stage.sound()) == 0.2 * RATE_HZ
    assert stage.events(SpeakerDrained)[0][1].played_samples == len(pcm)


def test_more_than_a_minute_at_once_is_kept_and_played_whole() -> None:
    stage = Stage()
    pcm = speech(90.0)
    stage.say(0.1, pcm)
    stage.run(stop_s=95)
    np.testing.assert_array_equal(without_silence(stage.sound()), pcm)


@pytest.mark.parametrize("rate_hz", [24000, 48000, 44100])
def test_a_flush_is_silent_within_40_ms_and_discards_the_rest(rate_hz: int) -> None:
    stage = Stage(Card(rates=[rate_hz]), plain(rate_hz=0, queue_ms=30))
    stage.say(0.1, speech(3.0))
    stage.world.at(1.0, stage.playback.flush)
    stage.run()
    assert 1.0 < stage.silent_from_s() <= 1.037
    ((t_s, flushed),) = stage.events(SpeakerFlushed)
    assert t_s == pytest.approx(stage.silent_from_s(), abs=0.003)
    assert flushed.played_samples == pytest.approx(RATE_HZ * (t_s - 0.1), abs=0.004 * RATE_HZ)
    assert stage.playback.queued_samples == 0
    assert stage.playback.statistics().cut_off == 0
    assert SpeakerDrained not in stage.kinds()


def test_a_flush_fades_and_does_not_click() -> None:
    stage = Stage()
    stage.say(0.1, np.full(3 * RATE_HZ, 10000, "<i2"))
    stage.world.at(1.0, stage.playback.flush)
    stage.run()
    end = without_silence(stage.sound())[-119:].astype(int)
    assert np.abs(np.diff(end)).max() < 100
    assert (np.diff(end) <= 0).all()


def test_what_was_played_before_a_flush_is_what_was_sent() -> None:
    stage = Stage()
    pcm = speech(3.0)
    stage.say(0.1, pcm)
    stage.world.at(1.0, stage.playback.flush)
    stage.run()
    heard = stage.sound()
    faded = round(0.005 * RATE_HZ)
    whole = stage.events(SpeakerFlushed)[0][1].played_samples - faded
    np.testing.assert_array_equal(heard[:whole], pcm[:whole])


def test_a_flush_of_a_long_queue_is_cut_off() -> None:
    stage = Stage(settings=plain(queue_ms=200))
    stage.say(0.1, speech(3.0))
    stage.world.at(1.0, stage.playback.flush)
    stage.run()
    assert stage.silent_from_s() == pytest.approx(1.058, abs=0.002)
    assert stage.playback.statistics().cut_off == 1
    ((_, flushed),) = stage.events(SpeakerFlushed)
    assert flushed.played_samples == pytest.approx(0.958 * RATE_HZ, abs=0.002 * RATE_HZ)


def test_a_flush_with_nothing_to_flush_is_answered_at_once() -> None:
    stage = Stage()
    stage.world.at(1.0, stage.playback.flush)
    stage.run()
    assert stage.events(SpeakerFlushed) == [(1.0, SpeakerFlushed(1001.0, 0))]


def test_a_reply_after_a_flush_starts_clean_and_only_once_it_is_silent() -> None:
    stage = Stage(Card(rates=[48000]), plain(rate_hz=0))
    first, second = speech(3.0, 1), speech(0.5, 2)
    stage.say(0.1, first)
    stage.world.at(1.0, stage.playback.flush)
    stage.say(1.0, second)
    stage.run()
    assert stage.kinds()[1:-1] == [SpeakerStarted, SpeakerFlushed, SpeakerStarted, SpeakerDrained]
    expected = through(48000, second)
    assert position_of(expected, stage.sound()) > 0
    flushed, drained = stage.events(SpeakerFlushed)[0][1], stage.events(SpeakerDrained)[0][1]
    assert drained.played_samples == flushed.played_samples + len(second)
    assert stage.playback.queued_samples == 0


def test_a_reply_that_is_cut_before_it_starts_is_never_heard() -> None:
    stage = Stage(settings=plain(cushion_ms=500))
    stage.say(0.1, speech(0.1), end=False)
    stage.world.at(0.2, stage.playback.flush)
    stage.run()
    assert len(stage.sound()) == 0
    assert stage.events(SpeakerFlushed) == [(0.2, SpeakerFlushed(1000.2, 0))]


def test_a_late_thread_lets_the_card_run_dry_which_is_counted_and_loses_nothing() -> None:
    stage = Stage()
    pcm = speech(1.0)
    stage.say(0.1, pcm)
    stage.world.lag(0.5, 0.2)
    stage.run()
    np.testing.assert_array_equal(without_silence(stage.sound()), pcm)
    assert stage.events(SpeakerUnderrun)[0][1] == SpeakerUnderrun(1)
    assert stage.playback.statistics().underruns == 1
    assert stage.events(SpeakerDrained)[0][1].played_samples == len(pcm)


def test_a_short_write_loses_nothing() -> None:
    stage = Stage(Card(short_writes=[100, 200]))
    pcm = speech(1.0)
    stage.say(0.1, pcm)
    stage.world.at(0.5, lambda: stage.card.short_writes.extend([7, 0]))
    stage.world.at(0.8, lambda: stage.card.short_writes.extend([0, 0, 5]))
    stage.run()
    assert position_of(pcm, stage.sound()) >= 0
    assert stage.playback.played_samples == len(pcm)


@given(
    blocks=st.lists(st.tuples(st.integers(1, 4000), st.floats(0, 0.3)), min_size=1, max_size=25),
    rate_hz=st.sampled_from([16000, 24000, 44100, 48000]),
    short=st.lists(st.integers(0, 500), max_size=10),
)
@settings(max_examples=60, deadline=None)
def test_however_a_reply_arrives_every_sample_is_played_once_and_in_order(
    blocks: list[tuple[int, float]], rate_hz: int, short: list[int]
) -> None:
    stage = Stage(Card(rates=[rate_hz], short_writes=[33, *short]), plain(rate_hz=0))
    pcm = speech(sum(size for size, _ in blocks) / RATE_HZ)
    t_s, start = 0.1, 0
    for index, (size, pause_s) in enumerate(blocks):
        stage.say(t_s, pcm[start : start + size], end=index == len(blocks) - 1)
        start += size
        t_s += pause_s
    stage.run(stop_s=t_s + len(pcm) / RATE_HZ + 2)
    np.testing.assert_array_equal(without_silence(stage.sound()), without_silence(through(rate_hz, pcm)))
    assert stage.playback.played_samples == len(pcm)
    assert stage.playback.queued_samples == 0
    assert len(stage.events(SpeakerDrained)) == 1


def test_a_card_lost_in_the_middle_of_a_reply_that_pauses_is_waited_for_without_spinning() -> None:
    stage = Stage(Card(rates=[48000]), plain(rate_hz=0))
    first, last = speech(0.15), speech(0.3, 99)
    stage.say(0.1, first, end=False)
    stage.world.at(0.6, lambda: setattr(stage.card, "trouble", "No such device"))
    stage.world.at(0.9, lambda: setattr(stage.card, "trouble", None))
    stage.say(3.0, last)
    stage.run(stop_s=5.0)
    assert stage.bell.wakeups < 200
    assert position_of(through(48000, np.concatenate([first, last]))[-12000:-2400], stage.sound()) >= 0
    assert len(stage.events(SpeakerDrained)) == 1


@given(
    acts=st.lists(
        st.tuples(
            st.sampled_from(["play", "end", "flush", "lag", "unplug", "replug", "close", "open"]),
            st.floats(0, 0.2),
        ),
        max_size=40,
    )
)
@settings(max_examples=50, deadline=None)
def test_whatever_happens_the_books_balance_and_the_next_reply_is_heard_whole(
    acts: list[tuple[str, float]],
) -> None:
    stage = Stage(Card(rates=[48000]), plain(rate_hz=0))
    t_s = 0.1
    flushes = 0
    for act, pause_s in acts:
        t_s += pause_s
        match act:
            case "play":
                stage.say(t_s, speech(0.15), end=False)
            case "lag":
                stage.world.lag(t_s, 0.1)
            case "unplug":
                stage.world.at(t_s, lambda: setattr(stage.card, "trouble", "No such device"))
            case "replug":
                stage.world.at(t_s, lambda: setattr(stage.card, "trouble", None))
            case _:
                flushes += act == "flush"
                stage.world.at(t_s, getattr(stage.playback, act))
    t_s += 1.0
    stage.world.at(t_s, lambda: setattr(stage.card, "trouble", None))
    stage.world.at(t_s, stage.playback.open)
    stage.world.at(t_s + 1.0, stage.playback.flush)
    last = speech(0.3, 99)
    stage.say(t_s + 2.0, last)
    stage.run(stop_s=t_s + 4.0)
    assert position_of(through(48000, last), stage.sound()) >= 0
    statistics = stage.playback.statistics()
    assert stage.playback.queued_samples == 0
    assert statistics.played_samples + statistics.discarded_samples == statistics.enqueued_samples
    assert statistics.discarded_samples >= 0
    assert 1 <= len(stage.events(SpeakerFlushed)) <= flushes + 1
    times = [t for t, _ in stage.said]
    assert times == sorted(times)


@pytest.mark.parametrize("text", ["No such device", "Input/output error"])
def test_a_reply_goes_on_where_it_was_when_a_lost_loudspeaker_comes_back(text: str) -> None:
    stage = Stage()
    pcm = speech(2.0)
    stage.say(0.1, pcm)
    stage.world.at(1.0, lambda: setattr(stage.card, "trouble", text))
    stage.world.at(1.2, lambda: setattr(stage.card, "trouble", None))
    stage.run()
    heard = without_silence(stage.sound())
    assert stage.kinds() == [
        SpeakerOpened, SpeakerStarted, SpeakerLost, SpeakerOpened, SpeakerDrained, SpeakerClosed,
    ]  # fmt: skip
    # What was in the card at that moment is gone, and nothing else.
    np.testing.assert_array_equal(heard[-RATE_HZ // 2 :], pcm[-RATE_HZ // 2 :])
    assert 0 < len(pcm) - len(heard) <= 0.035 * RATE_HZ
    statistics = stage.playback.statistics()
    assert statistics.played_samples + statistics.discarded_samples == len(pcm)
    # How far it was is known from the last look at the card.
    assert statistics.discarded_samples == pytest.approx(len(pcm) - len(heard), abs=0.03 * RATE_HZ)


def test_a_card_unplugged_between_replies_is_noticed_at_once() -> None:
    stage = Stage()
    stage.world.at(3.0, lambda: setattr(stage.card, "trouble", "No such device"))
    stage.run()
    t_s, lost = stage.events(SpeakerLost)[0]
    assert t_s == 3.0
    assert 'loudspeaker "auto" is lost: No such device' in lost.reason
    assert stage.card.opened[0].closed


def test_a_lost_loudspeaker_is_tried_again_ever_more_slowly() -> None:
    stage = Stage(Card(trouble="Device or resource busy"))
    stage.run(stop_s=20)
    assert [event.retry_in_s for _, event in stage.events(SpeakerLost)] == [0.25, 0.5, 1, 2, 4, 5, 5, 5]


def test_without_a_loudspeaker_a_flush_is_answered_and_what_is_kept_is_bounded() -> None:
    stage = Stage(Card(trouble="No such device"))
    for index in range(70):
        stage.say(1 + index * 0.01, speech(1.0), end=False)
    kept: list[int] = []
    stage.world.at(2.0, lambda: kept.append(stage.playback.queued_samples))
    stage.world.at(2.5, stage.playback.flush)
    stage.run()
    assert kept == [KEPT_WITHOUT_CARD_SAMPLES]
    assert stage.events(SpeakerFlushed) == [(2.5, SpeakerFlushed(1002.5, 0))]
    assert stage.playback.statistics().refused_samples == 6 * RATE_HZ
    assert stage.playback.queued_samples == 0


def test_a_stalled_card_is_reopened_after_a_second_without_progress() -> None:
    stage = Stage()
    pcm = speech(3.0)
    stage.say(0.1, pcm)
    stage.world.at(1.0, lambda: setattr(stage.card, "stalled_at_s", stage.world.now))
    stage.world.at(2.1, lambda: setattr(stage.card, "stalled_at_s", None))
    stage.run()
    ((t_s, lost),) = stage.events(SpeakerLost)
    assert t_s == pytest.approx(2.0, abs=0.6)
    assert "has played nothing for 1 s" in lost.reason
    assert len(stage.card.opened) == 2


def test_closing_stops_the_sound_at_once_and_gives_up_the_rest() -> None:
    stage = Stage()
    stage.say(0.1, speech(3.0))
    stage.world.at(1.0, stage.playback.close)
    stage.run()
    assert stage.silent_from_s() == pytest.approx(1.0, abs=0.001)
    assert stage.said[-1] == (1.0, SpeakerClosed())
    assert stage.playback.queued_samples == 0
    assert stage.card.handle.closed


def test_what_is_played_before_opening_waits_for_it() -> None:
    stage = Stage()
    pcm = speech(0.2)
    stage.playback.play(pcm.tobytes())
    stage.playback.end()
    stage.run()
    np.testing.assert_array_equal(without_silence(stage.sound()), pcm)


def test_half_a_sample_at_the_end_of_a_message_is_left_out() -> None:
    stage = Stage()
    pcm = speech(0.2)
    stage.world.at(0.1, lambda: stage.playback.play(pcm.tobytes() + b"\x01"))
    stage.world.at(0.1, stage.playback.end)
    stage.run()
    np.testing.assert_array_equal(without_silence(stage.sound()), pcm)


def test_the_watchdog_sees_a_speaking_loudspeaker_make_progress_and_expects_none_of_a_quiet_one() -> None:
    stage = Stage()
    ages: list[float | None] = []
    stage.say(0.1, speech(1.0))
    for t_s in (0.05, 0.555, 3.0):
        stage.world.at(t_s, lambda: ages.append(stage.playback.progress_age_s(stage.world.now)))
    stage.run()
    assert ages == [None, pytest.approx(0, abs=0.02), None]
