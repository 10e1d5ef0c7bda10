"""What the microphone hears, for the person at the command line: the level now, the last question.

From memory only. The last question is gone when the next one begins or the conversation is over.
"""

from base64 import b64encode
from typing import Final

from voicekiosk.audio.levels import peak_dbfs, rms_dbfs
from voicekiosk.errors import RefusedError
from voicekiosk.kiosk.conductor import Conductor
from voicekiosk.kiosk.state import Name, name_of
from voicekiosk.kiosk.utterance import RATE_HZ, Utterance
from voicekiosk.service.status import LastQuestion, LevelNow

WINDOW_S: Final = 0.2
PART_SAMPLES: Final = 10 * RATE_HZ
"""What one answer holds at most: under 700 kB as text."""


def level_now(conductor: Conductor) -> LevelNow:
    """Return the level of the last moment, of a microphone that is open anyway."""
    state = str(name_of(conductor.state))
    stream = conductor.parts.capture.stream
    if stream is None or not conductor.state.microphone_open:
        return LevelNow(open=False, state=state, rms_dbfs=None, peak_dbfs=None)
    reader = stream.ring.reader(max(0, stream.ring.written - round(WINDOW_S * stream.rate_hz)))
    _, block = reader.read()
    return LevelNow(open=True, state=state, rms_dbfs=rms_dbfs(block), peak_dbfs=peak_dbfs(block))


def last_question(utterance: Utterance, start: int) -> LastQuestion:
    """Return the last question from sample `start` on, or as much of it as one answer holds."""
    return LastQuestion(
        samples=utterance.sent,
        skipped=utterance.skipped,
        start=start,
        pcm=b64encode(utterance.heard(start, PART_SAMPLES)).decode(),
    )


def play_last_question(conductor: Conductor) -> str:
    """Play it on the loudspeaker. Raises `RefusedError` when there is none, or somebody is talking."""
    utterance = conductor.uplink.utterance
    if utterance.sent == 0:
        raise RefusedError("there is no question to hear: it is forgotten when the conversation ends")
    if name_of(conductor.state) not in (Name.IDLE, Name.MUTED):
        raise RefusedError(f"the kiosk is {name_of(conductor.state)}; try again when it is idle")
    conductor.play_aloud(utterance.heard(0, utterance.sent))
    return f"playing {utterance.sent / RATE_HZ:.1f} s"
