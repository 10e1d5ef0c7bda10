"""The API key: where it comes from, what it must look like, how it is kept."""

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from voicekiosk.errors import ConfigError, KioskError
from voicekiosk.service.redact import REDACTOR

KEY_FILE: Final = Path("/etc/voicekiosk/api-key")
CREDENTIAL_NAME: Final = "api-key"
VARIABLE: Final = "ASSEMBLYAI_API_KEY"

# What the unit's SetCredential= gives when there is no file: a missing credential would stop the unit.
_NO_KEY: Final = "none"
_LONGEST_KEY: Final = 4096
_HOW_TO_SET: Final = "set it with: sudo voicekiosk key set"


class Source(StrEnum):
    """Where a key came from."""

    CREDENTIAL = "credential"
    ENVIRONMENT = "environment"
    CONTROL = "control"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Credential:
    """The API key, or why there is none. Its representation never shows the key."""

    key: str | None = field(repr=False)
    source: Source
    problem: str = ""
    """One sentence with what to do; empty when there is a key."""


def check_key(text: str) -> str:
    """Return the key in `text`, without white space around it.

    Raises `ConfigError`, which says what is wrong and never what was given.
    """
    key = text.strip("\ufeff \t\r\n")
    if not key:
        raise ConfigError("the API key is empty")
    if "=" in key and key.partition("=")[0].strip().upper().removeprefix("EXPORT ") == VARIABLE:
        raise ConfigError(f"the API key starts with {VARIABLE}=; give only what stands after it")
    if key[0] in "\"'" or key[-1] in "\"'":
        raise ConfigError("the API key has quotes around it; give it without them")
    if any(character.isspace() for character in key):
        raise ConfigError("the API key has a space or a line break inside; give the key and nothing else")
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(
            "the API key has characters that no key has (invisible or not ASCII); copy it again from its page"
        )
    if len(key) > _LONGEST_KEY:
        raise ConfigError(f"the API key is longer than {_LONGEST_KEY} characters; this is something else")
    return key


def read_key(environ: Mapping[str, str] = os.environ) -> Credential:
    """Return the systemd credential, else the environment's key, else why there is none.

    Never raises: a kiosk without a key starts, and says so. The key is hidden from the journal.
    """
    directory = environ.get("CREDENTIALS_DIRECTORY", "")
    if directory:
        path = Path(directory, CREDENTIAL_NAME)
        try:
            text = path.read_text("utf-8", errors="replace")
        except FileNotFoundError:
            text = ""
        except OSError as error:
            return Credential(None, Source.NONE, f"the API key cannot be read: {path}: {error.strerror}")
        if text.strip() not in {"", _NO_KEY}:
            return _checked(text, Source.CREDENTIAL)
    if environ.get(VARIABLE, "").strip() not in {"", _NO_KEY}:
        return _checked(environ[VARIABLE], Source.ENVIRONMENT)
    return Credential(None, Source.NONE, f"there is no API key; {_HOW_TO_SET}")


def key_from_control(text: str) -> Credential:
    """Return the key that came over the control socket.

    Raises `ConfigError` if it cannot be one; the one before stays.
    """
    key = check_key(text)
    REDACTOR.hide(key)
    return Credential(key, Source.CONTROL)


def write_key(key: str, path: Path = KEY_FILE) -> None:
    """Put `key` into `path`, readable by its owner only: whole or not at all, also if the power fails.

    Raises `ConfigError` for what cannot be a key and `KioskError` if it cannot be written.
    """
    key = check_key(key)
    target = path.resolve()
    try:
        target.parent.mkdir(mode=0o755, exist_ok=True)
        # mkstemp makes the file 0600, so there is no moment at which others could read it.
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(key + "\n")
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(target)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
        _sync_directory(target.parent)
    except PermissionError as error:
        raise KioskError(
            f"{path}: not permitted; run it with sudo, or name another file with --file"
        ) from error
    except OSError as error:
        raise KioskError(f"{path}: {error.strerror}; the key before stays in force") from error


def encrypted_file(unit: str) -> str:
    """Return the encrypted file that a unit (from `systemctl cat`) has the key from; empty if none."""
    file = ""
    for line in unit.splitlines():
        name, _, value = line.partition("=")
        credential, _, path = value.strip().partition(":")
        if name.strip() == "LoadCredentialEncrypted" and credential in ("", CREDENTIAL_NAME):
            # An empty list takes back what was said before.
            file = path
    return file


def _checked(text: str, source: Source) -> Credential:
    try:
        key = check_key(text)
    except ConfigError as error:
        place = "in the environment" if source is Source.ENVIRONMENT else "in the credential api-key"
        return Credential(None, Source.NONE, f"{error} ({place}); {_HOW_TO_SET}")
    REDACTOR.hide(key)
    return Credential(key, source)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
