"""`scripts/soak`: drop the network under real kiosks, in real time, and look for every sample."""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path
from typing import Any

from demolib.paths import from_here, writable_from_here
from soaklib import figures, readme
from soaklib.cell import Cell, Trouble, kill_kiosk, kill_simulator, network_fault
from soaklib.judge import be_patient

SCENARIO = """\
description = "A near service with short waits{how}"

[turn]
onset_ms = 300
end_ms = 900

[reply]
first_audio_ms = 100
lead_in_ms = 100

[lifecycle]
resume = "{resume}"

[[script]]
says = "It was painted in Delft, about the year sixteen sixty five."

[[script]]
calls = [{{ name = "look_up" }}]
then = "I have looked it up for you: nobody knows."
"""
MOST_FAULTS = 3


def main() -> int:
    """Soak, print the table, and say what was not kept."""
    options = parse()
    if options.readme is not None:
        return readme.put(options.readme)
    folder = Path(tempfile.mkdtemp(prefix="voicekiosk-soak-"))
    print(f"(Priority of everything that takes part: {be_punctual()}.)")
    # Whoever ends it with a signal wants its kiosks ended, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began_s = time.monotonic()
    try:
        rows = asyncio.run(soak(options, folder))
    except KeyboardInterrupt:
        return 130
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f"records and journals are in {folder}")
    seconds = time.monotonic() - began_s
    print(f"\n{figures.table(rows)}\n\nin {seconds:.0f} s of real time, {options.kiosks} kiosks side by side")
    shortfalls = [line for name, row in rows.items() for line in figures.shortfalls(name, row)]
    if options.json is not None:
        options.json.write_text(json.dumps(data(options, rows, seconds), indent=1) + "\n")
    for line in shortfalls:
        print(f"soak: {line}", file=sys.stderr)
    return 1 if shortfalls else 0


def be_punctual() -> str:
    """Take the best priority that is allowed, for this process and those it starts; return its name.

    Sound cards are never late, and a kiosk has its machine for itself.
    """
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(5))
        return "real-time"
    with contextlib.suppress(OSError):
        os.nice(-5)
        return "raised, as systemd/voicekiosk.service has it"
    return "normal"


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--drops", type=int, default=1000, help="drops with resume granted (%(default)s)")
    parser.add_argument("--refused", type=int, help="drops with resume refused (as many as --drops)")
    parser.add_argument("--killed", type=int, help="times that a daemon is killed (a tenth of --drops)")
    parser.add_argument("--restarted", type=int, help="times that the service is killed (a tenth of --drops)")
    parser.add_argument("--seed", type=int, default=1, help="seed of everything that is chosen (%(default)s)")
    parser.add_argument("--kiosks", type=int, default=24, help="kiosks side by side (%(default)s)")
    parser.add_argument("--json", type=writable_from_here, metavar="FILE", help="write the figures as data")
    parser.add_argument("--keep", action="store_true", help="keep records and journals")
    parser.add_argument(
        "--readme", type=from_here, metavar="FILE", help="put the figures of FILE into README.md"
    )
    options = parser.parse_args()
    options.refused = options.drops if options.refused is None else options.refused
    options.killed = options.drops // 10 if options.killed is None else options.killed
    options.restarted = options.drops // 10 if options.restarted is None else options.restarted
    return options


def data(options: argparse.Namespace, rows: dict[str, dict[str, Any]], seconds: float) -> dict[str, Any]:
    """Return what --json writes: the row of resume granted, the others under their names."""
    others = {name: row for name, row in rows.items() if name != "granted"}
    return {
        **rows.get("granted", {}),
        "asked": options.drops,
        "seed": options.seed,
        **others,
        "kiosks": options.kiosks,
        "seconds": round(seconds),
        "virtual_time": False,
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
    }


async def soak(options: argparse.Namespace, folder: Path) -> dict[str, dict[str, Any]]:
    """Run one row after the other."""
    plans: list[tuple[str, int, str, Trouble, int]] = [
        ("granted", options.drops, "grant", network_fault, MOST_FAULTS),
        ("refused", options.refused, "refuse", network_fault, MOST_FAULTS),
        ("killed", options.killed, "grant", kill_kiosk, 1),
        ("restarted", options.restarted, "grant", kill_simulator, 1),
    ]
    rows = {}
    # Spawned, since a forked process would keep every socket open that is closed here.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, initializer=be_patient) as judges:
        for number, (name, count, resume, trouble, faults) in enumerate(plans):
            if count <= 0:
                continue
            scenario = folder / f"{name}.toml"
            scenario.write_text(SCENARIO.format(how=f"; resume: {resume}", resume=resume))
            row = Row(name, count, scenario, trouble=trouble, faults=faults, judges=judges)
            kiosks = min(options.kiosks, count)
            await row.run(folder / name, kiosks, options.seed * 1_000_003 + number * 1_009)
            rows[name] = figures.row(row.cells)
    return rows


class Row:
    """One row of the table: so many drops of one kind, by several kiosks."""

    def __init__(
        self, name: str, count: int, scenario: Path, *, trouble: Trouble, faults: int, judges: Executor
    ) -> None:
        self.name, self.count, self.scenario = name, count, scenario
        self.trouble, self.faults, self.judges = trouble, faults, judges
        self.cells: list[Cell] = []

    @property
    def done(self) -> int:
        """How many drops there were."""
        return sum(drop.dropped for cell in self.cells for one in cell.rounds for drop in one.drops)

    async def run(self, folder: Path, kiosks: int, seed: int) -> None:
        """Let the kiosks go on until there were enough."""
        self.cells = [Cell(folder / f"{n}", self.scenario, seed + n, self.judges) for n in range(kiosks)]
        print(f"{self.name}: {self.count} drops by {kiosks} kiosks", flush=True)
        async with asyncio.TaskGroup() as group:
            telling = group.create_task(self._tell(time.monotonic))
            running = [group.create_task(self._run(cell)) for cell in self.cells]
            await asyncio.gather(*running)
            telling.cancel()

    async def _run(self, cell: Cell) -> None:
        async with cell:
            while self.done < self.count:
                await cell.visit(self.trouble, cell.rng.randint(1, self.faults))
                one = cell.rounds[-1]
                if one.problem:
                    what = ", ".join(f"{drop.kind} ({drop.moment})" for drop in one.drops)
                    print(f"  {cell.folder.name}: {one.problem} after {what or 'nothing'}", flush=True)
            await cell.judged()
        for one in cell.rounds:
            if one.heard is not None and one.heard.lost:
                what = ", ".join(f"{drop.kind} ({drop.moment})" for drop in one.drops)
                print(f"  {cell.folder.name}: {one.heard.lost} samples lost after {what}", flush=True)

    async def _tell(self, clock: Callable[[], float]) -> None:
        began_s = clock()
        while True:
            await asyncio.sleep(30)
            print(f"  {self.done} of {self.count} after {clock() - began_s:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
