"""`voicekiosk check`: say everything that is wrong with a configuration file, before it matters."""

import argparse
import sys
from pathlib import Path
from typing import Any

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
    from voicekiosk.tools import functions

    if args.file == "-":
        config, problems = load.check_bytes(
            sys.stdin.buffer.read(load.MAX_BYTES + 1), "<stdin>", functions.findings
        )
    else:
        config, problems = load.check_file(Path(args.file), functions.findings)
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
