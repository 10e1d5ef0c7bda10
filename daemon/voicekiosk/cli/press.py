"""`voicekiosk press`: press the talk button."""

import argparse
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "press",
        help="press the talk button",
        description="Press the talk button of the running kiosk, as a visitor would. `release` lets it go.",
    )
    parser.add_argument(
        "--for", dest="hold_s", type=float, metavar="SECONDS", help="hold it this long, then release it"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Press the button, hold it if asked to, and print the state that it led to."""
    import time

    from voicekiosk.errors import ConfigError
    from voicekiosk.service.client import ControlClient
    from voicekiosk.service.render import outcome_text

    if args.hold_s is not None and not 0 <= args.hold_s <= 600:
        raise ConfigError(f"press --for {args.hold_s:g}: expected 0 to 600 seconds")
    with ControlClient() as client:
        outcome = client.request("press")
        if args.hold_s is not None:
            try:
                time.sleep(args.hold_s)
            finally:
                # Also when interrupted: nobody should leave a microphone live behind.
                outcome = client.request("release")
        print(outcome_text(outcome, as_json=args.json))
    return 0
