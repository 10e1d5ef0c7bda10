"""The loudness that somebody has set, kept over a restart until the configuration says another one.

Belongs to the event loop's thread; only the disk is waited for elsewhere.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Annotated

import msgspec
from msgspec import Meta

from voicekiosk.kiosk.conductor import Conductor
from voicekiosk.service.statefile import StateFile

logger = logging.getLogger("voicekiosk.kiosk")

FILE_NAME = "volume.json"
SETTLED_S = 5.0
"""Somebody who turns it up does so in steps; the card has to be written once."""

Percent = Annotated[int, Meta(ge=0, le=100)]


class Kept(msgspec.Struct, frozen=True):
    """What was set, and what the configuration said then."""

    volume: Percent
    configured: Percent


class Loudness:
    """Sets the loudness at the start, and keeps what becomes of it."""

    def __init__(self, conductor: Conductor, file: StateFile, *, settled_s: float = SETTLED_S) -> None:
        self._conductor = conductor
        self._file = file
        self._settled_s = settled_s
        self._kept = self._now()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set what was kept, unless the configuration has another loudness since."""
        self._loop = loop
        kept = self._read()
        if kept is not None and kept.configured == self._kept.configured:
            self._conductor.set_volume(kept.volume)
            self._kept = self._now()

    def look(self) -> None:
        """Notice a loudness that was set; costs nothing while it stays the same."""
        if self._timer is None and self._loop is not None and self._now() != self._kept:
            self._timer = self._loop.call_later(self._settled_s, self._write)

    async def close(self) -> None:
        """Let the disk have what is not written."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (now := self._now()) != self._kept:
            self._kept = now
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await asyncio.to_thread(self._file.write, msgspec.json.encode(now))

    def _now(self) -> Kept:
        return Kept(self._conductor.volume, self._conductor.config.audio.playback.volume)

    def _write(self) -> None:
        self._timer = None
        self._kept = self._now()
        if self._loop is not None:
            self._loop.run_in_executor(None, self._file.write, msgspec.json.encode(self._kept))

    def _read(self) -> Kept | None:
        content = self._file.read()
        if content is None:
            return None
        try:
            return msgspec.json.decode(content, type=Kept)
        except msgspec.DecodeError:
            logger.warning("%s is not what was kept there: the configured loudness is used", self._file.path)
            return None
