"""Devices for a moment, on real ALSA."""

import numpy as np
import pytest
from tests.rigs.pulse import PulseRig

from voicekiosk.audio.chirp import chirp, find
from voicekiosk.audio.levels import is_constant
from voicekiosk.audio.once import play_and_record, record, windows
from voicekiosk.config import schema
from voicekiosk.errors import DeviceError

pytestmark = pytest.mark.audio


def test_a_moment_of_the_microphone_has_the_length_that_was_asked_for(rig: PulseRig) -> None:
    rate_hz, block = record(schema.Capture(), 0.5)
    assert rate_hz == 48000
    assert 0.5 <= len(block) / rate_hz < 0.6
    assert is_constant(block)


def test_windows_go_on_until_nobody_wants_them(rig: PulseRig) -> None:
    stream = windows(schema.Capture(), 0.1)
    lengths = [len(next(stream)) for _ in range(3)]
    stream.close()
    assert all(4800 <= length < 6000 for length in lengths)
    # Given back: it can be opened again at once.
    record(schema.Capture(), 0.05)


def test_the_chirp_is_played_while_the_microphone_listens(rig: PulseRig) -> None:
    recording = rig.record()
    heard, began_s = play_and_record(schema.Capture(), schema.Playback(), chirp())
    assert recording.wait_for(lambda samples: np.abs(samples.astype(int)).max() > 4000, 10)
    recording.stop()
    assert 1.2 < len(heard) / 24000 < 2
    assert 0.2 < began_s < 1
    # The rig's microphone does not hear its loudspeaker.
    assert find(heard, began_s) is None
    assert find(recording.samples[::2].copy()) is not None


def test_a_microphone_that_cannot_be_opened_leaves_the_loudspeaker_alone(rig: PulseRig) -> None:
    with pytest.raises(DeviceError, match="microphone"):
        play_and_record(schema.Capture(device="hw:CARD=Nothing"), schema.Playback(), chirp())


def test_a_loudspeaker_that_cannot_be_opened_gives_the_microphone_back(rig: PulseRig) -> None:
    with pytest.raises(DeviceError, match="loudspeaker"):
        play_and_record(schema.Capture(), schema.Playback(device="hw:CARD=Nothing"), chirp())
    record(schema.Capture(), 0.05)
