"""The ring: what handing audio from a thread to the event loop costs, beside queues; and a check of samples.

Hand-over is the time to pass one block of 20 ms at 48 kHz and take it out again, without waiting. Waking is
the processor time per second of a thread that passes 50 blocks a second to an event loop: all of it, the
thread's own waking included, which the first line shows alone. The check runs a writer and three readers
side by side as fast as they go and compares every sample that they read.
"""

import argparse
import asyncio
import math
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchlib.outcome import Outcome, Table
from voicekiosk.audio.ring import Ring
from voicekiosk.mailbox import Mailbox

RATE = 48_000
PERIOD_S = 0.02
FRAMES = round(RATE * PERIOD_S)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seconds", type=float, default=1.5, help="how long each way of waking is measured at a time"
    )


# -- hand-over --------------------------------------------------------------------------------------------


def _hand_overs() -> dict[str, Callable[[NDArray[np.int16]], object]]:
    ring = Ring(65 * RATE)
    reader = ring.reader()
    out = np.empty(FRAMES, np.int16)
    waiting: queue.Queue[bytes] = queue.Queue()
    items: deque[bytes] = deque()
    lock = threading.Lock()

    def by_ring(block: NDArray[np.int16]) -> object:
        ring.write(block)
        return reader.read()

    def by_ring_in_place(block: NDArray[np.int16]) -> object:
        ring.write(block)
        return reader.read_into(out)

    def by_queue(block: NDArray[np.int16]) -> object:
        waiting.put(block.tobytes())
        return np.frombuffer(waiting.get(), np.int16)

    def by_deque(block: NDArray[np.int16]) -> object:
        with lock:
            items.append(block.tobytes())
        with lock:
            return np.frombuffer(items.popleft(), np.int16)

    return {
        "ring, read": by_ring,
        "ring, read_into": by_ring_in_place,
        "queue.Queue of bytes": by_queue,
        "deque of bytes and a lock": by_deque,
    }


def _hand_over_us(rounds: int = 9, blocks: int = 2000) -> dict[str, float]:
    block = np.arange(FRAMES, dtype=np.int16)
    ways = _hand_overs()
    best = dict.fromkeys(ways, math.inf)
    for _ in range(rounds):
        for name, way in ways.items():
            begin = time.process_time()
            for _ in range(blocks):
                way(block)
            best[name] = min(best[name], (time.process_time() - begin) / blocks * 1e6)
    return best


# -- waking -----------------------------------------------------------------------------------------------

# Something that prepares a loop to receive, and returns what the thread calls for each block.
Way = Callable[[asyncio.AbstractEventLoop], Callable[[NDArray[np.int16]], object]]


def _thread_only(_: asyncio.AbstractEventLoop) -> Callable[[NDArray[np.int16]], object]:
    return lambda _block: None


def _ring_and_mailbox(loop: asyncio.AbstractEventLoop) -> Callable[[NDArray[np.int16]], object]:
    def drain() -> None:
        reader.read()
        reader.wake_at(reader.position + FRAMES)

    mailbox: Mailbox[object] = Mailbox(print, drain)
    mailbox.attach(loop)
    ring = Ring(RATE, mailbox.wake)
    reader = ring.reader()
    reader.wake_at(FRAMES)
    return ring.write


def _queue_of(loop: asyncio.AbstractEventLoop) -> asyncio.Queue[bytes]:
    waiting: asyncio.Queue[bytes] = asyncio.Queue()

    async def take() -> None:
        while True:
            await waiting.get()

    waiting.taker = loop.create_task(take())  # type: ignore[attr-defined]
    return waiting


def _call_soon(loop: asyncio.AbstractEventLoop) -> Callable[[NDArray[np.int16]], object]:
    waiting = _queue_of(loop)
    return lambda block: loop.call_soon_threadsafe(waiting.put_nowait, block.tobytes())


