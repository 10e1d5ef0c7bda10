"""`voicekiosk volume`: set or show the loudness of the loudspeaker."""

import argparse
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "volume",
        help="set or show the loudness of the loudspeaker",
        description="Set the loudness of the loudspeaker, or show it. It is kept over a restart.",
    )
    parser.add_argument("percent", metavar="PERCENT", type=int, nargs="?", help="0 to 100; left out: show it")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Set the volume if one was given, and print what it is."""
    from voicekiosk.errors import ConfigError
    from voicekiosk.service.client import ControlClient
    from voicekiosk.service.render import json_text

    if args.percent is not None and not 0 <= args.percent <= 100:
        raise ConfigError(f"volume {args.percent}: expected 0 to 100 percent")
    with ControlClient() as client:
        result = client.request("volume", percent=args.percent)
    if args.json:
        print(json_text(result))
    else:
        print(f"{result['volume']} %")
    return 0
