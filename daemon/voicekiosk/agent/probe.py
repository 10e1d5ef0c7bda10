"""Knock at the service's door without going in: names, TLS, the WebSocket's handshake and the key."""

import asyncio
import time
from dataclasses import dataclass

from voicekiosk.agent.dial import LinkError, Resolver
from voicekiosk.agent.failures import Failure, Remedy, of_close, of_error
from voicekiosk.agent.link import Link
from voicekiosk.agent.opening import Progress, Target, checked_key, open_link
from voicekiosk.agent.wire import SessionError, decode
from voicekiosk.config.schema import Config

# A key that is refused is refused at once (protocol §1.4).
VERDICT_S = 1.0


@dataclass(frozen=True, slots=True)
class Knock:
    """How far it came."""

    host: str
    # Where it stood when it ended: "looking up the name", "connecting", "shaking hands", "done".
    stage: str
    # None when the service let us in.
    failure: Failure | None
    took_s: float
    # How long the socket was open; what the service may bill.
    open_s: float = 0.0


async def knock(config: Config, key: str | None) -> Knock:
    """Connect, wait for a refusal for a moment, and leave. No session is opened: nothing is sent but the key.

    Never raises for what the network does; takes at most the configuration's connect_timeout_s and a
    second.
    """
    began_s = time.monotonic()
    progress = Progress("reading the address")
    host = ""
    try:
        target = Target.of(config)
        host = target.host
        texts: list[bytes] = []
        link = Link(
            target.uri,
            checked_key(key),
            on_text=texts.append,
            on_binary=lambda: None,
            on_proven=lambda _samples: None,
            dead_after_s=config.network.dead_after_s,
        )
        progress.stage = "looking up the name"
        async with asyncio.timeout(config.network.connect_timeout_s):
            await open_link(target, Resolver(), link, progress)
    except LinkError as error:
        return Knock(host, progress.stage, error.failure, time.monotonic() - began_s)
    except TimeoutError:
        detail = f"{host} did not answer within {config.network.connect_timeout_s:g} s ({progress.stage})"
        failure = Failure(progress.cause, Remedy.AGAIN, "timeout", detail)
        return Knock(host, progress.stage, failure, time.monotonic() - began_s)
    took_s = time.monotonic() - began_s
    refusal = await _refusal(link, texts)
    open_s = time.monotonic() - began_s - took_s
    return Knock(host, "done", refusal, took_s, open_s)


async def _refusal(link: Link, texts: list[bytes]) -> Failure | None:
    link.listen()
    try:
        async with asyncio.timeout(VERDICT_S):
            closed = await asyncio.shield(link.closed)
    except TimeoutError:
        link.close()
        return None
    finally:
        if not link.closed.done():
            # The closing handshake may take its time; nobody waits for it.
            await asyncio.wait({link.closed}, timeout=VERDICT_S)
            link.abort("the test is over")
    for event in map(decode, texts):
        if isinstance(event, SessionError):
            return of_error(event.code, event.message, was_ready=False)
    return of_close(closed.code, closed.reason, was_ready=False)
