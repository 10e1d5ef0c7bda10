"""Whether a configuration that nobody has confirmed may stay. Pure: time comes in as a number."""

from voicekiosk.kiosk.events import Fault, TryOut
from voicekiosk.kiosk.machine import AnyEvent
from voicekiosk.kiosk.state import NEVER, Link, State

SILENCING = frozenset({Fault.KEY, Fault.SERVICE, Fault.MICROPHONE, Fault.LOUDSPEAKER})
"""Faults with which nobody can talk to the kiosk."""


class Trial:
    """The time that a changed configuration has to be confirmed, or to work."""

    def __init__(self) -> None:
        self.deadline_s = NEVER
        # Whether session and devices were opened with this configuration: that waits for a quiet moment.
        self._tried = False
        # What came of the last attempt to reach the service; None while that is open. Being offline is
        # shown for a minute only, and nobody may press until the deadline.
        self._link_works: bool | None = None

    @property
    def running(self) -> bool:
        """Whether the present configuration may have to go."""
        return self.deadline_s < NEVER

    def begin(self, now_s: float, within_s: float) -> None:
        """Look from now on; a trial that runs already begins anew."""
        self.prolong(now_s, within_s)
        self._tried = False
        self._link_works = None

    def prolong(self, now_s: float, within_s: float) -> None:
        """Give it so much time from now on."""
        self.deadline_s = now_s + within_s

    def end(self) -> None:
        """Let the configuration stay."""
        self.deadline_s = NEVER

    def left_s(self, now_s: float) -> float | None:
        """Return how long it still has; None when it stays anyway."""
        return max(0.0, self.deadline_s - now_s) if self.running else None

    def observe(self, event: AnyEvent, state: State) -> None:
        """Notice whether the service can be had."""
        if isinstance(event, TryOut):
            self._tried = Fault.BUDGET not in state.faults
        if not self._tried:
            # What there is to see belongs to the configuration before.
            return
        if state.link is Link.READY:
            self._link_works = True
        elif state.offline or state.link is Link.WAITING:
            self._link_works = False
        elif state.link is Link.CONNECTING:
            self._link_works = None

    def is_open(self, state: State) -> bool:
        """Tell whether it has not been seen yet what the configuration is worth."""
        return not self._tried or (self._link_works is None and Fault.BUDGET in state.faults)

    def has_failed(self, state: State) -> bool:
        """Tell whether nobody can talk to the kiosk as it is."""
        connecting = self._link_works is None and state.link is Link.CONNECTING
        return self._link_works is False or connecting or bool(state.faults & SILENCING)
