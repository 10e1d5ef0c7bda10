"""What has to wait for a moment in which nobody uses the kiosk."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

Job = Callable[[], Awaitable[None] | None]


class Errands:
    """Jobs that are done one after the other while it is quiet. Belongs to the event loop's thread."""

    def __init__(self, quiet: Callable[[], bool]) -> None:
        """Look with `quiet()` before each job; the owner calls `go_on` when it may have become quiet."""
        self._quiet = quiet
        self._jobs: dict[str, Job] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Do in `loop` what is wanted from now on."""
        self._loop = loop

    def want(self, name: str, job: Job) -> None:
        """Have `job` done after all others; it replaces one of the same name that was not begun."""
        self._jobs.pop(name, None)
        self._jobs[name] = job

    def go_on(self) -> None:
        """Begin, if there is something to do and it is quiet. Costs nothing otherwise."""
        if self._jobs and self._task is None and self._loop is not None and self._quiet():
            self._task = self._loop.create_task(self._run())

    def close(self) -> None:
        """Give up what is not done."""
        self._jobs.clear()
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            while self._jobs and self._quiet():
                name = next(iter(self._jobs))
                job = self._jobs.pop(name)
                try:
                    waiting = job()
                    if waiting is not None:
                        await waiting
                except Exception:
                    # What failed here is a device or a session; the kiosk goes on and the others follow.
                    logger.exception("%s failed", name)
        finally:
            self._task = None
