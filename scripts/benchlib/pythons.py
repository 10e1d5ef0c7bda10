"""Which Pythons there are to measure with: this one, and those that .ci/run has made environments for."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROMISED = ("3.11", "3.13")
_USABLE = "import platform, voicekiosk.kiosk.daemon; print(platform.python_version())"


def _version(python: str) -> str:
    """Return "3.11.2" for a Python that has all that the daemon needs, "" for another."""
    try:
        done = subprocess.run(
            [python, "-c", _USABLE], capture_output=True, text=True, check=False, timeout=60
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def found(more: list[str] | None = None) -> dict[str, str]:
    """Return the program of each Python by its version, this one first; `more` instead of those of .ci/run.

    Of two that are the same to the minor version the first counts.
    """
    others = more or [str(path / "bin" / "python") for path in sorted(ROOT.glob(".venv-3.*"))]
    programs: dict[str, str] = {}
    for python in (sys.executable, *others):
        version = _version(python)
        if version and minor(version) not in map(minor, programs):
            programs[version] = python
    return programs


def minor(version: str) -> str:
    """Return "3.11" of "3.11.2"."""
    return ".".join(version.split(".")[:2])


def lacking(versions: list[str]) -> str:
    """Return a note on the Pythons that something is promised for and that are not here, "" for none."""
    absent = [version for version in PROMISED if version not in map(minor, versions)]
    if not absent:
        return ""
    setup = "; ".join(f"VOICEKIOSK_PYTHON={v} VOICEKIOSK_VENV=.venv-{v} scripts/setup" for v in absent)
    return f"Not measured on Python {' and '.join(absent)}, which this makes ready: {setup}"
