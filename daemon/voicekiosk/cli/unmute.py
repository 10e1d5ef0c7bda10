"""`voicekiosk unmute`: let the microphone be used again."""

import argparse
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "unmute", help="let the microphone be used again", description="Unmute the running kiosk."
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Unmute and print the state that it led to."""
    from voicekiosk.service.client import ControlClient
    from voicekiosk.service.render import outcome_text

    with ControlClient() as client:
        print(outcome_text(client.request("unmute"), as_json=args.json))
    return 0
