"""Start: from the command to READY, and what of it is import, by module; beside Python itself.

READY is what systemd is told, taken from a notify socket of our own: from then on a press is answered. No
device is opened and no connection made for it.
"""

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchlib import pythons
from benchlib.outcome import Outcome, Table
from benchlib.usage import snapshot

MOST_READY_S = 0.5
CONFIG = '[panel]\ndriver = "none"\n'
# What nobody could do without: an event loop with TLS and numpy.
BARE = "import asyncio, ssl, numpy"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=int, default=7, help="how often it is started")
    parser.add_argument(
        "--python", action="append", default=[], metavar="PROGRAM", help="another Python to measure as well"
    )


def _environment(folder: Path) -> dict[str, str]:
    """Return an environment in which modules are compiled once, as they are where it is installed."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {
        **inherited,
        "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
        "VOICEKIOSK_SOCKET": str(folder / "control.sock"),
        "ASSEMBLYAI_API_KEY": "none",
        "OPENBLAS_NUM_THREADS": "1",
    }


def _ready_s(python: str, folder: Path) -> tuple[float, float]:
    """Start the daemon and return how long it took to READY: on the clock, and of a processor."""
    config = folder / "config.toml"
    config.write_text(CONFIG)
    address = folder / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.settimeout(30)
        notify.bind(str(address))
        began_s = time.monotonic()
        process = subprocess.Popen(
            [python, "-m", "voicekiosk", "run", "--config", str(config)],
            env={**_environment(folder), "NOTIFY_SOCKET": str(address)}, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            while b"READY=1" not in notify.recv(4096):
                pass
            return time.monotonic() - began_s, sum(one.cpu_s for one in snapshot(process.pid).values())
        finally:
            process.terminate()
            process.wait(10)
            address.unlink()


def _runs_s(python: str, code: str, folder: Path) -> float:
    began_s = time.monotonic()
    subprocess.run([python, "-c", code], check=True, env=_environment(folder))
    return time.monotonic() - began_s


def _imports_ms(python: str, folder: Path) -> dict[str, float]:
    """Return what importing the daemon takes in each package's own modules, in milliseconds."""
    done = subprocess.run(
        [python, "-X", "importtime", "-c", "import voicekiosk.kiosk.daemon"],
        capture_output=True, text=True, check=True, env=_environment(folder),
    )  # fmt: skip
    own: dict[str, float] = {}
    for found in re.finditer(r"import time:\s+(\d+) \|\s+\d+ \|\s+([\w.]+)", done.stderr):
        package = found[2].partition(".")[0]
        own[package] = own.get(package, 0.0) + int(found[1]) / 1000
    return dict(sorted(own.items(), key=lambda item: -item[1]))


def run(options: argparse.Namespace) -> Outcome:
    outcome = Outcome()
    programs = pythons.found(options.python)
    rows = []
    with tempfile.TemporaryDirectory(prefix="voicekiosk-bench-") as name:
        folder = Path(name)
        for version, python in programs.items():
            times: dict[str, list[float]] = {"ready_s": [], "cpu_s": [], "bare_s": [], "nothing_s": []}
            _ready_s(python, folder)
            for _ in range(options.runs):
                ready_s, cpu_s = _ready_s(python, folder)
                times["ready_s"].append(ready_s)
                times["cpu_s"].append(cpu_s)
                times["bare_s"].append(_runs_s(python, BARE, folder))
                times["nothing_s"].append(_runs_s(python, "pass", folder))
            figures = {name: median(values) for name, values in times.items()}
            ready_s = figures["ready_s"]
            outcome.figures.setdefault("pythons", {})[version] = figures
            rows.append([f"Python {version}", *(f"{value:.2f}" for value in figures.values())])
            if ready_s > MOST_READY_S:
                outcome.shortfalls.append(
                    f"start: READY after {ready_s:.2f} s on Python {version}, promised {MOST_READY_S:g}"
                )
            if python == sys.executable:
                outcome.figures["ready_s"] = ready_s
        imports = _imports_ms(sys.executable, folder)
    outcome.figures["imports_ms"] = imports
    columns = ["", "READY s", "CPU s", f'"{BARE}" s', '"pass" s']
    outcome.tables.append(Table("From the command to READY", columns, rows, pythons.lacking(list(programs))))
    largest = [[name, f"{ms:.0f}"] for name, ms in list(imports.items())[:12]]
    outcome.tables.append(Table("Import, by package (its own modules)", ["", "ms"], largest))
    return outcome
