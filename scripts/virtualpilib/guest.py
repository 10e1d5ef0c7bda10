"""A running guest: what it is given, how it is started, and how it ends."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from virtualpilib.host import PROJECT, cache, fingerprint, run, say, scratch
from virtualpilib.kernel import Kernel
from virtualpilib.wheels import product_wheel, wheels

GUEST = Path(__file__).with_name("guest")
PARTS = (
    "CHANGELOG.md", "LICENSE", "README.md", "config", "daemon", "pyproject.toml", "requirements-build.lock",
    "requirements.lock", "scripts", "systemd", "tests",
)  # fmt: skip
MEMORY = "1G"
MEMORY_FILES = Path("/dev/shm")
"""Where the guest's memory lies: on a disk it would crawl."""


@contextmanager
def share() -> Iterator[Path]:
    """Give a folder with everything that a guest is given: the project as it is now, and its packages."""
    with scratch() as folder:
        shutil.copytree(GUEST, folder / "guest")
        project = folder / "project"
        for name in PARTS:
            source = PROJECT / name
            if source.is_dir():
                shutil.copytree(source, project / name, symlinks=True, ignore=_unwanted)
            elif source.exists():
                project.mkdir(exist_ok=True)
                shutil.copy(source, project / name)
        shutil.copytree(wheels(), folder / "wheels")
        _add_product(project, folder / "wheels")
        yield folder


def _unwanted(_: str, names: list[str]) -> set[str]:
    return {name for name in names if name in {"__pycache__", ".pytest_cache"} or name.endswith(".egg-info")}


def _add_product(project: Path, into: Path) -> None:
    """Put voicekiosk's own wheel beside the others; built again only when something in it changed."""
    files = sorted(path for path in (project / "daemon").rglob("*") if path.is_file())
    named = [text for path in files for text in (str(path.relative_to(project)), path)]
    kept = cache() / "product" / fingerprint(project / "pyproject.toml", *named)
    if not list(kept.glob("*.whl")):
        say("building voicekiosk's wheel")
        shutil.rmtree(kept.parent, ignore_errors=True)
        with scratch() as folder:
            shutil.copytree(project / "daemon", folder / "daemon")
            for name in ("pyproject.toml", "README.md", "LICENSE"):
                shutil.copy(project / name, folder)
            product_wheel(folder, kept)
    for wheel in kept.glob("*.whl"):
        shutil.copy(wheel, into)


def start(kernel: Kernel, disk: Path, folder: Path, mode: str, *, console: int | None = None) -> "Guest":
    """Boot a guest on a throwaway copy of `disk`; with no `console` it is this terminal."""
    return Guest(kernel, disk, folder, mode, console)


class Guest:
    """A guest from its power-on to its power-off."""

    def __init__(self, kernel: Kernel, disk: Path, folder: Path, mode: str, console: int | None) -> None:
        base = MEMORY_FILES if os.access(MEMORY_FILES, os.W_OK) else None
        self._scratch = scratch(base)
        private = self._scratch.__enter__()
        command = [
            # Whatever becomes of this side, no guest is left behind.
            "setpriv", "--pdeathsig", "KILL",
            str(kernel.program),
            f"mem={MEMORY}",
            f"ubd0={private}/changes,{disk}",
            "root=/dev/ubda", "rw", "con=null", "con0=fd:0,fd:1", "ssl=null", "quiet", "loglevel=3",
            "systemd.show_status=0", f"uml_dir={private}",
            f"virtual_pi.share={folder}", f"virtual_pi.mode={mode}",
        ]  # fmt: skip
        self.process = subprocess.Popen(
            command,
            stdin=None if console is None else subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.DEVNULL if console is None else console,
            env={
                "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
                "TMPDIR": str(private),
                "HOME": str(private),
            },
            # Of its own, so that a whole guest can be ended at once.
            start_new_session=console is not None,
        )

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for its power-off and return its exit code; raises subprocess.TimeoutExpired."""
        return self.process.wait(timeout_s)

    def end(self) -> None:
        """Pull the plug, if it is still on, and throw the changes to its disk away."""
        if self.process.poll() is None:
            if os.getpgid(self.process.pid) == self.process.pid:
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.kill()
            self.process.wait(10)
        self._scratch.__exit__(None, None, None)


def restore_terminal() -> None:
    """Give the terminal back as it was before a guest used it."""
    if os.isatty(0):
        run(["stty", "sane"], what="restoring the terminal")
