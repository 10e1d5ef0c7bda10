"""A daemon as a process of its own, and the file that people edit under it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.rigs.daemon_process import DaemonProcess

# Root may read what nobody may; without these it may not either, as the service's own user.
WITHOUT_ROOTS_RIGHTS = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")


def text(name: str, rest: str = "") -> str:
    """Return a good configuration whose kiosk has that name."""
    return f"[kiosk]\nname = '{name}'\n[panel]\ndriver = 'none'\n{rest}"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that another user may work in too; pytest's own lets nobody else in."""
    path = Path(tempfile.mkdtemp(prefix="voicekiosk-config-live-"))
    path.chmod(0o777)
    (path / "etc").mkdir(mode=0o755)
    (path / "state").mkdir()
    (path / "state").chmod(0o777)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def file(folder: Path) -> Path:
    """The configuration file, in a folder of its own like /etc/voicekiosk."""
    file = folder / "etc" / "config.toml"
    file.write_text(text("before"))
    return file


@pytest.fixture
def kiosk(folder: Path, file: Path) -> Iterator[DaemonProcess]:
    """The daemon, with `before` in force."""
    with DaemonProcess(folder, file, wrapper=WITHOUT_ROOTS_RIGHTS if os.getuid() == 0 else ()) as process:
        yield process


@contextmanager
def tiny_disk(path: Path) -> Iterator[None]:
    """Mount a disk of a few pages at `path`; skip where that is not allowed."""
    command = ["mount", "-t", "tmpfs", "-o", "size=16k,mode=755", "tmpfs", str(path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    if done.returncode:
        pytest.skip(f"cannot mount a small disk here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=False, timeout=30)
