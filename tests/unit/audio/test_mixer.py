from types import SimpleNamespace

import pytest

from voicekiosk.audio.devices import Direction
from voicekiosk.audio.mixer import MixerControl, read_controls


class AlsaError(Exception):
    pass


class FakeMixer:
    """One control as alsaaudio shows it."""

    open = 0

    def __init__(self, volume=(), switch=(), *, levels=(50,), mute=(0,), rec=(1,), broken=False):
        self.volume, self.switch, self.levels, self.mute, self.rec = volume, switch, levels, mute, rec
        self.broken = broken

    def volumecap(self):
        if self.broken:
            raise AlsaError("gone")
        return list(self.volume)

    def switchcap(self):
        return list(self.switch)

    def getvolume(self, pcmtype):
        return list(self.levels)

    def getmute(self):
        return list(self.mute)

    def getrec(self):
        return list(self.rec)

    def close(self):
        FakeMixer.open -= 1


def card(*controls):
    """An alsaaudio with one card; each control is (name, FakeMixer)."""

    def make(control, id, cardindex):  # noqa: A002 - alsaaudio's name
        FakeMixer.open += 1
        return [mixer for name, mixer in controls if name == control][id]

    return SimpleNamespace(
        ALSAAudioError=AlsaError,
        PCM_CAPTURE=1,
        PCM_PLAYBACK=0,
        mixers=lambda cardindex: [name for name, _ in controls],
        Mixer=make,
    )


SPEAKER = ("Speaker", FakeMixer(["Playback Volume"], ["Playback Mute"], levels=(70, 60)))
MICROPHONE = ("Mic", FakeMixer(["Capture Volume"], ["Capture Mute"], levels=(30,)))


@pytest.mark.parametrize(
    ("direction", "expected"),
    [
        (Direction.PLAYBACK, [MixerControl("Speaker", 70, muted=False)]),
        (Direction.CAPTURE, [MixerControl("Mic", 30, muted=False)]),
    ],
)
def test_each_direction_sees_its_own_controls(direction, expected):
    assert read_controls(0, direction, alsa=card(SPEAKER, MICROPHONE)) == expected


def test_a_muted_loudspeaker_is_seen():
    speaker = ("Speaker", FakeMixer(["Playback Volume"], ["Playback Mute"], mute=(1, 1)))
    assert read_controls(0, Direction.PLAYBACK, alsa=card(speaker))[0].muted is True


def test_one_open_channel_is_not_muted():
    speaker = ("Speaker", FakeMixer(["Playback Volume"], ["Playback Mute"], mute=(1, 0)))
    assert read_controls(0, Direction.PLAYBACK, alsa=card(speaker))[0].muted is False


def test_a_microphone_that_is_switched_off_is_seen():
    microphone = ("Mic", FakeMixer(["Capture Volume"], ["Capture Mute"], rec=(0, 0)))
    assert read_controls(0, Direction.CAPTURE, alsa=card(microphone))[0].muted is True


def test_a_volume_without_a_direction_counts_for_both():
    line = ("PCM", FakeMixer(["Volume"]))
    assert read_controls(0, Direction.CAPTURE, alsa=card(line)) == [MixerControl("PCM", 50, None)]
    assert read_controls(0, Direction.PLAYBACK, alsa=card(line)) == [MixerControl("PCM", 50, None)]


def test_two_controls_of_one_name_are_told_apart():
    names = [
        control.name for control in read_controls(0, Direction.CAPTURE, alsa=card(MICROPHONE, MICROPHONE))
    ]
    assert names == ["Mic", "Mic,1"]


def test_a_card_without_a_mixer_has_no_controls():
    def no_mixer(cardindex):
        raise AlsaError("No such file or directory")

    alsa = card()
    alsa.mixers = no_mixer
    assert read_controls(0, Direction.CAPTURE, alsa=alsa) == []


def test_a_control_that_fails_does_not_hide_the_others():
    broken = ("Broken", FakeMixer(broken=True))
    assert [c.name for c in read_controls(0, Direction.CAPTURE, alsa=card(broken, MICROPHONE))] == ["Mic"]


def test_every_control_is_closed_again():
    FakeMixer.open = 0
    read_controls(0, Direction.CAPTURE, alsa=card(SPEAKER, MICROPHONE, ("Broken", FakeMixer(broken=True))))
    assert FakeMixer.open == 0
