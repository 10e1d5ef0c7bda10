"""`voicekiosk key set`: put the API key where the service finds it."""

import argparse
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "key",
        help="set the API key",
        description="Look after the API key. It is never shown, and never an argument: everybody on the "
        "machine can read those.",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    setter = actions.add_parser(
        "set",
        help="read the key from a prompt or standard input and store it",
        description="Read the API key from a prompt (nothing is shown) or from standard input, store it "
        "readable by its owner only, and hand it to the running daemon: no restart is needed.",
    )
    setter.add_argument("--file", metavar="FILE", help="where to store it (default: /etc/voicekiosk/api-key)")
    setter.add_argument("--json", action="store_true", help="print the result as JSON")
    setter.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Store the key and hand it over. Exit code 4: stored, but the running daemon did not take it."""
    from pathlib import Path

    from voicekiosk.errors import ConfigError, KioskError, NotRunningError
    from voicekiosk.service.client import ControlClient
    from voicekiosk.service.credential import KEY_FILE, check_key, encrypted_file, write_key
    from voicekiosk.service.render import json_text

    path = Path(args.file) if args.file else KEY_FILE
    if not args.file and (encrypted := encrypted_file(_unit())):
        raise ConfigError(
            f"the service reads its key from {encrypted}, which is encrypted (LoadCredentialEncrypted); "
            f"{path} would be of no use. Make that one anew: systemd-ask-password -n | "
            f"sudo systemd-creds encrypt --name=api-key - {encrypted}; "
            "then: sudo systemctl restart voicekiosk"
        )
    key = check_key(_read())
    write_key(key, path)
    try:
        with ControlClient() as client:
            client.request("set-key", key=key)
        taken, text = True, f"{path}: stored, and in use by the running daemon"
    except NotRunningError:
        taken, text = False, f"{path}: stored; the daemon is not running and will read it when it starts"
    except KioskError as error:
        raise type(error)(f"{path}: stored, but the running daemon did not take it: {error}") from error
    if args.json:
        print(json_text({"file": str(path), "in_use": taken}))
    else:
        print(text)
    return 0


def _unit() -> str:
    """Return the service's unit with what was added to it; empty where there is no systemd."""
    import subprocess

    try:
        done = subprocess.run(
            ["systemctl", "cat", "voicekiosk.service"],
            check=False,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def _read() -> str:
    import sys

    from voicekiosk.errors import ConfigError

    if sys.stdin.isatty():
        import getpass

        return getpass.getpass("API key (not shown): ")
    try:
        # More than any key has, and not the whole of a wrong file.
        return sys.stdin.read(64 * 1024)
    except UnicodeDecodeError:
        raise ConfigError("standard input is not text; give the API key and nothing else") from None
