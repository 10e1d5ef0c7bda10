import io
import logging
import os
import sys
import threading

import pytest

from voicekiosk.service import journal
from voicekiosk.service.journal import JournalHandler, StreamHandler, priority_of, stderr_is_journal
from voicekiosk.service.redact import Redactor

KEY = "s3cret-key-of-the-kiosk"


class Journal(list[dict[str, object]]):
    """A fake of systemd.journal.send that keeps what it was sent."""

    broken = False

    def send(self, message: str, **fields: object) -> None:
        if self.broken:
            raise OSError(111, "Connection refused")
        self.append({"MESSAGE": message, **fields})


@pytest.fixture
def redactor():
    redactor = Redactor()
    redactor.hide(KEY)
    return redactor


@pytest.fixture
def sent():
    return Journal()


@pytest.fixture
def log(sent, redactor):
    return logger_with(JournalHandler(redactor, sent.send))


def logger_with(handler):
    logger = logging.Logger("voicekiosk.test")  # noqa: LOG001 - one for each test
    logger.addHandler(handler)
    return logger


@pytest.fixture
def clean_root(monkeypatch):
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    level, websockets_level = root.level, logging.getLogger("websockets").level
    yield root
    root.setLevel(level)
    logging.getLogger("websockets").setLevel(websockets_level)


def test_sends_message_priority_and_the_fields_of_the_call(log, sent):
    fields = {"SESSION_ID": "abc", "STATE": "listening", "TURN": 3, "CLOSE_CODE": 1008}
    log.warning("the link is %s", "down", extra={"fields": fields})
    [entry] = sent
    assert entry["MESSAGE"] == "the link is down"
    assert entry["PRIORITY"] == "4"
    assert entry["SYSLOG_IDENTIFIER"] == "voicekiosk"
    assert entry["LOGGER"] == "voicekiosk.test"
    assert (entry["SESSION_ID"], entry["STATE"], entry["TURN"], entry["CLOSE_CODE"]) == (
        "abc",
        "listening",
        "3",
        "1008",
    )


def test_sends_nothing_of_the_record_but_what_it_names(log, sent):
    log.info("connecting with %s", KEY, extra={"fields": {"PASSWORD": KEY}, "key": KEY})
    [entry] = sent
    assert KEY not in repr(entry)
    assert set(entry) == {
        "MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "LOGGER", "THREAD_NAME", "CODE_FILE", "CODE_LINE", "CODE_FUNC",
    }  # fmt: skip


def test_masks_the_key_in_fields_too(log, sent):
    log.info("x", extra={"fields": {"ERROR_CODE": f"bad {KEY}"}})
    assert sent[0]["ERROR_CODE"] == "bad <hidden>"


def test_leaves_out_fields_without_a_value(log, sent):
    log.info("x", extra={"fields": {"SESSION_ID": "", "CLOSE_CODE": None, "TURN": 0}})
    assert "SESSION_ID" not in sent[0]
    assert "CLOSE_CODE" not in sent[0]
    assert sent[0]["TURN"] == "0"


def test_masks_the_key_in_a_traceback(log, sent):
    try:
        raise ValueError(f"cannot use {KEY}")  # noqa: TRY301
    except ValueError:
        log.exception("failed")
    assert "ValueError: cannot use <hidden>" in sent[0]["MESSAGE"]


def test_a_message_whose_arguments_do_not_fit_is_written_without_them(log, sent):
    log.info("%d periods", KEY)
    assert sent[0]["MESSAGE"] == "%d periods (arguments do not fit this message)"


def test_text_that_is_not_valid_unicode_is_written_escaped(log, sent):
    log.info("file \udcff")
    assert sent[0]["MESSAGE"] == "file \\udcff"


def test_a_journal_that_is_gone_is_no_reason_to_fail_or_to_print_arguments(log, sent, capsys):
    sent.broken = True
    log.info("connecting with %s", KEY)
    assert capsys.readouterr().err == ""


def test_without_the_library_each_line_carries_its_priority(redactor):
    stream = io.StringIO()
    logger_with(StreamHandler(redactor, stream, for_journald=True)).error(
        "first %s\nsecond", KEY, extra={"fields": {"SESSION_ID": "abc"}}
    )
    assert stream.getvalue() == "<3>first <hidden>\n<3>second (SESSION_ID=abc)\n"


def test_what_was_said_is_a_field_and_not_said_twice_in_a_line(redactor, sent):
    fields = {"WHO": "agent", "TEXT": "good day"}
    logger_with(JournalHandler(redactor, sent.send)).info("agent: good day", extra={"fields": fields})
    assert (sent[0]["WHO"], sent[0]["TEXT"]) == ("agent", "good day")
    stream = io.StringIO()
    logger_with(StreamHandler(redactor, stream, for_journald=True)).info(
        "agent: good day", extra={"fields": fields}
    )
    assert stream.getvalue() == "<6>agent: good day (WHO=agent)\n"


