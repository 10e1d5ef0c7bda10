"""`voicekiosk mute`: switch the microphone off."""

import argparse
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "mute",
        help="switch the microphone off",
        description="Mute the running kiosk: nothing is heard until it is unmuted.",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Mute and print the state that it led to."""
    from voicekiosk.service.client import ControlClient
    from voicekiosk.service.render import outcome_text

    with ControlClient() as client:
        print(outcome_text(client.request("mute"), as_json=args.json))
    return 0