def _run_coroutine(loop: asyncio.AbstractEventLoop) -> Callable[[NDArray[np.int16]], object]:
    waiting = _queue_of(loop)
    return lambda block: asyncio.run_coroutine_threadsafe(waiting.put(block.tobytes()), loop)


WAYS: dict[str, Way] = {
    "a thread that hands nothing over": _thread_only,
    "ring and mailbox": _ring_and_mailbox,
    "call_soon_threadsafe and asyncio.Queue": _call_soon,
    "run_coroutine_threadsafe": _run_coroutine,
}


async def _waking_ms_per_s(way: Way, seconds: float) -> float:
    hand_over = way(asyncio.get_running_loop())
    block = np.zeros(FRAMES, np.int16)
    over = threading.Event()

    def capture() -> None:
        at = time.monotonic()
        while not over.is_set():
            at += PERIOD_S
            time.sleep(max(0.0, at - time.monotonic()))
            hand_over(block)

    thread = threading.Thread(target=capture)
    begin = time.process_time()
    thread.start()
    await asyncio.sleep(seconds)
    spent = time.process_time() - begin
    over.set()
    thread.join(10)
    return spent / seconds * 1e3


# -- check ------------------------------------------------------------------------------------------------


def _check(blocks: int = 20_000, frames: int = 1500) -> dict[str, int]:
    """Race a writer against three readers; return what they read, missed and found wrong."""
    ring = Ring(8_009, guard_frames=0)
    until = blocks * frames
    values = (np.arange(65_536 + 8_009) & 0xFFFF).astype(np.uint16).view(np.int16)
    seen = {"read": 0, "missed": 0, "wrong": 0}
    totals: list[tuple[int, int, int]] = []

    def follow(most: int) -> None:
        reader = ring.reader(0)
        read = missed = wrong = 0
        while reader.position < until:
            lost, samples = reader.read(most)
            begin = (reader.position - len(samples)) & 0xFFFF
            wrong += int(np.count_nonzero(samples != values[begin : begin + len(samples)]))
            read, missed = read + len(samples), missed + lost
        totals.append((read, missed, wrong + abs(until - read - missed)))

    readers = [threading.Thread(target=follow, args=(most,)) for most in (8_009, 1_500, 400)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in readers:
            thread.start()
        for _ in range(blocks):
            begin = ring.written & 0xFFFF
            ring.write(values[begin : begin + frames])
        for thread in readers:
            thread.join(120)
    finally:
        sys.setswitchinterval(before)
    for name, counts in zip(seen, zip(*totals, strict=True), strict=True):
        seen[name] = sum(counts)
    return seen


def run(options: argparse.Namespace) -> Outcome:
    hand_over = _hand_over_us()
    waking = dict.fromkeys(WAYS, math.inf)
    for _ in range(3):
        for name, way in WAYS.items():
            waking[name] = min(waking[name], asyncio.run(_waking_ms_per_s(way, options.seconds)))
    check = _check()
    figures: dict[str, Any] = {"hand_over_us": hand_over, "waking_ms_per_s": waking, "check_samples": check}
    own = hand_over["ring, read"]
    tables = [
        Table(
            "Hand-over of a block of 20 ms",
            ["", "us", "ratio"],
            [[name, f"{us:.2f}", f"{us / own:.1f}"] for name, us in hand_over.items()],
        ),
        Table(
            "Waking an event loop 50 times a second",
            ["", "CPU ms/s", "ratio"],
            [[name, f"{ms:.2f}", f"{ms / waking['ring and mailbox']:.1f}"] for name, ms in waking.items()],
        ),
        Table(
            "A writer and three readers as fast as they go, every sample compared",
            ["samples", "number"],
            [[name, f"{number:,}"] for name, number in check.items()],
        ),
    ]
    shortfalls = [f"ring: {check['wrong']} samples were torn, lost or doubled"] if check["wrong"] else []
    return Outcome(figures, tables, shortfalls)
