"""Which sound card is meant: from a name in the configuration to a name ALSA can open.

Cards are found by their id or by the USB socket they sit in, never by number: numbers change with the
order in which the kernel finds the cards. Hardware is always named `hw:`, so that ALSA converts nothing
behind our back (without its plug-ins it resamples with no filter at all).
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from voicekiosk.errors import DeviceError

SYSFS = Path("/sys/class/sound")

_PCM_NODE = re.compile(r"pcmC(\d+)D(\d+)([cp])")
# A hardware name with its card: hw:Headset, hw:CARD=Headset,DEV=0, plughw:Headset,0
_HARDWARE = re.compile(r"(?:plug)?hw:(?:CARD=)?([^,]+)(?:,.*)?")


class Direction(StrEnum):
    """Which way the sound goes."""

    CAPTURE = "capture"
    PLAYBACK = "playback"

    @property
    def noun(self) -> str:
        """What people call such a device."""
        return "microphone" if self is Direction.CAPTURE else "loudspeaker"

    @property
    def verb(self) -> str:
        """What such a device does."""
        return "record" if self is Direction.CAPTURE else "play"

    @property
    def setting(self) -> str:
        """The table of the configuration that describes it."""
        return f"audio.{self.value}"


@dataclass(frozen=True, slots=True)
class Card:
    """A sound card as the kernel knows it."""

    # Of this boot only: shown to people, never used to find the card.
    index: int
    # Stable: what `hw:CARD=` takes and what the configuration should say.
    id: str
    # What the maker calls it.
    name: str
    # The socket it is plugged into ("1-1.2"), None when it is not a USB card.
    usb_path: str | None
    # Numbers of its devices that can record and play.
    capture: tuple[int, ...]
    playback: tuple[int, ...]

    def devices(self, direction: Direction) -> tuple[int, ...]:
        """Return the numbers of its devices for that direction."""
        return self.capture if direction is Direction.CAPTURE else self.playback

    def pcm_name(self, direction: Direction) -> str:
        """Return the ALSA name of its first device for that direction, which it must have."""
        return f"hw:CARD={self.id},DEV={self.devices(direction)[0]}"

    @property
    def is_hdmi(self) -> bool:
        """Whether it plays into a display."""
        return "hdmi" in self.id.lower()


def list_cards(sysfs: Path = SYSFS) -> list[Card]:
    """Return the sound cards that are there now, in the kernel's order."""
    nodes: dict[int, dict[str, list[int]]] = {}
    try:
        names = sorted(entry.name for entry in sysfs.iterdir())
    except OSError:
        return []
    for name in names:
        if match := _PCM_NODE.fullmatch(name):
            directions = nodes.setdefault(int(match[1]), {"c": [], "p": []})
            directions[match[3]].append(int(match[2]))
    cards = []
    for name in names:
        if not (name.startswith("card") and name[4:].isdigit()):
            continue
        index = int(name[4:])
        card_id = _read(sysfs / name / "id")
        if not card_id:
            # Unplugged between listing and reading.
            continue
        usb = _usb_device(sysfs / name)
        found = nodes.get(index, {"c": [], "p": []})
        cards.append(
            Card(
                index=index,
                id=card_id,
                name=(_read(usb / "product") if usb else "") or card_id,
                usb_path=usb.name if usb else None,
                capture=tuple(sorted(found["c"])),
                playback=tuple(sorted(found["p"])),
            )
        )
    return sorted(cards, key=lambda card: card.index)


def resolve(
    device: str, direction: Direction, *, sysfs: Path = SYSFS, known: Callable[[], Collection[str]] = list
) -> str:
    """Return the ALSA name for `device`: "auto", a card's id, "usb:PATH" or any ALSA name.

    "auto" means the first card that has the direction, displays last (a Pi lists its HDMI sockets first,
    whether or not anything is plugged in), and ALSA's own "default" where there is no card at all.
    `known` gives the names that ALSA's configuration defines. Raises DeviceError for what is not there,
    before ALSA sees it: it would write its own lines past our journal at every attempt.
    """
    cards = list_cards(sysfs)
    if device == "auto":
        able = [card for card in cards if card.devices(direction)]
        return min(able, key=lambda card: card.is_hdmi).pcm_name(direction) if able else "default"
    if device.startswith("usb:"):
        for card in cards:
            if card.usb_path == device[4:]:
                return _first_device(card, device, direction)
        raise _missing(device, direction, "no sound card is plugged in there", cards)
    if hardware := _HARDWARE.fullmatch(device):
        if any(hardware[1] in {card.id, str(card.index)} for card in cards):
            return device
        raise _missing(device, direction, "there is no such sound card", cards)
    if ":" in device or device == "default":
        return device
    for card in cards:
        if card.id == device:
            return _first_device(card, device, direction)
    if device.isdigit():
        raise _missing(device, direction, "cards are not found by number, as numbers change at boot", cards)
    if device in known():
        return device
    raise _missing(device, direction, "there is no such sound card or ALSA device", cards)


def names_card(pcm_name: str, card: Card) -> bool:
    """Tell whether an ALSA name means this card: hw:CARD=Headset,DEV=0, hw:Headset, plughw:1,0."""
    _, colon, rest = pcm_name.partition(":")
    first = rest.removeprefix("CARD=").partition(",")[0]
    return bool(colon) and first in {card.id, str(card.index)}


def card_name(pcm_name: str, sysfs: Path = SYSFS) -> str:
    """Return what the maker calls the card that an ALSA name means; empty when it means none."""
    return next((card.name for card in list_cards(sysfs) if names_card(pcm_name, card)), "")


def _first_device(card: Card, device: str, direction: Direction) -> str:
    if card.devices(direction):
        return card.pcm_name(direction)
    raise DeviceError(
        f'{direction.noun} "{device}": the card {card.id} cannot {direction.verb}; '
        f"set {direction.setting}.device to one that can"
    )


def _missing(device: str, direction: Direction, what: str, cards: list[Card]) -> DeviceError:
    able = [card for card in cards if card.devices(direction)]
    names = ", ".join(f"{card.id} (usb:{card.usb_path})" if card.usb_path else card.id for card in able)
    offer = f"these can {direction.verb}: {names}" if able else f"no card here can {direction.verb}"
    return DeviceError(f'{direction.noun} "{device}": {what}; {offer}; see {direction.setting}.device')


def _usb_device(card: Path) -> Path | None:
    """Return the directory of the USB device a card belongs to: the one above its interface "1-1.2:1.0"."""
    device = (card / "device").resolve()
    return device.parent if re.fullmatch(r"\d+-[\d.]+:\d+\.\d+", device.name) else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
