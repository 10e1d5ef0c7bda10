"""One kiosk of a soak, with a simulator, a network and visitors of its own."""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from soaklib.judge import Asked, Heard, connections_of, look
from soaklib.network import KINDS, Drop, Kind, proxy_to, strike
from soaklib.process import DiedError, Kiosk, Simulator, Size
from soaklib.voice import CARD_HZ, Speech

MOMENTS = ("idle", "utterance", "utterance", "utterance", "thinking", "tool", "reply", "reply")
SPEAKS_S = 15.0
STUCK_S = 45.0
"""From the last fault of a round to a kiosk that has answered and is ready for the next visitor."""
RESTARTED_S = 20.0
FLUSHED_S = 1.5
"""How long a record may be behind."""


@dataclass(slots=True)
class Round:
    """One visit: a question, or one asked again, with everything that happened to it."""

    drops: list[Drop] = field(default_factory=list)
    question: tuple[Speech, ...] = ()
    connections: tuple[int, int] = (1, 1)
    released_s: float = 0.0
    lost_with_the_daemon: bool = False
    """The question went down with the daemon, and has to be asked again."""
    understood_before: bool = False
    """The service had taken the question before it was killed itself, with the end of its record."""
    machine_too_busy: bool = False
    """The stand-in microphone overran its two seconds: what it lost was not lost by the kiosk."""
    problem: str = ""
    """Why the kiosk counts as stuck; empty when it does not."""
    heard: Heard | None = None


class StuckError(Exception):
    """A kiosk did not come back by itself."""


@dataclass
class Cell:
    """`async with Cell(...) as cell: await cell.visit(…)`, again and again."""

    folder: Path
    scenario: Path
    seed: int
    judges: Executor
    rounds: list[Round] = field(default_factory=list)
    sizes: list[Size] = field(default_factory=list)
    _judging: asyncio.Task[None] | None = None
    _stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    async def __aenter__(self) -> Self:
        self.folder.mkdir(parents=True)
        self.rng = random.Random(self.seed)
        self.simulator = Simulator(self.folder, self.scenario, self.seed)
        await self.simulator.start()
        self._stack.push_async_callback(self.simulator.kill)
        self.proxy = await self._stack.enter_async_context(proxy_to(self.simulator.port, self.seed))
        self.kiosk = Kiosk(self.folder, self.proxy.port)
        await self.kiosk.start()
        self._stack.push_async_callback(self.kiosk.stop)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    # One visit

    async def visit(self, trouble: "Trouble", faults: int) -> None:
        """Ask a question and hear its answer, with `trouble` at moments of its choice."""
        now = Round()
        self.rounds.append(now)
        plan = [MOMENTS[index] for index in sorted(self.rng.sample(range(len(MOMENTS)), faults))]
        try:
            await self._play(now, plan, trouble)
            if now.lost_with_the_daemon:
                await self._play(now, [], trouble)
            self.sizes.append(await self.kiosk.size())
        except (TimeoutError, StuckError, DiedError) as error:
            now.problem = f"{error or type(error).__name__} ({self.kiosk.state}, linked: {self.kiosk.linked})"
            await self._begin_anew()
            return
        await self._judge(now)

    async def _begin_anew(self) -> None:
        self.proxy.flow()
        await self.proxy.accept()
        await self.kiosk.stop()
        await self.kiosk.start()

    async def _play(self, now: Round, plan: list[str], trouble: "Trouble") -> None:
        kiosk, rng = self.kiosk, self.rng
        if "idle" in plan and kiosk.linked:
            await trouble(self, now, "idle")
        now.lost_with_the_daemon = False
        first = max(connections_of(self.simulator.record), default=1)
        now.connections, now.released_s = (first, first), 0.0
        pressed_s = time.monotonic()
        kiosk.press(down=True)
        now.question = self._words(pressed_s + rng.uniform(0.35, 0.6))
        for speech in now.question:
            kiosk.say(speech)
        until_s = now.question[-1].stop / CARD_HZ + 0.15
        when_s = sorted(rng.uniform(pressed_s + 0.2, until_s) for _ in range(plan.count("utterance")))
        striking = asyncio.create_task(self._strike_at(when_s, trouble, now))
        try:
            await asyncio.sleep(until_s - time.monotonic())
            if kiosk.up and not now.lost_with_the_daemon:
                kiosk.press(down=False)
            now.released_s = time.time()
            await striking
        finally:
            striking.cancel()
        if now.lost_with_the_daemon:
            return
        if "thinking" in plan:
            await asyncio.sleep(rng.uniform(0.0, 1.2))
            await trouble(self, now, "thinking")
        if "tool" in plan:
            # Every other answer needs one.
            with contextlib.suppress(TimeoutError):
                await kiosk.until(lambda: kiosk.state in ("working", "speaking"), SPEAKS_S)
                await asyncio.sleep(rng.uniform(0.0, 1.5))
                if kiosk.state == "working":
                    await trouble(self, now, "tool")
        for _ in range(plan.count("reply")):
            with contextlib.suppress(TimeoutError):
                await kiosk.until(lambda: kiosk.state == "speaking" or now.lost_with_the_daemon, SPEAKS_S)
                await asyncio.sleep(rng.uniform(0.05, 1.0))
                await trouble(self, now, "reply")
        if not now.lost_with_the_daemon:
            await self._answered(now)
        now.connections = (now.connections[0], max(connections_of(self.simulator.record), default=1))

    def _words(self, start_s: float) -> tuple[Speech, ...]:
        words = []
        for _ in range(self.rng.choice((1, 2, 2, 3))):
            stop_s = start_s + self.rng.uniform(0.5, 1.2)
            words.append(Speech.between(start_s, stop_s))
            start_s = stop_s + self.rng.uniform(0.1, 0.55)
        return tuple(words)

    async def _strike_at(self, moments_s: list[float], trouble: "Trouble", now: Round) -> None:
        """Strike once and again while the question is asked, or soon after it when one took long."""
        for when_s in moments_s:
            await asyncio.sleep(when_s - time.monotonic())
            await trouble(self, now, "utterance")

    async def _answered(self, now: Round) -> None:
        kiosk = self.kiosk
        try:
            await kiosk.until(lambda: kiosk.state == "idle" and kiosk.linked, STUCK_S)
        except TimeoutError:
            raise StuckError("never came to rest") from None
        if not any(told.fields["state"] == "speaking" for told in kiosk.since(now.released_s, "state")):
            raise StuckError("left the visitor without an answer")

    async def _judge(self, now: Round) -> None:
        """Have another process look for the question's samples as soon as the record is complete."""
        began_s = now.question[0].start / CARD_HZ + time.time() - time.monotonic()
        overran = [told for told in self.kiosk.since(began_s - 1.0, "microphone") if "overrun" in told.text]
        now.machine_too_busy = bool(overran)
        if now.understood_before or overran:
            return
        asked = Asked(now.question, began_s, self.simulator.record, now.connections)
        previous = self._judging

        async def judge() -> None:
            await asyncio.sleep(FLUSHED_S)
            if previous is not None:
                await previous
            now.heard = await asyncio.get_running_loop().run_in_executor(self.judges, look, asked)

        self._judging = asyncio.create_task(judge())

    async def judged(self) -> None:
        """Wait until every question was looked for."""
        if self._judging is not None:
            await self._judging


