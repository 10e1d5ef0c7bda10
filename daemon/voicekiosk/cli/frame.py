"""What all subcommands share: finding them, parsing the command line, and turning errors into exit codes.

Every other module in this package is a subcommand of the same name (`key_set.py` is `key-set`). It
defines `add_parser(subparsers)`, which adds its parser with `set_defaults(run=function)`, where
`function(args) -> int` returns the exit code. Such a module imports only argparse's needs at its top
and everything heavy inside its function: `--help` imports all of them, on a small Pi too.
"""

import argparse
import difflib
import importlib
import os
import pkgutil
import sys
from collections.abc import Iterable, Sequence

import voicekiosk
from voicekiosk.errors import KioskError

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

_OPTIONS_WITHOUT_COMMAND = "give a command; `voicekiosk --help` lists them"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the subcommand that `argv` (default: the process's arguments) names, and return its exit code.

    A `KioskError` becomes its one sentence on standard error; anything else that is raised is a bug
    and keeps its traceback.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except KioskError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`| head`). Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    return code


def commands() -> dict[str, str]:
    """Return the known subcommands and the module of each, without importing any."""
    package = importlib.import_module(__package__)
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    return {name.replace("_", "-"): f"{__package__}.{name}" for name in names if name != "frame"}


def _run(arguments: list[str]) -> int:
    known = commands()
    # Options before the command take no value, so the first other word is the command.
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    wanted = [chosen] if chosen in known and chosen is not None else list(known)
    parser = _parser(known[name] for name in wanted)
    try:
        if chosen is not None and chosen not in known:
            parser.error(_unknown(chosen, known))
        args = parser.parse_args(arguments)
        if args.command is None:
            parser.error(_OPTIONS_WITHOUT_COMMAND)
    except SystemExit as stop:
        # argparse has printed its help, the version or what is wrong with the usage.
        return stop.code if isinstance(stop.code, int) else EXIT_USAGE
    code: int = args.run(args)
    return code


def _parser(modules: Iterable[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="voicekiosk", description=voicekiosk.__doc__, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"voicekiosk {voicekiosk.__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for module in modules:
        importlib.import_module(module).add_parser(subparsers)
    return parser


def _unknown(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    guess = f"; did you mean {near[0]}?" if near else "; `voicekiosk --help` lists the commands"
    return f"there is no command {word!r}{guess}"
