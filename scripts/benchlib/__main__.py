import argparse
import json
import os
import platform
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from benchlib import peers, sections, summary
from benchlib.outcome import Outcome, Table
from demolib.paths import from_here, writable_from_here

README = Path(__file__).resolve().parents[2] / "README.md"


def machine() -> dict[str, object]:
    """Return what the figures were measured on."""
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
    }


def parse(found: dict[str, ModuleType]) -> tuple[argparse.Namespace, list[argparse.Namespace]]:
    """Return the common options, and the options of each section that is to run."""
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--json", type=writable_from_here, metavar="FILE", help="write the figures as data")
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="Measure voicekiosk beside others.", parents=[common]
    )
    parser.add_argument(
        "--install-peers", action="store_true", help="install what it is compared with, first"
    )
    parser.add_argument("--readme", action="store_true", help="put the table of figures into README.md")
    parser.add_argument(
        "--from", dest="source", type=from_here, metavar="FILE", help="figures of an earlier run"
    )
    commands = parser.add_subparsers(
        dest="section", metavar="SECTION", title="sections (all but knobs when none is named)"
    )
    for name, module in found.items():
        text = (module.__doc__ or name).partition("\n")[0]
        command = commands.add_parser(name, help=text, description=module.__doc__, parents=[common])
        if hasattr(module, "add_options"):
            module.add_options(command)
    options = parser.parse_args()
    by_default = [name for name, module in found.items() if not hasattr(module, "ONLY_WHEN_NAMED")]
    chosen = [options] if options.section else [parser.parse_args([name]) for name in by_default]
    return options, chosen


def outcome_of(name: str, module: ModuleType, options: argparse.Namespace) -> Outcome:
    """Run a section; one that fails is a shortfall, and those after it run all the same."""
    try:
        outcome: Outcome = module.run(options)
    except Exception as error:  # noqa: BLE001 - whatever one section died of, the others have figures to give
        traceback.print_exc()
        return Outcome(shortfalls=[f"{name}: not measured: {error}"])
    return outcome


def main() -> int:
    """Run the sections, print their tables, and say what fell short."""
    found = {
        name: import_module(f"benchlib.sections.{name}") for _, name, _ in iter_modules(sections.__path__)
    }
    options, chosen = parse(found)
    if options.readme and (problem := summary.lacks_place(README)):
        print(f"bench: {problem}", file=sys.stderr)
        return 2
    if options.install_peers and peers.install() != 0:
        return 1
    peers.offer()
    figures: dict[str, Any] = {"machine": machine()}
    if options.source is not None:
        figures = json.loads(options.source.read_text())
    shortfalls: list[str] = []
    only_asked = (options.install_peers or options.source is not None) and not options.section
    for own in [] if only_asked else sorted(chosen, key=lambda own: own.section != "talk"):
        began_s = time.monotonic()
        outcome = outcome_of(own.section, found[own.section], own)
        print(*outcome.tables, sep="\n\n", end="\n\n", flush=True)
        figures[own.section] = outcome.figures
        figures.setdefault("took_s", {})[own.section] = round(time.monotonic() - began_s, 1)
        shortfalls += outcome.shortfalls
        # After each section: whoever stops a long run keeps what there is.
        if "json" in options:
            options.json.write_text(json.dumps(figures, indent=1) + "\n")
    if len(took_s := figures.get("took_s", {})) > 1:
        rows = [[name, f"{seconds:.0f}"] for name, seconds in took_s.items()]
        print(Table("How long it took", ["", "s"], [*rows, ["all", f"{sum(took_s.values()):.0f}"]]))
    if options.readme:
        summary.into_page(summary.table(figures), README)
    for shortfall in shortfalls:
        print(f"bench: {shortfall}", file=sys.stderr)
    return 1 if shortfalls else 0


if __name__ == "__main__":
    sys.exit(main())
