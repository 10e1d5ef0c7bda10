"""A running guest: what it is given, how it is started, and how it ends."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from virtualpilib.host import PROJECT, UnsuitableError, VirtualPiError, run, say, scratch
from virtualpilib.kernel import Kernel
from virtualpilib.rootfs import IMAGE_MB
from virtualpilib.wheels import wheels

GUEST = Path(__file__).with_name("guest")
PARTS = (
    "CHANGELOG.md", "LICENSE", "README.md", "config", "daemon", "pyproject.toml", "requirements-build.lock",
    "requirements.lock", "scripts", "systemd", "tests",
)  # fmt: skip
MEMORY = "1G"
MEMORY_FILES = Path("/dev/shm")
"""Where the guest's memory lies: on a disk it would crawl."""
IDLE_SPEED = 4
"""How many seconds of its own a guest sleeps in one of ours; a disk seems to be slower by that."""
WORK_PRICE = 4
"""How many seconds of ours a guest works in one of its own. A system call is some 60 times as dear in there
as on a Pi. At this price an answer to a press takes as long as in `stock`, which is as fast as a small Pi."""
NEEDED_BYTES = (1024 + IMAGE_MB) << 20
"""For a guest's memory, and for its disk when it is full."""


@contextmanager
def memory() -> Iterator[Path]:
    """Give an empty folder in memory with room for a guest; say so if it has to be on disk."""
    # For two: what another guest may still grow by is not seen.
    if _free_bytes(MEMORY_FILES) >= 2 * NEEDED_BYTES:
        with scratch(MEMORY_FILES) as folder:
            yield folder
        return
    with scratch() as folder, ExitStack() as stack:
        try:
            stack.enter_context(_tmpfs(folder))
        except VirtualPiError:
            say(
                f"{MEMORY_FILES} has less than {2 * NEEDED_BYTES >> 20} MB, and no tmpfs can be mounted: "
                f"the guest's memory is a file in {folder}, and it may be too slow for its tests "
                "(in Docker: --shm-size=6g)"
            )
        yield folder


def need_memory() -> None:
    """Raise UnsuitableError where a guest's memory would be a file on a disk: tests would be too slow."""
    if _free_bytes(MEMORY_FILES) >= 2 * NEEDED_BYTES:
        return
    with scratch() as folder:
        try:
            with _tmpfs(folder):
                return
        except VirtualPiError as error:
            raise UnsuitableError(
                f"{MEMORY_FILES} has less than {2 * NEEDED_BYTES >> 20} MB, and no tmpfs can be mounted: "
                f"the guests' memory would be on a disk (in Docker: --shm-size=6g). {error}"
            ) from error


@contextmanager
def _tmpfs(folder: Path) -> Iterator[None]:
    run(["mount", "-t", "tmpfs", "-o", f"size={NEEDED_BYTES}", "tmpfs", folder], what="making room")
    try:
        yield
    finally:
        run(["umount", "--lazy", folder], what="giving the room back")


def _free_bytes(folder: Path) -> int:
    try:
        facts = os.statvfs(folder)
    except OSError:
        return 0
    return facts.f_bavail * facts.f_frsize if os.access(folder, os.W_OK) else 0


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
        yield folder


def _unwanted(_: str, names: list[str]) -> set[str]:
    return {name for name in names if name in {"__pycache__", ".pytest_cache"} or name.endswith(".egg-info")}


class Guest:
    """A guest from its power-on to its power-off."""

    def __init__(
        self,
        kernel: Kernel,
        disk: Path,
        folder: Path,
        mode: str,
        console: int | None = None,
        *,
        queue: Path | None = None,
        number: int = 0,
    ) -> None:
        """Boot on a throwaway copy of `disk`; without a `console` (a descriptor) it is this terminal.

        `folder` is its own, `queue` one that guests have in common; each has a `number`.
        """
        self._stack = ExitStack()
        private = self._stack.enter_context(memory())
        # A whole copy: of what is written beside the original (ubd's copy on write), a reboot finds a part.
        run(["cp", "--sparse=always", disk, private / "disk"], what="copying the disk")
        command = [
            # Whatever becomes of this side, no guest is left behind.
            "setpriv", "--pdeathsig", "KILL",
            "taskset", "--cpu-list", str(processor(number)),
            str(kernel.program),
            f"mem={MEMORY}",
            f"ubd0={private}/disk",
            "root=/dev/ubda", "rw", "con=null", "con0=fd:0,fd:1", "ssl=null", "quiet", "loglevel=3",
            "systemd.show_status=0", f"uml_dir={private}",
            f"virtual_pi.share={folder}", f"virtual_pi.mode={mode}", f"virtual_pi.queue={queue or ''}",
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
                "LD_PRELOAD": str(kernel.preload or ""),
                # Who plays with it wants seconds to be seconds.
                "VIRTUAL_PI_IDLE_SPEED": str(IDLE_SPEED if mode == "test" else 1),
                "VIRTUAL_PI_WORK_PRICE": str(WORK_PRICE if mode == "test" else 1),
            },
            # Of its own, so that a whole guest can be ended at once.
            start_new_session=console is not None,
        )

        prefer(self.process.pid)

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
        self._stack.close()


def processor(number: int) -> int:
    """Return the processor that a guest keeps to, each another one as long as there are any.

    Its kernel and its processes are processes of this machine, of which one runs at a time. Where each wakes
    the next on a processor that has gone to sleep meanwhile, which is dear on a virtual machine, everything
    in there takes several times as long.
    """
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[number % len(allowed)]


def prefer(pid: int) -> None:
    """Give a guest the processor before others: its sound cards have no buffers for their work.

    It is the more likely to hang (see `tier.Patience`) the more often it is interrupted, too. The kernel
    keeps a twentieth of the time for everybody else.
    """
    with suppress(OSError):
        os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(1))


def restore_terminal() -> None:
    """Give the terminal back as it was before a guest used it."""
    if os.isatty(0):
        run(["stty", "sane"], what="restoring the terminal")
