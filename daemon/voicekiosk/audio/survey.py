"""What the sound cards here can do, for people who choose one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import alsaaudio

from voicekiosk.audio.devices import SYSFS, Card, Direction, list_cards, names_card, resolve
from voicekiosk.audio.frames import LAYOUTS
from voicekiosk.audio.pcm import preferred_rate
from voicekiosk.audio.quiet import silence_alsa
from voicekiosk.config import schema
from voicekiosk.errors import DeviceError


@dataclass(frozen=True, slots=True)
class Abilities:
    """What one direction of a card offers."""

    direction: Direction
    pcm_name: str
    # "44100 Hz, 48000 Hz" or "8000 to 192000 Hz".
    rates: str
    # The rate that `rate_hz = 0` would open it at; None when that could not be asked.
    auto_rate_hz: int | None
    formats: tuple[str, ...]
    channels: tuple[int, ...]
    # Why it could not be asked; empty when it could.
    problem: str = ""


@dataclass(frozen=True, slots=True)
class CardReport:
    """A card with all it can do."""

    card: Card
    abilities: tuple[Abilities, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """What a setting leads to."""

    setting: str
    # The ALSA name, and the card's id; empty when there is none.
    pcm_name: str
    card: str
    problem: str = ""


def survey(*, alsa: ModuleType = alsaaudio, sysfs: Path = SYSFS) -> list[CardReport]:
    """Return every card with its abilities. Opens each device for a moment; one in use stays unasked."""
    silence_alsa()
    return [
        CardReport(
            card,
            tuple(_ask(card, direction, alsa) for direction in Direction if card.devices(direction)),
        )
        for card in list_cards(sysfs)
    ]


def choose(
    settings: schema.Capture | schema.Playback, *, alsa: ModuleType = alsaaudio, sysfs: Path = SYSFS
) -> Choice:
    """Return which card `settings` lead to now."""
    silence_alsa()
    direction = Direction.CAPTURE if isinstance(settings, schema.Capture) else Direction.PLAYBACK
    try:
        pcm_name = resolve(settings.device, direction, sysfs=sysfs, known=alsa.pcms)
    except DeviceError as error:
        return Choice(settings.device, "", "", str(error))
    card = next((card for card in list_cards(sysfs) if names_card(pcm_name, card)), None)
    return Choice(settings.device, pcm_name, card.id if card else "")


def _ask(card: Card, direction: Direction, alsa: ModuleType) -> Abilities:
    name = card.pcm_name(direction)
    kind = alsa.PCM_CAPTURE if direction is Direction.CAPTURE else alsa.PCM_PLAYBACK
    try:
        handle = alsa.PCM(type=kind, mode=alsa.PCM_NONBLOCK, device=name)
    except alsa.ALSAAudioError as error:
        return Abilities(direction, name, "", None, (), (), str(error))
    try:
        rates = handle.getrates()
        formats = tuple(known for known in LAYOUTS if known in handle.getformats())
        channels = tuple(handle.getchannels())
    except alsa.ALSAAudioError as error:
        return Abilities(direction, name, "", None, (), (), str(error))
    finally:
        handle.close()
    return Abilities(direction, name, _in_words(rates), preferred_rate(rates), formats, channels)


def _in_words(rates: int | tuple[int, int] | Sequence[int]) -> str:
    match rates:
        case int():
            return f"{rates} Hz"
        case (least, most) if isinstance(rates, tuple):
            return f"{least} to {most} Hz"
        case _:
            return ", ".join(f"{rate} Hz" for rate in rates)
