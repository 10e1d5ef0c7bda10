"""`voicekiosk transcript`: live captions of both sides. Nothing of it is stored."""

import argparse
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "transcript",
        help="show live captions of both sides",
        description="Show what visitor and agent say, as they say it, until interrupted. Nothing is stored.",
    )
    parser.add_argument("--partial", action="store_true", help="show unfinished sentences too")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object a line, unfinished ones too"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print captions until interrupted."""
    import json

    from voicekiosk.service.client import ControlClient
    from voicekiosk.service.protocol import Topic
    from voicekiosk.service.render import caption_line

    with ControlClient() as client:
        client.subscribe(Topic.TRANSCRIPT)
        for message in client.events():
            if args.json:
                print(json.dumps(message), flush=True)
            elif "missed" in message or message["event"].get("final") or args.partial:
                print(caption_line(message), flush=True)
    return 0
