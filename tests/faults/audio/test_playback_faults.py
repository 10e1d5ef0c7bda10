"""What happens to a real loudspeaker: unplugged, stalled, starved, run dry again and again."""

import time
from collections.abc import Iterator

import numpy as np
import pytest
from tests.rigs.pulse import PulseRig
from tests.rigs.sound_desk import PATIENCE_S, Events, noise, position_of, wait_until

from voicekiosk.audio.events import (
    SpeakerDrained,
    SpeakerFlushed,
    SpeakerLost,
    SpeakerOpened,
    SpeakerStarted,
    SpeakerUnderrun,
)
from voicekiosk.audio.owner import Descriptors, EventBell
from voicekiosk.audio.playback import Playback
from voicekiosk.audio.resample import Resampler
from voicekiosk.config import schema

pytestmark = pytest.mark.audio


class LateBell(EventBell):
    """What a thread sleeps on that is woken late, as on a machine that is too busy."""

    late_s = 0.0

    def wait(self, timeout_s: float | None, descriptors: Descriptors = ()) -> list[tuple[int, int]]:
        ready = super().wait(timeout_s, descriptors)
        time.sleep(self.late_s)
        return ready


class Speaker:
    """A running loudspeaker and what it said."""

    def __init__(self) -> None:
        self.events = Events()
        self.bell = LateBell()
        settings = schema.Playback(volume=100, queue_ms=150)
        self.playback = Playback(settings, self.events.post, bell=self.bell)
        self.playback.start()
        self.playback.open()

    def assert_plays(self, rig: PulseRig, seed: int) -> None:
        recording = rig.record()
        try:
            pcm = noise(0.5, 24000, seed)
            self.playback.play(pcm.tobytes())
            self.playback.end()
            self.events.next(SpeakerDrained)
            resampler = Resampler(24000, 48000)
            expected = np.concatenate([resampler.process(pcm), resampler.flush()])
            assert recording.wait_for(lambda heard: position_of(expected, heard) >= 0, PATIENCE_S)
        finally:
            recording.stop()


@pytest.fixture
def speaker(rig: PulseRig) -> Iterator[Speaker]:
    speaker = Speaker()
    speaker.events.next(SpeakerOpened)
    yield speaker
    assert speaker.playback.stop(10)


def test_a_reply_goes_on_when_an_unplugged_loudspeaker_comes_back(rig: PulseRig, speaker: Speaker) -> None:
    pcm = noise(4.0, 24000)
    speaker.playback.play(pcm.tobytes())
    speaker.playback.end()
    speaker.events.next(SpeakerStarted)
    rig.speaker.unplug()
    lost = speaker.events.next(SpeakerLost)
    assert 'loudspeaker "auto"' in lost.reason
    before = speaker.playback.played_samples
    assert before < len(pcm)
    rig.speaker.plug_in()
    speaker.playback.open()
    speaker.events.next(SpeakerOpened)
    drained = speaker.events.next(SpeakerDrained)
    statistics = speaker.playback.statistics()
    assert drained.played_samples > before
    assert statistics.played_samples + statistics.discarded_samples == len(pcm)
    # What was in the card when it went, and no more.
    assert statistics.discarded_samples < 0.5 * 24000
    speaker.assert_plays(rig, 2)


def test_a_flush_while_the_loudspeaker_is_away_is_answered(rig: PulseRig, speaker: Speaker) -> None:
    speaker.playback.play(noise(4.0, 24000).tobytes())
    speaker.events.next(SpeakerStarted)
    rig.speaker.unplug()
    speaker.events.next(SpeakerLost)
    speaker.playback.flush()
    speaker.events.next(SpeakerFlushed)
    assert speaker.playback.queued_samples == 0
    rig.speaker.plug_in()
    speaker.playback.open()
    speaker.events.next(SpeakerOpened)
    speaker.assert_plays(rig, 3)


def test_a_loudspeaker_that_is_not_there_at_the_start_is_found_when_it_is_plugged_in(rig: PulseRig) -> None:
    rig.speaker.unplug()
    speaker = Speaker()
    try:
        speaker.events.next(SpeakerLost)
        rig.speaker.plug_in()
        speaker.playback.open()
        speaker.events.next(SpeakerOpened)
        speaker.assert_plays(rig, 4)
    finally:
        assert speaker.playback.stop(10)


def test_a_stalled_loudspeaker_is_reopened_and_plays_on(rig: PulseRig, speaker: Speaker) -> None:
    speaker.playback.play(noise(20.0, 24000).tobytes())
    speaker.events.next(SpeakerStarted)
    rig.speaker.stall(2.5)
    assert "has played nothing for 1 s" in speaker.events.next(SpeakerLost).reason
    speaker.events.next(SpeakerOpened)
    played = speaker.playback.played_samples
    wait_until(lambda: speaker.playback.played_samples > played + 12000, "the reply going on")
    speaker.playback.flush()
    speaker.events.next(SpeakerFlushed)
    speaker.assert_plays(rig, 5)


def test_a_killed_stream_does_not_end_the_loudspeaker(rig: PulseRig, speaker: Speaker) -> None:
    speaker.playback.play(noise(4.0, 24000).tobytes())
    speaker.playback.end()
    speaker.events.next(SpeakerStarted)
    inputs = rig.speaker.control("pactl", "list", "short", "sink-inputs")
    rig.speaker.control("pacmd", "kill-sink-input", inputs.split()[0])
    speaker.events.next(SpeakerDrained)
    speaker.assert_plays(rig, 6)


def test_a_storm_of_underruns_loses_no_sample_and_no_card(rig: PulseRig, speaker: Speaker) -> None:
    pcm, storm = noise(5.0, 24000), 20
    resampler = Resampler(24000, 48000)
    expected = np.concatenate([resampler.process(pcm), resampler.flush()])
    recording = rig.record()
    try:
        # Later each time than what the card holds.
        speaker.bell.late_s = 0.3
        speaker.playback.play(pcm.tobytes())
        speaker.playback.end()
        assert speaker.events.next(SpeakerDrained, 40).played_samples == len(pcm)
        speaker.bell.late_s = 0.0
        # In pieces, with silence wherever the card was dry, and every sample once and in order.
        said = expected[expected != 0]
        assert recording.wait_for(lambda heard: np.array_equal(heard[heard != 0], said), PATIENCE_S)
    finally:
        recording.stop()
    assert speaker.playback.statistics().underruns >= storm
    assert speaker.events.count(SpeakerLost) == 0
    speaker.assert_plays(rig, 7)


def test_a_flush_in_a_storm_of_underruns_is_answered(rig: PulseRig, speaker: Speaker) -> None:
    speaker.bell.late_s = 0.3
    speaker.playback.play(noise(20.0, 24000).tobytes())
    wait_until(lambda: speaker.events.count(SpeakerUnderrun) >= 3, "a storm")
    asked_s = time.monotonic()
    speaker.playback.flush()
    assert speaker.events.next(SpeakerFlushed).t_s - asked_s < 1.0
    speaker.bell.late_s = 0.0
    speaker.assert_plays(rig, 8)
