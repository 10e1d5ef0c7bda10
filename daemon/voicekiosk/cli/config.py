"""`voicekiosk config`: what is in force, what a save would change, and letting a change stay."""

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voicekiosk.config.schema import Config

DEFAULT_FILE = "/etc/voicekiosk/config.toml"
RUNNING = "the running kiosk"


def add_parser(subparsers: Any) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "config",
        help="show the configuration in force, and what a change of it does",
        description="Look at the configuration that is in force, and at what a change would do before it "
        "does it. `voicekiosk check` says whether a file is good.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    show = actions.add_parser(
        "show",
        help="show every key and its value, secrets hidden",
        description="Show every key of the configuration in force, or of a file, secrets hidden.",
    )
    show.add_argument("file", metavar="FILE", nargs="?", help="show this file, not what is in force")
    show.set_defaults(run=run_show)
    diff = actions.add_parser(
        "diff",
        help="show what saving a file would change in the running kiosk",
        description="Compare a file with the configuration in force, and say what each change takes. "
        "Without a running kiosk: with the installed file, or with the defaults. Exit code 2: the file "
        "has problems and would change nothing.",
    )
    diff.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        default=DEFAULT_FILE,
        help="edited file, - for standard input (default: %(default)s)",
    )
    diff.set_defaults(run=run_diff)
    confirm = actions.add_parser(
        "confirm",
        help="let the last change stay",
        description="Let the last change stay. It is needed only with apply.confirm_within_s, and only for a "
        "change with which the kiosk cannot talk.",
    )
    confirm.set_defaults(run=run_confirm)
    for action in (show, diff, confirm):
        action.add_argument("--json", action="store_true", help="print the result as JSON")


def run_show(args: argparse.Namespace) -> int:
    """Print a configuration, secrets hidden."""
    from voicekiosk.service.render import json_text

    if args.file:
        from voicekiosk.config.render import effective, render_effective

        config, name, problems = _read(args.file)
        result = {"file": name, "config": effective(config), "problems": problems}
        print(json_text(result) if args.json else render_effective(config), end="" if not args.json else "\n")
        return 0

    from voicekiosk.service.client import ControlClient

    with ControlClient() as client:
        result = client.request("config")
    toml = result.pop("toml")
    if args.json:
        print(json_text(result))
        return 0
    _say_problems(result["problems"], f"{result['file']} is not in force:")
    print(toml, end="")
    return 0


def run_diff(args: argparse.Namespace) -> int:
    """Print what would change; return 0 whether or not anything would."""
    from voicekiosk.service.render import json_text, printable

    config, name, problems = _read(args.file)
    against, changes = _changes(config, args.file)
    if args.json:
        result = {"file": name, "against": against, "problems": problems, "changes": changes}
        print(json_text(result))
        return 0
    _say_problems(problems)
    if against != RUNNING:
        _say_problems([f"compared with {against}:"])
    if not changes:
        print(f"{name}: changes nothing in {against}")
    for change in changes:
        print(printable(change["text"]))
    return 0


def run_confirm(args: argparse.Namespace) -> int:
    """Let the configuration in force stay."""
    from voicekiosk.service.client import ControlClient
    from voicekiosk.service.render import outcome_text

    with ControlClient() as client:
        print(outcome_text(client.request("config-confirm"), as_json=args.json))
    return 0


def _read(name: str) -> "tuple[Config, str, list[str]]":
    """Return the configuration in a file, its name and its warnings. Raises `InvalidConfigError`."""
    import sys
    from pathlib import Path

    from voicekiosk.config import load
    from voicekiosk.config.problems import InvalidConfigError

    if name == "-":
        name = "<stdin>"
        config, problems = load.check_bytes(sys.stdin.buffer.read(load.MAX_BYTES + 1), name)
    else:
        config, problems = load.check_file(Path(name))
    if config is None:
        raise InvalidConfigError(problems)
    return config, name, [str(problem) for problem in problems]


def _changes(config: "Config", name: str) -> tuple[str, list[dict[str, Any]]]:
    """Return what `config` is compared with, and what it changes there."""
    import msgspec

    from voicekiosk.config.diff import compare
    from voicekiosk.errors import NotRunningError
    from voicekiosk.service.client import ControlClient

    try:
        with ControlClient() as client:
            result = client.request("config-diff", config=msgspec.to_builtins(config))
    except NotRunningError:
        before, against = _at_rest(name)
        return against, [change.as_dict() for change in compare(before, config).changes]
    return RUNNING, list(result["changes"])


def _at_rest(name: str) -> "tuple[Config, str]":
    """Return what would be in force if the kiosk were started without `name`, and what that is."""
    from pathlib import Path

    from voicekiosk.config import load
    from voicekiosk.config.schema import Config

    installed = Path(DEFAULT_FILE)
    if Path(name).resolve() != installed.resolve():
        config, _ = load.check_file(installed)
        if config is not None:
            return config, f"{installed} (the kiosk is not running)"
    return Config(), "the defaults (the kiosk is not running)"


def _say_problems(problems: list[str], head: str = "") -> None:
    import sys

    for line in [head, *problems] if head and problems else problems:
        print(line, file=sys.stderr)
