"""What the files are that somebody names on the command line of a script.

The scripts run in the project's root; whoever called one may have been elsewhere, and means files there.
"""

import argparse
import os
from pathlib import Path


def from_here(name: str) -> Path:
    """Return the file that whoever called the script means by `name`."""
    return Path(os.environ.get("VOICEKIOSK_CALLED_FROM", "."), name)


def writable_from_here(name: str) -> Path:
    """Do the same for a file that will be written.

    Creates it, so that one that cannot be written is found before a long run. Raises ArgumentTypeError.
    """
    path = from_here(name)
    try:
        path.open("a").close()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{path} cannot be written: {error.strerror}") from error
    return path
