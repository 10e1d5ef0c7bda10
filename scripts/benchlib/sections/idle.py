"""Idle: processor time and wake-ups per second while nobody talks, beside clients that never sleep.

"Closed" is the normal case: no session, microphone closed, the button armed, no watchdog (systemd's would
be two wake-ups a minute). "Warm" keeps the microphone open for its pre-roll. "Session open" is the pause
between two questions: microphone open, the link watched twice a second. The daemon on each Python that is
ready (`.venv-3.*`), and the others, all of them side by side in one window.
"""

import argparse
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from benchlib import clients, pythons
from benchlib.clients import Client, Daemon
from benchlib.outcome import Outcome, Table
from benchlib.stage import Service, Stage
from benchlib.usage import Usage, between, snapshot

MOST_CPU_MS_PER_S = 1.0
# Nothing but a watchdog may wake an idle kiosk.
MOST_WAKEUPS_PER_S = 0.2
SETTLE_S = 2.0
QUESTION_S = 0.5
QUICK = ("turn.onset_ms=100", "turn.end_ms=200", "reply.lead_in_ms=0", "ready.updated_ms=1")
PLAIN, FLOOR = "plain client, connected", "floor in C, connected"
Case = tuple[str, str]
"""The Python's version, and what the kiosk does."""


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=20.0, help="how long they are watched")


def _asked(stage: Stage, service: Service, *, name: str, python: str) -> Daemon:
    """Return a kiosk that has answered a question, and whose session stays open for longer than we watch."""
    daemon = Daemon(stage, service, name=name, python=python, more="[conversation]\nkeep_open_s = 600\n")
    daemon.press()
    daemon.wait_for("a session", lambda status: status["link"]["state"] == "ready")
    time.sleep(QUESTION_S)
    daemon.release()
    daemon.wait_for("the answer", lambda status: status["state"] == "speaking")
    daemon.wait_for("its end", lambda status: status["state"] == "idle")
    return daemon


def _cases(programs: dict[str, str]) -> dict[Case, Callable[[Stage, Service], Client]]:
    cases: dict[Case, Callable[[Stage, Service], Client]] = {}
    for version, python in programs.items():
        cases[version, "closed"] = partial(Daemon, name=f"closed-{version}", python=python)
        cases[version, "warm"] = partial(Daemon, name=f"warm-{version}", python=python, warm=True)
        cases[version, "session open"] = partial(_asked, name=f"open-{version}", python=python)
    return cases | {("", PLAIN): clients.plain, ("", FLOOR): clients.floor}


def _watch(started: dict[Case, Client], seconds: float) -> dict[Case, Usage]:
    time.sleep(SETTLE_S)
    # One look takes a while, so that each has its own beginning and end.
    before = {case: (snapshot(client.pid), time.monotonic()) for case, client in started.items()}
    time.sleep(seconds)
    seen = {}
    for case, client in started.items():
        then, began_s = before[case]
        now, ended_s = snapshot(client.pid), time.monotonic()
        seen[case] = between(then, now, ended_s - began_s)
    return seen


def figures_of(seen: dict[Case, Usage], own: str) -> dict[str, Any]:
    """Return the JSON: the normal case on this Python, and all others beside it."""

    def plain(usage: Usage) -> dict[str, float]:
        return {"cpu_ms_per_s": usage.cpu_ms_per_s, "wakeups_per_s": usage.wakeups_per_s}

    by_python: dict[str, dict[str, Any]] = {}
    for (version, name), usage in seen.items():
        by_python.setdefault(version, {})[name] = plain(usage)
    beside = by_python.pop("", {})
    return plain(seen[own, "closed"]) | {"others": by_python[own] | beside, "pythons": by_python}


def shortfalls(seen: dict[Case, Usage]) -> list[str]:
    """Say on which Python an idle kiosk is not asleep."""
    return [
        f"idle: {usage.cpu_ms_per_s:.2f} ms/s and {usage.wakeups_per_s:.1f} wake-ups/s on Python {version}, "
        f"promised at most {MOST_CPU_MS_PER_S:g} and {MOST_WAKEUPS_PER_S:g}"
        for (version, name), usage in seen.items()
        if name == "closed"
        and (usage.cpu_ms_per_s > MOST_CPU_MS_PER_S or usage.wakeups_per_s > MOST_WAKEUPS_PER_S)
    ]


def run(options: argparse.Namespace) -> Outcome:
    programs = pythons.found()
    with Stage() as stage, ExitStack() as running:
        clients.build_floor(stage)
        service = stage.service(*QUICK)
        started = {
            case: running.enter_context(make(stage, service)) for case, make in _cases(programs).items()
        }
        seen = _watch(started, options.seconds)
    rows = [
        [f"{name}, Python {version}" if version else name,
         f"{usage.cpu_ms_per_s:.2f}", f"{usage.wakeups_per_s:.1f}"]
        for (version, name), usage in seen.items()
    ]  # fmt: skip
    own = next(iter(programs))
    table = Table("While nobody talks", ["", "CPU ms/s", "wake-ups/s"], rows, pythons.lacking(list(programs)))
    return Outcome(figures_of(seen, own), [table], shortfalls(seen))
