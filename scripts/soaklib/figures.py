"""The figures of a soak, and what was promised."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

from soaklib.cell import Cell
from soaklib.process import Size
from soaklib.voice import SERVER_HZ

SPEAKING = ("utterance", "thinking")
"""Moments at which audio may be sent twice."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What a row must hold; None where nothing is promised."""

    repeated_p99_ms: float | None
    recovery_p99_s: float | None


PROMISES = {
    "granted": Promise(250.0, 2.0),
    "refused": Promise(None, 3.0),
    "killed": Promise(None, None),
    "restarted": Promise(None, 3.0),
}
DETECT_P99_S = 3.0
MOST_UNJUDGED = 0.02
# A process that is asked twice does not answer the same: memory is taken in arenas.
GROWTH = {"rss_kb": 4096, "threads": 0, "fds": 1, "tasks": 1}


def percentiles(values: Iterable[float], digits: int) -> dict[str, float | None]:
    """Return p50, p99 (each a value that occurred) and the largest."""
    ordered = sorted(values)
    if not ordered:
        return {"p50": None, "p99": None, "max": None}

    def rank(share: float) -> float:
        return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], digits)

    return {"p50": rank(0.5), "p99": rank(0.99), "max": round(ordered[-1], digits)}


def growth(cells: list[Cell]) -> dict[str, int | None]:
    """Return how much the kiosk that grew most did, from its second quarter to its last."""
    grown: dict[str, list[int]] = {key: [] for key in GROWTH}
    for cell in cells:
        quarter = len(cell.sizes) // 4
        if quarter:
            for key, values in grown.items():
                values.append(
                    _median(cell.sizes[-quarter:], key) - _median(cell.sizes[quarter:-quarter], key)
                )
    return {key: max(values, default=None) for key, values in grown.items()}


def _median(sizes: list[Size], key: str) -> int:
    return int(median(int(getattr(size, key)) for size in sizes))


def row(cells: list[Cell]) -> dict[str, Any]:
    """Return a row's figures."""
    rounds = [one for cell in cells for one in cell.rounds]
    drops = [drop for one in rounds for drop in one.drops if drop.dropped]
    heard = [one.heard for one in rounds if one.heard is not None]
    repeated = [1000 * samples / SERVER_HZ for one in heard for samples in one.repeated]
    detect = {True: list[float](), False: list[float]()}
    for drop in drops:
        if drop.detect_s is not None:
            detect[drop.moment == "idle"].append(drop.detect_s)
    return {
        "drops": len(drops),
        "questions": len(heard),
        "unjudged": sum(one.machine_too_busy for one in rounds),
        "lost_samples": sum(one.lost for one in heard),
        "stuck": sum(bool(one.problem) for one in rounds),
        "repeated_ms": percentiles(repeated, 1),
        "recovery_s": percentiles((drop.recovery_s for drop in drops if drop.recovery_s is not None), 3),
        "detect_s": {
            "idle": percentiles(detect[True], 3),
            "streaming": percentiles(detect[False], 3),
        },
        "growth": growth(cells),
        "faults": dict(sorted(Counter(f"{drop.kind}: {drop.moment}" for drop in drops).items())),
    }


def shortfalls(name: str, figures: dict[str, Any]) -> list[str]:
    """Say what a row did not keep."""
    promise, found = PROMISES[name], []
    if figures["lost_samples"]:
        found.append(f"{name}: {figures['lost_samples']} samples of speech were lost")
    if figures["stuck"]:
        found.append(f"{name}: {figures['stuck']} times a kiosk did not come back by itself")
    if figures["unjudged"] > MOST_UNJUDGED * figures["questions"]:
        found.append(f"{name}: the machine was too busy: {figures['unjudged']} questions could not be judged")
    limits = [
        ("repeated_ms p99", figures["repeated_ms"]["p99"], promise.repeated_p99_ms),
        ("recovery_s p99", figures["recovery_s"]["p99"], promise.recovery_p99_s),
        ("detect_s idle p99", figures["detect_s"]["idle"]["p99"], DETECT_P99_S),
        ("detect_s streaming p99", figures["detect_s"]["streaming"]["p99"], DETECT_P99_S),
        *((f"growth of {key}", figures["growth"][key], limit) for key, limit in GROWTH.items()),
    ]
    for what, value, limit in limits:
        if value is not None and limit is not None and value > limit:
            found.append(f"{name}: {what} is {value:g}, promised {limit:g}")
    return found


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Return the rows for people, as Markdown."""
    head = (
        "| | drops | lost samples | stuck | sent twice, p99 | session back, p50 / p99"
        " | dead link noticed, p99 idle / talking | growth |"
    )
    lines = [head, "|---|---|---|---|---|---|---|---|"]
    titles = {
        "granted": "network dropped, resume granted",
        "refused": "network dropped, resume refused",
        "killed": "daemon killed (-9)",
        "restarted": "service killed and started",
    }
    for name, title in titles.items():
        if name not in rows:
            continue
        one = rows[name]
        back, dead, twice = one["recovery_s"], one["detect_s"], one["repeated_ms"]["p99"]
        lines.append(
            f"| {title} | {one['drops']} | {one['lost_samples']} | {one['stuck']} | {_number(twice, ' ms')} |"
            f" {_number(back['p50'])} / {_number(back['p99'], ' s')} |"
            f" {_number(dead['idle']['p99'])} / {_number(dead['streaming']['p99'], ' s')} |"
            f" {_growth(one['growth'])} |"
        )
    return "\n".join(lines)


def _growth(one: dict[str, int | None]) -> str:
    if one["rss_kb"] is None:
        return "-"
    return f"{one['rss_kb']} kB, {one['threads']} threads, {one['fds']} descriptors, {one['tasks']} tasks"


def _number(value: float | None, unit: str = "") -> str:
    return "-" if value is None else f"{value:.3g}{unit}"
