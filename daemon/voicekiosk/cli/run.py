"""`voicekiosk run`: be the kiosk."""

import argparse
from pathlib import Path
from typing import Any

DEFAULT_CONFIG = Path("/etc/voicekiosk/config.toml")


def add_parser(subparsers: Any) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "run",
        help="be the kiosk, until stopped",
        description="Run the kiosk in the foreground. Ends at Ctrl-C or SIGTERM; SIGHUP reads the "
        "configuration again.",
    )
    parser.add_argument(
        "--config",
        type=Path,
        default=DEFAULT_CONFIG,
        metavar="FILE",
        help="configuration (default: %(default)s)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run until stopped."""
    import os

    # numpy's BLAS would start a thread a core, for products that fit one core's cache.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

    from voicekiosk.config.last_good import LastGood
    from voicekiosk.config.live import LiveConfig
    from voicekiosk.service import journal

    journal.configure()
    store = LastGood.from_environment()
    kept = store.read()
    live = LiveConfig(args.config.absolute(), kept.config if kept is not None else None)
    journal.configure(live.last_good.log.level)

    from voicekiosk.kiosk.daemon import run as run_daemon

    run_daemon(live, store=store, kept=kept)
    return 0
