"""The simulator: how many visitors it serves at the pace of sound, all talking and answered, on one core.

Late is a message of an answer against the steady pace it is to have. The clients (benchlib/fixtures/crowd.py)
run beside it and need most of the other core.
"""

import argparse
import json
import subprocess
import sys
import time
from typing import Any

from benchlib.outcome import Outcome, Table
from benchlib.stage import KEY, Stage
from benchlib.usage import between, snapshot

MOST_LATE_MS = 100.0
# An answer is over before its visitor goes on: nobody is interrupted.
QUICK = ("ready.updated_ms=1", "turn.end_ms=300", "reply.first_audio_ms=50", "reply.lead_in_ms=0")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 50], help="how many at once")
    parser.add_argument("--turns", type=int, default=2, help="how often each of them talks, for 4.5 s each")


def run(options: argparse.Namespace) -> Outcome:
    outcome = Outcome()
    rows = []
    for clients in options.clients:
        seen = _crowd(clients, options.turns)
        outcome.figures[f"clients_{clients}"] = seen
        outcome.shortfalls += _shortfalls(seen, clients, options.turns)
        late = [f"{seen[name]:.1f}" for name in ("late_p50_ms", "late_p99_ms", "late_max_ms")]
        cpu = seen["cpu_ms_per_s"]
        rows.append([str(clients), str(seen["answered"]), *late, f"{cpu:.0f}", f"{cpu / clients:.1f}"])
    columns = ["clients", "answers", "late p50 ms", "p99", "max", "CPU ms/s", "per client"]
    outcome.tables.append(Table("Visitors at the simulator, talking and listening", columns, rows))
    return outcome


def _crowd(clients: int, turns: int) -> dict[str, Any]:
    with Stage(cards=False) as stage:
        service = stage.service(*QUICK)
        before, began_s = snapshot(service.pid), time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "benchlib.fixtures.crowd", service.url, KEY, str(clients), str(turns)],
            capture_output=True, text=True, check=True, timeout=120 + 5 * turns,
        )  # fmt: skip
        usage = between(before, snapshot(service.pid), time.monotonic() - began_s)
        stats = service.stats()
    heard: dict[str, Any] = json.loads(done.stdout)
    return heard | {
        "cpu_ms_per_s": usage.cpu_ms_per_s,
        "violations": stats["violation_count"],
        "samples_dropped": sum(connection["samples_dropped"] for connection in stats["connections"]),
    }


def _shortfalls(seen: dict[str, Any], clients: int, turns: int) -> list[str]:
    found = []
    if seen["violations"]:
        found.append(f"{seen['violations']} violations by clients that keep the rules")
    if seen["samples_dropped"]:
        found.append(f"{seen['samples_dropped']} samples dropped that came in time")
    if seen["answered"] < clients * turns:
        found.append(f"{seen['answered']} of {clients * turns} turns answered")
    if seen["late_p99_ms"] > MOST_LATE_MS:
        found.append(f"{seen['late_p99_ms']:.0f} ms late (p99), promised under {MOST_LATE_MS:g}")
    # The crowd waits for nothing but the clock, so what it is late by is this machine's.
    own = f" (the crowd itself fell behind by {seen['behind_ms']:.0f} ms: this machine is busy)"
    busy = own if seen["behind_ms"] > MOST_LATE_MS else ""
    return [f"simulator: with {clients} clients {what}{busy}" for what in found]
