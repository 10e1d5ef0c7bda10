"""What the visitor said, until it has certainly arrived: a bounded log with three cursors.

    0 ........ proven ........ sent ........ taken
                                 └ next frame

A resumed session is sent everything from `proven` on, a fresh one everything from the start. The
pace of sending is the service's: never more than T + 0.2 s of audio in any T seconds (protocol,
checklist 18). Pure: time comes in as a number.
"""

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass

import numpy as np

RATE_HZ = 24000
SAMPLE_BYTES = 2
MAX_SAMPLES = 64 * RATE_HZ
"""The longest question (60 s) with its pre-roll and tail; 3 MB."""
CATCH_UP_FROM_SAMPLES = RATE_HZ
"""Silence is left out only when this much is waiting: what is merely being connected goes out whole."""
KEPT_AFTER_SAMPLES = RATE_HZ * 3 // 10
"""Silence that is left after a sound, where the rest of it is left out."""
KEPT_BEFORE_SAMPLES = RATE_HZ * 2 // 10
"""And before the next one: what it begins with is often softer than the room."""

# Levels are root mean squares of blocks of 20 ms. Microphones differ by a factor of a hundred, so what
# is silence or speech is told by the utterance's own floor: the level that a tenth of it stays under.
BLOCK_SAMPLES = RATE_HZ * 20 // 1000
SILENCE_FACTOR = 1.5
SILENCE_LEAST, SILENCE_MOST = 3.0, 50.0
"""Under the one (-81 dBFS) there is only the converter; over the other (-56 dBFS) it may be speech."""
SPEECH_FACTOR = 4.0
SPEECH_LEAST = 10.0
"""What stands out so far from the floor may be speech, if there is 100 ms of it; a click is shorter."""
SPEECH_BLOCKS = 5
LOUD_RMS = 330.0
"""What is as loud as this (-40 dBFS) may be speech in any case."""


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

    def room_samples(self, now_s: float) -> int:
        """Count what may go now."""
        self._fill(now_s)
        return int(self._level)

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
        # Of each block: in the order of time, and in that of loudness.
        self._levels: list[float] = []
        self._ranked: list[float] = []
        self.sent = 0
        self.proven = 0
        self.skipped = 0
        """Samples of silence that were left out to catch up."""
        self.dropped = 0
        """Samples over the bound; nobody speaks that long."""

    @property
    def taken(self) -> int:
        """Samples in the log."""
        return len(self._pcm) // SAMPLE_BYTES

    @property
    def waiting(self) -> int:
        """Samples that have not been sent."""
        return self.taken - self.sent

    @property
    def loud(self) -> bool:
        """Whether anything in it may be speech, by its loudness."""
        self._measure()
        if not self._ranked:
            return False
        limit = max(SPEECH_LEAST, SPEECH_FACTOR * self._floor)
        standing_out = len(self._ranked) - bisect_left(self._ranked, limit)
        return self._ranked[-1] >= LOUD_RMS or standing_out >= SPEECH_BLOCKS

    def clear(self) -> None:
        """Start a new question; what is on its way stays counted."""
        self._pcm.clear()
        self._in_flight.clear()
        self._levels.clear()
        self._ranked.clear()
        self.sent = self.proven = 0

    def append(self, pcm: bytes) -> None:
        """Take in what the microphone heard."""
        room = MAX_SAMPLES - self.taken
        if len(pcm) > room * SAMPLE_BYTES:
            self.dropped += len(pcm) // SAMPLE_BYTES - room
            pcm = pcm[: room * SAMPLE_BYTES]
        self._pcm += pcm

    def frame(self, samples: int) -> bytes:
        """Give the next frame of at most `samples`, leaving out long silence when far behind."""
        if self.waiting > CATCH_UP_FROM_SAMPLES:
            self._measure()
        while self.waiting > CATCH_UP_FROM_SAMPLES and self._is_quiet(
            self.sent - KEPT_AFTER_SAMPLES, self.sent + samples + KEPT_BEFORE_SAMPLES
        ):
            self.sent += samples
            self.skipped += samples
        return self._slice(samples)

    def heard(self, start: int, samples: int) -> bytes:
        """Give what was sent of the question, at most `samples` from `start` on."""
        end = min(start + samples, self.sent)
        return bytes(self._pcm[start * SAMPLE_BYTES : max(start, end) * SAMPLE_BYTES])

    def frame_sent(self, pcm: bytes) -> None:
        """Note that the frame that `frame` gave has been handed to the link."""
        samples = len(pcm) // SAMPLE_BYTES
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

    def rewind(self, *, whole: bool) -> None:
        """Go back to what may not have arrived, or (`whole`) to the start."""
        self.proven = 0 if whole else self.proven
        self.sent = self.proven

    def _slice(self, samples: int) -> bytes:
        start = self.sent * SAMPLE_BYTES
        return bytes(memoryview(self._pcm)[start : start + samples * SAMPLE_BYTES])

    @property
    def _floor(self) -> float:
        return self._ranked[len(self._ranked) // 10] if self._ranked else 0.0

    def _is_quiet(self, start: int, end: int) -> bool:
        """Tell whether nothing is heard between two positions; before the start something was."""
        if start < 0 or end > len(self._levels) * BLOCK_SAMPLES:
            return False
        limit = min(SILENCE_MOST, max(SILENCE_LEAST, SILENCE_FACTOR * self._floor))
        return max(self._levels[start // BLOCK_SAMPLES : -(-end // BLOCK_SAMPLES)]) < limit

    def _measure(self) -> None:
        """Take the levels of the blocks that are complete now: not before somebody asks, all in one go."""
        start = len(self._levels) * BLOCK_SAMPLES
        blocks = (self.taken - start) // BLOCK_SAMPLES
        if not blocks:
            return
        pcm = bytes(
            memoryview(self._pcm)[start * SAMPLE_BYTES : (start + blocks * BLOCK_SAMPLES) * SAMPLE_BYTES]
        )
        samples = np.frombuffer(pcm, "<i2").astype(np.float32).reshape(blocks, BLOCK_SAMPLES)
        levels = np.sqrt(np.mean(samples * samples, axis=1)).tolist()
        self._levels += levels
        self._ranked = sorted(self._ranked + levels)
