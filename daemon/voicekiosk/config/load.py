"""Read a configuration file, and find everything that is wrong with it in one go."""

from pathlib import Path

import msgspec
import tomli

from voicekiosk.config.problems import InvalidConfigError, Problem
from voicekiosk.config.schema import Config

# The shipped file has 10 kB; whatever is a hundred times that is not a configuration.
MAX_BYTES = 1 << 20


def load(path: Path) -> Config:
    """Return the configuration in `path`, or raise `InvalidConfigError` with every problem."""
    config, problems = check_file(path)
    if config is None:
        raise InvalidConfigError(problems)
    return config


def check_file(path: Path) -> tuple[Config | None, list[Problem]]:
    """Return the configuration in `path` (None if it cannot be used) and its problems."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        return None, [
            Problem(file=str(path), key="file", message=f"expected a readable file, got: {error.strerror}")
        ]
    return check_bytes(raw, str(path))


def check_bytes(raw: bytes, filename: str) -> tuple[Config | None, list[Problem]]:
    """Do the same for a file's content."""
    return check_text(raw.decode(), filename)


def check_text(text: str, filename: str) -> tuple[Config | None, list[Problem]]:
    """Return the configuration that `text` gives (None if it cannot be used) and its problems."""
    try:
        return msgspec.convert(tomli.loads(text), Config), []
    except tomli.TOMLDecodeError as error:
        return None, [
            Problem(file=filename, line=error.lineno, column=error.colno, key="TOML", message=error.msg)
        ]
    except msgspec.ValidationError as error:
        return None, [Problem(file=filename, line=1, column=1, key="config", message=str(error))]
