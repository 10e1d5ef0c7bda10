"""`voicekiosk version`: versions of everything that matters in a report."""

import argparse
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "version",
        help="show versions of everything that matters in a report",
        description="Show the versions of voicekiosk, of what it uses and of what it runs on. "
        "Works without the daemon, and says if another version of it is running.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the versions."""
    from voicekiosk.errors import KioskError
    from voicekiosk.service.client import ControlClient
    from voicekiosk.service.render import json_text
    from voicekiosk.service.versions import all_versions

    found = all_versions()
    try:
        with ControlClient(timeout_s=2.0) as client:
            found["daemon"] = str(client.request("status").get("versions", {}).get("voicekiosk", "unknown"))
    except KioskError:
        found["daemon"] = "not running"
    if args.json:
        print(json_text(found))
        return 0
    width = max(map(len, found)) + 2
    for name, version in found.items():
        print(f"{name:{width}}{version}")
    if found["daemon"] not in {"not running", found["voicekiosk"]}:
        print("the running daemon is of another version; restart it: sudo systemctl restart voicekiosk")
    return 0
