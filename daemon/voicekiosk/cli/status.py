"""`voicekiosk status`: how the running kiosk is, at a glance."""

import argparse
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "status",
        help="show how the running kiosk is",
        description="Show state, lamp, link, devices, session, configuration and versions.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON; with --watch one object a line")
    parser.add_argument("--watch", action="store_true", help="go on: print each change until interrupted")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the status, once or at each change."""
    import json

    from voicekiosk.service.client import ControlClient
    from voicekiosk.service.protocol import Topic
    from voicekiosk.service.render import clock, status_line, status_text

    with ControlClient() as client:
        if args.watch:
            # Before the first look, so that no change falls between the two.
            client.subscribe(Topic.STATUS)
        status = client.request("status")
        if not args.watch:
            print(json.dumps(status, indent=2) if args.json else status_text(status))
            return 0
        print(json.dumps(status) if args.json else status_text(status), flush=True)
        for message in client.events():
            if "event" not in message:
                # Each status is whole: one that was missed is made up for by the next.
                continue
            if args.json:
                print(json.dumps(message["event"]), flush=True)
            else:
                print(clock(message["time"]), status_line(message["event"]), flush=True)
    return 0
