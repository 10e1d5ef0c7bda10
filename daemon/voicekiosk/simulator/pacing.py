"""How fast audio comes in: the judge's exact sliding check, and the service's rate limit. Both O(1)."""

from __future__ import annotations

RATE_HZ = 24000


class PaceCheck:
    """12.1 rule 18: in no T seconds more than T + burst of audio, whatever T.

    With S samples before a message and its arrival at t, the rule is broken by the window from an
    earlier message i to this one j exactly when (S_j - t_j) - (S_{i-1} - t_i) > burst; the least
    second term so far is all that has to be kept. Arrival is known to within the time that this
    process was late in reading: windows are taken as long as they may have been.
    """

    def __init__(self, burst_s: float, tolerance_s: float) -> None:
        self._allowed_s = burst_s + tolerance_s
        self._audio_s = 0.0
        self._least_s: float | None = None
        self.worst_s = 0.0
        """The largest surplus over real time of any window so far."""

    def take(self, samples: int, now_s: float, late_s: float = 0.0) -> float:
        """Return by how much the worst window that ends here is over the limit; 0 when none is."""
        opening_s = self._audio_s - (now_s - late_s)
        self._least_s = opening_s if self._least_s is None else min(self._least_s, opening_s)
        self._audio_s += samples / RATE_HZ
        surplus_s = self._audio_s - now_s - self._least_s
        self.worst_s = max(self.worst_s, surplus_s)
        over_s = surplus_s - self._allowed_s
        if over_s <= 1e-9:
            return 0.0
        # Counted once: the same excess is not reported again by every later message.
        self._least_s += over_s
        return over_s


class RateLimit:
    """S14: a bucket that fills in real time up to the allowance; what does not fit is dropped."""

    def __init__(self, allowance_s: float) -> None:
        self._allowance = allowance_s * RATE_HZ
        self._credit = self._allowance
        self._last_s: float | None = None

    def take(self, samples: int, now_s: float, late_s: float = 0.0) -> int:
        """Return how many of the samples are accepted; `late_s` is how long they may have waited here."""
        passed_s = late_s if self._last_s is None else max(0.0, now_s - self._last_s)
        self._last_s = now_s
        most = self._allowance + late_s * RATE_HZ
        self._credit = min(most, self._credit + passed_s * RATE_HZ)
        accepted = min(samples, int(self._credit))
        self._credit -= accepted
        return accepted
