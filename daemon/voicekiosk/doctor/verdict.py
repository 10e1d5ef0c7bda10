"""What the doctor says about one link of the chain."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One link: how it is, and what to do about it."""

    link: str
    level: Level
    text: str
    fix: str = ""


def ok(link: str, text: str) -> Verdict:
    """Return that all is well."""
    return Verdict(link, Level.OK, text)


def skipped(link: str, text: str) -> Verdict:
    """Return that this was not looked at, and why."""
    return Verdict(link, Level.SKIPPED, text)


def warning(link: str, text: str, fix: str) -> Verdict:
    """Return that the kiosk works, and not as well as it could."""
    return Verdict(link, Level.WARNING, text, fix)


def failure(link: str, text: str, fix: str) -> Verdict:
    """Return that the kiosk cannot talk because of this."""
    return Verdict(link, Level.FAILURE, text, fix)


def exit_code(verdicts: Iterable[Verdict]) -> int:
    """Return 0 for all well, 1 if there is a warning, 2 if there is a failure."""
    levels = {verdict.level for verdict in verdicts}
    return 2 if Level.FAILURE in levels else 1 if Level.WARNING in levels else 0
