"""Idle: processor time and wake-ups per second while nobody talks, beside clients that never sleep.

"Closed" is the normal case: no session, microphone closed, the button armed, no watchdog (systemd's would
be two wake-ups a minute). "Warm" keeps the microphone open for its pre-roll. "Session open" is the pause
between two questions: microphone open, the link watched twice a second.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

from benchlib import clients
from benchlib.clients import Client, Daemon
from benchlib.outcome import Outcome, Table
from benchlib.stage import Service, Stage
from benchlib.usage import Usage, between, snapshot

MOST_CPU_MS_PER_S = 1.0
# Nothing but a watchdog may wake an idle kiosk.
MOST_WAKEUPS_PER_S = 0.2


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each is watched")


def _ask(daemon: Daemon) -> None:
    """Have a session opened, and the reply to a word played to its end."""
    daemon.say("yes")
    daemon.wait_for("a session", lambda status: status["link"]["state"] == "ready")
    daemon.wait_for("the reply", lambda status: status["state"] == "speaking")
    daemon.wait_for("the end of it", lambda status: status["state"] == "idle")


def _watch(client: Client, seconds: float) -> Usage:
    time.sleep(1.5)
    before, began_s = snapshot(client.pid), time.monotonic()
    time.sleep(seconds)
    return between(before, snapshot(client.pid), time.monotonic() - began_s)


def run(options: argparse.Namespace) -> Outcome:
    seen: dict[str, Usage] = {}
    with Stage() as stage:
        clients.build_floor(stage)
        service = stage.service("reply.lead_in_ms=0", "ready.updated_ms=1")
        cases: dict[str, tuple[Callable[[Stage, Service], Client], bool]] = {
            "closed": (Daemon, False),
            "warm": (lambda stage, service: Daemon(stage, service, warm=True), False),
            "session open": (Daemon, True),
            "plain client, connected": (clients.plain, False),
            "floor in C, connected": (clients.floor, False),
        }
        for name, (make, ask) in cases.items():
            with make(stage, service) as client:
                if ask and isinstance(client, Daemon):
                    _ask(client)
                seen[name] = _watch(client, options.seconds)
    closed = seen["closed"]
    figures: dict[str, Any] = {"cpu_ms_per_s": closed.cpu_ms_per_s, "wakeups_per_s": closed.wakeups_per_s}
    figures["others"] = {
        name: {"cpu_ms_per_s": usage.cpu_ms_per_s, "wakeups_per_s": usage.wakeups_per_s}
        for name, usage in seen.items()
    }
    rows = [[name, f"{usage.cpu_ms_per_s:.2f}", f"{usage.wakeups_per_s:.1f}"] for name, usage in seen.items()]
    shortfalls = []
    if closed.cpu_ms_per_s > MOST_CPU_MS_PER_S or closed.wakeups_per_s > MOST_WAKEUPS_PER_S:
        got = f"{closed.cpu_ms_per_s:.2f} ms/s and {closed.wakeups_per_s:.1f} wake-ups/s"
        shortfalls = [f"idle: {got}, promised at most {MOST_CPU_MS_PER_S:g} and {MOST_WAKEUPS_PER_S:g}"]
    return Outcome(figures, [Table("While nobody talks", ["", "CPU ms/s", "wake-ups/s"], rows)], shortfalls)
