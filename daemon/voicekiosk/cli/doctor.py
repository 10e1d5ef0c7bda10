"""`voicekiosk doctor`: look at every link of the chain, and say what to do."""

import argparse
from pathlib import Path
from typing import Any

DEFAULT_CONFIG = Path("/etc/voicekiosk/config.toml")
MARKS = {"ok": "ok     ", "skipped": "-      ", "warning": "WARNING", "failure": "FAILURE"}


def add_parser(subparsers: Any) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "doctor",
        help="look at every link of the chain and say what to do",
        description="Examine machine, sound, button, lamp, key, network and service; say what is wrong and "
        "what to do. A chirp is heard, the microphone is open for three seconds, and the service is called "
        "without opening a session. Works while the kiosk runs. Exit code 0: all well, 1: warnings, 2: "
        "failures. Best as root.",
    )
    parser.add_argument(
        "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help="default: %(default)s"
    )
    parser.add_argument("--quiet", action="store_true", help="no chirp")
    parser.add_argument("--no-call", action="store_true", help="do not call the service")
    parser.add_argument("--press", action="store_true", help="wait up to 10 s for a press of the button")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the verdicts as they come and return the worst as exit code."""
    import logging
    from dataclasses import asdict

    from voicekiosk.doctor.examination import Wishes, examine
    from voicekiosk.doctor.verdict import Verdict, exit_code
    from voicekiosk.service.render import json_text, printable

    wishes = Wishes(args.config, chirp=not args.quiet, call=not args.no_call, press=args.press)
    if args.press and not args.json:
        print("when asked for the button, press it", flush=True)
    verdicts: list[Verdict] = []
    # What the parts would log is in the verdicts.
    logging.disable(logging.CRITICAL)
    try:
        for verdict in examine(wishes):
            verdicts.append(verdict)
            if not args.json:
                print(f"{MARKS[verdict.level]}  {verdict.link}: {printable(verdict.text)}", flush=True)
                if verdict.fix:
                    print(f"         → {printable(verdict.fix)}", flush=True)
    finally:
        logging.disable(logging.NOTSET)
    code = exit_code(verdicts)
    if args.json:
        print(
            json_text({"verdict": ("ok", "warning", "failure")[code], "links": [asdict(v) for v in verdicts]})
        )
    else:
        print(("all is well", "it works, with warnings", "something is broken")[code])
    return code
