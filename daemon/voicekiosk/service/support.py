"""What the vendor's support asks for when a session failed, in one block to be copied from the journal."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from voicekiosk import __version__


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFailure:
    """The facts of a session that failed. Times are aware."""

    host: str
    failed_at: datetime
    session_id: str = ""
    opened_at: datetime | None = None
    close_code: int | None = None
    close_reason: str = ""
    error_code: str = ""
    error_message: str = ""


def support_block(failure: SessionFailure) -> str:
    """Return the block: one fact a line, those that are known."""
    opened = failure.opened_at
    lasted = "" if opened is None else f"{(failure.failed_at - opened).total_seconds():.3f} s"
    facts = {
        "session id": failure.session_id or "none yet",
        "host": failure.host,
        "opened": "" if opened is None else _utc(opened),
        "failed": _utc(failure.failed_at),
        "lasted": lasted,
        "close code": "" if failure.close_code is None else str(failure.close_code),
        "close reason": failure.close_reason,
        "error code": failure.error_code,
        "error message": failure.error_message,
        "client": f"voicekiosk {__version__}",
    }
    lines = [f"  {name}: {' '.join(value.split())}" for name, value in facts.items() if value]
    return "\n".join(["session failed; for the vendor's support:", *lines])


def log_session_failure(logger: logging.Logger, failure: SessionFailure) -> None:
    """Write the block to the journal, with the fields to find it by."""
    fields = {
        "SESSION_ID": failure.session_id,
        "ERROR_CODE": failure.error_code,
        "CLOSE_CODE": failure.close_code,
    }
    logger.error("%s", support_block(failure), extra={"fields": fields})


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
