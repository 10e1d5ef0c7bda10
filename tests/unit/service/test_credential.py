import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekiosk.errors import ConfigError, KioskError
from voicekiosk.service.credential import (
    Source,
    check_key,
    encrypted_file,
    key_from_control,
    read_key,
    write_key,
)
from voicekiosk.service.redact import REDACTOR

KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def credentials(tmp_path):
    def put(text):
        (tmp_path / "api-key").write_text(text)
        return {"CREDENTIALS_DIRECTORY": str(tmp_path)}

    return put


def test_the_systemd_credential_comes_first(credentials):
    found = read_key(credentials(KEY + "\n") | {"ASSEMBLYAI_API_KEY": "other"})
    assert (found.key, found.source, found.problem) == (KEY, Source.CREDENTIAL, "")


@pytest.mark.parametrize("text", ["none", "none\n", "", "\n"])
def test_the_unit_s_default_counts_as_no_key(credentials, text):
    assert read_key(credentials(text) | {"ASSEMBLYAI_API_KEY": KEY}).source is Source.ENVIRONMENT
    assert read_key(credentials(text)).key is None


def test_a_credentials_directory_without_the_key_is_no_key(tmp_path):
    assert read_key({"CREDENTIALS_DIRECTORY": str(tmp_path)}).source is Source.NONE


def test_without_any_key_it_says_how_to_set_one():
    found = read_key({})
    assert found.key is None
    assert "voicekiosk key set" in found.problem


def test_a_key_of_the_wrong_form_is_a_problem_and_not_a_crash(credentials):
    found = read_key(credentials("two words"))
    assert found.key is None
    assert "space" in found.problem
    assert "two words" not in found.problem


def test_a_credential_that_cannot_be_read_is_a_problem_and_not_a_crash(tmp_path):
    (tmp_path / "api-key").mkdir()
    found = read_key({"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert found.key is None
    assert "cannot be read" in found.problem


def test_a_credential_that_is_not_text_is_a_problem_and_not_a_crash(tmp_path):
    (tmp_path / "api-key").write_bytes(b"\xff\x00\xfe")
    assert "ASCII" in read_key({"CREDENTIALS_DIRECTORY": str(tmp_path)}).problem


def test_a_key_that_was_read_is_hidden_from_the_journal(credentials):
    read_key(credentials(KEY))
    assert KEY not in REDACTOR.mask(f"sent {KEY}")


def test_its_representation_never_shows_the_key(credentials):
    assert KEY not in repr(read_key(credentials(KEY)))


@pytest.mark.parametrize("text", [KEY, f" {KEY} ", f"{KEY}\r\n", f"\ufeff{KEY}"])
def test_white_space_around_a_key_is_not_part_of_it(text):
    assert check_key(text) == KEY


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        (f"ASSEMBLYAI_API_KEY={KEY}", "starts with"),
        (f"export ASSEMBLYAI_API_KEY={KEY}", "starts with"),
        (f'"{KEY}"', "quotes"),
        (f"Bearer {KEY}", "space"),
        (f"{KEY}\n{KEY}", "line break"),
        (f"{KEY}\u200b", "invisible"),
        (f"{KEY}\x00", "invisible"),
        ("clé", "ASCII"),
        ("x" * 5000, "longer"),
    ],
)
def test_what_cannot_be_a_key_is_refused_with_the_reason_and_never_shown(text, hint):
    with pytest.raises(ConfigError, match=hint) as refusal:
        check_key(text)
    assert KEY not in str(refusal.value)


@given(st.text())
def test_what_is_accepted_can_stand_in_a_header(text):
    try:
        key = check_key(text)
    except ConfigError:
        return
    assert key.isascii()
    assert key.isprintable()
    assert " " not in key


def test_a_key_from_the_control_socket_is_checked_and_hidden():
    found = key_from_control("a-key-from-control\n")
    assert (found.key, found.source) == ("a-key-from-control", Source.CONTROL)
    assert "a-key-from-control" not in REDACTOR.mask("a-key-from-control")
    with pytest.raises(ConfigError):
        key_from_control("two words")


def test_a_stored_key_is_readable_by_its_owner_only(tmp_path):
    path = tmp_path / "etc" / "api-key"
    umask = os.umask(0)
    try:
        write_key(KEY, path)
    finally:
        os.umask(umask)
    assert path.read_text() == KEY + "\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_wrong_key_leaves_the_stored_one(tmp_path):
    path = tmp_path / "api-key"
    write_key(KEY, path)
    with pytest.raises(ConfigError):
        write_key("two words", path)
    assert path.read_text() == KEY + "\n"


def test_a_full_disk_leaves_the_stored_key_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "api-key"
    write_key(KEY, path)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KioskError, match="No space left") as failure:
        write_key("another-key", path)
    assert "another-key" not in str(failure.value)
    assert path.read_text() == KEY + "\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["api-key"]


def test_a_link_to_the_key_stays_a_link(tmp_path):
    (tmp_path / "real").write_text("old")
    link = tmp_path / "api-key"
    link.symlink_to("real")
    write_key(KEY, link)
    assert link.is_symlink()
    assert (tmp_path / "real").read_text() == KEY + "\n"


def test_not_being_root_is_said_with_what_to_do(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(KioskError, match="sudo"):
        write_key(KEY, tmp_path / "api-key")


SHIPPED = "[Service]\nLoadCredential=api-key:/etc/voicekiosk/api-key\nSetCredential=api-key:none\n"
ADDED = (
    "# drop-in\n[Service]\nLoadCredential=\nLoadCredentialEncrypted=api-key:/etc/voicekiosk/api-key.cred\n"
)


@pytest.mark.parametrize(
    ("unit", "file"),
    [
        ("", ""),
        (SHIPPED, ""),
        (SHIPPED + ADDED, "/etc/voicekiosk/api-key.cred"),
        (SHIPPED + ADDED + "LoadCredentialEncrypted=\n", ""),
        (SHIPPED + "LoadCredentialEncrypted=other:/etc/other.cred\n", ""),
    ],
)
def test_where_the_unit_reads_an_encrypted_key_is_known(unit, file):
    assert encrypted_file(unit) == file
