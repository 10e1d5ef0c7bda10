"""Decide what a changed configuration file means for a running kiosk."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from voicekiosk.config import load
from voicekiosk.config.diff import Changes, compare
from voicekiosk.config.problems import InvalidConfigError, Problem, Severity
from voicekiosk.config.schema import Config


@dataclass(frozen=True, slots=True)
class Accepted:
    """The file is good: `config` holds from now on. `changes` is empty when only comments differ."""

    config: Config
    changes: Changes
    warnings: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Rejected:
    """The file cannot be used: the last good configuration stays."""

    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The file is what it was when it was last looked at."""


@dataclass(frozen=True, slots=True)
class Held:
    """The file is good and may have been cut off: it is the beginning of what is in force. It waits."""


class LiveConfig:
    """The configuration in force, and what is wrong with the file, if anything.

    Belongs to the event loop's thread. `reload` reads the file (some kilobytes, at once); `consider`
    decides on content that somebody else has read.
    """

    def __init__(self, path: Path, fallback: Config | None = None) -> None:
        """Read `path` for the first time.

        If it cannot be used, `fallback` (the last good one of an earlier run) is in force until it
        can; without one, raise `InvalidConfigError`.
        """
        self.path = path
        # The configuration in force, and the content it came from (None: `fallback`).
        self.last_good = fallback or Config()
        self.source_hash: str | None = None
        self.source: bytes | None = None
        # What is wrong with the file as it is now: warnings only, unless its last change was refused.
        self.problems: tuple[Problem, ...] = ()
        # The content that was last looked at, good or bad; None if it could not be read.
        self._seen: str | None = None
        outcome = self.reload()
        if isinstance(outcome, Rejected) and fallback is None:
            raise InvalidConfigError(outcome.problems)

    @property
    def is_current(self) -> bool:
        """Return whether the file, as it is now, is what is in force."""
        return self._seen is not None and self._seen == self.source_hash

    def reload(self) -> Accepted | Rejected | Unchanged:
        """Look at the file again, and believe it; one that is gone or cannot be read changes nothing."""
        raw = self._read()
        return self.take(raw) if isinstance(raw, bytes) else raw

    def look(self) -> Accepted | Rejected | Unchanged | Held:
        """Look at the file again, which nobody has said is complete."""
        raw = self._read()
        return self.consider(raw) if isinstance(raw, bytes) else raw

    def consider(self, raw: bytes) -> Accepted | Rejected | Unchanged | Held:
        """Decide on a new content of the file, which may have been cut off."""
        # A copy over the network that died leaves whole lines, and no sign of what is missing.
        is_beginning = self.source is not None and self.source.startswith(raw) and raw.strip()
        if is_beginning and load.check_bytes(raw, str(self.path))[0] not in (None, self.last_good):
            return Held()
        return self.take(raw)

    def take(self, raw: bytes) -> Accepted | Rejected | Unchanged:
        """Decide on a new content of the file, which is all of it."""
        seen = _hash(raw)
        if seen == self._seen:
            return Unchanged()
        self._seen = seen
        config, problems = load.check_bytes(raw, str(self.path))
        if config is None:
            return self._reject(tuple(problems))
        if not raw.strip() and self.last_good != config:
            # Nobody empties a file to get the defaults; a full disk does it all the time.
            return self._reject(tuple(replace(p, severity=Severity.ERROR) for p in problems))
        changes = compare(self.last_good, config)
        self.last_good, self.source_hash, self.problems = config, seen, tuple(problems)
        self.source = raw
        return Accepted(config, changes, self.problems)

    def put_back(self, config: Config, problem: Problem) -> Accepted:
        """Have `config` in force again in place of what the file says, because of `problem`."""
        changes = compare(self.last_good, config)
        self.last_good, self.source_hash, self.source = config, None, None
        self.problems = (problem,)
        return Accepted(config, changes, ())

    def _read(self) -> bytes | Rejected | Unchanged:
        try:
            return load.read_bytes(self.path)
        except OSError as error:
            self._seen = None
            return self._reject((load.unreadable(self.path, error),))

    def _reject(self, problems: tuple[Problem, ...]) -> Rejected | Unchanged:
        if problems == self.problems:
            return Unchanged()
        self.problems = problems
        return Rejected(problems)


def _hash(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:16]
