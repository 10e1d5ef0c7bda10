import logging
from datetime import UTC, datetime, timedelta, timezone

from voicekiosk import __version__
from voicekiosk.service.support import SessionFailure, log_session_failure, support_block

OPENED = datetime(2026, 11, 22, 12, 0, 0, 250_000, tzinfo=UTC)


def failure(**changes):
    facts = {
        "host": "agents.assemblyai.com",
        "session_id": "abc-123",
        "opened_at": OPENED,
        "failed_at": OPENED + timedelta(seconds=61.5),
        "close_code": 1008,
        "close_reason": "session\nexpired",
        "error_code": "session_expired",
        "error_message": "Session expired",
    }
    return SessionFailure(**(facts | changes))


def test_the_block_has_all_that_support_asks_for():
    assert support_block(failure()).splitlines() == [
        "session failed; for the vendor's support:",
        "  session id: abc-123",
        "  host: agents.assemblyai.com",
        "  opened: 2026-11-22T12:00:00.250Z",
        "  failed: 2026-11-22T12:01:01.750Z",
        "  lasted: 61.500 s",
        "  close code: 1008",
        "  close reason: session expired",
        "  error code: session_expired",
        "  error message: Session expired",
        f"  client: voicekiosk {__version__}",
    ]


def test_what_is_not_known_is_left_out():
    block = support_block(SessionFailure(host="h", failed_at=OPENED))
    assert "session id: none yet" in block
    assert "close" not in block
    assert "opened" not in block


def test_times_are_told_in_utc():
    local = OPENED.astimezone(timezone(timedelta(hours=2)))
    assert "2026-11-22T12:00:00.250Z" in support_block(failure(opened_at=local))


def test_the_journal_gets_the_block_and_the_fields_to_find_it_by(caplog):
    log_session_failure(logging.getLogger("voicekiosk.agent"), failure())
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == support_block(failure())
    assert record.fields == {"SESSION_ID": "abc-123", "ERROR_CODE": "session_expired", "CLOSE_CODE": 1008}
