"""The simulator: how many visitors it serves at the pace of sound, both directions at once, on one core.

Late is a message of a reply against the steady pace it is to have. The clients (benchlib/fixtures/crowd.py)
run beside it and need most of the other core.
"""

import argparse
import json
import subprocess
import sys
import time

from benchlib.outcome import Outcome, Table
from benchlib.stage import KEY, Stage
from benchlib.usage import between, snapshot

MOST_LATE_MS = 100.0
MESSAGES_PER_S = 100
# Of those that are to come: the connection, the first reply and its burst take some of the time.
LEAST_MESSAGES = 0.5


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 10, 50], help="how many at once")
    parser.add_argument("--seconds", type=float, default=6.0, help="how long each of them stays")


def run(options: argparse.Namespace) -> Outcome:
    outcome = Outcome()
    rows = []
    for clients in options.clients:
        with Stage(cards=False) as stage:
            service = stage.service("ready.updated_ms=1", "reply.lead_in_ms=0")
            before, began_s = snapshot(service.pid), time.monotonic()
            done = subprocess.run(
                [sys.executable, "-m", "benchlib.fixtures.crowd",
                 service.url, KEY, str(clients), str(options.seconds)],
                capture_output=True, text=True, check=True, timeout=120,
            )  # fmt: skip
            usage = between(before, snapshot(service.pid), time.monotonic() - began_s)
            violations = service.stats()["violation_count"]
        seen = json.loads(done.stdout) | {"cpu_ms_per_s": usage.cpu_ms_per_s, "violations": violations}
        outcome.figures[f"clients_{clients}"] = seen
        late = [f"{seen[name]:.1f}" for name in ("late_p50_ms", "late_p99_ms", "late_max_ms")]
        rows.append([str(clients), *late, f"{usage.cpu_ms_per_s:.0f}", f"{usage.cpu_ms_per_s / clients:.1f}"])
        if seen["messages"] < LEAST_MESSAGES * clients * options.seconds * MESSAGES_PER_S:
            outcome.shortfalls.append(
                f"simulator: {seen['messages']} messages reached {clients} clients in {options.seconds:g} s;"
                " either it or this machine is too busy for so many"
            )
        elif seen["late_p99_ms"] > MOST_LATE_MS:
            outcome.shortfalls.append(
                f"simulator: {seen['late_p99_ms']:.0f} ms late (p99) with {clients} clients, "
                f"promised under {MOST_LATE_MS:g}"
            )
    columns = ["clients", "late p50 ms", "p99", "max", "CPU ms/s", "per client"]
    outcome.tables.append(Table("Visitors at the simulator, talking and listening", columns, rows))
    return outcome
