"""Files named on the command line of a script are where its caller was."""

import argparse
from pathlib import Path

import pytest

from demolib.paths import from_here, writable_from_here


def test_a_relative_name_is_one_in_the_callers_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICEKIOSK_CALLED_FROM", str(tmp_path))
    assert from_here("a.json") == tmp_path / "a.json"
    assert from_here("/elsewhere/a.json") == Path("/elsewhere/a.json")
    assert writable_from_here("b.json").is_file()


def test_a_file_that_cannot_be_written_is_found_before_a_long_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICEKIOSK_CALLED_FROM", str(tmp_path))
    with pytest.raises(argparse.ArgumentTypeError, match=r"nowhere/a\.json cannot be written"):
        writable_from_here("nowhere/a.json")


@pytest.mark.parametrize("script", ["bench", "demo", "soak"])
def test_each_script_that_writes_data_says_where_it_was_called(script: str) -> None:
    text = (Path(__file__).parents[3] / "scripts" / script).read_text()
    assert "export VOICEKIOSK_CALLED_FROM=$PWD" in text.partition("\ncd ")[0]
