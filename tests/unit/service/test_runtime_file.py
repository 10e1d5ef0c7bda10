"""The one file in the runtime directory."""

import os
import stat

import pytest

from voicekiosk.service.runtime import LARGEST_BYTES, RuntimeFile


@pytest.fixture
def file(tmp_path):
    return RuntimeFile.from_environment("talk.json", {"RUNTIME_DIRECTORY": f"{tmp_path}:/elsewhere"})


def test_what_was_written_is_read_by_the_next_process(file):
    file.write(b"first")
    file.write(b"second")
    assert RuntimeFile(file.path).read() == b"second"


def test_only_its_owner_can_read_it(file):
    umask = os.umask(0)
    try:
        file.write(b"secret")
    finally:
        os.umask(umask)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_a_removed_file_leaves_nothing(file):
    file.write(b"secret")
    file.remove()
    assert list(file.path.parent.iterdir()) == []


def test_what_a_killed_process_was_in_the_middle_of_goes_when_the_next_reads(file):
    half = file.path.with_name(".talk.json.new")
    half.write_bytes(b"half a sec")
    assert file.read() is None
    assert not half.exists()
    half.write_bytes(b"half a sec")
    file.write(b"whole")
    assert RuntimeFile(file.path).read() == b"whole"


def test_at_a_desk_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = RuntimeFile.from_environment("talk.json", {})
    file.write(b"secret")
    assert file.read() is None
    file.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_others_could_have_read_or_written_is_not_trusted(file):
    file.write(b"planted")
    file.path.chmod(0o640)
    assert file.read() is None


def test_a_link_to_somewhere_else_is_not_followed(file, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"planted")
    elsewhere.chmod(0o600)
    file.path.symlink_to(elsewhere)
    assert file.read() is None
    file.write(b"ours")
    assert elsewhere.read_bytes() == b"planted"


def test_a_pipe_in_its_place_does_not_hang_the_start(file):
    os.mkfifo(file.path, 0o600)
    assert file.read() is None


def test_a_file_too_long_to_be_ours_is_left_unread(file):
    file.write(b"x" * (LARGEST_BYTES + 1))
    assert file.read() is None


def test_a_directory_that_is_gone_is_told_once_and_harms_nobody(tmp_path, caplog):
    file = RuntimeFile(tmp_path / "gone" / "talk.json")
    file.write(b"1")
    file.write(b"2")
    file.remove()
    assert len(caplog.records) == 1
