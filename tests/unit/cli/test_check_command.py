"""`voicekiosk check`: output for people and for programs, and the exit code."""

import io
import json
from pathlib import Path

import pytest

from voicekiosk import cli
from voicekiosk.cli import check

BAD = "[panel]\nmode = 'holt'\n[audio.capture]\npreroll_ms = 5\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(BAD)
    return path


def test_a_good_file_is_ok(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[panel]\nmode = 'auto'\n")
    assert cli.main(["check", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: ok\n"


def test_a_function_that_no_package_has_is_said_where_it_can_be_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[[tools]]\nname = "a"\npython = "nothing_like_this"\n')
    assert cli.main(["check", str(path)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{path}:3:10: tools[0].python: warning: expected a function that can be a tool")
    assert "no installed package has a tool called nothing_like_this" in said


def test_every_problem_is_a_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", str(file)]) == 2
    first, second = capsys.readouterr().out.splitlines()
    assert (
        first
        == f'{file}:2:8: panel.mode: expected "hold", "toggle" or "auto", got "holt"; did you mean "hold"?'
    )
    assert second.startswith(f"{file}:4:1: audio.capture.preroll_ms: warning: expected warm = true")


def test_warnings_alone_are_ok(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[audio.capture]\npreroll_ms = 5\n")
    assert cli.main(["check", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{path}: ok"


def test_json_says_the_same(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--json", str(file)]) == 2
    said = json.loads(capsys.readouterr().out)
    assert said["file"] == str(file)
    assert said["ok"] is False
    assert said["problems"][0] == {
        "line": 2,
        "column": 8,
        "key": "panel.mode",
        "message": 'expected "hold", "toggle" or "auto", got "holt"',
        "hint": 'did you mean "hold"?',
        "severity": "error",
    }
    assert said["problems"][1]["severity"] == "warning"


def test_standard_input_is_checked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(BAD.encode())))
    assert cli.main(["check", "-"]) == 2
    assert capsys.readouterr().out.startswith("<stdin>:2:8: panel.mode: ")


def test_without_a_file_the_installed_one_is_checked(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check.DEFAULT_FILE == "/etc/voicekiosk/config.toml"
    monkeypatch.setattr(check, "DEFAULT_FILE", str(file))
    assert cli.main(["check"]) == 2
    assert capsys.readouterr().out.startswith(str(file))


def test_a_missing_file_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", str(tmp_path / "no.toml")]) == 2
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1
    assert "none there" in captured.out
    assert captured.err == ""


def test_a_secret_in_the_file_is_in_neither_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[agent]\napi_key = 'hunter2hunter2'\nregion = 5\n")
    for arguments in ([], ["--json"]):
        assert cli.main(["check", str(path), *arguments]) == 2
        captured = capsys.readouterr()
        assert "hunter2" not in captured.out + captured.err
        assert "voicekiosk key set" in captured.out
