"""Read TOML that a person has typed: every syntax error in it, each with what to do about it."""

import re
from dataclasses import dataclass
from typing import Any

import tomli

from voicekiosk.config.positions import Positions, Statement, scan
from voicekiosk.config.problems import Problem

# More than this in one file means that it is no TOML at all.
_MOST_ERRORS = 20

# What tomli says, what it means to somebody who does not know TOML, and what to do.
_WORDS: tuple[tuple[str, str, str], ...] = (
    ("Expected '=' after a key", "expected = after the name of a key", ""),
    (
        "Expected newline or end of document",
        "expected the end of the line",
        "one key a line; comments begin with #",
    ),
    ("Expected ']' at the end of a table", "expected ] after the name of a table", ""),
    ("Expected ']]' at the end of an array", "expected ]] after the name of a table", ""),
    ('Expected "\'"', "expected ' at the end of the text", "the closing quote is missing"),
    ("Unterminated string", "expected a quote at the end of the text", "the closing quote is missing"),
    ("Unclosed array", "expected , or ] in a list", "entries are separated by commas"),
    ("Unclosed inline table", "expected , or } in a table in braces", "keys are separated by commas"),
    ("Cannot overwrite a value", "expected each key once", "this key is already set above: remove one"),
    ("Duplicate inline table key", "expected each key once", "this key is already set before: remove one"),
    ("Cannot declare", "expected each table once", "this table is already above: put its keys together"),
    ("Cannot mutate immutable", "expected each table once", "this table is already complete above"),
    ("Unescaped '\\'", "expected \\\\ for a backslash", "or put the text in single quotes"),
    ("Illegal character '\\n'", "expected a quote at the end of the text", "the closing quote is missing"),
    (
        "Illegal character",
        "expected a plain character",
        "there is an invisible character here: type it again",
    ),
    (
        "Found invalid character",
        "expected a plain character",
        "there is an invisible character here: type it again",
    ),
    ("Invalid initial character for a key", "expected the name of a key", ""),
    ("Invalid statement", "expected a key, a [table] or a # comment", ""),
    ("Invalid value", "expected a value", 'text needs quotes: "…"'),
)
_WORD_HINTS = {
    **dict.fromkeys(("yes", "on", "true"), "did you mean true?"),
    **dict.fromkeys(("no", "off", "false"), "did you mean false?"),
    **dict.fromkeys(("none", "null", "nil"), "TOML has no such value: leave the key out"),
}
_LOOK_ALIKES = {
    "\N{LEFT DOUBLE QUOTATION MARK}": '"',
    "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
    "\N{DOUBLE LOW-9 QUOTATION MARK}": '"',
    "\N{LEFT SINGLE QUOTATION MARK}": "'",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{NO-BREAK SPACE}": "a plain space",
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What could be read: `document` leaves out the statements that `problems` are about."""

    document: dict[str, Any]
    positions: Positions
    problems: list[Problem]


def read(text: str, filename: str) -> Reading:
    """Read `text` past its errors: what is broken is blanked out, and reading goes on after it.

    A broken header takes its keys with it, since they would land in the wrong table. After brackets
    or quotes that are never closed nothing is read: where they should have ended is a guess.
    """
    problems: list[Problem] = []
    while len(problems) < _MOST_ERRORS:
        positions = scan(text)
        try:
            return Reading(tomli.loads(text), positions, problems)
        except tomli.TOMLDecodeError as error:
            offset = positions.offset(error.lineno, error.colno)
            statement = _broken(positions, offset)
            problems.append(_problem(error.msg, positions, offset, statement, filename))
        except (ValueError, RecursionError) as error:
            # To tomli, numbers of thousands of digits and hundreds of open brackets are no TOML errors.
            message = f"expected a configuration, got something else ({str(error)[:60]})"
            problems.append(Problem(file=filename, line=1, column=1, key="TOML", message=message))
            break
        if statement is None:
            break
        text = _without(positions, statement)
    return Reading({}, scan(""), problems)


def _broken(positions: Positions, offset: int) -> Statement | None:
    """Return the statement that the error at `offset` is about.

    What is missing at the end of a line is noticed only at the start of the next, so the first
    statement that could not be followed comes before the one that stands at `offset`.
    """
    lost = (s for s in positions.statements if not s.whole and s.start <= offset)
    return next(lost, None) or positions.statement_at(offset)


def _without(positions: Positions, broken: Statement) -> str:
    text, end = positions.text, broken.end
    if broken.header:
        headers = (s.start for s in positions.statements if s.header and s.start > broken.start)
        end = next(headers, len(text))
    return text[: broken.start] + re.sub(r"[^\n]", " ", text[broken.start : end]) + text[end:]


def _problem(
    told: str, positions: Positions, offset: int, statement: Statement | None, filename: str
) -> Problem:
    if statement is not None and offset >= statement.end > statement.start:
        # Point at the end of what is unfinished, not at the innocent line after it.
        offset = statement.end - 1
    if told.startswith("Unescaped"):
        offset = positions.text.rfind("\\", 0, offset)
    line, column = positions.line_column(offset)
    message, hint = _explained(told, positions.text, offset)
    if statement is not None and not statement.whole:
        first_line, _ = positions.line_column(statement.start)
        if first_line < line:
            hint = f"it begins in line {first_line}"
    return Problem(file=filename, line=line, column=column, key="TOML", message=message, hint=hint)


def _explained(told: str, text: str, offset: int) -> tuple[str, str]:
    """Return what tomli meant by `told`, in words for somebody who does not know TOML, and a hint.

    Only single characters of the text are shown: the rest of the line may be a secret.
    """
    expected, hint = next(
        ((words, hint) for start, words, hint in _WORDS if told.startswith(start)),
        (f"expected TOML ({told})", ""),
    )
    here = text[offset : offset + 1]
    line = text[text.rfind("\n", 0, offset) + 1 :].partition("\n")[0]
    odd = next((c for c in line if c in _LOOK_ALIKES), None)
    word = re.match(r"[A-Za-z]+", text[offset:])
    if here == "\0":
        hint = "the file is damaged (power lost while it was written?): restore it from a copy"
    elif odd is not None:
        hint = f"{odd!r} is a typographic character: type {_LOOK_ALIKES[odd]} instead"
    elif here == ":":
        hint = "TOML writes key = value"
    elif here == ";" or text.startswith("//", offset):
        hint = "comments begin with #"
    elif word and expected == "expected a value":
        hint = _WORD_HINTS.get(word.group().lower(), hint)
    if expected.endswith("once"):
        return f"{expected}, got it again", hint
    if here in {"\n", ""}:
        return f"{expected}, got the end of the {'line' if here else 'file'}", hint
    return f"{expected}, got {here if here.isprintable() else repr(here)}", hint
