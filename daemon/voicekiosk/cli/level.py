"""`voicekiosk level`: how loud the microphone is, live."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DEFAULT_CONFIG = Path("/etc/voicekiosk/config.toml")
EVERY_S = 0.2
BAR_WIDTH = 40
QUIETEST_DBFS = -80.0


def add_parser(subparsers: Any) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "level",
        help="show how loud the microphone is",
        description="Show the microphone's level until interrupted. While the kiosk has the microphone open, "
        "its daemon is asked; otherwise the microphone is opened here, and given back as soon as somebody "
        "presses the button.",
    )
    parser.add_argument(
        "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help="default: %(default)s"
    )
    parser.add_argument("--for", dest="seconds", type=float, metavar="SECONDS", help="stop after this long")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the level five times a second until interrupted."""
    import json
    import sys
    import time

    until_s = time.monotonic() + args.seconds if args.seconds is not None else float("inf")
    live = sys.stdout.isatty() and not args.json
    for rms_dbfs, peak_dbfs in _levels(args.config):
        if args.json:
            print(json.dumps({"rms_dbfs": round(rms_dbfs, 1), "peak_dbfs": round(peak_dbfs, 1)}), flush=True)
        else:
            print(meter(rms_dbfs, peak_dbfs), end="\r" if live else "\n", flush=True)
        if time.monotonic() >= until_s:
            break
    if live:
        print()
    return 0


def meter(rms_dbfs: float, peak_dbfs: float) -> str:
    """Return one line: a bar for the level, a mark for the peak, and what that means."""

    def place(dbfs: float) -> int:
        share = (max(QUIETEST_DBFS, min(0.0, dbfs)) - QUIETEST_DBFS) / -QUIETEST_DBFS
        return round(share * BAR_WIDTH)

    bar = list("█" * place(rms_dbfs) + " " * (BAR_WIDTH - place(rms_dbfs)))
    bar[min(BAR_WIDTH - 1, place(peak_dbfs))] = "▌"
    verdict = "too loud" if peak_dbfs > -1 else "silent: muted?" if rms_dbfs < -100 else ""
    return f"{rms_dbfs:6.1f} dBFS |{''.join(bar)}| peak {peak_dbfs:6.1f}  {verdict:14}"


def _levels(config_file: Path) -> Iterator[tuple[float, float]]:
    """Yield RMS and peak, from whoever has the microphone."""
    import time

    from voicekiosk.errors import NotRunningError
    from voicekiosk.service.client import ControlClient

    while True:
        try:
            with ControlClient(timeout_s=2.0) as client:
                while True:
                    now = client.request("level")
                    if now["open"]:
                        yield now["rms_dbfs"], now["peak_dbfs"]
                        time.sleep(EVERY_S)
                    else:
                        yield from _own_levels(config_file, client)
        except NotRunningError:
            yield from _own_levels(config_file, None)


def _own_levels(config_file: Path, client: Any) -> Iterator[tuple[float, float]]:
    """Open the microphone here and yield its levels, until the daemon (if there is one) wants it."""
    from voicekiosk.audio.levels import peak_dbfs, rms_dbfs
    from voicekiosk.audio.once import windows
    from voicekiosk.config.load import load
    from voicekiosk.config.schema import Config

    config = load(config_file) if config_file.exists() else Config()
    for block in windows(config.audio.capture, EVERY_S):
        if client is not None and client.request("level")["state"] not in {
            "idle",
            "muted",
            "fault",
            "offline",
        }:
            return
        yield rms_dbfs(block), peak_dbfs(block)
