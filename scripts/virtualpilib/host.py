"""This machine: what is said to whoever waits, the tools that are needed, and what is kept between runs."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
KEPT_S = 2 * 86400.0
"""How long what is of no use any more stays in the cache: another checkout may want it."""
_BEGAN_S = time.monotonic()


class VirtualPiError(Exception):
    """Something cannot be done; the text says what, and what to do about it."""


class UnsuitableError(VirtualPiError):
    """This machine, or whoever is at it, cannot do that at all; no fault of ours."""


CANNOT = 77
"""The exit code for that, as the tests of other projects have it."""


def say(text: str) -> None:
    """Tell whoever waits what is happening, with the seconds since the start."""
    print(f"[{time.monotonic() - _BEGAN_S:6.1f} s] {text}", flush=True)


def run(command: Sequence[object], *, what: str, timeout_s: float = 900.0, cwd: Path | None = None) -> str:
    """Run a command to its end and return what it printed. Raises VirtualPiError with its last words."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            cwd=cwd,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise VirtualPiError(f"{what}: {words[0]} did not end within {timeout_s:g} s") from error
    except OSError as error:
        raise VirtualPiError(f"{what}: cannot start {words[0]}: {error.strerror}") from error
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-25:])
        raise VirtualPiError(f"{what}: {words[0]} ended with exit code {done.returncode}:\n{last}")
    return done.stdout


def need(tools: dict[str, str]) -> None:
    """Have commands (or files, with a leading slash) on this machine; installs Debian packages as root.

    `tools` says for each the Debian package that brings it. Raises VirtualPiError that names what is missing.
    """

    def missing() -> list[str]:
        there = {tool: Path(tool).exists() if tool[0] == "/" else shutil.which(tool) for tool in tools}
        return sorted({tools[tool] for tool in tools if not there[tool]})

    packages = missing()
    if not packages:
        return
    by_hand = f"apt-get install --no-install-recommends {' '.join(packages)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise UnsuitableError(f"needed and not here: {', '.join(packages)}. As root: {by_hand}")
    say(f"installing from apt: {' '.join(packages)}")
    install = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "install", "-y", "--no-install-recommends"]
    try:
        run([*install, *packages], what="installing tools")
    except VirtualPiError:
        # Lists that are older than the archive point at packages that have moved on.
        run(["apt-get", "-o", "DPkg::Lock::Timeout=300", "update"], what="refreshing apt's lists")
        run([*install, *packages], what="installing tools")
    if left := missing():
        raise VirtualPiError(f"apt-get installed {', '.join(left)}, and their commands are still not there")


def need_root() -> None:
    """Raise UnsuitableError unless this is root."""
    if os.geteuid() != 0:
        raise UnsuitableError("a root file system is made here, with users and devices: run it as root")


def fingerprint(*parts: str | bytes | Path) -> str:
    """Return what names a piece of the cache: a hash of all that decides what is in it."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else part
        data = data.encode() if isinstance(data, str) else data
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:16]


def cache() -> Path:
    """Return the folder of what is kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "voicekiosk" / "virtual-pi"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def cached(name: str, key: str, make: Callable[[Path], None]) -> Path:
    """Return the cache's folder `name-key`, made by `make` in an empty folder if it is not there yet.

    Older ones of the same name go; two runs at once wait for each other.
    """
    folder = cache() / f"{name}-{key}"
    with (cache() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            made = Path(tempfile.mkdtemp(prefix=f"{name}.", suffix=".part", dir=cache()))
            try:
                made.chmod(0o755)
                make(made)
                made.rename(folder)
            except BaseException:
                shutil.rmtree(made, ignore_errors=True)
                raise
            for old in cache().glob(f"{name}-*"):
                if old != folder and time.time() - old.stat().st_mtime > KEPT_S:
                    shutil.rmtree(old, ignore_errors=True)
        os.utime(folder)
    return folder


@contextlib.contextmanager
def scratch(parent: Path | None = None) -> Iterator[Path]:
    """Give an empty folder that goes away afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="virtual-pi-", dir=parent))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fail(error: Exception) -> int:
    """Print why it did not work and return the exit code."""
    sys.stdout.flush()
    print(f"virtual-pi: {error}", file=sys.stderr)
    return CANNOT if isinstance(error, UnsuitableError) else 1
