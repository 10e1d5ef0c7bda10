"""The ear: energy on decoded samples in frames of 10 ms, counted in received audio, and a tape of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]
NOTHING: Samples = np.zeros(0, np.int16)
RATE_HZ = 24000
FRAME = 240
PAD = 10 * FRAME
"""Kept before the first and after the last voiced frame, so that soft edges of words survive."""


def threshold_dbfs(vad_threshold: float) -> float:
    """Return the level from which a frame is voiced: 0 is -60 dBFS, 0.5 is -45, 1 is -30."""
    return -60.0 + 30.0 * vad_threshold


@dataclass(slots=True)
class UserTurn:
    """A turn between `input.speech.started` and `input.speech.stopped`."""

    item_id: str
    next_delta: int
    deltas: int = 0
    earlier: Samples = field(default_factory=lambda: NOTHING)  # a segment this one continues (S19 b, c)


class Ear:
    """Finds candidates for an utterance; whether one is a turn is for the conversation to say.

    All positions are samples at 24 kHz since the first that was received. Every position that a
    candidate has is a multiple of one frame.
    """

    def __init__(self, dbfs: float, limit_s: float) -> None:
        self.position = 0
        self.onset: int | None = None  # where the candidate's first voiced frame begins
        self.last_voiced = 0  # where its last voiced frame ends
        self.voiced = 0  # samples in voiced frames
        self._floor = 0  # nothing before this belongs to the next candidate
        self._limit = int(limit_s * RATE_HZ)
        self._tape = bytearray()
        self._tape_start = 0
        self._rest: Samples = np.zeros(0, np.int16)
        self.set_threshold(dbfs)

    def set_threshold(self, dbfs: float) -> None:
        """Change what counts as voiced, from the next frame on."""
        self._power = FRAME * (32768.0 * 10.0 ** (dbfs / 20.0)) ** 2

    @property
    def elapsed_s(self) -> float:
        """Audio received since the candidate's onset."""
        return 0.0 if self.onset is None else (self.position - self.onset) / RATE_HZ

    @property
    def silence_s(self) -> float:
        """Audio received since the candidate's last voiced frame."""
        return (self.position - self.last_voiced) / RATE_HZ

    @property
    def voiced_s(self) -> float:
        """Voiced audio of the candidate."""
        return self.voiced / RATE_HZ

    def feed(self, samples: Samples) -> Iterator[None]:
        """Hear samples; yields after each frame in which a candidate exists."""
        if self._rest.size:
            samples = np.concatenate((self._rest, samples))
        whole = samples.size // FRAME * FRAME
        self._rest = samples[whole:].copy()
        if not whole:
            return
        frames = samples[:whole].reshape(-1, FRAME)
        wide = frames.astype(np.float32)
        voiced = np.einsum("ij,ij->i", wide, wide) > self._power
        if self.onset is None and not voiced.any():
            self._keep(samples[:whole])
            return
        for frame, is_voiced in zip(frames, voiced.tolist(), strict=True):
            self._keep(frame)
            if is_voiced:
                if self.onset is None:
                    self.onset, self.voiced = self.position - FRAME, 0
                self.last_voiced = self.position
                self.voiced += FRAME
            if self.onset is not None:
                yield

    def forget(self) -> None:
        """Drop the candidate: it was noise, or it has been dealt with."""
        if self.onset is not None:
            self._floor = min(self.position, self.last_voiced + PAD)
        self.onset, self.voiced = None, 0

    def start(self) -> int:
        """Return where the candidate's audio begins."""
        onset = self.position if self.onset is None else self.onset
        return max(onset - PAD, self._floor, self._tape_start)

    def end(self) -> int:
        """Return where the candidate's audio ends."""
        return min(self.last_voiced + PAD, self.position)

    def heard(self) -> Samples:
        """Return the candidate's samples as far as the tape has them."""
        tape = np.frombuffer(bytes(self._tape), np.int16)
        return tape[self.start() - self._tape_start : self.end() - self._tape_start]

    def _keep(self, samples: Samples) -> None:
        self.position += samples.size
        if self.onset is not None and len(self._tape) // 2 >= self._limit:
            return  # The rest of an endless turn is counted, not kept.
        if self.position - samples.size != self._tape_start + len(self._tape) // 2:
            self._tape.clear()
            self._tape_start = self.position - samples.size
        self._tape += samples.tobytes()
        if self.onset is None:
            surplus = len(self._tape) // 2 - PAD - FRAME
            if surplus > 0:
                del self._tape[: 2 * surplus]
                self._tape_start += surplus


WORDS = (
    "the",
    "river",
    "carries",
    "old",
    "stories",
    "under",
    "bright",
    "windows",
    "and",
    "every",
    "small",
    "lamp",
    "answers",
    "with",
    "seven",
    "quiet",
    "voices",
    "while",
    "green",
    "boats",
    "turn",
    "slowly",
    "toward",
    "open",
    "water",
)


def words_of(samples: Samples) -> list[str]:
    """Make words out of sound: one for each 350 ms, chosen by its loudness; the same sound, the same words.

    A longer recording of the same beginning gives the same first words.
    """
    window = int(0.35 * RATE_HZ)
    words: list[str] = []
    for start in range(0, max(samples.size - window // 3, 1), window):
        part = samples[start : start + window // 3].astype(np.float64)
        level = 10.0 * np.log10(np.mean(part * part) + 1.0) if part.size else 0.0
        words.append(WORDS[(round(level) + 7 * len(words)) % len(WORDS)])
    return words
