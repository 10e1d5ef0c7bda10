"""`voicekiosk reload`: read the configuration file again."""

import argparse
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "reload",
        help="read the configuration file again",
        description="Let the running kiosk read its configuration again. Exit code 2: it has problems and "
        "the one before stays.",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Reload and print which keys changed."""
    from voicekiosk.service.client import ControlClient
    from voicekiosk.service.render import json_text

    with ControlClient() as client:
        result = client.request("reload")
    if args.json:
        print(json_text(result))
    else:
        print("changed: " + ", ".join(result["changed"]) if result["changed"] else "nothing changed")
    return 0
