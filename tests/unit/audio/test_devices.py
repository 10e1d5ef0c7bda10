"""Which card a name means, on made-up trees of /sys/class/sound."""

from pathlib import Path

import pytest
from tests.rigs.sysfs import Sysfs

from voicekiosk.audio.devices import Direction, list_cards, resolve
from voicekiosk.errors import DeviceError

CAPTURE, PLAYBACK = Direction.CAPTURE, Direction.PLAYBACK


@pytest.fixture
def sysfs(tmp_path: Path) -> Sysfs:
    return Sysfs(tmp_path)


@pytest.fixture
def pi(sysfs: Sysfs) -> Sysfs:
    """A Pi with two HDMI sockets, its own jack and a USB headset."""
    sysfs.add(0, "vc4hdmi0", "0p")
    sysfs.add(1, "vc4hdmi1", "0p")
    sysfs.add(2, "Headphones", "0p")
    sysfs.add(3, "Headset", "0p 0c", usb="1-1.2", product="Plantronics Blackwire")
    return sysfs


def test_cards_are_listed_with_socket_name_and_directions(pi: Sysfs) -> None:
    headset = list_cards(pi.sound)[3]
    assert (headset.index, headset.id, headset.usb_path) == (3, "Headset", "1-1.2")
    assert headset.name == "Plantronics Blackwire"
    assert headset.capture == (0,)
    assert headset.playback == (0,)


def test_a_card_without_usb_is_named_by_its_id(pi: Sysfs) -> None:
    card = list_cards(pi.sound)[2]
    assert (card.name, card.usb_path, card.capture) == ("Headphones", None, ())


def test_a_machine_without_sound_has_no_cards(tmp_path: Path) -> None:
    assert list_cards(tmp_path / "nowhere") == []


def test_a_card_that_vanishes_while_it_is_listed_is_left_out(pi: Sysfs) -> None:
    (pi.sound / "card3" / "id").unlink()
    assert [card.id for card in list_cards(pi.sound)] == ["vc4hdmi0", "vc4hdmi1", "Headphones"]


def test_auto_takes_the_first_card_that_can_record(pi: Sysfs) -> None:
    assert resolve("auto", CAPTURE, sysfs=pi.sound) == "hw:CARD=Headset,DEV=0"


def test_auto_plays_on_a_display_only_when_nothing_else_can(pi: Sysfs) -> None:
    assert resolve("auto", PLAYBACK, sysfs=pi.sound) == "hw:CARD=Headphones,DEV=0"


def test_auto_plays_on_a_display_when_there_is_nothing_else(sysfs: Sysfs) -> None:
    sysfs.add(0, "vc4hdmi", "0p")
    assert resolve("auto", PLAYBACK, sysfs=sysfs.sound) == "hw:CARD=vc4hdmi,DEV=0"


def test_auto_takes_the_first_device_that_has_the_direction(sysfs: Sysfs) -> None:
    sysfs.add(0, "Codec", "0p 1c 2c")
    assert resolve("auto", CAPTURE, sysfs=sysfs.sound) == "hw:CARD=Codec,DEV=1"


def test_auto_falls_back_to_the_default_of_alsa_where_there_is_no_card(sysfs: Sysfs) -> None:
    assert resolve("auto", CAPTURE, sysfs=sysfs.sound) == "default"


def test_a_card_is_found_by_its_id(pi: Sysfs) -> None:
    assert resolve("Headset", PLAYBACK, sysfs=pi.sound) == "hw:CARD=Headset,DEV=0"


def test_a_card_is_found_by_its_usb_socket_whatever_its_number(sysfs: Sysfs) -> None:
    sysfs.add(0, "Device", "0p 0c", usb="1-1.1")
    sysfs.add(1, "Device_1", "0p 0c", usb="1-1.2")
    assert resolve("usb:1-1.2", CAPTURE, sysfs=sysfs.sound) == "hw:CARD=Device_1,DEV=0"


@pytest.mark.parametrize(
    "name", ["default", "hw:CARD=Headset", "hw:Headset,0", "plughw:3,0", "dsnoop:CARD=X", "tcp:a"]
)
def test_an_alsa_name_goes_to_alsa_as_it_is(pi: Sysfs, name: str) -> None:
    assert resolve(name, CAPTURE, sysfs=pi.sound) == name


def test_a_name_from_the_configuration_of_alsa_goes_to_alsa(pi: Sysfs) -> None:
    assert resolve("shared_mic", CAPTURE, sysfs=pi.sound, known=lambda: ["shared_mic"]) == "shared_mic"


@pytest.mark.parametrize("name", ["Hedset", "usb:1-1.4", "hw:CARD=Hedset,DEV=0", "hw:7"])
def test_what_is_not_there_is_refused_with_what_is(pi: Sysfs, name: str) -> None:
    with pytest.raises(DeviceError) as caught:
        resolve(name, CAPTURE, sysfs=pi.sound)
    message = str(caught.value)
    assert name in message
    assert "Headset (usb:1-1.2)" in message
    assert "Headphones" not in message
    assert "audio.capture.device" in message
    assert "\n" not in message


def test_a_card_that_lacks_the_direction_is_refused(pi: Sysfs) -> None:
    with pytest.raises(DeviceError, match='microphone "Headphones": the card Headphones cannot record'):
        resolve("Headphones", CAPTURE, sysfs=pi.sound)


def test_a_number_is_refused_because_it_changes_at_boot(pi: Sysfs) -> None:
    with pytest.raises(DeviceError, match="cards are not found by number"):
        resolve("3", CAPTURE, sysfs=pi.sound)


def test_without_any_card_the_refusal_says_so(sysfs: Sysfs) -> None:
    with pytest.raises(DeviceError, match="no card here can play"):
        resolve("Headset", PLAYBACK, sysfs=sysfs.sound)
