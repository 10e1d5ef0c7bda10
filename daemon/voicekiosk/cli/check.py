"""`voicekiosk check`: say everything that is wrong with a configuration file, before it matters."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voicekiosk.config.problems import Finding
    from voicekiosk.config.schema import Config

DEFAULT_FILE = "/etc/voicekiosk/config.toml"


def add_parser(subparsers: Any) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "check",
        help="check a configuration file and name every problem by line",
        description="Check a configuration file. Exit code 0: it can be used; 2: it cannot.",
    )
    parser.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        default=DEFAULT_FILE,
        help="file to check, - for standard input (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print the problems as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check the file, print every problem, and return 0 if it can be used, else 2."""
    from voicekiosk.config import load

    if args.file == "-":
        config, problems = load.check_bytes(sys.stdin.buffer.read(load.MAX_BYTES + 1), "<stdin>", _findings)
    else:
        config, problems = load.check_file(Path(args.file), _findings)
    name = "<stdin>" if args.file == "-" else args.file
    if args.json:
        import json

        print(
            json.dumps(
                {"file": name, "ok": config is not None, "problems": [p.as_dict() for p in problems]},
                indent=2,
            )
        )
    else:
        for problem in problems:
            print(problem)
        if config is not None:
            print(f"{name}: ok")
    return 0 if config is not None else 2


def _findings(config: "Config") -> Iterator["Finding"]:
    if any(tool.python for tool in config.tools):
        from voicekiosk.tools.functions import findings

        yield from findings(config)
