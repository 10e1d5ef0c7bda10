"""`voicekiosk latency`: how long visitors waited in the last turns, and for what."""

import argparse
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "latency",
        help="show how long visitors waited in the last turns",
        description="Show the delays of the turns that the running kiosk remembers: median, 95 %%, longest.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the table."""
    from voicekiosk.service.client import ControlClient
    from voicekiosk.service.render import json_text, latency_text

    with ControlClient() as client:
        latency = client.request("latency")
    print(json_text(latency) if args.json else latency_text(latency))
    return 0
