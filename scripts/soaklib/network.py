"""What happens to the network: one fault at a time, through the proxy of the tests."""

import asyncio
import contextlib
import random
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from tests.rigs.tcp_proxy import TcpProxy

from soaklib.process import Kiosk, Simulator, free_port


class Kind(StrEnum):
    """A fault."""

    RESET = "reset"
    HANG_UP = "hang-up"
    SERVER_1006 = "server closes TCP"
    SERVER_1011 = "server closes with 1011"
    OUTAGE = "nobody listens"
    STALL = "stall"
    HALF_OPEN = "half-open"
    SWALLOW = "swallow"
    SLOW = "slow"
    GARBAGE = "garbage"
    HANDSHAKE = "cut in the handshake"
    KILLED = "daemon killed"
    RESTARTED = "service killed"


SILENT = (Kind.STALL, Kind.HALF_OPEN, Kind.SWALLOW)
"""Nothing says that the link is dead; it has to be noticed."""
KINDS = (
    *([Kind.RESET] * 4), Kind.HANG_UP, Kind.SERVER_1006, Kind.SERVER_1011, *([Kind.OUTAGE] * 2),
    *([Kind.STALL] * 2), Kind.HALF_OPEN, Kind.SWALLOW, Kind.SLOW, Kind.GARBAGE, *([Kind.HANDSHAKE] * 2),
)  # fmt: skip
# Of a link that is noticed to be dead within 3 s.
NOTICED_S = 6.0
RECOVERED_S = 20.0


@dataclass(slots=True)
class Drop:
    """One fault, and what the kiosk made of it."""

    kind: Kind
    moment: str
    struck_s: float
    """When (Unix time)."""
    opened_s: float = 0.0
    """From when on the network would have carried a new connection."""
    noticed_s: float | None = None
    ready_s: float | None = None
    """When there was a session again."""

    @property
    def dropped(self) -> bool:
        """Whether the connection was lost at all; a slow network need not be."""
        return self.noticed_s is not None or self.kind is Kind.KILLED

    @property
    def detect_s(self) -> float | None:
        """How long it took to notice, where nothing but silence told it."""
        return self.noticed_s - self.struck_s if self.noticed_s and self.kind in SILENT else None

    @property
    def recovery_s(self) -> float | None:
        """From a network that works again to a session."""
        return max(0.0, self.ready_s - self.opened_s) if self.ready_s else None


class Place(Protocol):
    """Where it happens."""

    kiosk: Kiosk
    simulator: Simulator
    proxy: TcpProxy
    rng: random.Random


def proxy_to(port: int, seed: int) -> TcpProxy:
    """Return a network that leads to `port`."""
    proxy = TcpProxy("127.0.0.1", port, seed=seed)
    # One that nobody is given for a connection of his own while nobody listens there.
    proxy.port = free_port()
    return proxy


async def strike(kind: Kind, moment: str, place: Place) -> Drop:
    """Let a fault happen, and wait until there is a session again. Raises TimeoutError if that never is."""
    kiosk, proxy, rng = place.kiosk, place.proxy, place.rng
    drop = Drop(kind, moment, time.time())
    drop.opened_s = drop.struck_s
    accepted = proxy.accepted
    match kind:
        case Kind.RESET | Kind.HANDSHAKE:
            proxy.reset()
        case Kind.HANG_UP:
            proxy.hang_up()
        case Kind.GARBAGE:
            proxy.garbage()
        case Kind.SERVER_1006 | Kind.SERVER_1011:
            await place.simulator.control(f"/drop?code={'1006' if kind is Kind.SERVER_1006 else '1011'}")
        case Kind.OUTAGE:
            await proxy.refuse()
            await asyncio.sleep(rng.uniform(0.1, 4.0))
            await proxy.accept()
            drop.opened_s = time.time()
        case Kind.STALL | Kind.HALF_OPEN | Kind.SLOW:
            {Kind.STALL: proxy.stall, Kind.HALF_OPEN: proxy.half_open}.get(
                kind, lambda: proxy.slow(bytes_per_s=rng.uniform(2_000.0, 40_000.0))
            )()
            await asyncio.sleep(rng.uniform(3.0, 6.0))
            proxy.flow()
            drop.opened_s = time.time()
        case Kind.SWALLOW:
            proxy.swallow()
            await _noticed(kiosk, drop)
            proxy.flow()
            drop.opened_s = time.time()
    await _noticed(kiosk, drop)
    if kind is Kind.HANDSHAKE:
        await _cut_the_next(proxy, accepted, rng)
        drop.opened_s = time.time()
        with contextlib.suppress(TimeoutError):
            await kiosk.until(lambda: bool(kiosk.since(drop.opened_s, "dropped")), 2.0)
    if drop.dropped:
        await kiosk.until(lambda: kiosk.linked, RECOVERED_S)
        drop.ready_s = kiosk.since(drop.struck_s, "session")[-1].t_s
    return drop


async def _noticed(kiosk: Kiosk, drop: Drop) -> None:
    """Wait until the kiosk says that the connection is gone; one that is only slow need not be noticed."""
    patience_s = 0.2 if drop.kind is Kind.SLOW else NOTICED_S
    try:
        await kiosk.until(lambda: bool(kiosk.since(drop.struck_s, "dropped")), patience_s)
    except TimeoutError:
        return
    drop.noticed_s = kiosk.since(drop.struck_s, "dropped")[0].t_s


async def _cut_the_next(proxy: TcpProxy, accepted: int, rng: random.Random) -> None:
    async with asyncio.timeout(RECOVERED_S):
        while proxy.accepted == accepted:  # noqa: ASYNC110 - the proxy does not tell
            await asyncio.sleep(0.002)
    await asyncio.sleep(rng.uniform(0.0, 0.2))
    proxy.reset()
