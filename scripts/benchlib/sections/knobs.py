"""Knobs: from letting go of the button to the first sound of the answer, by the settings that matter.

Against the simulator with its own timing, which is that of the live service as far as anybody has published
it, nothing shortened: the silence that ends a turn, the agent's thinking, the silence in which each answer
begins. Where that is a span it is always its middle, so that settings can be told apart by a few questions.
A few kiosks run side by side, each with sound cards of its own: what is measured here are seconds.

"Turn closed" is when the service says that the visitor has finished; what comes after it no setting of the
kiosk's changes much.
"""

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchlib import summary
from benchlib.clients import Daemon
from benchlib.outcome import Outcome, Table
from benchlib.sections.latency import SILENT, Played, distribution, first_after
from benchlib.stage import Stage
from demolib.server import read
from voicekiosk.simulator.scenario import Scenario

ONLY_WHEN_NAMED = True
PAGE = Path(__file__).resolve().parents[3] / "docs" / "latency.md"
BEGIN = "<!-- made by scripts/bench knobs --docs -->"
QUESTION_S = 2.5
PAUSE_S = 1.0
ANSWER_WITHIN_S = 15.0
KNOBS = {
    "the defaults": "",
    'transcription_mode = "balanced"': 'agent.transcription_mode = "balanced"',
    'transcription_mode = "max_accuracy"': 'agent.transcription_mode = "max_accuracy"',
    'preset = "snappy"': 'agent.preset = "snappy"',
    'preset = "patient"': 'agent.preset = "patient"',
    'preset = "noisy"': 'agent.preset = "noisy"',
    'preset = "no-interruptions"': 'agent.preset = "no-interruptions"',
    "release_tail_ms = 0": "conversation.release_tail_ms = 0",
    "release_tail_ms = 300": "conversation.release_tail_ms = 300",
    "cushion_ms = 0": "audio.playback.cushion_ms = 0",
    "cushion_ms = 200": "audio.playback.cushion_ms = 200",
}


SIDE_BY_SIDE = 4


def middles() -> list[str]:
    """Return the changes to the simulator's scenario that have every span of times at its middle."""
    tables = msgspec.to_builtins(Scenario())
    return [
        f"{name}.{key}={sum(value) / 2:g}"
        for name, table in tables.items()
        if isinstance(table, dict)
        for key, value in table.items()
        if key.endswith("_ms") and isinstance(value, list | tuple)
    ]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--questions", type=int, default=5, help="how many are asked with each setting")
    parser.add_argument(
        "--docs", action="store_true", help=f"put the table into {PAGE.parent.name}/{PAGE.name}"
    )


@dataclass(frozen=True)
class Waited:
    """How long after each release something was, in seconds; None where it never came."""

    closed_s: list[float | None]
    sound_s: list[float | None]


def first_sound(played: Played, after_s: float, within_s: float) -> float | None:
    """Return when the loudspeaker was first heard after a time, None when it was not within another."""
    begin, end = played.index_at(after_s), played.index_at(after_s + within_s)
    loud = np.flatnonzero(np.abs(played.samples[max(0, begin) : end].astype(int)) > SILENT)
    return played.time_of(max(0, begin) + int(loud[0])) if len(loud) else None


def _ask(more: str, questions: int) -> Waited:
    with Stage() as stage:
        record = stage.folder / "record"
        service = stage.service(*middles(), record=record)
        with Daemon(stage, service, more=f"{more}\n") as daemon:
            played = stage.rig.record()
            released = [_question(daemon) for _ in range(questions)]
            played.stop()
        service.stop()
        stopped_s = [
            frame.t_s for one in read(record) for frame in one.frames if frame.type == "input.speech.stopped"
        ]
    sounds = [first_sound(played, t_s, ANSWER_WITHIN_S) for t_s in released]
    closed = [first_after(stopped_s, t_s, ANSWER_WITHIN_S) for t_s in released]
    return Waited(
        [None if there is None else there - here for here, there in zip(released, closed, strict=True)],
        [None if there is None else there - here for here, there in zip(released, sounds, strict=True)],
    )


def _question(daemon: Daemon) -> float:
    """Ask, and hear the answer to its end; return when the button was let go."""
    time.sleep(PAUSE_S)
    daemon.press()
    time.sleep(QUESTION_S)
    released_s = time.monotonic()
    daemon.release()
    daemon.wait_for("an answer", lambda status: status["state"] == "speaking")
    daemon.wait_for("its end", lambda status: status["state"] == "idle")
    return released_s


def table(figures: dict[str, dict[str, Any]], questions: int) -> Table:
    """Return what each setting makes of it, beside the defaults."""
    usual = next(iter(figures.values()))["p50"]
    rows = [
        [name, f"{seen['closed_p50']:.2f}", f"{seen['p50']:.2f}", f"{seen['p50'] - usual:+.2f}",
         f"{seen['max']:.2f}"]
        for name, seen in figures.items()
    ]  # fmt: skip
    columns = ["", "turn closed s", "first sound s", "beside the defaults", "slowest s"]
    note = f"Medians of {questions} questions of {QUESTION_S:g} s each, from the release of the button."
    return Table("From letting go to the answer", columns, rows, note)


def run(options: argparse.Namespace) -> Outcome:
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        asked = {name: pool.submit(_ask, more, options.questions) for name, more in KNOBS.items()}
    outcome = Outcome()
    for name, future in asked.items():
        waited = future.result()
        sounds = [seconds for seconds in waited.sound_s if seconds is not None]
        closed = [seconds for seconds in waited.closed_s if seconds is not None]
        outcome.figures[name] = distribution(sounds) | {"closed_p50": float(np.median(closed))}
        if len(sounds) < options.questions:
            missing = options.questions - len(sounds)
            outcome.shortfalls.append(f"knobs: {name}: {missing} of {options.questions} had no answer")
    shown = table(outcome.figures, options.questions)
    if options.docs:
        summary.into_page(shown, PAGE, BEGIN)
    outcome.tables.append(shown)
    return outcome
