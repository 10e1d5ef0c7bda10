"""Where the daemon's log goes, and what must never get there.

Under systemd with python3-systemd installed, records go to the journal with the fields of `FIELDS`.
Under systemd without it, they go to standard error with the priority that journald understands
(`<4>`). Anywhere else they are lines for a person. Every line and every field passes the redactor.

Any room attaches fields with `extra={"fields": {"SESSION_ID": …}}`.
"""

import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, TextIO

from voicekiosk.service.redact import REDACTOR, Redactor

FIELDS: Final = frozenset(
    {
        "SESSION_ID",
        "STATE",
        "TURN",
        "DEVICE",
        "ERROR_CODE",
        "CLOSE_CODE",
        "WHO",
        "REPLY_ID",
        "INTERRUPTED",
        "TEXT",
    }
)
"""The journal fields of ours; others are left out, since nobody would look for them."""

_IDENTIFIER: Final = "voicekiosk"
_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

logger = logging.getLogger(__name__)


class _Handler(logging.Handler):
    """Base of ours: text is made and masked here, once, and nothing else of a record is used."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def text_of(self, record: logging.LogRecord) -> str:
        """Return the message, with the traceback if there is one, masked."""
        try:
            text = record.getMessage()
        except (TypeError, ValueError, KeyError):
            # Our own mistake; the arguments stay unsaid, since nobody knows what they hold.
            text = f"{record.msg} (arguments do not fit this message)"
        if record.exc_info and record.exc_info[0] is not None:
            text += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
        return self._redactor.mask(text).encode("utf-8", "backslashreplace").decode()

    def fields_of(self, record: logging.LogRecord) -> dict[str, str]:
        """Return the fields that a call attached, those of ours only, masked."""
        fields = getattr(record, "fields", None)
        if not isinstance(fields, Mapping):
            return {}
        return {
            name: self._redactor.mask(str(value)).encode("utf-8", "backslashreplace").decode()
            for name, value in fields.items()
            if name in FIELDS and value is not None and value != ""
        }

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Drop what cannot be written. logging's own way prints the record's raw arguments."""


class JournalHandler(_Handler):
    """Send records to the journal.

    python3-systemd's own handler sends the record's whole `__dict__` and its arguments as fields,
    where a secret stays readable though the message hides it. This one sends what it names.
    """

    def __init__(self, redactor: Redactor, send: Callable[..., object]) -> None:
        super().__init__(redactor)
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        try:
            self._send(
                self.text_of(record),
                PRIORITY=str(priority_of(record.levelno)),
                SYSLOG_IDENTIFIER=_IDENTIFIER,
                LOGGER=record.name,
                THREAD_NAME=str(record.threadName),
                CODE_FILE=record.pathname,
                CODE_LINE=record.lineno,
                CODE_FUNC=record.funcName,
                **self.fields_of(record),
            )
        except (OSError, ValueError):
            self.handleError(record)


class StreamHandler(_Handler):
    """Write records as lines: for journald with a priority before each, or for a person with the time."""

    def __init__(self, redactor: Redactor, stream: TextIO, *, for_journald: bool) -> None:
        super().__init__(redactor)
        self._stream = stream
        self._for_journald = for_journald

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        text = self._for_systemd(record) if self._for_journald else self._for_a_person(record)
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self.handleError(record)

    def _for_systemd(self, record: logging.LogRecord) -> str:
        text = self.text_of(record)
        fields = self.fields_of(record)
        # Beside the line that says the same in words it would only be said twice.
        fields.pop("TEXT", None)
        if fields:
            text += " (" + ", ".join(f"{name}={value}" for name, value in fields.items()) + ")"
        # journald takes each line for a record of its own, so each needs the priority.
        prefix = f"<{priority_of(record.levelno)}>"
        return "".join(f"{prefix}{line}\n" for line in text.splitlines() or [""])

    def _for_a_person(self, record: logging.LogRecord) -> str:
        time = logging.Formatter().formatTime(record, "%H:%M:%S")
        room = record.name.removeprefix("voicekiosk.")
        return f"{time}.{int(record.msecs):03d} {record.levelname.lower():7} {room}: {self.text_of(record)}\n"


def priority_of(level: int) -> int:
    """Return the syslog priority of a logging level."""
    if level >= logging.CRITICAL:
        return 2
    if level >= logging.ERROR:
        return 3
    if level >= logging.WARNING:
        return 4
    if level >= logging.INFO:
        return 6
    return 7


def stderr_is_journal(environ: Mapping[str, str], descriptor: int) -> bool:
    """Tell whether systemd connected `descriptor` to the journal (`JOURNAL_STREAM`, systemd.exec(5))."""
    device, _, inode = environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(descriptor)
        return (found.st_dev, found.st_ino) == (int(device), int(inode))
    except (OSError, ValueError):
        return False


def configure(level: str = "info", redactor: Redactor = REDACTOR) -> None:
    """Set up logging for the process; called again, it changes the level.

    `level` is one of the configuration's: debug, info, warning, error.
    """
    root = logging.getLogger()
    root.setLevel(_LEVELS[level])
    # At debug it writes whole frames, and the handshake with the key in it.
    logging.getLogger("websockets").setLevel(max(_LEVELS[level], logging.INFO))
    if any(isinstance(handler, _Handler) for handler in root.handlers):
        return
    root.handlers[:] = [_make_handler(redactor)]
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def _make_handler(redactor: Redactor) -> logging.Handler:
    if not stderr_is_journal(os.environ, 2):
        return StreamHandler(redactor, sys.stderr, for_journald=False)
    try:
        from systemd.journal import send  # noqa: PLC0415 - optional, and only wanted under systemd
    except ImportError:
        return StreamHandler(redactor, sys.stderr, for_journald=True)
    return JournalHandler(redactor, send)


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logger.critical("uncaught exception", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        name = args.thread.name if args.thread is not None else "a thread"
        trace = (args.exc_type, args.exc_value, args.exc_traceback)
        logger.critical("uncaught exception in %s; it has ended", name, exc_info=trace)
