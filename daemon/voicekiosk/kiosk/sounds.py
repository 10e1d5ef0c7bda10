"""Which sign a visitor hears for what."""

from voicekiosk.audio.earcons import Earcon, earcon
from voicekiosk.kiosk.events import Sound

EARCONS: dict[Sound, Earcon] = {
    Sound.TICK: "tick",
    Sound.OFFLINE: "offline",
    Sound.NO_ANSWER: "offline",
    Sound.KEY_REFUSED: "error",
    Sound.SERVICE_REFUSED: "error",
    Sound.MICROPHONE_GONE: "error",
    Sound.MUTED: "tick",
}


def pcm_of(sound: Sound) -> bytes:
    """Return the sign as 24 kHz PCM16."""
    return earcon(EARCONS[sound])
