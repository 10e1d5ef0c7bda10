"""`voicekiosk simulate`: serve the protocol on loopback, without the service and without a key."""

import argparse
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "simulate",
        help="stand in for the voice agent service on this machine",
        description="Serve the Voice Agent protocol on 127.0.0.1. The agent repeats what it hears, "
        "or does what a scenario says. Exit code 1 with --judge when a client broke a rule.",
    )
    parser.add_argument(
        "--port", type=int, default=8770, help="port, 0 for any free one (default: %(default)s)"
    )
    parser.add_argument("--key", default="sim-key", help="API key to accept (default: %(default)s)")
    parser.add_argument("--scenario", metavar="NAME|FILE", help="what the service does; see --list")
    parser.add_argument(
        "--set", metavar="TABLE.KEY=VALUE", action="append", default=[], help="change one key of the scenario"
    )
    parser.add_argument("--list", action="store_true", help="list the scenarios and leave")
    parser.add_argument("--voice", choices=("parrot", "tones", "espeak"), help="what replies sound like")
    parser.add_argument("--language", help="language of --voice espeak, such as en or de")
    parser.add_argument("--record", type=Path, metavar="DIR", help="keep every frame and all audio in DIR")
    parser.add_argument("--speed", type=float, default=1.0, help="run time this many times as fast")
    parser.add_argument("--seed", type=int, default=1, help="seed of everything that is chosen at random")
    parser.add_argument(
        "--tls",
        nargs="?",
        const="good",
        choices=("good", "self-signed", "wrong-name", "expired"),
        help="serve wss with a certificate made now: good (default), or one that a client must refuse",
    )
    parser.add_argument("--judge", action="store_true", help="at the end print what clients did wrong")
    parser.add_argument("--json", action="store_true", help="print list, verdict and statistics as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted; return 1 when --judge found a violation."""
    from voicekiosk.simulator import program

    return program.main(args)
