"""Memory: the resident set after start and in a conversation, and what a day of conversations adds to it.

The day is 200 conversations of the whole daemon, each with a session of its own, on a clock that runs
faster and with stand-ins for the cards (benchlib/fixtures/day.py). The first quarter fills caches and the
ring; growth is the median of the last quarter less that of the second, so that no one sample decides.
"""

import argparse
import time
from itertools import pairwise
from statistics import median

from benchlib import clients
from benchlib.clients import Daemon
from benchlib.outcome import Outcome, Table
from benchlib.sections.talk import DEAF, SAYING
from benchlib.stage import Stage
from benchlib.usage import memory_kb

MOST_RSS_MB, MOST_ANON_MB = 70.0, 40.0
MOST_GROWTH_KB = 1024
SPEED = 10.0
QUICK = (
    "turn.end_ms=200", "reply.lead_in_ms=0", "reply.first_audio_ms=50",
    "ready.updated_ms=1", "ready.ready_ms=1", "turn.onset_ms=100",
)  # fmt: skip
HANG_UP = "[conversation]\nkeep_open_s = 0\n"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--conversations", type=int, default=200, help="how many the day has")


def _day(conversations: int) -> list[dict[str, int]]:
    """Hold the day's conversations; return the memory after each."""
    with Stage(cards=False) as stage:
        service = stage.service(*QUICK, speed=SPEED)
        fast = {"BENCH_SPEED": str(SPEED)}
        # What is left of this by the speed has to be longer than a busy machine keeps a process waiting.
        patient = 3.0 * SPEED
        with Daemon(
            stage,
            service,
            module="benchlib.fixtures.day",
            more=HANG_UP,
            environment=fast,
            dead_after_s=patient,
        ) as daemon:
            seen = [memory_kb(daemon.pid)]
            for _ in range(conversations):
                daemon.press()
                daemon.wait_for("a session", lambda status: status["link"]["state"] == "ready")
                time.sleep(0.8 / SPEED)
                daemon.release()
                daemon.wait_for("the answer", lambda status: status["state"] == "speaking")
                daemon.wait_for(
                    "its end",
                    lambda status: status["state"] == "idle" and status["link"]["state"] == "closed",
                )
                seen.append(memory_kb(daemon.pid))
            return seen


def by_quarters(values: list[int]) -> list[float]:
    """Return the median of each quarter."""
    cuts = [round(len(values) * quarter / 4) for quarter in range(5)]
    return [median(values[begin:end]) for begin, end in pairwise(cuts)]


def run(options: argparse.Namespace) -> Outcome:
    with Stage() as stage:
        service = stage.service(*DEAF)
        with Daemon(stage, service) as daemon:
            started = memory_kb(daemon.pid)
        with Daemon(stage, service, module="benchlib.fixtures.duplex") as daemon:
            daemon.press()
            daemon.wait_for("a session", lambda status: status["link"]["state"] == "ready")
            daemon.say(SAYING)
            time.sleep(3.0)
            talking = memory_kb(daemon.pid)
        with clients.plain(stage, service) as client:
            client.press()
            client.say(SAYING)
            time.sleep(3.0)
            plain = memory_kb(client.pid)
    day = _day(options.conversations)
    anon = by_quarters([seen["RssAnon"] for seen in day[1:]])
    rss = by_quarters([seen["VmRSS"] for seen in day[1:]])
    growth_kb = round(anon[3] - anon[1])
    rows = [
        [name, f"{rss_kb / 1024:.1f}", f"{anon_kb / 1024:.1f}"]
        for name, rss_kb, anon_kb in (
            ("after start", started["VmRSS"], started["RssAnon"]),
            ("in a conversation", talking["VmRSS"], talking["RssAnon"]),
            *(
                (f"with stand-ins, {quarter} quarter of the day", rss[number], anon[number])
                for number, quarter in enumerate(("first", "second", "third", "last"))
            ),
            ("plainest client, in a conversation", plain["VmRSS"], plain["RssAnon"]),
        )
    ]
    figures = {
        "rss_mb": talking["VmRSS"] / 1024,
        "anon_mb": talking["RssAnon"] / 1024,
        "growth_kb": growth_kb,
        "start_rss_mb": started["VmRSS"] / 1024,
        "start_anon_mb": started["RssAnon"] / 1024,
        "plain_rss_mb": plain["VmRSS"] / 1024,
    }
    promises = (
        ("MB resident", figures["rss_mb"], MOST_RSS_MB),
        ("MB anonymous", figures["anon_mb"], MOST_ANON_MB),
        ("kB of growth", growth_kb, MOST_GROWTH_KB),
    )
    shortfalls = [
        f"memory: {value:.0f} {what}, promised at most {most:g}"
        for what, value, most in promises
        if value > most
    ]
    note = f"A day of {len(day) - 1} conversations, medians of its quarters; second to last: {growth_kb} kB."
    return Outcome(
        figures, [Table("Resident memory", ["", "VmRSS MB", "RssAnon MB"], rows, note)], shortfalls
    )
