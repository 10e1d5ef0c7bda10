"""Python packages for the guest, as wheels: it has no network, and no compiler."""

import os
import re
from pathlib import Path

from virtualpilib.host import PROJECT, UnsuitableError, VirtualPiError, cached, fingerprint, need, run, say

# Debian 12's Python, for which the wheels are.
VERSION = "3.11"
RIG = (
    "colorzero", "gpiozero", "inotify_simple", "msgspec", "numpy", "pyalsaaudio", "pytest", "systemd-python",
    "tomli", "websockets",
)  # fmt: skip
"""What the tests in the guest need themselves."""
_PYTEST = {"pytest", "iniconfig", "packaging", "pluggy", "pygments"}
_LOCKS = ("requirements-build.lock", "requirements.lock", "requirements-dev.lock")
PACKAGE = PROJECT / "scripts" / "package"


def wheels() -> Path:
    """Return a folder with a wheel of everything that is locked, and of pytest, with SHA256SUMS."""
    return cached("wheels", fingerprint(VERSION, *(PROJECT / name for name in _LOCKS), PACKAGE), _make)


def python() -> str:
    """Return a Python of the guest's version. Raises UnsuitableError when there is none."""
    homes = [
        (Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions", f"{VERSION}.*"),
        (Path.home() / ".local/share/uv/python", f"cpython-{VERSION}.*"),
    ]
    candidates = [str(PROJECT / ".venv" / "bin" / "python"), f"/usr/bin/python{VERSION}"]
    candidates += [str(found) for home, name in homes for found in home.glob(f"{name}/bin/python{VERSION}")]
    for candidate in candidates:
        if not Path(candidate).exists():
            continue
        try:
            found = run([candidate, "-c", _PROBE], what="looking for a Python").strip()
        except VirtualPiError:
            continue
        if found == VERSION:
            return candidate
    raise UnsuitableError(
        f"a Python {VERSION} with pip and headers is needed, to build wheels for the guest's Debian 12 "
        f"(apt-get install python{VERSION}-dev python3-pip on Debian 12, or pyenv install {VERSION})"
    )


_PROBE = (
    "import os, sys, sysconfig, pip; "
    "assert os.path.exists(sysconfig.get_path('include') + '/Python.h'); "
    "print('%d.%d' % sys.version_info[:2])"
)


def _make(into: Path) -> None:
    need(
        {
            "gcc": "gcc",
            "pkg-config": "pkg-config",
            "/usr/include/stdlib.h": "libc6-dev",
            "/usr/include/alsa/asoundlib.h": "libasound2-dev",
            "/usr/include/systemd/sd-daemon.h": "libsystemd-dev",
        }
    )
    say("building Python packages for the guest (once)")
    dev = (PROJECT / "requirements-dev.lock").read_text()
    wanted = into / "pytest.lock"
    blocks = re.split(r"^(?=[a-z])", dev, flags=re.MULTILINE)
    wanted.write_text("".join(block for block in blocks if re.split(r"[= ]", block)[0] in _PYTEST))
    command = [
        python(), "-m", "pip", "wheel", "--quiet", "--no-deps", "--require-hashes", "--wheel-dir", into,
        "-r", wanted,
    ]  # fmt: skip
    run(command, what="fetching pytest", timeout_s=900)
    wanted.unlink()
    run([PACKAGE, "wheels", into, "--python", VERSION], what="building the packages", timeout_s=1800)