Trouble = Callable[[Cell, Round, str], Awaitable[None]]


async def network_fault(cell: Cell, now: Round, moment: str) -> None:
    """Break the network in one of the ways."""
    kind = cell.rng.choice(KINDS)
    now.drops.append(await strike(kind, moment, cell))


def _understood(cell: Cell, now: Round, moment: str) -> bool:
    """Tell whether the service has closed the turn, and the kiosk knows it."""
    closed = now.released_s and cell.kiosk.since(now.released_s, "speech_end")
    return moment == "reply" or bool(closed)


async def kill_kiosk(cell: Cell, now: Round, moment: str) -> None:
    """Kill the daemon, and start it again as systemd would."""
    kiosk = cell.kiosk
    drop = Drop(Kind.KILLED, moment, time.time())
    now.lost_with_the_daemon = moment != "idle" and not _understood(cell, now, moment)
    # A daemon that had no session yet has nothing to go on with: the next press opens one.
    had_a_session = kiosk.linked
    await kiosk.kill()
    await asyncio.sleep(cell.rng.uniform(0.1, 2.5))
    drop.opened_s = time.time()
    await kiosk.start()
    if had_a_session:
        await kiosk.until(lambda: kiosk.linked, RESTARTED_S)
        drop.ready_s = kiosk.since(drop.opened_s, "session")[-1].t_s
    now.drops.append(drop)
    if now.lost_with_the_daemon:
        await kiosk.until(lambda: kiosk.state == "idle", STUCK_S)


async def kill_simulator(cell: Cell, now: Round, moment: str) -> None:
    """Kill the service with all that it knows, and start it again."""
    kiosk = cell.kiosk
    drop = Drop(Kind.RESTARTED, moment, time.time())
    now.understood_before = moment != "idle" and _understood(cell, now, moment)
    await cell.simulator.kill()
    await asyncio.sleep(cell.rng.uniform(0.0, 2.0))
    await cell.simulator.start()
    drop.opened_s = time.time()
    now.connections = (1, 1)
    await kiosk.until(lambda: bool(kiosk.since(drop.opened_s, "session")), RESTARTED_S)
    drop.noticed_s = kiosk.since(drop.struck_s, "dropped")[0].t_s
    drop.ready_s = kiosk.since(drop.opened_s, "session")[0].t_s
    now.drops.append(drop)
