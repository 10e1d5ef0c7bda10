"""Which sign a visitor hears for what: an earcon, and in words what keeps the kiosk from answering."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import numpy as np

from voicekiosk.audio.earcons import RATE_HZ, Earcon, earcon
from voicekiosk.audio.sentences import own_sound, sentence
from voicekiosk.config.schema import Config
from voicekiosk.kiosk.events import Sound
from voicekiosk.panel.lamp import is_night

EARCONS: dict[Sound, Earcon] = {
    Sound.TICK: "tick",
    Sound.OFFLINE: "offline",
    Sound.NO_ANSWER: "offline",
    Sound.KEY_REFUSED: "error",
    Sound.SERVICE_REFUSED: "error",
    Sound.MICROPHONE_GONE: "error",
    Sound.LOUDSPEAKER_BACK: "ready",
    Sound.MUTED: "tick",
    Sound.BUDGET: "offline",
}
WORDLESS = frozenset({Sound.TICK})
"""What passes by itself, and comes often."""
LONGEST_SIGN_S = 2.0
"""Shorter than the time between two ticks."""
PAUSE = bytes(2 * RATE_HZ * 15 // 100)


def pcm_of(sound: Sound, config: Config, now: datetime, *, wordless: bool = False) -> bytes:
    """Return the sign as 24 kHz PCM16; `now` is local time, for the night hours."""
    # Where somebody is about to speak, only ours is known to be over by then.
    pcm = earcon(EARCONS[sound]) if wordless else _sign(EARCONS[sound], config)
    if config.sounds.words and not (wordless or sound in WORDLESS):
        pcm += PAUSE + sentence(str(sound), config.sounds.language, config.sounds.directory)
    return at_night(pcm, config, now)


def ready(config: Config, now: datetime) -> bytes:
    """Return what is said after the start; nothing unless the configuration wants it."""
    if not config.sounds.announce_ready:
        return b""
    words = PAUSE + sentence("ready", config.sounds.language, config.sounds.directory)
    return at_night(_sign("ready", config) + (words if config.sounds.words else b""), config, now)


def _sign(name: Earcon, config: Config) -> bytes:
    own = own_sound(f"earcon-{name}", config.sounds.directory, LONGEST_SIGN_S)
    return earcon(name) if own is None else own


def at_night(pcm: bytes, config: Config, now: datetime) -> bytes:
    """Return `pcm`, softer in the night hours."""
    lamp = config.panel.lamp
    percent = config.sounds.night_volume
    if percent == 100 or not is_night(lamp.night_from, lamp.night_to, now.hour * 60 + now.minute):
        return pcm
    samples = np.frombuffer(pcm, "<i2").astype(np.float32) * (percent / 100)
    return bytes(np.rint(samples).astype("<i2").tobytes())


class Speaker(Protocol):
    """What the signs need of the loudspeaker."""

    def play(self, pcm: bytes) -> None:
        """Play 24 kHz PCM16 after what is queued."""

    def end(self) -> None:
        """Say that this is all."""

    def flush(self) -> None:
        """Be silent at once."""


class Signs:
    """Signs on the loudspeaker, while no answer is on it. Belongs to the event loop's thread."""

    def __init__(self, speaker: Callable[[], Speaker]) -> None:
        """Play on what `speaker()` gives: the loudspeaker is replaced when its settings change."""
        self._speaker = speaker
        self.sounding = False
        """Whether something is queued or audible; the loudspeaker is to be open for it."""
        self._sound: Sound | None = None

    def show(self, sound: Sound, config: Config, *, wordless: bool = False) -> None:
        """Play the sign for `sound`, but not again while it is being played: people press twice."""
        if self.sounding and sound is self._sound:
            return
        self.play(pcm_of(sound, config, datetime.now().astimezone(), wordless=wordless))
        self._sound = sound

    def play(self, pcm: bytes) -> None:
        """Play 24 kHz PCM16."""
        self._sound = None
        self.sounding = True
        self._speaker().play(pcm)
        self._speaker().end()

    def hush(self) -> bool:
        """Be silent at once, since somebody is about to speak; tell whether there was a sign."""
        self._sound = None
        if self.sounding:
            self._speaker().flush()
        return self.sounding
