"""How long the agent waits before it decides about a user's turn (6.1, 6.2, appendix B)."""

from __future__ import annotations

import random

from voicekiosk.simulator.configuration import Configuration
from voicekiosk.simulator.listening import RATE_HZ, Ear
from voicekiosk.simulator.scenario import BargeIn, Turn, draw


class TurnTiming:
    """The delays of one turn, all in received audio; `redraw` chooses those of the next."""

    onset_s: float
    """From the first voice to `input.speech.started`, the agent being silent."""
    decision_s: float
    """From the first voice to the decision to interrupt a reply."""

    def __init__(self, turn: Turn, barge_in: BargeIn, rng: random.Random) -> None:
        self._turn, self._barge_in, self._rng = turn, barge_in, rng
        self._mode_end_s: dict[str, float] = {}
        self._fixed_end_s: float | None = None
        self._turns = 0
        self.redraw()

    def redraw(self) -> None:
        """Choose the delays of the next turn from the seed."""
        turn, barge_in, rng = self._turn, self._barge_in, self._rng
        stale = barge_in.variant == "stale"
        self._turns += 1
        self.onset_s = draw(rng, turn.onset_ms) / 1000
        self.decision_s = draw(rng, barge_in.stale_decision_ms if stale else barge_in.decision_ms) / 1000
        self._mode_end_s = {
            "min_latency": draw(rng, turn.min_latency_end_ms) / 1000,
            "balanced": draw(rng, turn.balanced_end_ms) / 1000,
            "max_accuracy": draw(rng, turn.max_accuracy_end_ms) / 1000,
        }
        self._fixed_end_s = None if turn.end_ms is None else draw(rng, turn.end_ms) / 1000

    def end_s(self, configuration: Configuration, ear: Ear) -> float:
        """Return the silence that ends the present turn."""
        turn, detection = self._turn, configuration.detection
        if turn.early_end_ms and self._turns == 1:
            return turn.early_end_ms / 1000
        if self._fixed_end_s is not None:
            return self._fixed_end_s
        if "min_silence" in detection:
            return float(detection["min_silence"]) / 1000
        end_s = self._mode_end_s[configuration.mode]
        if "max_silence" in detection:
            return min(end_s, float(detection["max_silence"]) / 1000)
        statement_s = (ear.last_voiced - (ear.onset or 0)) / RATE_HZ
        return end_s * turn.long_turn_factor if statement_s > turn.long_turn_s else end_s

    def goes_on(self, pause_samples: int) -> bool:
        """Return whether speech after this pause still belongs to the turn before (S19 b, c)."""
        within = self._turn.goes_on_within_ms / 1000 * RATE_HZ
        return self._turn.pause != "interrupt" and pause_samples <= within
