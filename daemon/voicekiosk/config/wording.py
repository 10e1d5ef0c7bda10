"""The words of a problem: what was expected, what was got, and what was probably meant."""

import difflib
import math
import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time
from typing import Any

from voicekiosk.config import model
from voicekiosk.config.secrets import masked

_LONGEST_SHOWN = 40
_YES = {"yes": "true", "on": "true", "true": "true", "no": "false", "off": "false", "false": "false"}

# What people call things before they have read the reference.
_SYNONYMS = {
    "pin": "gpio",
    "mic": "capture",
    "microphone": "capture",
    "input": "capture",
    "speaker": "playback",
    "loudspeaker": "playback",
    "output": "playback",
    "led": "lamp",
    "light": "lamp",
    "card": "device",
    "prompt": "system_prompt",
    "sample_rate": "rate_hz",
    "language": "language_codes",
}


def expected(kind: model.Kind) -> str:
    """Say what a value of `kind` looks like."""
    match kind:
        case model.Scalar(title=str(title)):
            return title
        case model.Scalar(type=type_) if type_ is bool:
            return "true or false"
        case model.Scalar(type=type_) if type_ is str:
            return "text" + _length(kind.min_length, kind.max_length, "characters")
        case model.Scalar():
            return ("a whole number" if kind.type is int else "a number") + limits(kind)
        case model.Choice(values=values):
            return one_of([quoted(value) for value in values])
        case model.Either(options=options):
            return one_of([expected(option) for option in options])
        case model.Sequence(item=model.Table()):
            return "an array of tables"
        case model.Sequence():
            return "a list" + _length(kind.min_length, kind.max_length, "entries")
        case model.Table() | model.Named():
            return "a table"
        case model.Anything():
            return "any value"


def limits(kind: model.Scalar) -> str:
    """Say between which bounds a number must lie."""
    match kind.low, kind.high:
        case None, None:
            return ""
        case low, None:
            return f" from {low:g}"
        case None, high:
            return f" up to {high:g}"
        case low, high:
            return f" from {low:g} to {high:g}"


def got(value: Any) -> str:
    """Say what a value is, as TOML would write it, without anything that looks like a secret."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return quoted(masked(value))
        case int() | float():
            return masked(shortened(str(value)))
        case datetime() | date() | time():
            return f"the date or time {value}"
        case list():
            return "a list"
        case _:
            return "a table"


def hint(kind: model.Kind, value: Any) -> str:
    """Say what was probably meant by a value that does not fit, or nothing."""
    words = [word for choice in _options(kind) if isinstance(choice, model.Choice) for word in choice.values]
    types = {choice.type for choice in _options(kind) if isinstance(choice, model.Scalar)}
    match value:
        case _ if isinstance(kind, model.Sequence):
            return "write a list in brackets, also of one entry"
        case str():
            if near := nearest(value, words):
                return did_you_mean([quoted(near)])
            if bool in types and value.lower() in _YES:
                return f"did you mean {_YES[value.lower()]}, without quotes?"
            if types & {int, float} and re.fullmatch(r"\s*[+-]?\d+(\.\d+)?\s*", value):
                return "write numbers without quotes"
        case float() if int in types and value.is_integer():
            return did_you_mean([str(int(value))])
        case int() | float() if str in types:
            return "write text in quotes"
    return ""


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known word that was probably meant."""
    by_form = {_plain(name): name for name in known}
    plain = _plain(word)
    candidates = [plain, _SYNONYMS.get(plain, plain)]
    for candidate in candidates:
        if candidate in by_form:
            return by_form[candidate]
    for candidate in candidates:
        if near := difflib.get_close_matches(candidate, by_form, n=1, cutoff=cutoff):
            return by_form[near[0]]
    # `rate` for `rate_hz`, `silence` for `min_silence_ms`: a whole part of the name.
    parts = [name for form, name in by_form.items() if plain and plain in form.split("_")]
    return parts[0] if parts else None


def did_you_mean(candidates: Sequence[str]) -> str:
    """Return the question, for one or several candidates."""
    return f"did you mean {one_of(candidates)}?"


def one_of(words: Sequence[str]) -> str:
    """Join words as in `a, b or c`."""
    return words[-1] if len(words) < 2 else f"{', '.join(words[:-1])} or {words[-1]}"


def quoted(text: str) -> str:
    """Return `text` in quotes on one line, shortened if it is long."""
    visible = "".join(c if c.isprintable() else " " for c in text)
    return f'"{shortened(visible)}"'


def shortened(text: str) -> str:
    """Return `text`, cut where it is longer than a message can bear."""
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def fits(kind: model.Kind, value: Any) -> bool:
    """Return whether a single value (no table, no list of them) is of `kind`."""
    match kind:
        case model.Anything():
            return True
        case model.Choice(values=values):
            return isinstance(value, str) and value in values
        case model.Either(options=options):
            return any(fits(option, value) for option in options)
        case model.Scalar():
            return _is_scalar(kind, value)
        case _:
            return False


def _is_scalar(kind: model.Scalar, value: Any) -> bool:
    if kind.type is bool or isinstance(value, bool):
        return kind.type is bool and isinstance(value, bool)
    if kind.type is str:
        return (
            isinstance(value, str)
            and (kind.min_length or 0) <= len(value) <= (kind.max_length or math.inf)
            and (kind.pattern is None or re.search(kind.pattern, value) is not None)
        )
    if not isinstance(value, int if kind.type is int else int | float):
        return False
    # No setting means anything when infinite; and TOML's integers end at 64 bits.
    if not -(2**63) <= value < 2**63:
        return False
    return (kind.low is None or value >= kind.low) and (kind.high is None or value <= kind.high)


def _options(kind: model.Kind) -> Sequence[model.Kind]:
    return kind.options if isinstance(kind, model.Either) else (kind,)


def _length(low: int | None, high: int | None, of: str) -> str:
    match low, high:
        case None, None:
            return ""
        case None, high:
            return f" of at most {high} {of}"
        case low, None:
            return f" of at least {low} {of}"
        case low, high:
            return f" of {low} to {high} {of}"


def _plain(word: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", word.lower()).strip("_")
