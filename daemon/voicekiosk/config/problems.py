"""What is wrong with a configuration file, in a form for people and one for programs."""

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from voicekiosk.config.positions import Path
from voicekiosk.config.secrets import masked
from voicekiosk.errors import ConfigError


class Severity(StrEnum):
    """Whether a problem keeps the file from being used."""

    ERROR = "error"
    WARNING = "warning"


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that is wrong with the value or the key at `path`, before it has a line and a file.

    `cause` is the key to point at when the file does not set `path` itself, and its default clashes.
    """

    path: Path
    cause: Path = ()
    message: str
    hint: str = ""
    at_key: bool = False
    severity: Severity = Severity.ERROR

    @property
    def key(self) -> str:
        """Return the full dotted name: `agent.keyterms[2]`."""
        name = ""
        for part in self.path:
            name += f"[{part}]" if isinstance(part, int) else f".{masked(part)}" if name else masked(part)
        return name


class Problem(Struct, frozen=True, kw_only=True):
    """One thing that is wrong, where it is, and what to do about it.

    `line` and `column` count from 1, columns in characters; both are None where the file as a whole
    is meant (it is missing, it cannot be read). `key` is the full dotted name.
    """

    file: str
    line: int | None = None
    column: int | None = None
    key: str
    message: str
    hint: str = ""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        """Return the line that people see: `FILE:LINE:COL: KEY: expected …, got …; did you mean …`."""
        place = self.file if self.line is None else f"{self.file}:{self.line}:{self.column}"
        mark = "warning: " if self.severity is Severity.WARNING else ""
        return f"{place}: {self.key}: {mark}{self.message}" + (f"; {self.hint}" if self.hint else "")

    def as_dict(self) -> dict[str, object]:
        """Return the problem for JSON; the file is named once by whoever lists the problems."""
        return {
            "line": self.line,
            "column": self.column,
            "key": self.key,
            "message": self.message,
            "hint": self.hint,
            "severity": self.severity.value,
        }


class InvalidConfigError(ConfigError):
    """The configuration file cannot be used; `problems` says why, all of it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Make the error whose text is every problem that is an error, one per line."""
        self.problems = tuple(problems)
        super().__init__("\n".join(str(p) for p in self.problems if p.severity is Severity.ERROR))
