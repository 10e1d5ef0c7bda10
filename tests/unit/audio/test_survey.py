from types import SimpleNamespace

import pytest
from tests.rigs.fake_alsa import FORMATS, ALSAAudioError, Card, World

from voicekiosk.audio.devices import Direction, card_name, names_card
from voicekiosk.audio.survey import choose, survey
from voicekiosk.config import schema


@pytest.fixture
def sysfs(tmp_path):
    """A Pi with an HDMI socket and a USB headset."""
    for index, (card, nodes) in enumerate({"vc4hdmi0": ["D0p"], "Headset": ["D0c", "D0p"]}.items()):
        (tmp_path / f"card{index}").mkdir()
        (tmp_path / f"card{index}" / "id").write_text(f"{card}\n")
        for node in nodes:
            (tmp_path / f"pcmC{index}{node}").mkdir()
    return tmp_path


class Wishless(World):
    """Opens a device without a wish, as the survey does."""

    def _open(self, **wish):
        defaults = {
            "rate": 44100,
            "channels": 2,
            "format": FORMATS["S16_LE"][0],
            "periodsize": 32,
            "periods": 4,
        }
        return super()._open(**(defaults | wish))


@pytest.fixture
def world():
    world = Wishless()
    world.cards = {
        "hw:CARD=vc4hdmi0,DEV=0": Card(rates=[48000]),
        "hw:CARD=Headset,DEV=0": Card(rates=[16000, 44100], channels=[1], formats=["S16_LE", "U8"]),
    }
    return world


def test_every_card_tells_what_it_can_do(world, sysfs):
    hdmi, headset = survey(alsa=world.alsa(), sysfs=sysfs)
    assert [able.direction for able in hdmi.abilities] == [Direction.PLAYBACK]
    microphone = headset.abilities[0]
    assert microphone.rates == "16000 Hz, 44100 Hz"
    assert microphone.auto_rate_hz == 44100
    assert microphone.formats == ("S16_LE",)
    assert microphone.channels == (1,)
    assert microphone.problem == ""


def test_a_range_of_rates_is_told_as_such(world, sysfs):
    world.cards["hw:CARD=Headset,DEV=0"].rates = (8000, 192000)
    assert survey(alsa=world.alsa(), sysfs=sysfs)[1].abilities[0].rates == "8000 to 192000 Hz"


def test_a_busy_card_says_so_and_the_others_are_asked(world, sysfs):
    world.cards["hw:CARD=vc4hdmi0,DEV=0"].trouble = "Device or resource busy"
    hdmi, headset = survey(alsa=world.alsa(), sysfs=sysfs)
    assert "Device or resource busy" in hdmi.abilities[0].problem
    assert headset.abilities[0].problem == ""


def test_nothing_is_left_open(world, sysfs):
    survey(alsa=world.alsa(), sysfs=sysfs)
    assert all(handle.closed for card in world.cards.values() for handle in card.opened)


def test_auto_leads_past_the_display(world, sysfs):
    choice = choose(schema.Playback(), alsa=world.alsa(), sysfs=sysfs)
    assert (choice.card, choice.pcm_name) == ("Headset", "hw:CARD=Headset,DEV=0")


def test_a_card_that_is_not_there_is_a_problem_and_no_exception(world, sysfs):
    choice = choose(schema.Capture(device="Nothing"), alsa=world.alsa(), sysfs=sysfs)
    assert choice.card == ""
    assert "there is no such sound card" in choice.problem


@pytest.mark.parametrize(
    "name", ["hw:CARD=Headset,DEV=0", "hw:Headset", "plughw:1,0", "sysdefault:CARD=Headset"]
)
def test_an_alsa_name_names_its_card(name):
    assert names_card(name, SimpleNamespace(id="Headset", index=1))


@pytest.mark.parametrize("name", ["default", "hw:CARD=Other", "pulse", "hw:0,0"])
def test_an_alsa_name_names_no_other_card(name):
    assert not names_card(name, SimpleNamespace(id="Headset", index=1))


def test_a_card_that_goes_while_it_is_asked_is_a_problem_and_no_exception(world, sysfs, monkeypatch):
    def gone(handle):
        raise ALSAAudioError("No such device")

    monkeypatch.setattr("tests.rigs.fake_alsa.Handle.getrates", gone)
    assert "No such device" in survey(alsa=world.alsa(), sysfs=sysfs)[1].abilities[0].problem


def test_a_card_s_name_is_the_maker_s_and_an_alias_has_none(sysfs):
    assert card_name("hw:CARD=Headset,DEV=0", sysfs) == "Headset"
    assert card_name("default", sysfs) == ""
