"""`voicekiosk events`: what happens in the running kiosk, as it happens."""

import argparse
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "events",
        help="show what happens, as it happens",
        description="Show presses, states, link, devices and errors of the running kiosk until interrupted.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print events until interrupted."""
    import json

    from voicekiosk.service.client import ControlClient
    from voicekiosk.service.protocol import Topic
    from voicekiosk.service.render import event_line

    with ControlClient() as client:
        client.subscribe(Topic.EVENTS)
        for message in client.events():
            print(json.dumps(message) if args.json else event_line(message), flush=True)
    return 0
