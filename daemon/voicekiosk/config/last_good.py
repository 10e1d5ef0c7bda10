"""The last good configuration, kept over a restart: a broken file must not keep a kiosk from starting."""

import logging
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from voicekiosk.config import load
from voicekiosk.config.schema import Config

logger = logging.getLogger(__name__)

FILE_NAME = "config.toml"


@dataclass(frozen=True, slots=True)
class Kept:
    """A configuration, and the content of the file that it came from."""

    config: Config
    raw: bytes


class LastGood:
    """The file in the state directory. Reading and writing block for as long as the disk takes."""

    def __init__(self, directory: Path | None) -> None:
        """Keep it in `directory`; None for not at all, as at a desk."""
        self.path = None if directory is None else directory / FILE_NAME

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "LastGood":
        """Keep it where systemd says that state is kept (`StateDirectory=`), if it does."""
        directory = environ.get("STATE_DIRECTORY", "").partition(":")[0]
        return cls(Path(directory) if directory else None)

    def read(self) -> Kept | None:
        """Return what was kept; None when there is nothing that this version can use. Never raises."""
        if self.path is None:
            return None
        try:
            raw = load.read_bytes(self.path)
        except FileNotFoundError:
            return None
        except OSError as error:
            logger.warning("%s: the last good configuration cannot be read: %s", self.path, error.strerror)
            return None
        config, problems = load.check_bytes(raw, str(self.path))
        if config is None:
            logger.warning("%s: the last good configuration is none any more: %s", self.path, problems[0])
            return None
        return Kept(config, raw)

    def write(self, raw: bytes) -> None:
        """Keep `raw`, readable by its owner only: whole or not at all, also if the power fails.

        Raises OSError. A card wears out by writing, so what is there already is not written again.
        """
        if self.path is None or self._holds(raw):
            return
        descriptor, name = tempfile.mkstemp(prefix=f".{FILE_NAME}.", dir=self.path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise

    def _holds(self, raw: bytes) -> bool:
        try:
            return self.path is not None and load.read_bytes(self.path) == raw
        except OSError:
            return False