def test_at_a_desk_a_line_has_time_level_and_room(redactor):
    stream = io.StringIO()
    logger_with(StreamHandler(redactor, stream, for_journald=False)).warning("the link is down")
    time, level, room, text = stream.getvalue().split(None, 3)
    assert len(time) == len("12:00:00.000")
    assert (level, room, text) == ("warning", "test:", "the link is down\n")


def test_a_closed_stream_is_no_reason_to_fail(redactor, capsys):
    stream = io.StringIO()
    log = logger_with(StreamHandler(redactor, stream, for_journald=False))
    stream.close()
    log.info("nobody reads %s", KEY)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("level", "priority"),
    [(logging.DEBUG, 7), (logging.INFO, 6), (logging.WARNING, 4), (logging.ERROR, 3), (logging.CRITICAL, 2)],
)
def test_levels_become_syslog_priorities(level, priority):
    assert priority_of(level) == priority


def test_knows_the_journal_by_the_stream_that_systemd_names(tmp_path):
    with (tmp_path / "stderr").open("w") as file:
        found = os.fstat(file.fileno())
        environ = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        assert stderr_is_journal(environ, file.fileno())
        assert not stderr_is_journal({"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino + 1}"}, file.fileno())
        assert not stderr_is_journal({"JOURNAL_STREAM": "nonsense"}, file.fileno())
        assert not stderr_is_journal({}, file.fileno())


def test_at_a_desk_the_log_goes_to_standard_error(clean_root, monkeypatch):
    monkeypatch.setattr(journal, "stderr_is_journal", lambda environ, descriptor: False)
    journal.configure("warning")
    [handler] = clean_root.handlers
    assert isinstance(handler, StreamHandler)
    assert clean_root.level == logging.WARNING


def test_under_systemd_the_log_goes_to_the_journal(clean_root, monkeypatch):
    pytest.importorskip("systemd.journal")
    monkeypatch.setattr(journal, "stderr_is_journal", lambda environ, descriptor: True)
    journal.configure()
    assert isinstance(clean_root.handlers[0], JournalHandler)


def test_under_systemd_without_its_library_the_log_goes_to_standard_error(clean_root, monkeypatch, capsys):
    monkeypatch.setattr(journal, "stderr_is_journal", lambda environ, descriptor: True)
    monkeypatch.setitem(sys.modules, "systemd.journal", None)
    journal.configure()
    logging.getLogger("voicekiosk.x").info("ready")
    assert capsys.readouterr().err == "<6>ready\n"


def test_configured_again_it_only_changes_the_level(clean_root):
    journal.configure("info")
    handlers = list(clean_root.handlers)
    journal.configure("debug")
    assert clean_root.handlers == handlers
    assert clean_root.level == logging.DEBUG


def test_the_library_that_would_log_whole_frames_stays_at_info(clean_root):
    journal.configure("debug")
    assert logging.getLogger("websockets").level == logging.INFO


def test_an_uncaught_exception_is_logged_masked(clean_root, redactor, sent):
    journal.configure(redactor=redactor)
    clean_root.handlers[:] = [JournalHandler(redactor, sent.send)]
    error = RuntimeError(KEY)
    sys.excepthook(RuntimeError, error, None)
    assert "uncaught exception" in sent[0]["MESSAGE"]
    assert KEY not in repr(sent)


def test_the_end_of_a_thread_by_an_exception_is_logged_with_its_name(clean_root, redactor, sent):
    journal.configure(redactor=redactor)
    clean_root.handlers[:] = [JournalHandler(redactor, sent.send)]
    thread = threading.Thread(target=lambda: 1 / 0, name="capture")
    thread.start()
    thread.join(timeout=10)
    assert "uncaught exception in capture" in sent[0]["MESSAGE"]
    assert "ZeroDivisionError" in sent[0]["MESSAGE"]


def test_ctrl_c_is_not_a_fault(clean_root, redactor, sent):
    journal.configure(redactor=redactor)
    clean_root.handlers[:] = [JournalHandler(redactor, sent.send)]
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert sent == []


def test_the_real_library_takes_every_field(redactor):
    library = pytest.importorskip("systemd.journal")
    lines = []

    def send(message, **fields):
        # What systemd.journal.send does, up to the system call.
        lines.extend(
            ["MESSAGE=" + message, *(library._make_line(name, value) for name, value in fields.items())]
        )
        library.send(message, **fields)

    logger_with(JournalHandler(redactor, send)).info("ready %s", KEY, extra={"fields": {"TURN": 3}})
    assert "MESSAGE=ready <hidden>" in lines
    assert "TURN=3" in lines
