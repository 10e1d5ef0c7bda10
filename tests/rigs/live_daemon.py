"""A whole daemon in the test's event loop: real threads on sound cards that are not there, its control socket,
its journal in memory, and systemd's end of the notify socket."""

import asyncio
import io
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from tests.rigs.control import RawClient
from tests.rigs.live_audio import CARDS, LiveParts, LiveWorld

from voicekiosk.config.last_good import LastGood
from voicekiosk.config.live import LiveConfig
from voicekiosk.kiosk.conductor import Conductor
from voicekiosk.kiosk.daemon import Daemon
from voicekiosk.service.journal import StreamHandler
from voicekiosk.service.redact import REDACTOR

PATIENCE_S = 30.0
KEY = "sim-key-0123456789"


class LiveDaemon:
    """`async with LiveDaemon(folder, text) as kiosk`. `text` is the configuration without its devices."""

    def __init__(
        self, folder: Path, text: str = "", *, store: Path | None = None, world: LiveWorld | None = None
    ) -> None:
        self.path = folder / "config.toml"
        self.socket_path = folder / "control.sock"
        self.edit(text)
        self.world = world or LiveWorld()
        self._store = LastGood(store)

    async def __aenter__(self) -> Self:
        kept = self._store.read()
        live = LiveConfig(self.path, kept.config if kept else None)
        self.parts = LiveParts(self.world, lambda: self.daemon.credential.key)
        self.daemon = Daemon(live, store=self._store, kept=kept, factory=self.parts)
        self._task = asyncio.get_running_loop().create_task(self.daemon.run())
        await self.until(lambda: self.socket_path.exists() or self._task.done())
        if self._task.done():
            await self._task
        self._client = await RawClient.connect(self.socket_path)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._client.close()
        await self.stop()

    async def stop(self) -> float:
        """Stop the daemon; return how long that took."""
        began_s = time.monotonic()
        self.daemon.stop()
        await asyncio.wait_for(self._task, PATIENCE_S)
        return time.monotonic() - began_s

    @property
    def conductor(self) -> Conductor:
        return self.daemon.conductor

    def edit(self, text: str) -> None:
        """Save the file with another text; the devices stay unless it names others."""
        self.path.write_text(text if "[audio" in text else CARDS + text)

    async def ask(self, command: str, **args: object) -> Any:
        """Return the answer to a request: its result, or its error."""
        answer = await self._client.ask(command, **args)
        return answer["result"] if answer["ok"] else answer["error"]

    async def status(self) -> Any:
        return await self.ask("status")

    async def until(self, condition: Callable[[], Any], what: str = "") -> None:
        """Wait until the condition holds."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not condition():
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"never happened: {what}") from None

    async def in_force(self, name: str) -> None:
        """Wait until the configuration with this kiosk.name is in force."""
        await self.until(lambda: self.conductor.config.kiosk.name == name, f"{name} is in force")


@contextmanager
def journal_in_memory() -> Iterator[io.StringIO]:
    """Have `journal.configure` find a handler of its own that writes here; put all back at the end."""
    root, stream = logging.getLogger(), io.StringIO()
    before = root.handlers[:], root.level, sys.excepthook, threading.excepthook
    root.handlers[:] = [*before[0], StreamHandler(REDACTOR, stream, for_journald=True)]
    root.setLevel(logging.INFO)
    try:
        yield stream
    finally:
        root.handlers[:], level, sys.excepthook, threading.excepthook = before
        root.setLevel(level)


@contextmanager
def systemd(path: Path) -> Iterator[socket.socket]:
    """Listen where systemd would."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as endpoint:
        endpoint.bind(str(path))
        endpoint.setblocking(False)
        yield endpoint


def told(endpoint: socket.socket) -> list[str]:
    """Return what systemd was told since the last look."""
    found = []
    try:
        while True:
            found.append(endpoint.recv(4096).decode())
    except BlockingIOError:
        return found
