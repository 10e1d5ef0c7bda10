import numpy as np
import pytest

from voicekiosk.audio.chirp import Echo
from voicekiosk.audio.devices import Card, Direction
from voicekiosk.audio.mixer import MixerControl
from voicekiosk.audio.survey import Abilities, Choice
from voicekiosk.doctor import sound
from voicekiosk.doctor.verdict import Level

RATE_HZ = 48000
MICROPHONE, LOUDSPEAKER = Direction.CAPTURE, Direction.PLAYBACK
HEADSET = Card(1, "Headset", "Jabra", "1-1.2", (0,), (0,))
HDMI = Card(0, "vc4hdmi0", "vc4-hdmi-0", None, (), (0,))
CAMERA = Card(2, "Camera", "C920", "1-1.3", (0,), ())


def noise(dbfs, seconds=1.5):
    rng = np.random.default_rng(1)
    return np.asarray(
        rng.normal(0, 32768 * 10 ** (dbfs / 20), round(seconds * RATE_HZ)).clip(-32768, 32767), np.int16
    )


def test_a_card_by_name_is_well():
    choice = Choice("Headset", "hw:CARD=Headset,DEV=0", "Headset")
    assert sound.judge_choice(MICROPHONE, choice, [HDMI, HEADSET]).level is Level.OK


def test_a_name_that_leads_nowhere_says_where_to_change_it():
    verdict = sound.judge_choice(MICROPHONE, Choice("Headset", "", "", "there is no such card"), [])
    assert verdict.level is Level.FAILURE
    assert "audio.capture.device" in verdict.fix


def test_no_card_at_all_is_a_warning_as_long_as_alsas_default_is_not_tried():
    assert sound.judge_choice(LOUDSPEAKER, Choice("auto", "default", ""), []).level is Level.WARNING


def test_auto_with_one_card_beside_the_display_is_well():
    choice = Choice("auto", "hw:CARD=Headset,DEV=0", "Headset")
    assert sound.judge_choice(LOUDSPEAKER, choice, [HDMI, HEADSET]).level is Level.OK


def test_auto_between_two_cards_asks_for_a_name():
    choice = Choice("auto", "hw:CARD=Headset,DEV=0", "Headset")
    verdict = sound.judge_choice(MICROPHONE, choice, [HEADSET, CAMERA])
    assert verdict.level is Level.WARNING
    assert 'audio.capture.device = "Headset"' in verdict.fix


def test_a_busy_card_is_a_failure():
    able = Abilities(MICROPHONE, "hw:CARD=Headset,DEV=0", "", None, (), (), "Device or resource busy")
    assert sound.judge_abilities(MICROPHONE, able).level is Level.FAILURE


def test_a_card_with_telephone_rates_only_is_a_warning():
    able = Abilities(MICROPHONE, "hw:CARD=Old,DEV=0", "8000 Hz", 8000, ("S16_LE",), (1,))
    assert sound.judge_abilities(MICROPHONE, able).level is Level.WARNING


@pytest.mark.parametrize(
    ("controls", "level"),
    [
        ([], Level.OK),
        ([MixerControl("Mic", 80, muted=False)], Level.OK),
        ([MixerControl("Mic", 0, muted=False)], Level.FAILURE),
        ([MixerControl("Mic", 80, muted=True)], Level.FAILURE),
        ([MixerControl("Mic", 80, muted=True), MixerControl("Line", 80, muted=False)], Level.WARNING),
        ([MixerControl("Mic", 10, muted=None)], Level.WARNING),
    ],
)
def test_a_mixer_that_lets_nothing_or_little_through_is_found(controls, level):
    assert sound.judge_mixer(MICROPHONE, controls).level is level


@pytest.mark.parametrize(
    ("dbfs", "level"),
    [(-60, Level.OK), (-95, Level.WARNING), (-25, Level.WARNING)],
)
def test_a_microphone_is_judged_by_its_noise(dbfs, level):
    assert sound.judge_microphone(noise(dbfs), RATE_HZ).level is level


def test_a_microphone_without_any_signal_is_a_failure():
    assert sound.judge_microphone(np.full(RATE_HZ, 3, np.int16), RATE_HZ).level is Level.FAILURE


def test_a_word_in_a_quiet_room_does_not_raise_the_noise_floor():
    block = noise(-60)
    block[RATE_HZ // 2 : RATE_HZ] = noise(-20, 0.5)
    assert sound.noise_floor_dbfs(block, RATE_HZ) == pytest.approx(-60, abs=1)
    assert sound.judge_microphone(block, RATE_HZ).level is Level.OK


@pytest.mark.parametrize(
    ("echo", "level"),
    [
        (Echo(0.04, -20, 50), Level.OK),
        (Echo(0.6, -20, 50), Level.WARNING),
        (Echo(0.04, -60, 50), Level.WARNING),
        (None, Level.WARNING),
    ],
)
def test_the_way_from_loudspeaker_to_microphone_is_judged_by_delay_and_loudness(echo, level):
    assert sound.judge_echo(echo).level is level
