"""The loudspeaker on real ALSA: what is played is what was sent, and a flush is quick."""

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from tests.rigs.pulse import PulseRig, Recording
from tests.rigs.sound_desk import PATIENCE_S, Events, context_switches, noise, position_of

from voicekiosk.audio.earcons import earcon
from voicekiosk.audio.events import (
    SpeakerClosed,
    SpeakerDrained,
    SpeakerFlushed,
    SpeakerOpened,
    SpeakerStarted,
)
from voicekiosk.audio.playback import Playback
from voicekiosk.audio.resample import Resampler
from voicekiosk.config import schema

pytestmark = pytest.mark.audio

# A test machine has others to serve: enough queued that the card does not run dry.
CALM = schema.Playback(volume=100, queue_ms=150)


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def opened(rig: PulseRig, events: Events) -> Iterator[Callable[[schema.Playback], Playback]]:
    made: list[Playback] = []

    def make(settings: schema.Playback) -> Playback:
        playback = Playback(settings, events.post)
        made.append(playback)
        playback.start()
        playback.open()
        events.next(SpeakerOpened)
        return playback

    yield make
    for playback in made:
        assert playback.stop(10)


@pytest.fixture
def recording(rig: PulseRig) -> Iterator[Recording]:
    recording = rig.record()
    yield recording
    recording.stop()


def resampled(pcm: np.ndarray) -> np.ndarray:
    resampler = Resampler(24000, 48000)
    return np.concatenate([resampler.process(pcm), resampler.flush()])


def test_a_reply_is_played_sample_by_sample(
    opened: Callable[[schema.Playback], Playback], events: Events, recording: Recording
) -> None:
    playback = opened(CALM)
    pcm = noise(2.0, 24000)
    for start in range(0, len(pcm), 1200):
        playback.play(pcm[start : start + 1200].tobytes())
    playback.end()
    events.next(SpeakerStarted)
    assert events.next(SpeakerDrained).played_samples == len(pcm)
    expected = resampled(pcm)
    assert recording.wait_for(lambda heard: position_of(expected, heard) >= 0, PATIENCE_S)
    assert playback.statistics().starvations == 0


def test_a_second_reply_is_played_as_exactly_as_the_first(
    opened: Callable[[schema.Playback], Playback], events: Events, recording: Recording
) -> None:
    playback = opened(CALM)
    for seed in (1, 2):
        pcm = noise(0.7, 24000, seed)
        playback.play(pcm.tobytes())
        playback.end()
        events.next(SpeakerDrained)
        expected = resampled(pcm)
        assert recording.wait_for(
            lambda heard, expected=expected: position_of(expected, heard) >= 0, PATIENCE_S
        )


def test_a_flush_leaves_what_was_heard_and_discards_the_rest(
    opened: Callable[[schema.Playback], Playback], events: Events, recording: Recording
) -> None:
    playback = opened(schema.Playback(volume=100))
    pcm = noise(5.0, 24000)
    playback.play(pcm.tobytes())
    playback.end()
    events.next(SpeakerStarted)
    time.sleep(1.0)
    asked_s = time.monotonic()
    playback.flush()
    flushed = events.next(SpeakerFlushed)
    assert flushed.t_s - asked_s < 1.0
    after = recording.index_at(flushed.t_s) + recording.rate_hz // 5
    assert recording.wait_for(lambda heard: len(heard) > after + recording.rate_hz // 2, PATIENCE_S)
    # Through the card's own latency a little may come after the event, and then nothing at all.
    assert not recording.samples[after:].any()
    assert playback.queued_samples == 0
    assert flushed.played_samples < 3 * 24000


def test_a_reply_after_a_flush_is_whole(
    opened: Callable[[schema.Playback], Playback], events: Events, recording: Recording
) -> None:
    playback = opened(CALM)
    playback.play(noise(3.0, 24000, 1).tobytes())
    events.next(SpeakerStarted)
    playback.flush()
    pcm = noise(0.7, 24000, 2)
    playback.play(pcm.tobytes())
    playback.end()
    events.next(SpeakerFlushed)
    events.next(SpeakerDrained)
    expected = resampled(pcm)
    assert recording.wait_for(lambda heard: position_of(expected, heard) >= 0, PATIENCE_S)


def test_every_earcon_is_heard(
    opened: Callable[[schema.Playback], Playback], events: Events, recording: Recording
) -> None:
    playback = opened(CALM)
    for name in ("tick", "ready", "offline", "error"):
        sign = earcon(name)
        playback.play(sign)
        playback.end()
        events.next(SpeakerDrained)
        expected = np.trim_zeros(resampled(np.frombuffer(sign, "<i2")))
        assert recording.wait_for(
            lambda heard, expected=expected: position_of(expected, heard) >= 0, PATIENCE_S
        )


def test_closing_in_the_middle_of_a_reply_does_not_play_it_to_its_end(
    opened: Callable[[schema.Playback], Playback], events: Events, recording: Recording
) -> None:
    playback = opened(CALM)
    playback.play(noise(30.0, 24000).tobytes())
    events.next(SpeakerStarted)
    playback.close()
    events.next(SpeakerClosed)
    assert playback.played_samples < 10 * 24000


def test_a_quiet_loudspeaker_costs_no_wake_up(
    opened: Callable[[schema.Playback], Playback], events: Events
) -> None:
    playback = opened(CALM)
    playback.play(noise(0.1, 24000).tobytes())
    playback.end()
    events.next(SpeakerDrained)
    time.sleep(0.5)
    before = context_switches(playback._thread)
    time.sleep(1.0)
    assert context_switches(playback._thread) == before
