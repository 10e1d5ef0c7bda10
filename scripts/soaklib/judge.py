"""Look for every sample of a question in what the server received."""

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soaklib.voice import SERVER_HZ, Expected, Samples, Speech, pauses

WINDOW = 12
"""Samples of speech by which a place is found: no other place sounds like it."""
STRIDE = 200
ROUNDING = 2
KEPT_SILENCE = SERVER_HZ * 3 // 10
"""Of a pause, so much must arrive; the rest may be left out to catch up."""
FRAME = SERVER_HZ * 40 // 1000
WAV_HEAD_BYTES = 44
READY, TURN = b'"type":"session.ready"', b'"type":"transcript.user",'

Counts = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Arrived:
    """How often each position of a question arrived on one connection."""

    session: str
    counts: Counts
    turn_taken: bool
    """Whether the service took a turn to be complete on this connection since the question began."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of one question."""

    lost: int
    """Speech samples that did not arrive, and samples of pauses that should have."""
    repeated: tuple[int, ...]
    """For each connection that went on with a session: how many samples that session had already."""
    sessions: int


@dataclass(frozen=True, slots=True)
class Asked:
    """One question, and the records in which it has to be found."""

    question: tuple[Speech, ...]
    began_s: float
    """When it began, in Unix time."""
    folder: Path
    connections: tuple[int, int]
    """The first and the last that can have got any of it."""


def connections_of(folder: Path) -> list[int]:
    """Return the numbers of the connections that left a record."""
    return sorted(int(path.stem) for path in folder.glob("*.jsonl"))


def be_patient() -> None:
    """Leave the processor to those who are judged."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    os.nice(10)


def look(asked: Asked) -> Heard:
    """Look for a question in the records, which have to be up to date, and remove those before it."""
    expected = Expected(asked.question)
    first, last = asked.connections
    arrived = []
    for number in connections_of(asked.folder):
        if number < first:
            for path in [*asked.folder.glob(f"{number}.*"), *asked.folder.glob(f"{number}-*.wav")]:
                path.unlink()
        elif number <= last:
            arrived.append(_arrived(asked, number, expected))
    return judge(expected, arrived)


def _arrived(asked: Asked, connection: int, expected: Expected) -> Arrived:
    raw = (asked.folder / f"{connection}-up.wav").read_bytes()[WAV_HEAD_BYTES:]
    received = np.frombuffer(raw[: len(raw) // 2 * 2], "<i2")
    session, turn_taken = "", False
    for line in (asked.folder / f"{connection}.jsonl").read_bytes().splitlines():
        if READY in line:
            session = str(json.loads(line)["frame"]["session_id"])
        elif TURN in line:
            turn_taken |= float(json.loads(line)["frame"]["timestamp"]) >= asked.began_s
    return Arrived(session, coverage(expected, received), turn_taken)


def coverage(expected: Expected, received: Samples) -> Counts:
    """Return how often each position arrived; the better of the two phases."""
    found = [_covered(phase[: expected.length], received) for phase in expected.phases]
    return max(found, key=lambda counts: int(np.count_nonzero(counts)))


def judge(expected: Expected, arrived: list[Arrived]) -> Heard:
    """Say what was lost: a session must have got all of the question, over all its connections.

    A session that did not come to the end of the turn has to be followed by one that gets all of it.
    """
    totals: dict[str, Counts] = {}
    repeated = []
    for one in arrived:
        total = totals.get(one.session)
        if total is None:
            totals[one.session] = one.counts.copy()
            continue
        if total.any() and one.counts.any():
            repeated.append(int(np.count_nonzero(one.counts[total > 0])))
        total += one.counts
    reached = [session for session, total in totals.items() if total.any()]
    final = [one.session for one in arrived if one.turn_taken and one.session in reached] or reached[-1:]
    nothing = np.zeros(expected.length, np.int16)
    lost = min(
        (_missing(expected, totals[session]) for session in final), default=_missing(expected, nothing)
    )
    return Heard(lost, tuple(repeated), len(reached))


def _missing(expected: Expected, counts: Counts) -> int:
    stretches = expected.stretches()
    lost = sum(int(np.count_nonzero(counts[start:stop] == 0)) for start, stop in stretches)
    for start, stop in pauses(stretches):
        got = int(np.count_nonzero(counts[start:stop]))
        lost += max(0, min(stop - start, KEPT_SILENCE) - 2 * FRAME - got) if got < stop - start else 0
    return lost


def _covered(wanted: Samples, received: Samples) -> Counts:
    counts = np.zeros(len(wanted), np.int16)
    index, coarse = _coarse(wanted).tobytes(), _coarse(received)
    at, matched_to = 0, 0
    while at + WINDOW <= len(received):
        if not received[at : at + WINDOW].any():
            # The silence that closes a turn: on to the next sound.
            sound = np.flatnonzero(received[at:])
            if not len(sound):
                break
            at += max(int(sound[0]), 1)
            continue
        place = _find(index, coarse, wanted, received, at)
        if place is None:
            at += STRIDE
            continue
        # Quiet sound has no place of its own, but what is before speech does.
        back = _same(wanted[:place][::-1], received[matched_to:at][::-1])
        ahead = _same(wanted[place:], received[at:])
        counts[place - back : place + ahead] += 1
        at = matched_to = at + ahead
    return counts


def _find(index: bytes, coarse: NDArray[np.int8], wanted: Samples, received: Samples, at: int) -> int | None:
    window = coarse[at : at + WINDOW]
    if np.count_nonzero(window) < WINDOW // 2:
        return None
    place = index.find(window.tobytes())
    while place >= 0:
        if _same(wanted[place : place + WINDOW], received[at : at + WINDOW]) == WINDOW:
            return place
        place = index.find(window.tobytes(), place + 1)
    return None


def _coarse(samples: Samples) -> NDArray[np.int8]:
    """Round so that a difference in the last bit seldom shows."""
    return ((samples.astype(np.int32) + 128) >> 8).clip(-128, 127).astype(np.int8)


def _same(wanted: Samples, received: Samples) -> int:
    """Return for how many samples from the start both are the same."""
    length = min(len(wanted), len(received))
    done = 0
    while done < length:
        step = min(4096, length - done)
        difference = np.abs(
            wanted[done : done + step].astype(np.int32) - received[done : done + step].astype(np.int32)
        )
        wrong = np.flatnonzero(difference > ROUNDING)
        if len(wrong):
            return done + int(wrong[0])
        done += step
    return length
