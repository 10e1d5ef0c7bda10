"""Talk: processor time and wake-ups of a two-way conversation, beside plain C and the plainest Python client.

All three use the same ALSA devices (PulseAudio's null sinks), the same simulator and the same pattern; the
simulator's own time counts nowhere, PulseAudio's threads inside each process do (they are shown).

"Both at once": the microphone goes up and a reply comes down and plays, all the time. voicekiosk never does
that by itself, since it does not play while its microphone is live; here the daemon runs with that one rule
lifted (benchlib/fixtures/duplex.py). "In turns": the daemon as it is, the button held for a question, let
go, and the answer as long as the question played to its end. Wake-ups are voluntary context switches.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchlib import clients, parts
from benchlib.clients import Client, Daemon
from benchlib.outcome import Outcome, Table
from benchlib.stage import Service, Stage
from benchlib.usage import Usage, between, memory_kb, snapshot

SETTLE_S = 1.5
QUESTION_S = 4.0
TURN_S = 10.5
# Words of a reply that takes longer than any measurement.
SAYING = " ".join(["voicekiosk"] * 150)
# Nothing interrupts a reply: for "both at once".
DEAF = ("audio.deaf=true", "reply.lead_in_ms=0", "reply.first_audio_ms=0")
PROMPT = ("turn.end_ms=500", "reply.lead_in_ms=0", "reply.first_audio_ms=300")
MOST_OF_PLAIN = 0.6
MOST_OF_FLOOR = 5.0
MOST_RSS_MB, MOST_ANON_MB = 70.0, 40.0


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each of the runs is measured")
    parser.add_argument(
        "--rounds", type=int, default=3, help="how often each is run, in turn with the others"
    )
    parser.add_argument("--no-tls", action="store_true", help="leave TLS out")


@dataclass
class Measured:
    """What one client took in its runs."""

    usages: list[Usage] = field(default_factory=list)
    memory_kb: list[dict[str, int]] = field(default_factory=list)

    @property
    def cpu_ms_per_s(self) -> float:
        return median(usage.cpu_ms_per_s for usage in self.usages)

    @property
    def wakeups_per_s(self) -> float:
        return median(usage.wakeups_per_s for usage in self.usages)

    def thread(self, name: str) -> tuple[float, float]:
        """Return milliseconds and wake-ups per second of a thread."""
        seen = [usage.threads.get(name, (0.0, 0.0)) for usage in self.usages]
        return median(cpu for cpu, _ in seen), median(wakeups for _, wakeups in seen)


Make = Callable[[Stage, Service], Client]
Pattern = Callable[[Client, Service, float], Usage]


class TooBusyError(Exception):
    """The machine did not let the conversation keep the pace of sound, so its cost says nothing."""


def _ready(client: Client) -> None:
    if isinstance(client, Daemon):
        client.wait_for("a session", lambda status: status["link"]["state"] == "ready")


def at_once(client: Client, service: Service, seconds: float) -> Usage:
    """Measure with the microphone going up and a reply coming down.

    Raises TooBusyError when one of them did not come through at its pace.
    """
    client.press()
    _ready(client)
    client.say(SAYING)
    time.sleep(SETTLE_S)
    before = _samples(service)
    usage = _measured(client, seconds)
    for name, count in _samples(service).items():
        rate_hz = (count - before[name]) / usage.seconds
        if not 0.95 < rate_hz / 24000 < 1.1:
            raise TooBusyError(f"{name} at {rate_hz:.0f} Hz where it were 24000")
    return usage


def _samples(service: Service) -> dict[str, int]:
    """Return how much sound has come to the service and left it, on the latest connection."""
    latest = service.stats()["connections"][-1]
    return {"up": latest["samples"], "down": latest["samples_sent"]}


def in_turns(client: Client, service: Service, _: float) -> Usage:
    """Measure a question and its answer, the session being open."""
    client.press()
    _ready(client)
    client.release()
    time.sleep(SETTLE_S)
    before, began_s = snapshot(client.pid), time.monotonic()
    client.press()
    time.sleep(QUESTION_S)
    client.release()
    time.sleep(max(0.0, began_s + TURN_S - time.monotonic()))
    if not service.stats()["connections"][-1]["samples_sent"] > 0.9 * QUESTION_S * 24000:
        raise TooBusyError("the answer did not come in time")
    return between(before, snapshot(client.pid), time.monotonic() - began_s)


def _measured(client: Client, seconds: float) -> Usage:
    before, began_s = snapshot(client.pid), time.monotonic()
    time.sleep(seconds)
    return between(before, snapshot(client.pid), time.monotonic() - began_s)


def duplex(stage: Stage, service: Service) -> Client:
    return Daemon(stage, service, module="benchlib.fixtures.duplex")


def _daemon(stage: Stage, service: Service) -> Client:
    return Daemon(stage, service)


def measure(
    stage: Stage, service: Service, makers: dict[str, Make], pattern: Pattern, options: argparse.Namespace
) -> dict[str, Measured]:
    measured = {name: Measured() for name in makers}
    for _ in range(options.rounds):
        for name, make in makers.items():
            with make(stage, service) as client:
                try:
                    measured[name].usages.append(pattern(client, service, options.seconds))
                except TooBusyError as error:
                    print(f"bench: a run of {name} does not count: {error}", file=sys.stderr)
                measured[name].memory_kb.append(memory_kb(client.pid))
    if empty := [name for name, seen in measured.items() if not seen.usages]:
        raise RuntimeError(f"this machine is too busy to measure a conversation of {', '.join(empty)}")
    return measured


def table(title: str, measured: dict[str, Measured], note: str = "") -> Table:
    daemon = measured["daemon"]
    rows = [
        [
            name,
            f"{seen.cpu_ms_per_s:.1f}",
            f"{seen.wakeups_per_s:.0f}",
            f"{seen.cpu_ms_per_s / daemon.cpu_ms_per_s:.2f}",
            f"{max(usage.cpu_ms_per_s for usage in seen.usages):.1f}",
        ]
        for name, seen in measured.items()
    ]
    return Table(title, ["", "CPU ms/s", "wake-ups/s", "ratio", "worst run"], rows, note)


THREADS = {"event loop": "python", "capture": "capture", "playback": "playback", "PulseAudio": "threaded-ml"}


def _threads(daemon: Measured, floor: Measured) -> Table:
    rows = []
    for part, thread in THREADS.items():
        cpu, wakeups = daemon.thread(thread)
        floor_cpu, floor_wakeups = floor.thread("floor" if thread == "python" else thread)
        rows.append([part, f"{cpu:.1f}", f"{wakeups:.0f}", f"{floor_cpu:.1f}", f"{floor_wakeups:.0f}"])
    columns = ["", "CPU ms/s", "wake-ups/s", "in C: CPU ms/s", "wake-ups/s"]
    return Table("Where the daemon's time goes, by thread (both at once)", columns, rows)


def by_part(parts_ms: dict[str, float], daemon_ms: float) -> Table:
    """Show what each part takes of the whole."""
    rows = [[name, f"{ms:.2f}", f"{100 * ms / daemon_ms:.0f} %"] for name, ms in parts_ms.items()]
    rest_ms = daemon_ms - sum(ms for name, ms in parts_ms.items() if name != parts.VOLUME)
    rows.append(["all else: threads that wake, the kernel, PulseAudio",
                 f"{rest_ms:.2f}", f"{100 * rest_ms / daemon_ms:.0f} %"])  # fmt: skip
    note = (
        "Each part's own code, called as in a second of conversation, without waiting; not in it: the volume."
    )
    return Table(
        "Where the daemon's time goes, by part (both at once)", ["", "CPU ms/s", "share"], rows, note
    )


def run(options: argparse.Namespace) -> Outcome:
    outcome = Outcome()
    with Stage() as stage:
        tls = clients.build_floor(stage) and not options.no_tls
        at_once_makers: dict[str, Make] = {"daemon": duplex, "floor": clients.floor, "plain": clients.plain}
        turns_makers: dict[str, Make] = {**at_once_makers, "daemon": _daemon}
        plain = measure(stage, stage.service(*DEAF), at_once_makers, at_once, options)
        turns = measure(stage, stage.service(*PROMPT), turns_makers, in_turns, _fewer(options))
        figures: dict[str, Any] = _cpu(plain)
        figures |= {f"{name}_wakeups_per_s": seen.wakeups_per_s for name, seen in plain.items()}
        figures["turns"] = _cpu(turns)
        figures["threads"] = {part: plain["daemon"].thread(thread) for part, thread in THREADS.items()}
        figures["parts"] = parts.measure(plain["daemon"].thread(THREADS["event loop"])[1])
        outcome.tables = [
            table("Both at once", plain),
            _threads(plain["daemon"], plain["floor"]),
            by_part(figures["parts"], figures["daemon_ms_per_s"]),
            table("In turns", turns, "A question of 4 s and its answer in 10.5 s."),
        ]
        if tls:
            over_tls = measure(
                stage, stage.service(*DEAF, tls=True), at_once_makers, at_once, _fewer(options)
            )
            figures["tls"] = _cpu(over_tls)
            outcome.tables.append(table("Both at once, over TLS", over_tls))
    memory = {
        key: max(seen[key] for seen in turns["daemon"].memory_kb) / 1024 for key in ("VmRSS", "RssAnon")
    }
    figures |= {"rss_mb": memory["VmRSS"], "anon_mb": memory["RssAnon"]}
    outcome.figures = figures
    outcome.shortfalls = list(_shortfalls(figures))
    return outcome


def _fewer(options: argparse.Namespace) -> argparse.Namespace:
    """Return the options with one round less, for what takes long and hardly differs from run to run."""
    return argparse.Namespace(**{**vars(options), "rounds": max(1, options.rounds - 1)})


def _cpu(measured: dict[str, Measured]) -> dict[str, float]:
    return {f"{name}_ms_per_s": seen.cpu_ms_per_s for name, seen in measured.items()}


def _shortfalls(figures: dict[str, Any]) -> list[str]:
    daemon = figures["daemon_ms_per_s"]
    promises = (
        ("of the plainest client's time", daemon / figures["plain_ms_per_s"], MOST_OF_PLAIN),
        ("times the floor", daemon / figures["floor_ms_per_s"], MOST_OF_FLOOR),
        ("MB resident", figures["rss_mb"], MOST_RSS_MB),
        ("MB anonymous", figures["anon_mb"], MOST_ANON_MB),
    )
    return [
        f"talk: {value:.2f} {what}, promised at most {most}" for what, value, most in promises if value > most
    ]
