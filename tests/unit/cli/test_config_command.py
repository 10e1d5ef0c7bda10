"""`voicekiosk config` where no kiosk runs; with one, tests/integration/kiosk has it."""

import json
from pathlib import Path

import pytest

from voicekiosk.cli import config, main


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEKIOSK_SOCKET", str(tmp_path / "nobody"))
    monkeypatch.setattr(config, "DEFAULT_FILE", str(tmp_path / "installed.toml"))


def written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_a_file_is_compared_with_the_installed_one(tmp_path: Path, capsys):
    written(tmp_path / "installed.toml", "[kiosk]\nname = 'old'\n")
    assert main(["config", "diff", written(tmp_path / "new.toml", "[kiosk]\nname = 'new'\n")]) == 0
    told = capsys.readouterr()
    assert told.out == 'kiosk.name: "old" → "new" (applied at once)\n'
    assert "installed.toml (the kiosk is not running)" in told.err


def test_without_an_installed_file_it_is_compared_with_the_defaults(tmp_path: Path, capsys):
    file = written(tmp_path / "new.toml", "[audio.playback]\nvolume = 10\n")
    assert main(["config", "diff", file, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["against"] == "the defaults (the kiosk is not running)"
    (change,) = told["changes"]
    assert (change["key"], change["old"], change["new"]) == ("audio.playback.volume", 80, 10)


def test_a_file_that_changes_nothing_says_so(tmp_path: Path, capsys):
    assert main(["config", "diff", written(tmp_path / "new.toml", "[kiosk]\n")]) == 0
    assert "changes nothing" in capsys.readouterr().out


def test_a_file_with_problems_names_them_all_and_changes_nothing(tmp_path: Path, capsys):
    file = written(tmp_path / "new.toml", "[kiosk]\nnmae = 1\n[log]\nlevel = 'loud'\n")
    assert main(["config", "diff", file]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 2


def test_what_looks_like_a_secret_is_hidden(tmp_path: Path, capsys):
    secret = "0123456789abcdef0123456789abcdef"
    file = written(tmp_path / "new.toml", f"[agent]\nsystem_prompt = 'Say {secret}'\n")
    for arguments in (["diff", file], ["diff", file, "--json"], ["show", file], ["show", file, "--json"]):
        assert main(["config", *arguments]) == 0
        told = capsys.readouterr()
        assert secret not in told.out + told.err
        assert "(hidden)" in told.out


def test_a_file_can_be_shown_with_what_differs_from_the_defaults(tmp_path: Path, capsys):
    assert main(["config", "show", written(tmp_path / "c.toml", "[kiosk]\nname = 'lobby'\n")]) == 0
    assert 'name = "lobby"  # default: "kiosk"' in capsys.readouterr().out


@pytest.mark.parametrize("action", ["show", "confirm"])
def test_what_needs_a_kiosk_says_that_none_runs(action: str, capsys):
    assert main(["config", action]) == 3
    assert "not running" in capsys.readouterr().err
