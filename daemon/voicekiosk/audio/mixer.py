"""What a card's mixer lets through: levels and switches, as alsamixer shows them. Read only."""

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import alsaaudio

from voicekiosk.audio.devices import Direction
from voicekiosk.audio.quiet import silence_alsa


@dataclass(frozen=True, slots=True)
class MixerControl:
    """One control of a card, as far as it concerns one direction."""

    name: str
    # None where it has no level, or no switch.
    percent: int | None
    muted: bool | None


def read_controls(
    card_index: int, direction: Direction, *, alsa: ModuleType = alsaaudio
) -> list[MixerControl]:
    """Return the card's controls for that direction; none where the card has no mixer.

    Names that a card has twice are told apart by ALSA's number: "Mic" and "Mic,1".
    """
    silence_alsa()
    try:
        names = alsa.mixers(cardindex=card_index)
    except alsa.ALSAAudioError:
        return []
    seen: dict[str, int] = {}
    controls = []
    for name in names:
        number = seen.get(name, 0)
        seen[name] = number + 1
        try:
            mixer = alsa.Mixer(control=name, id=number, cardindex=card_index)
        except alsa.ALSAAudioError:
            # A control of another kind, or a card that has just gone.
            continue
        try:
            control = _read(mixer, f"{name},{number}" if number else name, direction, alsa)
        finally:
            mixer.close()
        if control.percent is not None or control.muted is not None:
            controls.append(control)
    return controls


def _read(mixer: Any, name: str, direction: Direction, alsa: ModuleType) -> MixerControl:
    capture = direction is Direction.CAPTURE
    word = "Capture" if capture else "Playback"
    percent: int | None = None
    muted: bool | None = None
    try:
        # "Volume" without a word is both ways at once.
        if any(ability.endswith(f"{word} Volume") or ability == "Volume" for ability in mixer.volumecap()):
            levels = mixer.getvolume(alsa.PCM_CAPTURE if capture else alsa.PCM_PLAYBACK)
            percent = max(levels, default=None)
        if capture and any("Capture" in ability for ability in mixer.switchcap()):
            muted = not any(mixer.getrec())
        elif not capture and any("Playback" in ability or ability == "Mute" for ability in mixer.switchcap()):
            muted = all(mixer.getmute())
    except alsa.ALSAAudioError:
        # What cannot be asked is not known; the sound itself is tested too.
        pass
    return MixerControl(name, percent, muted)
