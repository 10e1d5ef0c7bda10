"""One attempt at a link: with which credential, within which time, and what its failure means."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from websockets.uri import WebSocketURI

from voicekiosk.agent.dial import LinkError, Resolver
from voicekiosk.agent.events import Cause
from voicekiosk.agent.failures import Failure, Remedy
from voicekiosk.agent.link import Link
from voicekiosk.agent.opening import Progress, Target, checked_key, open_within
from voicekiosk.agent.outputs import Attempt
from voicekiosk.agent.tokens import fetch_token
from voicekiosk.config.schema import Config


class Dialler:
    """Opens links; remembers addresses between attempts. Belongs to the event loop's thread."""

    def __init__(self, credential: Callable[[], str | None], hide: Callable[[str], object]) -> None:
        """Ask `credential` for the key at each attempt; tell `hide` each token that must not be told."""
        self._credential = credential
        self._hide = hide
        self._resolver = Resolver()

    async def dial(
        self,
        config: Config,
        attempt: Attempt,
        make: Callable[[WebSocketURI, str], Link],
        *,
        limit_s: float,
        abandon: asyncio.Event,
        timed_out: Callable[[], None],
    ) -> Link:
        """Return the link that `make(uri, credential)` gives, once it is open; raise LinkError."""
        target = Target.of(config)
        credential = attempt.token or await self._fresh(config, abandon)
        link, progress = make(target.uri, credential), Progress()
        if await open_within(limit_s, target, self._resolver, link, progress, abandon=abandon):
            return link
        if abandon.is_set():
            raise LinkError(_abandoned())
        timed_out()
        detail = f"{target.host} did not answer within {limit_s:.1f} s ({progress.stage})"
        raise LinkError(Failure(progress.cause, Remedy.AGAIN, "timeout", detail))

    @staticmethod
    def judged(config: Config, failure: Failure) -> Failure:
        """Judge a refused token otherwise than a refused key: the next one may be good."""
        if failure.cause is Cause.KEY and failure.remedy is Remedy.STOP and config.agent.token_command:
            return replace(failure, remedy=Remedy.LATER)
        return failure

    async def _fresh(self, config: Config, abandon: asyncio.Event) -> str:
        command = config.agent.token_command
        if not command:
            return checked_key(self._credential())
        fetching = asyncio.create_task(fetch_token(command))
        abandoned = asyncio.create_task(abandon.wait())
        try:
            await asyncio.wait({fetching, abandoned}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            abandoned.cancel()
            if not fetching.done():
                fetching.cancel()
                await asyncio.wait({fetching})
        if fetching.cancelled():
            raise LinkError(_abandoned())
        token = fetching.result()
        self._hide(token)
        return token


def _abandoned() -> Failure:
    return Failure(Cause.NO_ROUTE, Remedy.FRESH, "abandoned", "the attempt was given up")
