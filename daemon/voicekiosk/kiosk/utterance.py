"""What the visitor said, until it has certainly arrived: a bounded log with three cursors.

    0 ........ proven ........ sent ........ taken
                                 └ next frame

A resumed session is sent everything from `proven` on, a fresh one everything from the start. The
pace of sending is the service's: never more than T + 0.2 s of audio in any T seconds (protocol,
checklist 18). Pure: time comes in as a number.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

RATE_HZ = 24000
SAMPLE_BYTES = 2
MAX_SAMPLES = 64 * RATE_HZ
"""The longest question (60 s) with its pre-roll and tail; 3 MB."""
CATCH_UP_FROM_SAMPLES = RATE_HZ
"""Silence is left out only when this much is waiting: what is merely being connected goes out whole."""
KEPT_SILENCE_SAMPLES = RATE_HZ * 3 // 10
SILENCE_RMS = 100.0
"""Root mean square under which a frame is silence (-50 dBFS)."""
LOUD_RMS = 330.0
"""Root mean square from which a frame may be speech (-40 dBFS)."""


class Pacer:
    """A bucket that holds `burst_samples` and fills at the speed of sound played.

    The limit is 0.2 s; what is kept back of it is for a network that hands over late frames together.
    """

    def __init__(self, burst_samples: int = RATE_HZ * 15 // 100) -> None:
        self._burst = burst_samples
        self._level = float(burst_samples)
        self._at_s = float("-inf")

    def due_s(self, samples: int, now_s: float) -> float:
        """Give the moment from which `samples` may go; not later than `now_s` if they may go now."""
        self._fill(now_s)
        return now_s + (samples - self._level) / RATE_HZ

    def take(self, samples: int) -> None:
        """Note that `samples` have gone."""
        self._level -= samples

    def _fill(self, now_s: float) -> None:
        if now_s > self._at_s:
            self._level = min(self._burst, self._level + (now_s - self._at_s) * RATE_HZ)
            self._at_s = now_s


@dataclass(slots=True)
class _InFlight:
    """Frames that no pong has proven: where they ended, on the connection and in the log."""

    sent_on_connection: int
    position: int


class Utterance:
    """The log. Everything is counted in samples at 24 kHz from its start."""

    def __init__(self) -> None:
        self._pcm = bytearray()
        self._in_flight: deque[_InFlight] = deque()
        self._on_connection = 0
        self._silence = 0
        self.sent = 0
        self.proven = 0
        self.skipped = 0
        """Samples of silence that were left out to catch up."""
        self.dropped = 0
        """Samples over the bound; nobody speaks that long."""
        self.loud = False

    @property
    def taken(self) -> int:
        """Samples in the log."""
        return len(self._pcm) // SAMPLE_BYTES

    @property
    def waiting(self) -> int:
        """Samples that have not been sent."""
        return self.taken - self.sent

    def clear(self) -> None:
        """Start a new question; what is on its way stays counted."""
        self._pcm.clear()
        self._in_flight.clear()
        self._silence = 0
        self.sent = self.proven = 0
        self.loud = False

    def append(self, pcm: bytes) -> None:
        """Take in what the microphone heard."""
        room = MAX_SAMPLES - self.taken
        if len(pcm) > room * SAMPLE_BYTES:
            self.dropped += len(pcm) // SAMPLE_BYTES - room
            pcm = pcm[: room * SAMPLE_BYTES]
        self._pcm += pcm
        if not self.loud and _rms(pcm) >= LOUD_RMS:
            self.loud = True

    def frame(self, samples: int) -> bytes:
        """Give the next frame of at most `samples`, leaving out long silence when far behind."""
        while self.waiting > CATCH_UP_FROM_SAMPLES:
            pcm = self._slice(samples)
            if _rms(pcm) >= SILENCE_RMS:
                self._silence = 0
                return pcm
            if self._silence < KEPT_SILENCE_SAMPLES:
                return pcm
            self.sent += len(pcm) // SAMPLE_BYTES
            self.skipped += len(pcm) // SAMPLE_BYTES
        return self._slice(samples)

    def heard(self, start: int, samples: int) -> bytes:
        """Give what was sent of the question, at most `samples` from `start` on."""
        end = min(start + samples, self.sent)
        return bytes(self._pcm[start * SAMPLE_BYTES : max(start, end) * SAMPLE_BYTES])

    def frame_sent(self, pcm: bytes) -> None:
        """Note that the frame that `frame` gave has been handed to the link."""
        samples = len(pcm) // SAMPLE_BYTES
        # Of no use while nothing is waiting behind it; then silence is counted from where that begins.
        behind = self.waiting > CATCH_UP_FROM_SAMPLES
        self._silence = self._silence + samples if behind and _rms(pcm) < SILENCE_RMS else 0
        self.sent += samples
        self._on_connection += samples
        self._in_flight.append(_InFlight(self._on_connection, self.sent))

    def silence_sent(self, samples: int) -> None:
        """Note that silence of our own has been handed to the link: it counts there, not here."""
        self._on_connection += samples

    def prove(self, sent_on_connection: int) -> None:
        """Take a pong's word that the first `sent_on_connection` samples of this connection arrived."""
        while self._in_flight and self._in_flight[0].sent_on_connection <= sent_on_connection:
            self.proven = self._in_flight.popleft().position

    def connected(self) -> None:
        """Count from zero on a new connection; what was on its way on the old one is not proven."""
        self._in_flight.clear()
        self._on_connection = 0
        self._silence = 0

    def rewind(self, *, whole: bool) -> None:
        """Go back to what may not have arrived, or (`whole`) to the start."""
        self.proven = 0 if whole else self.proven
        self.sent = self.proven

    def _slice(self, samples: int) -> bytes:
        start = self.sent * SAMPLE_BYTES
        return bytes(memoryview(self._pcm)[start : start + samples * SAMPLE_BYTES])


def _rms(pcm: bytes) -> float:
    if not pcm:
        return 0.0
    samples = np.frombuffer(pcm, "<i2").astype(np.float32)
    return float(np.sqrt(np.dot(samples, samples) / len(samples)))
