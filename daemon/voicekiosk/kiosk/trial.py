"""Whether a configuration that nobody has confirmed may stay. Pure: time comes in as a number."""

from voicekiosk.kiosk.events import Fault
from voicekiosk.kiosk.state import NEVER, Link, State

SILENCING = frozenset({Fault.KEY, Fault.SERVICE, Fault.MICROPHONE, Fault.LOUDSPEAKER})
"""Faults with which nobody can talk to the kiosk."""


class Trial:
    """The time that a changed configuration has to be confirmed, or to work."""

    def __init__(self) -> None:
        self.deadline_s = NEVER
        # What came of the last attempt to reach the service; None while that is open. Being offline is
        # shown for a minute only, and nobody may press until the deadline.
        self._link_works: bool | None = None

    @property
    def running(self) -> bool:
        """Whether the present configuration may have to go."""
        return self.deadline_s < NEVER

    def begin(self, now_s: float, within_s: float) -> None:
        """Look from now on; a trial that runs already begins anew."""
        self.deadline_s = now_s + within_s
        self._link_works = None

    def end(self) -> None:
        """Let the configuration stay."""
        self.deadline_s = NEVER

    def left_s(self, now_s: float) -> float | None:
        """Return how long it still has; None when it stays anyway."""
        return max(0.0, self.deadline_s - now_s) if self.running else None

    def observe(self, state: State) -> None:
        """Notice whether the service can be had."""
        if state.link is Link.READY:
            self._link_works = True
        elif state.offline or state.link is Link.WAITING:
            self._link_works = False
        elif state.link is Link.CONNECTING:
            self._link_works = None

    def has_failed(self, state: State) -> bool:
        """Tell whether nobody can talk to the kiosk as it is."""
        connecting = self._link_works is None and state.link is Link.CONNECTING
        return self._link_works is False or connecting or bool(state.faults & SILENCING)
