"""Has the service delete each session when it is over, and tries until that is done.

Belongs to the event loop's thread. What is kept on disk is the ids of sessions that are not deleted yet,
each with the address it was opened at; no word, no audio, no key.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec

from voicekiosk.agent import events as agent
from voicekiosk.agent.erasure import ErasureError, address_of, delete_session
from voicekiosk.config.schema import Config
from voicekiosk.kiosk.machine import AnyEvent
from voicekiosk.service.statefile import StateFile

logger = logging.getLogger("voicekiosk.kiosk")

FILE_NAME = "sessions-to-delete.json"
FIRST_AFTER_S = 40.0
"""A session that was not ended lives for 30 s, and what is kept of it is written some seconds later."""
RETRY_S, RETRY_MAX_S = 60.0, 3600.0
MOST = 500
NEVER = float("inf")
Delete = Callable[[Config, str, str, Callable[[], str | None]], Awaitable[None]]
SESSION_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


class Eraser:
    """The sessions that are to be deleted."""

    def __init__(
        self,
        config: Callable[[], Config],
        credential: Callable[[], str | None],
        file: StateFile,
        *,
        first_after_s: float = FIRST_AFTER_S,
        retry_s: float = RETRY_S,
        delete: Delete = delete_session,
    ) -> None:
        """Go on with what `file` has; `config()` and `credential()` give what is in force."""
        self._delete = delete
        self._config = config
        self._credential = credential
        self._file = file
        self._first_after_s = first_after_s
        self._retry_s = retry_s
        self.waiting: dict[str, str] = _read(file)
        """Ids and the addresses that they belong to, oldest first."""
        self._due_s = dict.fromkeys(self.waiting, 0.0)
        """When each is tried next, in the time of the loop; the one that is open, never."""
        self._pauses_s: dict[str, float] = {}
        """The last pause before the next attempt, of those that could not be deleted."""
        self._open = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._told: set[str] = set()
        self._disk = asyncio.Lock()
        self._written = msgspec.json.encode(self.waiting)
        self._saving: asyncio.Task[None] | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin with what an earlier process left."""
        self._loop = loop
        self._due_s = dict.fromkeys(self.waiting, loop.time() + self._first_after_s)
        self._set_timer()

    async def close(self) -> None:
        """Leave what is not done to the next process."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=1.0)
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._save()

    def observe(self, event: AnyEvent) -> None:
        """Notice sessions that begin and end."""
        match event:
            case agent.Ready(session_id=session_id):
                self._ended()
                self._open = session_id
                wanted = self._config().privacy.delete_after_session and SESSION_ID.fullmatch(session_id)
                if wanted or session_id in self.waiting:
                    self._want(session_id)
            case agent.Ended() | agent.Dropped() | agent.Refused():
                self._ended()
            case _:
                pass

    def _ended(self) -> None:
        session_id, self._open = self._open, ""
        if session_id in self.waiting and self._loop is not None:
            self._due_s[session_id] = self._loop.time() + self._first_after_s
            self._set_timer()

    def _want(self, session_id: str) -> None:
        self._due_s[session_id] = NEVER
        if session_id in self.waiting:
            return
        self.waiting[session_id] = address_of(self._config())
        while len(self.waiting) > MOST:
            lost = next(iter(self.waiting))
            self._forget(lost)
            logger.error("session %s was not deleted, and is given up: too many are waiting", lost)
        self._keep()

    def _forget(self, session_id: str) -> None:
        for table in (self.waiting, self._due_s, self._pauses_s):
            table.pop(session_id, None)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due_s = min(self._due_s.values(), default=NEVER)
        if due_s < NEVER and self._loop is not None and self._task is None:
            self._timer = self._loop.call_at(due_s, self._begin, self._loop)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self._task = loop.create_task(self._run(loop))

    async def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        now_s = loop.time()
        due = [session_id for session_id, due_s in self._due_s.items() if due_s <= now_s]
        silent: dict[str, ErasureError] = {}
        try:
            for session_id in due:
                address = self.waiting.get(session_id)
                if address is None or session_id == self._open:
                    continue
                try:
                    # Whoever does not answer is not asked again for the next one: that takes time.
                    if (error := silent.get(address)) is not None:
                        raise error
                    await self._delete(self._config(), address, session_id, self._credential)
                except ErasureError as error:
                    if not error.answered:
                        silent[address] = error
                    self._failed(session_id, str(error), loop.time())
                else:
                    self._forget(session_id)
                    await self._save()
                    logger.info("session %s was deleted at the service", session_id)
        finally:
            self._task = None
        if not self._pauses_s:
            self._told.clear()
        self._set_timer()

    def _failed(self, session_id: str, why: str, now_s: float) -> None:
        if session_id not in self.waiting:
            return
        if why not in self._told:
            self._told.add(why)
            logger.warning("a session is not deleted yet: %s; it is tried until it is", why)
        pause_s = min(2 * self._pauses_s.get(session_id, self._retry_s / 2), RETRY_MAX_S)
        self._pauses_s[session_id] = pause_s
        self._due_s[session_id] = NEVER if session_id == self._open else now_s + pause_s

    def _keep(self) -> None:
        if self._loop is not None:
            self._saving = self._loop.create_task(self._save())

    async def _save(self) -> None:
        # One after the other, each with what is true by then: the last one to be written is the newest.
        async with self._disk:
            content = msgspec.json.encode(self.waiting)
            if content != self._written:
                await asyncio.to_thread(self._file.write, content)
                self._written = content


def _read(file: StateFile) -> dict[str, str]:
    try:
        waiting = msgspec.json.decode(file.read() or b"{}", type=dict[str, str])
    except msgspec.DecodeError:
        logger.warning("%s is not what was kept there: sessions may be left at the service", file.path)
        return {}
    return {name: address for name, address in waiting.items() if SESSION_ID.fullmatch(name)}
