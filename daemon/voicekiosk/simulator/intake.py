"""Audio on its way in: decoded, measured against the clock, what is too much dropped (S13, S14)."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from voicekiosk.simulator import frames
from voicekiosk.simulator.codec import BadAudio, Encoding
from voicekiosk.simulator.judge import Judge
from voicekiosk.simulator.pacing import PaceCheck, RateLimit
from voicekiosk.simulator.record import Record
from voicekiosk.simulator.scenario import Audio

NOTHING: NDArray[np.int16] = np.zeros(0, np.int16)


class Reporter(Protocol):
    """Sends errors."""

    def error(self, code: str, message: str, param: str | None = None, *, bare: bool = False) -> None:
        """Send `session.error`."""


class Intake:
    """The audio of one connection."""

    def __init__(
        self, audio: Audio, speed: float, *, reporter: Reporter, record: Record, judge: Judge, now_s: float
    ) -> None:  # fmt: skip
        self.pace = PaceCheck(audio.pace_burst_s, audio.pace_tolerance_s * speed)
        self.last_s = now_s
        """When audio came last."""
        self._audio = audio
        self._rate = RateLimit(audio.rate_allowance_s)
        self._reporter, self._record, self._judge = reporter, record, judge
        self._reported_s = -1e9

    def take(
        self, frame: dict[str, Any], encoding: Encoding, now_s: float, late_s: float
    ) -> NDArray[np.int16]:
        """Return the samples of an `input.audio` that are to be heard; reports what is wrong with it."""
        text = frame.get("audio")
        if not isinstance(text, str):
            self._judge.audio_without_audio(frame)
            self._reporter.error("invalid_format", frames.bad_body("input.audio"), bare=True)
            return NOTHING
        try:
            samples = encoding.decode(text)
        except BadAudio as error:
            self._judge.violate(17, f"audio that cannot be decoded: {error}"[:200])
            self._reporter.error("invalid_audio", frames.BAD_AUDIO, bare=True)
            return NOTHING
        self.last_s = now_s
        self._record.received(samples.tobytes())
        over_s = self.pace.take(samples.size, now_s, late_s)
        if over_s > 0.0:
            self._judge.violate(18, f"{over_s:.3f} s more audio than T + {self._audio.pace_burst_s} s in T s")
        if not self._audio.rate_limit:
            return samples
        accepted = self._rate.take(samples.size, now_s, late_s)
        if accepted < samples.size:
            self._record.dropped_samples += samples.size - accepted
            if now_s - self._reported_s >= 1.0:
                self._reported_s = now_s
                self._reporter.error("audio_rate_violation", frames.TOO_FAST)
        return samples[:accepted]
