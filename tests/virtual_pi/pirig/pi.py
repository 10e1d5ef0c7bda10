"""Everything that a test has to do with, and the way of a question from the press to the answer's end."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from demolib import verify
from demolib.judge import references
from pirig import words
from pirig.kiosk import Kiosk, Settings
from pirig.network import Network
from pirig.pins import MUTE, Eye, Finger
from pirig.sound import Ear, Mouth
from pirig.steering import ServiceHand
from pirig.wait import TooBusyError, until
from voicekiosk.audio.resample import Resampler

SERVER_HZ = 24000
Samples = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Question:
    """One question, as the rig asked it."""

    pressed_s: float
    released_s: float
    begin: int
    """Where on the mouth's tape the clip begins and ends."""
    end: int


class Pi:
    """The virtual Pi in one test."""

    def __init__(self, kiosk: Kiosk, service: ServiceHand) -> None:
        self.kiosk = kiosk
        self.service = service
        self.network = Network()
        self.finger = Finger()
        self.mute_finger = Finger(MUTE)
        self.eye = Eye()
        self.mouth = Mouth()
        self.ear = Ear()
        self.record: Path = service.begin()
        self.allowed_rules = {18}
        """Rules of the protocol that the kiosk may seem to break; 18, the pace, cannot be judged where both
        ends share one processor: what was sent in time is read together."""
        self.errors_expected = False
        """Whether the journal may hold a traceback."""

    def listen(self) -> None:
        """Have mouth and ear take their ends of the cables; before the kiosk, so that theirs is the rate."""
        self.mouth.start()
        self.ear.start()

    def boot(self, settings: Settings | None = None, scenario: dict[str, Any] | None = None) -> None:
        """Start mouth, ear and kiosk; `scenario` changes what the service does."""
        if scenario is not None:
            self.record = self.service.begin(scenario)
        self.listen()
        self.kiosk.start(settings)
        self.kiosk.wait_state("idle")
        # It opens its cards once, to see whether they are there; and keeps them for a session, or if it is warm.
        self.kiosk.wait("the microphone to be tried", lambda status: status["microphone"]["rate_hz"])
        if not dict((settings or {}).get("audio.capture", {})).get("warm"):
            self.kiosk.wait(
                "the microphone to be closed",
                lambda status: status["link"]["state"] != "closed" or not status["microphone"]["open"],
            )

    def look_again(self) -> None:
        """Take finger and eye to a chip that is another one now."""
        self.finger, self.mute_finger, self.eye = Finger(), Finger(MUTE), Eye()
        self.finger.release()
        self.mute_finger.release()

    def close(self) -> None:
        """Let go of everything."""
        self.finger.release()
        self.mute_finger.release()
        self.mouth.stop()
        self.ear.stop()
        self.eye.close()

    # --- acting

    def ask(self, clip: Samples | None = None, *, wait_for_state: bool = True) -> Question:
        """Press, say a clip (a word, if none is given) to its end, release."""
        clip = words.word(self.mouth.rate_hz) if clip is None else clip
        pressed_s = self.finger.press()
        if wait_for_state:
            self.kiosk.wait_state("listening")
        begin = self.mouth.say(clip)
        self.mouth.wait(len(clip) / self.mouth.rate_hz + 10)
        time.sleep(0.1)
        released_s = self.finger.release()
        return Question(pressed_s, released_s, begin, begin + len(clip))

    def hear_answer(self, timeout_s: float = 20.0) -> None:
        """Wait until an answer has been spoken to its end."""
        self.kiosk.wait_state("speaking", timeout_s=timeout_s)
        self.kiosk.wait_state("idle", timeout_s=timeout_s)

    def converse(self, clip: Samples | None = None, *, timeout_s: float = 20.0) -> Question:
        """Ask, and hear the answer to its end."""
        question = self.ask(clip)
        self.hear_answer(timeout_s)
        return question

    def wait_loud(self, timeout_s: float = 15.0) -> float:
        """Wait until the loudspeaker is in the middle of a sound."""
        return until("a sound from the loudspeaker", lambda: self.ear.level() > 1000, timeout_s, pause_s=0.02)

    def wait_quiet(self, timeout_s: float = 15.0) -> float:
        """Wait until the loudspeaker has been silent for a moment."""
        return until("the loudspeaker to be silent", lambda: self.ear.level(0.3) < 2, timeout_s)

    # --- judging

    def arrived(
        self, question: Question, *, connections: int | None = None, newest_s: float | None = None
    ) -> verify.Found:
        """Look for every sample of a question in what the service received, or in the newest part of it.

        What the microphone heard around the clip helps to find it and is not asked for.
        """
        if self.mouth.stammers:
            raise TooBusyError("the mouth stammered: the machine is too busy to judge")
        parts = self.service.received()
        if connections is not None:
            assert len(parts) == connections
        record = np.concatenate(parts) if parts else np.empty(0, np.int16)
        if newest_s is not None:
            record = record[-round(newest_s * SERVER_HZ) :]
        return self.search(question, record)

    def search(self, question: Question, record: Samples) -> verify.Found:
        """Look for every sample of a question in a record at 24 kHz."""
        tape = self.mouth.tape
        around = self.mouth.rate_hz // 10
        begin = max(0, question.begin - around)
        piece = tape[begin : question.end + around]
        phases, windows = references(piece, question.begin - begin, question.end - begin, self.mouth.rate_hz)
        _, found = verify.best_phase(phases, record, windows)
        return found

    def heard(self, reply: Samples, since_s: float, until_s: float | None = None) -> float:
        """Return how like a reply (24 kHz) what the loudspeaker played is, from -1 to 1."""
        resampler = Resampler(SERVER_HZ, self.ear.rate_hz)
        reference = np.concatenate([resampler.process(reply), resampler.flush()])
        correlation, _ = verify.compare(reference, self.ear.between(since_s - 0.2, until_s))
        return correlation
