"""Compare a parsed document with the schema and find everything that does not fit, not only the first."""

import difflib
from collections.abc import Iterator
from typing import Any

from msgspec import NODEFAULT

from voicekiosk.config import model, wording
from voicekiosk.config.positions import Path
from voicekiosk.config.problems import Finding
from voicekiosk.config.secrets import masked, names_a_secret

WHERE_THE_KEY_GOES = (
    "keys never belong in this file: remove it here and run `voicekiosk key set` "
    "(or, at a desk, set ASSEMBLYAI_API_KEY)"
)


def findings(document: dict[str, Any], root: model.Table) -> Iterator[Finding]:
    """Yield every unknown key, every value that does not fit and every key that is missing."""
    yield from _Walk(root).table(root, document, ())


class _Walk:
    def __init__(self, root: model.Table) -> None:
        self.known = list(_known(root, ()))

    def table(self, table: model.Table, values: dict[str, Any], path: Path) -> Iterator[Finding]:
        for name, value in values.items():
            field = table.fields.get(name)
            if field is None:
                yield self.unknown(table, name, value, path)
            else:
                yield from self.value(field.kind, value, (*path, name))
        for name, field in table.fields.items():
            if field.default is NODEFAULT and name not in values:
                message = f"expected the key {wording.quoted(name)}, got none"
                yield Finding(path=(*path, name), message=message, hint=field.description)

    def value(self, kind: model.Kind, value: Any, path: Path) -> Iterator[Finding]:
        match kind, value:
            case model.Table(), dict():
                yield from self.table(kind, value, path)
            case model.Table(), _:
                name = ".".join(str(part) for part in path if isinstance(part, str))
                yield _misfit(kind, value, path, f"[{name}] has keys of its own")
            case model.Sequence(item=model.Table()), dict():
                yield _misfit(kind, value, path, f"with two brackets, for each one: [[{path[-1]}]]")
            case model.Named(), dict():
                for name, item in value.items():
                    yield from self.value(kind.item, item, (*path, name))
            case model.Sequence(), list():
                if not (kind.min_length or 0) <= len(value) <= (kind.max_length or len(value)):
                    yield _misfit(kind, value, path)
                for index, item in enumerate(value):
                    yield from self.value(kind.item, item, (*path, index))
            case _ if not wording.fits(kind, value):
                yield _misfit(kind, value, path, wording.hint(kind, value))

    def unknown(self, table: model.Table, name: str, value: Any, path: Path) -> Finding:
        is_table = isinstance(value, dict)
        # A key of ours whose name sounds like a secret (token_command) may be mistyped as well.
        typo = difflib.get_close_matches(name, list(filter(names_a_secret, table.fields)), cutoff=0.8)
        if names_a_secret(name) and not is_table and not typo:
            message, hint = "expected no secret in this file, got one (hidden)", WHERE_THE_KEY_GOES
        else:
            message = f"expected a known {'table' if is_table else 'key'}, got {wording.quoted(masked(name))}"
            hint = self.meant(table, name, path, is_table=is_table)
        return Finding(path=(*path, name), message=message, hint=hint, at_key=True)

    def meant(self, table: model.Table, name: str, path: Path, *, is_table: bool) -> str:
        """Say where the key belongs: in this table under another name, or elsewhere under its own."""
        elsewhere = [known for known, _ in self.known if known[-1] == name]
        here = wording.nearest(name, table.fields, cutoff=0.8 if elsewhere else 0.6)
        if here is None and not elsewhere:
            near = wording.nearest(name, dict.fromkeys(known[-1] for known, _ in self.known))
            elsewhere = [known for known, _ in self.known if known[-1] == near]
        # A table was probably meant to be one, and of several those below the place where it stands.
        tables = {known for known, known_is_table in self.known if known_is_table}
        elsewhere.sort(key=lambda known: ((known in tables) != is_table, known[: len(path)] != path))
        candidates = [wording.quoted(here)] if here else []
        candidates += [f"[{'.'.join(k)}]" if k in tables else ".".join(k) for k in elsewhere]
        if candidates:
            return wording.did_you_mean(candidates[:3])
        return f"known here: {', '.join(table.fields)}"


def _misfit(kind: model.Kind, value: Any, path: Path, hint: str = "") -> Finding:
    match kind, value:
        case model.Scalar(max_length=int(longest)), str() if len(value) > longest:
            got = f"text of {len(value)} characters"
        case model.Sequence(), list():
            got = f"a list of {len(value)}"
        case _:
            got = wording.got(value)
    return Finding(path=path, message=f"expected {wording.expected(kind)}, got {got}", hint=hint)


def _known(table: model.Table, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Yield every known key and table, and whether it is a table."""
    for name, field in table.fields.items():
        inner = model.inner_table(field.kind)
        yield (*path, name), inner is not None
        if inner is not None and not isinstance(field.kind, model.Named):
            # Under a name of the owner's choice there is no place to point to.
            yield from _known(inner, (*path, name))
