"""`voicekiosk hear`: the last question again, exactly as it was sent."""

import argparse
from pathlib import Path
from typing import Any

RATE_HZ = 24000


def add_parser(subparsers: Any) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "hear",
        help="hear the last question as it was sent",
        description="Play the last question on the kiosk's loudspeaker, exactly as it was sent, or write it "
        "to a file. It comes from the daemon's memory and is gone when the next one begins or the "
        "conversation ends. For root only: it is a visitor's voice.",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write a WAV file instead of playing it")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Play the question, or write it."""
    from voicekiosk.service.client import ControlClient
    from voicekiosk.service.render import json_text, outcome_text

    with ControlClient() as client:
        if args.out is None:
            print(outcome_text(client.request("hear-aloud"), as_json=args.json))
            return 0
        pcm, skipped = _fetch(client)
    _write(args.out, pcm)
    seconds = len(pcm) / 2 / RATE_HZ
    if args.json:
        print(json_text({"file": str(args.out), "seconds": seconds, "skipped_s": skipped / RATE_HZ}))
    else:
        left_out = f", {skipped / RATE_HZ:.1f} s of silence in it were not sent" if skipped else ""
        print(f"{args.out}: {seconds:.1f} s{left_out}")
    return 0


def _fetch(client: Any) -> tuple[bytes, int]:
    from base64 import b64decode

    from voicekiosk.errors import RefusedError

    pcm = b""
    while True:
        part = client.request("hear", start=len(pcm) // 2)
        if part["samples"] == 0:
            raise RefusedError("there is no question to hear: it is forgotten when the conversation ends")
        piece = b64decode(part["pcm"])
        pcm += piece
        # Less than it was: the next question has begun meanwhile.
        if not piece or len(pcm) // 2 >= part["samples"]:
            return pcm, part["skipped"]


def _write(path: Path, pcm: bytes) -> None:
    import os
    import wave

    from voicekiosk.errors import KioskError

    try:
        # For its owner only: somebody's voice is in it.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file, wave.open(file, "wb") as wav:
            wav.setnchannels(1)
            wav.setsampwidth(2)
            wav.setframerate(RATE_HZ)
            wav.writeframes(pcm)
    except OSError as error:
        raise KioskError(f"{path}: {error.strerror}") from error
