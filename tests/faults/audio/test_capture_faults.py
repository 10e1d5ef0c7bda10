"""What happens to a real microphone: unplugged, stalled, killed, overrun."""

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from tests.rigs.pulse import PulseRig
from tests.rigs.sound_desk import Events, noise, position_of, wait_until

from voicekiosk.audio.capture import Capture, CaptureStream
from voicekiosk.audio.events import MicrophoneLost, MicrophoneOpened, MicrophoneOverrun, MicrophoneSilent
from voicekiosk.config import schema

pytestmark = pytest.mark.audio


class Mic:
    """A running microphone, what it said, and something to do on its thread."""

    def __init__(self) -> None:
        self.events = Events()
        # What the capture thread is to do when a reader has asked to be woken.
        self.on_wake: Callable[[], None] = lambda: None
        self.capture = Capture(schema.Capture(), self.events.post, self._wake)
        self.capture.start()
        self.capture.open()

    def _wake(self) -> None:
        self.on_wake()

    def stream(self) -> CaptureStream:
        """Wait until it is open and delivers."""
        stream = self.events.next(MicrophoneOpened).stream
        self.wait_for_sound()
        return stream

    def wait_for_sound(self) -> None:
        """Wait until it delivers, for half a second."""
        captured = self.capture.statistics().captured_frames
        wait_until(lambda: self.capture.statistics().captured_frames > captured + 24000, "sound in the ring")

    def assert_true_to_the_clock(self, since_s: float, since_frame: int) -> None:
        """Wait until what is in the ring is as long as the time that has passed, to within what jitters.

        By our own clock: what the capture believes is what is in question.
        """
        stream = self.capture.stream
        assert stream is not None

        def true() -> bool:
            passed = (time.monotonic() - since_s) * stream.rate_hz
            return abs(passed - (stream.ring.written - since_frame)) < 0.25 * stream.rate_hz

        wait_until(true, "a ring that is true to the clock")

    def assert_hears(self, rig: PulseRig, seed: int) -> None:
        stream = self.capture.stream
        assert stream is not None
        start = stream.ring.written
        sound = noise(0.5, 48000, seed)
        rig.feed(sound)

        def arrived() -> bool:
            return position_of(sound, stream.ring.reader(start).read().samples) >= 0

        wait_until(arrived, "the sound that was fed in")


@pytest.fixture
def mic(rig: PulseRig) -> Iterator[Mic]:
    mic = Mic()
    yield mic
    assert mic.capture.stop(10)


def test_an_unplugged_microphone_is_told_and_comes_back_with_its_time_filled(rig: PulseRig, mic: Mic) -> None:
    stream = mic.stream()
    began_s, began = time.monotonic(), stream.ring.written
    rig.microphone.unplug()
    lost = mic.events.next(MicrophoneLost)
    assert "is lost" in lost.reason
    assert lost.retry_in_s == 0.25
    # Longer than the first attempts, so that some of them fail.
    again = mic.events.next(MicrophoneLost)
    assert "cannot be opened" in again.reason
    rig.microphone.plug_in()
    assert mic.stream() is not stream
    assert mic.capture.stream is not None
    assert mic.capture.stream.ring is stream.ring
    elapsed = (time.monotonic() - began_s) * stream.rate_hz
    assert stream.ring.written - began == pytest.approx(elapsed, abs=0.3 * stream.rate_hz)
    mic.assert_hears(rig, 2)


def test_a_microphone_that_is_not_there_at_the_start_is_found_when_it_is_plugged_in(rig: PulseRig) -> None:
    rig.microphone.unplug()
    mic = Mic()
    try:
        mic.events.next(MicrophoneLost)
        rig.microphone.plug_in()
        mic.capture.open()
        mic.stream()
        mic.assert_hears(rig, 3)
    finally:
        assert mic.capture.stop(10)


def test_a_stalled_microphone_is_reopened_and_its_time_filled(rig: PulseRig, mic: Mic) -> None:
    stream = mic.stream()
    since = time.monotonic(), stream.ring.written
    rig.microphone.stall(2.5)
    assert "has given nothing for 1 s" in mic.events.next(MicrophoneLost).reason
    mic.stream()
    mic.assert_hears(rig, 4)
    mic.assert_true_to_the_clock(*since)


def test_a_killed_stream_is_an_overrun_or_a_loss_and_sound_goes_on(rig: PulseRig, mic: Mic) -> None:
    stream = mic.stream()
    since = time.monotonic(), stream.ring.written
    outputs = rig.microphone.control("pactl", "list", "short", "source-outputs")
    rig.microphone.control("pacmd", "kill-source-output", outputs.split()[0])
    wait_until(
        lambda: mic.events.count(MicrophoneOverrun) + mic.events.count(MicrophoneLost) > 0, "a word about it"
    )
    mic.wait_for_sound()
    mic.assert_hears(rig, 5)
    mic.assert_true_to_the_clock(*since)


def test_a_thread_that_was_kept_from_its_card_catches_up_with_the_clock(rig: PulseRig, mic: Mic) -> None:
    stream = mic.stream()
    since = time.monotonic(), stream.ring.written
    slept: list[bool] = []

    def sleep_once() -> None:
        if not slept:
            slept.append(True)
            time.sleep(2.0)

    mic.on_wake = sleep_once
    stream.ring.reader().wake_at(stream.ring.written + 1)
    wait_until(lambda: bool(slept), "the thread kept from its card")
    mic.wait_for_sound()
    mic.assert_true_to_the_clock(*since)
    mic.assert_hears(rig, 6)


def test_a_muted_microphone_is_told_once(rig: PulseRig, mic: Mic) -> None:
    mic.stream()
    assert mic.events.next(MicrophoneSilent).seconds >= 5.0
    stream = mic.stream()
    wait_until(
        lambda: not np.any(stream.ring.reader(stream.ring.written - 480).read().samples), "quiet still"
    )
    mic.assert_hears(rig, 7)
    assert mic.events.count(MicrophoneSilent) == 1
    assert mic.events.count(MicrophoneLost) == 0
