"""Write the shipped `config/config.toml` and `docs/configuration.md` from the schema.

python -m voicekiosk.config.reference --write .     after changing the schema
python -m voicekiosk.config.reference --check .     what the tests ask: are they up to date?
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from msgspec import NODEFAULT

from voicekiosk.config import diff, model, wording
from voicekiosk.config.render import toml

_HEAD = """\
# The configuration of this kiosk. It is read from /etc/voicekiosk/config.toml.
#
# Every key stands here with its default, and works as it is. Change what you like and save: a running
# kiosk takes it up within a second, and keeps the last good configuration if something is wrong.
# `voicekiosk check` says what, with the line. Keys that begin with # are not set: remove the # to set them.
#
# The API key is never in this file: `voicekiosk key set` asks for it.
"""

_DOCUMENT_HEAD = """\
# Configuration

One file, `/etc/voicekiosk/config.toml`, in [TOML](https://toml.io). Every key has a default that works;
an empty file is a valid one. The file that is installed shows each key with its default.

- `voicekiosk check FILE` names every problem with its line and what was probably meant.
- A running kiosk takes up a saved file within a second. A file with an error changes nothing: the last
  good configuration stays, and `voicekiosk status`, the journal and the lamp say so.
- The API key is never in this file. It is a systemd credential (`voicekiosk key set`), or at a desk the
  environment variable `ASSEMBLYAI_API_KEY`.
- Names say their unit: `_s` seconds, `_ms` milliseconds, `_hz` hertz; pins are BCM numbers.

This page is made from the schema by `python -m voicekiosk.config.reference`.
"""


def config_toml() -> str:
    """Return the shipped configuration: every key with its default and a line of comment."""
    lines = [_HEAD]
    for section in model.sections():
        if not section.keys:
            continue
        off = "#" if section.repeated else ""
        lines += [f"# {section.doc}", f"{off}{_header(section)}", ""]
        for field in section.keys:
            lines += [f"# {_comment(field)}", f"{off or _off(field)}{field.name} = {toml(field.example)}", ""]
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def configuration_md() -> str:
    """Return the reference: every key with what it may hold, its default and how it takes effect."""
    lines = [_DOCUMENT_HEAD]
    for section in model.sections():
        if section.keys:
            lines += [f"## `{_header(section)}`", "", section.doc, "", *_rows(section), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def outputs() -> dict[str, str]:
    """Return what every generated file, by its path from the project's root, must contain."""
    return {"config/config.toml": config_toml(), "docs/configuration.md": configuration_md()}


def main(argv: list[str] | None = None) -> int:
    """Write or check the generated files; return 1 if one is out of date."""
    parser = argparse.ArgumentParser(prog="python -m voicekiosk.config.reference", description=__doc__)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", metavar="ROOT", type=Path, help="write the files below ROOT")
    action.add_argument("--check", metavar="ROOT", type=Path, help="only say which are out of date")
    args = parser.parse_args(argv)
    stale = [path for path, text in outputs().items() if _content((args.write or args.check) / path) != text]
    for path in stale:
        if args.write:
            (args.write / path).parent.mkdir(parents=True, exist_ok=True)
            (args.write / path).write_text(outputs()[path])
        sys.stdout.write(f"{path}: {'written' if args.write else 'out of date'}\n")
    return 1 if stale and args.check else 0


def _content(path: Path) -> str | None:
    return path.read_text() if path.is_file() else None


def _header(section: model.Section) -> str:
    name = ".".join(section.path)
    return f"[[{name}]]" if section.repeated and section.path[-1] != "NAME" else f"[{name}]"


def _off(field: model.Field) -> str:
    return "#" if field.default is None or field.default is NODEFAULT else ""


def _comment(field: model.Field) -> str:
    allowed = _allowed(field)
    return field.description + (f"; {allowed}" if allowed else "")


def _allowed(field: model.Field) -> str:
    """Say what the comment has to add to what the value itself shows: bounds and choices."""
    match field.kind:
        case model.Scalar(low=None, high=None):
            return ""
        case model.Scalar():
            return wording.limits(field.kind).removeprefix(" from ")
        case model.Choice(values=values):
            return wording.one_of([wording.quoted(value) for value in values])
        case _:
            return ""


def _rows(section: model.Section) -> Iterator[str]:
    yield "| key | what it is | value | default | a change takes effect |"
    yield "|---|---|---|---|---|"
    for field in section.keys:
        match field.default:
            case None:
                default = "unset"
            case value if value is NODEFAULT:
                default = "must be set"
            case value:
                default = f"`{toml(value)}`"
        effect = diff.effect_of(".".join((*section.path, field.name)))
        cells = [f"`{field.name}`", field.description, wording.expected(field.kind), default, effect.value]
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    raise SystemExit(main())
