"""Versions of everything that matters in a report of a fault."""

import platform
import sys
from contextlib import suppress
from pathlib import Path

from voicekiosk import __version__

_PACKAGES = ("numpy", "websockets", "msgspec", "pyalsaaudio", "gpiozero", "lgpio", "systemd-python", "tomli")


def own_versions() -> dict[str, str]:
    """Return what `status` carries: cheap to tell."""
    return {"voicekiosk": __version__, "python": platform.python_version()}


def all_versions() -> dict[str, str]:
    """Return the versions of the program, the packages it uses, and what it runs on.

    What is not installed is told as such. Reads files; takes some 50 ms.
    """
    from importlib import metadata  # noqa: PLC0415 - costs more than all the rest of the start

    found = own_versions()
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    found["kernel"] = f"{platform.release()} {platform.machine()}"
    found["system"] = _os_name()
    if board := _board():
        found["board"] = board
    found["interpreter"] = sys.executable
    return found


def _os_name() -> str:
    with suppress(OSError):
        return platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")
    return "unknown"


def _board() -> str:
    with suppress(OSError):
        return Path("/proc/device-tree/model").read_text("utf-8", errors="replace").strip("\0\n ")
    return ""
