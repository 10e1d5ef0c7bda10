"""When to try again: quickly at first, then ever more rarely, never in step with others (design 5)."""

import random

from voicekiosk.agent.failures import Failure, Remedy
from voicekiosk.config.schema import Network

QUICK_WINDOW_S = 25.0
QUICK_INTERVAL_S = 1.0
QUICK_LIMIT_S = 2.0
HEALTHY_S = 60.0


class Ladder:
    """The pauses between attempts, and how long each attempt may take.

    For the first 25 s an attempt a second, each given up after 2 s; then full jitter with a doubling
    cap. A failure that the server caused goes to the jitter directly. Trouble is over when a session has
    lived for a minute, or somebody presses: sessions that are ready and gone again are trouble too.
    """

    def __init__(self, *, backoff_max_s: float, connect_timeout_s: float, rng: random.Random) -> None:
        """Start at the foot; `backoff_max_s` bounds the pauses, `connect_timeout_s` an attempt."""
        self._backoff_max_s = backoff_max_s
        self._connect_timeout_s = connect_timeout_s
        self._rng = rng
        self._trouble_since_s: float | None = None
        self._attempt_began_s = 0.0
        self._timeouts = 0
        self._backoffs = 0
        self.attempts = 0
        """Attempts since the last session was ready, or since `reset`."""

    @classmethod
    def of(cls, network: Network, rng: random.Random) -> "Ladder":
        """Take the bounds out of a configuration."""
        return cls(backoff_max_s=network.backoff_max_s, connect_timeout_s=network.connect_timeout_s, rng=rng)

    def reset(self) -> None:
        """Forget the failures: somebody pressed, or a route appeared."""
        self._trouble_since_s = None
        self._timeouts = self._backoffs = self.attempts = 0

    def began(self, now_s: float) -> float:
        """Note that an attempt starts; return how long it may take to connect.

        The limit grows with each attempt that ran into it, else a slow link would never get through.
        """
        self._attempt_began_s = now_s
        self.attempts += 1
        grown_s = QUICK_LIMIT_S * 1.5 ** max(0, self._timeouts - 1)
        return min(self._connect_timeout_s, grown_s)

    def timed_out(self) -> None:
        """Note that the attempt ran into its limit."""
        self._timeouts = min(self._timeouts + 1, 20)

    def ready(self) -> None:
        """Note that a session is open. It is forgiven only when it lasts."""
        self.attempts = 0
        self._timeouts = 0

    def failed(self, failure: Failure, now_s: float, *, lived_s: float | None = None) -> float:
        """Return the pause before the next attempt; `lived_s` is how long the session was ready."""
        network = failure.remedy is Remedy.AGAIN
        if lived_s is not None and lived_s >= HEALTHY_S:
            self.reset()
        first = self._trouble_since_s is None
        if self._trouble_since_s is None:
            self._trouble_since_s = now_s
        if lived_s is None and failure.remedy is Remedy.FRESH:
            return 0.0
        if lived_s is not None and first:
            return 0.0
        if network and now_s - self._trouble_since_s < QUICK_WINDOW_S:
            return max(0.0, self._attempt_began_s + QUICK_INTERVAL_S - now_s)
        cap_s = min(self._backoff_max_s, 2.0**self._backoffs)
        self._backoffs = min(self._backoffs + 1, 20)
        return self._rng.uniform(0.0, cap_s)
