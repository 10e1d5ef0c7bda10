"""`voicekiosk release`: release the talk button."""

import argparse
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "release",
        help="release the talk button",
        description="Release the talk button of the running kiosk, as a visitor would.",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Release the button and print the state that it led to."""
    from voicekiosk.service.client import ControlClient
    from voicekiosk.service.render import outcome_text

    with ControlClient() as client:
        print(outcome_text(client.request("release"), as_json=args.json))
    return 0
