"""The frame of the command line: finding subcommands, usage, exit codes."""

import argparse
import importlib
import re
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import voicekiosk
from voicekiosk import cli
from voicekiosk.cli import frame
from voicekiosk.errors import ConfigError, KioskError, NotRunningError, RefusedError


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[Any], int]], None]]:
    """Add a subcommand `probe` that does what the test says."""

    def install(run: Callable[[argparse.Namespace], int]) -> None:
        def add_parser(subparsers: Any) -> None:
            parser = subparsers.add_parser("probe", help="a test")
            parser.add_argument("--number", type=int, default=0)
            parser.set_defaults(run=run)

        module = types.ModuleType("voicekiosk.cli.probe")
        module.add_parser = add_parser  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "voicekiosk.cli.probe", module)
        monkeypatch.setattr(
            frame, "commands", lambda: {"check": "voicekiosk.cli.check", "probe": "voicekiosk.cli.probe"}
        )

    return install


def test_the_exit_code_is_what_the_subcommand_returns(command: Any) -> None:
    command(lambda args: args.number)
    assert cli.main(["probe"]) == 0
    assert cli.main(["probe", "--number", "4"]) == 4


@pytest.mark.parametrize(
    ("error", "code"), [(KioskError, 1), (ConfigError, 2), (NotRunningError, 3), (RefusedError, 4)]
)
def test_an_expected_error_is_one_sentence_and_its_exit_code(
    command: Any, capsys: pytest.CaptureFixture[str], error: type[KioskError], code: int
) -> None:
    def fail(args: argparse.Namespace) -> int:
        raise error("the card is gone: plug it in")

    command(fail)
    assert cli.main(["probe"]) == code
    assert capsys.readouterr().err == "the card is gone: plug it in\n"


def test_a_bug_keeps_its_traceback(command: Any) -> None:
    def fail(args: argparse.Namespace) -> int:
        raise ZeroDivisionError

    command(fail)
    with pytest.raises(ZeroDivisionError):
        cli.main(["probe"])


def test_control_c_gives_130(command: Any) -> None:
    def interrupt(args: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    command(interrupt)
    assert cli.main(["probe"]) == 130


def test_no_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "voicekiosk --help" in capsys.readouterr().err


def test_an_unknown_command_is_a_usage_error_that_names_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["chekc"]) == 2
    assert "did you mean check?" in capsys.readouterr().err
    assert cli.main(["qqqqqqqq"]) == 2
    assert "lists the commands" in capsys.readouterr().err


def test_a_wrong_option_is_a_usage_error(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    command(lambda args: 0)
    assert cli.main(["probe", "--number", "x"]) == 2
    assert cli.main(["probe", "--nosuch"]) == 2
    assert "usage: voicekiosk" in capsys.readouterr().err


def test_help_lists_every_command_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    for name in frame.commands():
        assert re.search(rf"\n    {name}\s+\w", out), name


def test_help_of_a_command_describes_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "--help"]) == 0
    assert "FILE" in capsys.readouterr().out


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"voicekiosk {voicekiosk.__version__}\n"


def test_every_file_in_the_package_is_a_command_of_its_name() -> None:
    files = {path.stem for path in Path(cli.__file__).parent.glob("*.py")} - {"__init__", "frame"}
    assert set(frame.commands()) == {name.replace("_", "-") for name in files}
    for name, module in frame.commands().items():
        subparsers = argparse.ArgumentParser().add_subparsers()
        importlib.import_module(module).add_parser(subparsers)
        assert list(subparsers.choices) == [name]


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path), "PATH": ""},
    )


HEAVY = "{'numpy', 'asyncio', 'alsaaudio', 'gpiozero', 'websockets'}"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["check", "-"]])
def test_what_answers_at_once_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys, voicekiosk.cli; voicekiosk.cli.main(sys.argv[1:]);"
        f"print('heavy:', sorted({HEAVY} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        input="", capture_output=True, text=True, timeout=60, check=False,
        env={"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    assert done.stdout.endswith("heavy: []\n"), done


def test_only_the_chosen_command_is_imported() -> None:
    code = "import sys, voicekiosk.cli as c; c.main(['check', '/no']); print([m for m in sys.modules if m.startswith('voicekiosk.cli.')])"
    assert python(code).stdout.splitlines()[-1] == "['voicekiosk.cli.frame', 'voicekiosk.cli.check']"


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    code = (
        "import os, sys, voicekiosk.cli as c; from voicekiosk.cli import check\n"
        "r, w = os.pipe(); os.close(r); os.dup2(w, 1)\n"
        "sys.exit(c.main(['--version']) or c.main(['check', '/no']))"
    )
    done = python(code)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
    assert done.returncode == 1
