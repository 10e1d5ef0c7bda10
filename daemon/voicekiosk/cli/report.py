"""`voicekiosk report`: a page that shows what happened in the last turns."""

import argparse
import sys
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "report",
        help="write a page that shows what happened in the last turns",
        description="Write one HTML page about the last turns: button, lamp, levels, session and network on "
        "one time axis. It opens in any browser, without a network. It holds no sound, and no words unless "
        "log.transcripts is on.",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="where to (default: a new voicekiosk-report-DATE-TIME.html here; - for standard output)",
    )
    parser.add_argument("--force", action="store_true", help="replace FILE if it is there")
    parser.add_argument(
        "--json", action="store_true", help="print what is recorded as JSON, and write no page"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the page."""
    from voicekiosk.service.client import ControlClient

    with ControlClient() as client:
        recording = client.request("report")
    if args.json:
        from voicekiosk.service.render import json_text

        print(json_text(recording))
        return 0
    from voicekiosk.service.report import page

    html = page(recording)
    if args.output == "-":
        sys.stdout.write(html)
        return 0
    print(_write(html, args.output, force=args.force))
    return 0


def _write(html: str, output: str | None, *, force: bool) -> Path:
    """Return where the page was written: never over another file unless that is wished."""
    from datetime import datetime

    from voicekiosk.errors import KioskError

    name = f"voicekiosk-report-{datetime.now().astimezone():%Y-%m-%d-%H%M%S}"
    paths = [Path(output)] if output else [Path(f"{name}{more}.html") for more in ("", "-2", "-3", "-4")]
    for path in paths:
        try:
            with path.open("w" if force and output else "x", encoding="utf-8") as file:
                file.write(html)
        except FileExistsError:
            continue
        except OSError as error:
            raise KioskError(
                f"{path}: the report cannot be written ({error.strerror}); name another place with --output"
            ) from None
        return path
    raise KioskError(f"{paths[-1]}: is there already; name another file, or replace it with --force")
