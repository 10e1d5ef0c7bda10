"""`voicekiosk tool`: try a tool of the configuration; and what `voicekiosk-tool@.service` runs."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from voicekiosk.cli.check import DEFAULT_FILE


def add_parser(subparsers: Any) -> None:
    """Add the subcommand to the command line."""
    parser = subparsers.add_parser(
        "tool",
        help="try a tool of the configuration",
        description="Run one [[tools]] here, with the rights of this shell, and print what the agent would "
        "be told. Exit code 0: it gave a result; 1: it failed.",
    )
    parser.add_argument("name", nargs="?", help="name of the tool")
    parser.add_argument(
        "arguments", nargs="?", default="{}", help="what the agent would give it, as JSON (default: {})"
    )
    parser.add_argument(
        "--config", type=Path, default=Path(DEFAULT_FILE), metavar="FILE", help="default: %(default)s"
    )
    parser.add_argument(
        "--connection", action="store_true", help="answer one call of the daemon on standard input"
    )
    parser.add_argument("--units", action="store_true", help="with --connection: start units, run no command")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run one tool."""
    from voicekiosk.errors import ConfigError

    if args.connection:
        import asyncio
        import socket

        from voicekiosk.tools.instance import serve

        with socket.socket(fileno=os.dup(0)) as connection:
            connection.setblocking(False)
            asyncio.run(serve(connection, args.config, units=args.units))
        return 0
    if not args.name:
        raise ConfigError("which tool? voicekiosk tool NAME 'ARGUMENTS AS JSON'")
    return _try(args.name, args.arguments, args.config)


def _try(name: str, text: str, file: Path) -> int:
    import asyncio

    import msgspec

    from voicekiosk.config.load import load
    from voicekiosk.errors import ConfigError
    from voicekiosk.tools.catalog import catalog
    from voicekiosk.tools.outcome import ToolError, as_json

    try:
        arguments = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise ConfigError(f"the arguments are no JSON object: {error}") from None
    nobody: Any = None
    configured = load(file).tools
    of_the_kiosk = {tool.name for tool in configured if tool.builtin in ("volume", "end", "gpio", "persona")}
    tools = catalog((tool for tool in configured if tool.name not in of_the_kiosk), host=nobody)
    for problem in tools.problems:
        print(problem, file=sys.stderr)

    async def call() -> object:
        if name in of_the_kiosk:
            raise ToolError("only the running kiosk can do that: ask it for it in a conversation")
        entry = tools.find(name, arguments)
        async with asyncio.timeout(entry.tool.timeout_s):
            return await entry.run(arguments)

    try:
        print(as_json(asyncio.run(call())))
    except TimeoutError:
        print("it did not finish in time and was stopped", file=sys.stderr)
        return 1
    except Exception as error:  # noqa: BLE001 - a function of a package raises what it likes
        print(str(error) or repr(error), file=sys.stderr)
        return 1
    return 0
