"""`voicekiosk say`: let the agent speak of its own accord."""

import argparse
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "say",
        help="let the agent say something",
        description="Let the agent of the running kiosk say something of its own accord.",
    )
    parser.add_argument("text", metavar="TEXT", nargs="+", help="what to say")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Hand the text over and print the state that it led to."""
    from voicekiosk.service.client import ControlClient
    from voicekiosk.service.render import outcome_text

    with ControlClient() as client:
        print(outcome_text(client.request("say", text=" ".join(args.text)), as_json=args.json))
    return 0
