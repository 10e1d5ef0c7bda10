"""The microphone on real ALSA: what is fed in is what comes out, frame by frame."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest
from tests.rigs.pulse import PulseRig
from tests.rigs.sound_desk import Events, context_switches, noise, position_of, wait_until

from voicekiosk.audio.capture import Capture, CaptureStream
from voicekiosk.audio.events import MicrophoneClosed, MicrophoneOpened
from voicekiosk.audio.pcm import open_pcm
from voicekiosk.config import schema
from voicekiosk.errors import DeviceError

pytestmark = pytest.mark.audio


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def capture(rig: PulseRig, events: Events) -> Iterator[Capture]:
    capture = Capture(schema.Capture(), events.post, lambda: None)
    capture.start()
    yield capture
    assert capture.stop(10)


def heard(stream: CaptureStream, start: int) -> np.ndarray:
    return stream.ring.reader(start).read().samples


def test_what_is_fed_in_is_captured_frame_by_frame(rig: PulseRig, capture: Capture, events: Events) -> None:
    capture.open()
    stream = events.next(MicrophoneOpened).stream
    assert stream.rate_hz == 48000
    wait_until(lambda: stream.ring.written > 0, "the first frame")
    sound = noise(2.0, 48000)
    start = stream.ring.written
    feed = rig.feed(sound)
    feed.wait()
    wait_until(lambda: position_of(sound, heard(stream, start)) >= 0, "every frame of the sound in the ring")
    assert capture.statistics().overruns == 0
    capture.close()
    events.next(MicrophoneClosed)


def test_the_moment_a_sound_began_is_found_in_the_ring(
    rig: PulseRig, capture: Capture, events: Events
) -> None:
    capture.open()
    stream = events.next(MicrophoneOpened).stream
    wait_until(lambda: stream.ring.written > 2 * stream.rate_hz, "two seconds of quiet")
    start = stream.ring.written
    sound = noise(1.0, 48000)
    feed = rig.feed(sound)
    wait_until(lambda: position_of(sound, heard(stream, start)) >= 0, "every frame of the sound in the ring")
    first = start + position_of(sound, heard(stream, start))
    # The rig's own clock of a null sink is no better than half a block under load.
    assert abs(capture.frame_at(feed.started_s) - first) < 0.015 * 48000


def test_opened_a_second_time_it_goes_on_in_the_same_ring(
    capture: Capture, events: Events, rig: PulseRig
) -> None:
    capture.open()
    first = events.next(MicrophoneOpened).stream
    capture.close()
    events.next(MicrophoneClosed)
    written = first.ring.written
    capture.open()
    second = events.next(MicrophoneOpened).stream
    assert second.ring is first.ring
    wait_until(lambda: second.ring.written > written, "frames after opening again")
    assert capture.frame_at(time.monotonic() - 3600) == written


@pytest.mark.parametrize(("settings", "rate_hz", "sample_format"), [
    (schema.Capture(format="S32_LE", channels=2, channel=0), 48000, "S32_LE"),
    (schema.Capture(rate_hz=16000), 16000, "S16_LE"),
    (schema.Capture(device="rig_mic", rate_hz=44100, channels=2), 44100, "S16_LE"),
])  # fmt: skip
def test_the_card_is_opened_as_configured(
    rig: PulseRig, settings: schema.Capture, rate_hz: int, sample_format: str
) -> None:
    pcm = open_pcm(settings)
    try:
        assert (pcm.facts.rate_hz, pcm.facts.format) == (rate_hz, sample_format)
        assert pcm.facts.channels == (settings.channels or 1)
        assert pcm.facts.period_frames == rate_hz // 50
    finally:
        pcm.close()


def test_32_bit_samples_in_two_channels_are_the_same_sound(rig: PulseRig, events: Events) -> None:
    capture = Capture(schema.Capture(format="S32_LE", channels=2), events.post, lambda: None)
    capture.start()
    capture.open()
    stream = events.next(MicrophoneOpened).stream
    wait_until(lambda: stream.ring.written > 0, "the first frame")
    start = stream.ring.written
    sound = noise(1.0, 48000)
    rig.feed(sound)
    wait_until(lambda: position_of(sound, heard(stream, start)) >= 0, "every frame of the sound in the ring")
    assert capture.stop(10)


@pytest.mark.parametrize("device", ["Headset", "hw:CARD=Headset,DEV=0", "usb:1-1.2"])
def test_a_device_that_is_not_there_is_one_clear_sentence_and_nothing_on_stderr(
    rig: PulseRig, device: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DeviceError, match=f'microphone "{device}"'):
        open_pcm(schema.Capture(device=device))
    assert capfd.readouterr().err == ""


def test_without_any_sound_system_the_refusal_says_what_to_do(tmp_path: object) -> None:
    code = (
        "from voicekiosk.audio.pcm import open_pcm\n"
        "from voicekiosk.config import schema\n"
        "from voicekiosk.errors import DeviceError\n"
        "try: open_pcm(schema.Capture(device='default'))\n"
        "except DeviceError as error: print(error)\n"
    )
    environment = {**os.environ, "PYTHONPATH": "daemon", "ALSA_CONFIG_PATH": "/dev/null"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.count("\n") == 1
    assert 'microphone "default" cannot be opened: No such file or directory' in done.stdout
    assert "no sound card that can record is there" in done.stdout


def test_a_closed_microphone_costs_no_wake_up(rig: PulseRig, capture: Capture) -> None:
    wait_until(lambda: capture.progress_age_s(time.monotonic()) is None, "the thread parked")
    time.sleep(0.2)
    before = context_switches(capture._thread)
    time.sleep(1.0)
    assert context_switches(capture._thread) == before
