"""Waiting with a deadline, and failing of the rig itself."""

import time
from collections.abc import Callable


class RigError(Exception):
    """The rig failed, so nothing can be said about the kiosk."""


class TooBusyError(RigError):
    """The machine is too busy: the rig itself was late, so the test has no verdict."""


def until(what: str, true: Callable[[], object], timeout_s: float = 15.0, pause_s: float = 0.05) -> float:
    """Wait until something is so and return when. Raises AssertionError that says what was waited for."""
    deadline_s = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline_s, f"waited {timeout_s:g} s for {what}"
        time.sleep(pause_s)
    return time.monotonic()
