"""One small file in the runtime directory: it outlives the process, and no reboot.

systemd makes the directory (`RuntimeDirectory=`, a tmpfs) and keeps it over a restart of the service only.
Without one, as at a desk, nothing is written anywhere.
"""

import logging
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

LARGEST_BYTES = 64 * 1024


class RuntimeFile:
    """A file that only its owner can read, replaced as a whole. Nothing here raises."""

    def __init__(self, path: Path | None) -> None:
        """Keep it at `path`; None for not at all."""
        self.path = path
        self._there = path is not None
        self._complained = False

    @classmethod
    def from_environment(cls, name: str, environ: Mapping[str, str] = os.environ) -> "RuntimeFile":
        """Keep it where systemd says, if it does."""
        directory = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        return cls(Path(directory) / name if directory else None)

    def read(self) -> bytes | None:
        """Return what a process before this one has left; None where that is nothing that can be trusted."""
        if self.path is None:
            return None
        # What another process was killed in the middle of.
        self._unlink(self._unfinished(self.path))
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._complain("read", error)
            return None
        with os.fdopen(descriptor, "rb") as file:
            facts = os.fstat(descriptor)
            others = facts.st_mode & 0o077 or facts.st_uid != os.geteuid()
            if not stat.S_ISREG(facts.st_mode) or others:
                logger.warning("%s: not used: it is not a file that only the service can read", self.path)
                return None
            content = file.read(LARGEST_BYTES + 1)
        return content if len(content) <= LARGEST_BYTES else None

    def write(self, content: bytes) -> None:
        """Replace the file: a reader finds the content before or this, whole."""
        if self.path is None:
            return
        unfinished = self._unfinished(self.path)
        self._there = True
        try:
            self._unlink(unfinished)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(unfinished, flags, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            unfinished.replace(self.path)
        except OSError as error:
            self._complain("written", error)

    def remove(self) -> None:
        """Leave nothing behind."""
        if self.path is not None and self._there:
            self._there = False
            self._unlink(self._unfinished(self.path))
            self._unlink(self.path)

    @staticmethod
    def _unfinished(path: Path) -> Path:
        return path.with_name(f".{path.name}.new")

    @staticmethod
    def _unlink(path: Path) -> None:
        with suppress(OSError):
            path.unlink()

    def _complain(self, what: str, error: OSError) -> None:
        """Say it once: it would be the same each time."""
        if not self._complained:
            self._complained = True
            logger.warning("%s cannot be %s: %s", self.path, what, error.strerror or error)
