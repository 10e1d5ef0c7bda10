"""One small file in the state directory: it outlives the process, a reboot and a power cut.

systemd makes the directory (`StateDirectory=`). Without one, as at a desk, nothing is kept.
"""

import logging
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

LARGEST_BYTES = 64 * 1024


class StateFile:
    """A file that only its owner can read, replaced as a whole. Nothing here raises.

    Reading and writing block for as long as the disk takes: an SD card can take a second.
    """

    def __init__(self, path: Path | None) -> None:
        """Keep it at `path`; None for not at all."""
        self.path = path
        self._complained = False

    @classmethod
    def from_environment(cls, name: str, environ: Mapping[str, str] = os.environ) -> "StateFile":
        """Keep it where systemd says that state is kept, if it does."""
        directory = environ.get("STATE_DIRECTORY", "").partition(":")[0]
        return cls(Path(directory) / name if directory else None)

    def read(self) -> bytes | None:
        """Return what was kept; None when there is nothing, or nothing that can be read."""
        if self.path is None:
            return None
        try:
            # Without O_NONBLOCK, opening a FIFO would wait for somebody to write into it.
            with os.fdopen(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
                content = file.read(LARGEST_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._complain("read", error)
            return None
        return content if len(content) <= LARGEST_BYTES else None

    def write(self, content: bytes) -> None:
        """Replace the file: whole or not at all, also if the power fails."""
        if self.path is None:
            return
        name = ""
        try:
            descriptor, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        except OSError as error:
            with suppress(OSError):
                Path(name).unlink()
            self._complain("written", error)

    def _complain(self, what: str, error: OSError) -> None:
        """Say it once: it would be the same each time."""
        if not self._complained:
            self._complained = True
            logger.warning("%s cannot be %s: %s", self.path, what, error.strerror or error)
