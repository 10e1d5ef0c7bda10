import stat
from pathlib import Path

import pytest

from voicekiosk.config.last_good import Kept, LastGood
from voicekiosk.config.load import check_bytes
from voicekiosk.config.schema import Config

RAW = b"[kiosk]\nname = 'kept'\n"


def test_what_was_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    LastGood(tmp_path).write(RAW)
    assert LastGood(tmp_path).read() == Kept(check_bytes(RAW, "")[0] or Config(), RAW)


def test_it_is_readable_by_its_owner_only_and_nothing_else_is_left(tmp_path: Path) -> None:
    LastGood(tmp_path).write(RAW)
    (path,) = tmp_path.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_same_content_is_not_written_again(tmp_path: Path) -> None:
    store = LastGood(tmp_path)
    store.write(RAW)
    before = next(tmp_path.iterdir()).stat()
    store.write(RAW)
    assert next(tmp_path.iterdir()).stat() == before


def test_a_desk_without_a_state_directory_keeps_nothing() -> None:
    store = LastGood.from_environment({})
    store.write(RAW)
    assert store.read() is None


def test_systemd_says_where_it_is_kept(tmp_path: Path) -> None:
    store = LastGood.from_environment({"STATE_DIRECTORY": f"{tmp_path}:/elsewhere"})
    store.write(RAW)
    assert store.path == tmp_path / "config.toml"


@pytest.mark.parametrize("content", [b"[kiosk\n", b"\xff\xfe", b"[gone]\nkey = 1\n"])
def test_what_this_version_cannot_use_is_told_and_left_out(tmp_path: Path, content: bytes, caplog) -> None:
    (tmp_path / "config.toml").write_bytes(content)
    assert LastGood(tmp_path).read() is None
    assert "none any more" in caplog.text


def test_a_place_that_cannot_be_read_is_told_and_left_out(tmp_path: Path, caplog) -> None:
    (tmp_path / "config.toml").mkdir()
    assert LastGood(tmp_path).read() is None
    assert "cannot be read" in caplog.text


def test_a_place_that_cannot_be_written_raises_and_leaves_what_was_kept(tmp_path: Path) -> None:
    store = LastGood(tmp_path / "gone")
    with pytest.raises(OSError):
        store.write(RAW)
    assert store.read() is None
