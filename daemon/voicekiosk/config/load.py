"""Read a configuration file, and find everything that is wrong with it in one go."""

import os
import pathlib
import stat
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from voicekiosk.config import model, rules, syntax, validate
from voicekiosk.config.positions import Path, Positions
from voicekiosk.config.problems import Finding, InvalidConfigError, Problem, Severity
from voicekiosk.config.schema import Config

# The shipped file has some 15 kB; what is beyond this is not a configuration.
MAX_BYTES = 1 << 20


def load(path: pathlib.Path) -> Config:
    """Return the configuration in `path`, or raise `InvalidConfigError` with every problem."""
    config, problems = check_file(path)
    if config is None:
        raise InvalidConfigError(problems)
    return config


Rule = Callable[[Config], Iterable[Finding]]


def check_file(path: pathlib.Path, *also: Rule) -> tuple[Config | None, list[Problem]]:
    """Return the configuration in `path` (None if it cannot be used) and its problems, by line.

    `also` are rules beyond those that hold for every file.
    """
    try:
        raw = read_bytes(path)
    except OSError as error:
        return None, [unreadable(path, error)]
    return check_bytes(raw, str(path), *also)


def read_bytes(path: pathlib.Path) -> bytes:
    """Return the content of a regular file, up to one byte more than is allowed. Raises OSError."""
    # Without O_NONBLOCK, opening a FIFO would wait for somebody to write into it.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError("a device or a pipe")
        return file.read(MAX_BYTES + 1)


def unreadable(path: pathlib.Path, error: OSError) -> Problem:
    """Return the problem of a file that cannot be read."""
    match error:
        case FileNotFoundError():
            got, hint = "none there", "the shipped config.toml is a good start; an empty file works too"
        case PermissionError():
            got, hint = "one that may not be read", f"look at `ls -l {path}` and at who runs this"
        case IsADirectoryError():
            got, hint = "a directory", ""
        case _:
            got, hint = error.strerror or str(error), ""
    return Problem(file=str(path), key="file", message=f"expected a configuration file, got {got}", hint=hint)


def check_bytes(raw: bytes, filename: str, *also: Rule) -> tuple[Config | None, list[Problem]]:
    """Return the configuration that a file's content gives (None if it cannot be used) and its problems."""
    if len(raw) > MAX_BYTES:
        message = f"expected at most {MAX_BYTES} bytes, got more"
        return None, [Problem(file=filename, key="file", message=message)]
    try:
        # Some editors begin UTF-8 with a byte order mark; TOML does not know it, and it does no harm.
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8-sig")
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        hint = "save it as UTF-8" + (", this is UTF-16" if raw[:2] in {b"\xff\xfe", b"\xfe\xff"} else "")
        message = f"expected UTF-8, got the byte 0x{raw[error.start]:02x}"
        return None, [
            Problem(file=filename, line=line, column=column, key="file", message=message, hint=hint)
        ]
    return check_text(text, filename, *also)


def check_text(text: str, filename: str, *also: Rule) -> tuple[Config | None, list[Problem]]:
    """Return the configuration that `text` gives (None if it cannot be used) and its problems, by line."""
    reading = syntax.read(text.replace("\r\n", "\n"), filename)
    problems = list(reading.problems)
    misfits = list(validate.findings(reading.document, model.table()))
    left_out = {_leave_out(misfit.path, reading.document) for misfit in misfits}
    config = msgspec.convert(reading.document, Config)
    # A rule that looks at a value which was left out would judge its default instead.
    found = (finding for rule in (rules.findings, *also) for finding in rule(config))
    clashes = [clash for clash in found if not {clash.path, clash.cause} & left_out]
    problems += [_located(finding, reading.positions, filename) for finding in misfits + clashes]
    problems.sort(key=lambda problem: (problem.line or 0, problem.column or 0))
    if not text.strip():
        problems.append(_empty(filename))
    if any(problem.severity is Severity.ERROR for problem in problems):
        return None, problems
    return config, problems


def _leave_out(path: Path, document: dict[str, Any]) -> Path:
    """Remove what is at `path`, or, if that is missing or in a list, what is around it; return which."""
    name, *inside = path
    inner = document.get(str(name))
    if inside and isinstance(inner, dict) and (len(inside) > 1 or inside[0] in inner):
        return (name, *_leave_out(tuple(inside), inner))
    document.pop(str(name), None)
    return (name,)


def _located(finding: Finding, positions: Positions, filename: str) -> Problem:
    mark = positions.marks.get(finding.path) or positions.marks.get(finding.cause)
    line: int | None = None
    column: int | None = None
    if mark is None:
        # A key that must be there is not: the table that lacks it.
        mark = positions.nearest(finding.path)
    if mark is not None:
        line, column = positions.line_column(mark.key if finding.at_key else mark.value)
    return Problem(
        file=filename,
        line=line,
        column=column,
        key=finding.key,
        message=finding.message,
        hint=finding.hint,
        severity=finding.severity,
    )


def _empty(filename: str) -> Problem:
    return Problem(
        file=filename,
        line=1,
        column=1,
        key="file",
        message="expected keys, got an empty file",
        hint="every key has its default; was the disk full when it was saved?",
        severity=Severity.WARNING,
    )
