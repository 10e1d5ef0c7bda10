"""The processes of a soak: a kiosk that can be killed, and a simulator that can be."""

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.rigs.live_audio import LOUDSPEAKER, MICROPHONE

from soaklib.voice import Speech

KEY = "sim-key"
START_S = 30.0
# A loudspeaker of silicon is never late; the one here is a program among many.
CONFIG = f"""
[agent]
url = "ws://127.0.0.1:{{port}}/v1/ws"
transcription_mode = "min_latency"
[audio.capture]
device = "{MICROPHONE}"
[audio.playback]
device = "{LOUDSPEAKER}"
queue_ms = 200
[panel]
driver = "none"
[[tools]]
name = "look_up"
description = "Looks something up"
command = ["sleep", "2"]
"""


class DiedError(Exception):
    """A process ended that should not have."""


@dataclass(frozen=True, slots=True)
class Told:
    """Something that a kiosk said of itself. The time is Unix time, its own."""

    t_s: float
    kind: str
    text: str
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Size:
    """How big a process is."""

    rss_kb: int
    threads: int
    fds: int
    tasks: int


class Kiosk:
    """A daemon in a process of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        """Prepare one that connects to `port`; everything of it is in `folder`."""
        self.folder = folder
        self.events: deque[Told] = deque(maxlen=2000)
        self.state = ""
        self.linked = False
        self.speeches: deque[Speech] = deque(maxlen=50)
        self.started_s = 0.0
        self._socket = folder / "control.sock"
        self._runtime = folder / "run"
        self._runtime.mkdir()
        self._config = folder / "config.toml"
        self._config.write_text(CONFIG.format(port=port))
        self._changed = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._last_id = 0

    async def start(self) -> None:
        """Start it; a press is answered when this returns."""
        self._socket.unlink(missing_ok=True)
        self.started_s = time.time()
        environment = {
            **os.environ,
            "ASSEMBLYAI_API_KEY": KEY,
            "VOICEKIOSK_SOCKET": str(self._socket),
            "RUNTIME_DIRECTORY": str(self._runtime),
        }
        with (self.folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "soaklib.kiosk", str(self._config),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log, env=environment,
            )  # fmt: skip
        self.linked, self.state = False, ""
        for speech in self.speeches:
            self._tell(f"say {speech.start} {speech.stop}")
        reader, self._writer = await self._connect()
        self._reader = asyncio.create_task(self._read(reader))
        self._ask("subscribe", topics=["events"])
        self._ask("status")
        await self.until(lambda: bool(self.state), START_S)

    @property
    def up(self) -> bool:
        """Whether it can be asked for anything."""
        return bool(self.state)

    async def kill(self) -> None:
        """Kill it as the kernel would."""
        assert self._process is not None
        self._process.kill()
        await self._gone()

    async def stop(self) -> None:
        """Ask it to stop, as systemd would."""
        if self._process is None:
            return
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(10):
                await self._gone()
        except TimeoutError:
            await self.kill()

    async def _gone(self) -> None:
        assert self._process is not None
        await self._process.wait()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()
        self.linked, self.state = False, ""

    # The hand and the mouth

    def press(self, *, down: bool) -> None:
        """Press the button, or let it go."""
        self._ask("press" if down else "release")

    def say(self, speech: Speech) -> None:
        """Have the microphone hear this."""
        self.speeches.append(speech)
        self._tell(f"say {speech.start} {speech.stop}")

    # What it says

    def since(self, t_s: float, kind: str) -> list[Told]:
        """Return what it said of a kind since a moment of Unix time."""
        return [told for told in self.events if told.kind == kind and told.t_s >= t_s]

    async def until(self, true: Callable[[], bool], timeout_s: float) -> None:
        """Wait until something holds; raises TimeoutError, and DiedError if it is no more."""
        async with asyncio.timeout(timeout_s):
            while not true():
                if self._process is not None and self._process.returncode is not None:
                    raise DiedError(f"the kiosk ended with {self._process.returncode}: {self.log()}")
                self._changed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await self._changed.wait()

    async def size(self) -> Size:
        """Return how big it is just now."""
        assert self._process is not None
        assert self._process.stdout is not None
        self._tell("tasks")
        async with asyncio.timeout(10):
            tasks = int(await self._process.stdout.readline())
        proc = Path(f"/proc/{self._process.pid}")
        status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
        rss_kb, threads = int(status["RssAnon"].split()[0]), int(status["Threads"])
        return Size(rss_kb, threads, len(list((proc / "fd").iterdir())), tasks)

    def log(self) -> str:
        """Return the end of its journal."""
        return (self.folder / "log").read_text(errors="replace")[-1500:]

    # Inside

    def _tell(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")

    def _ask(self, command: str, **args: object) -> None:
        assert self._writer is not None
        self._last_id += 1
        message = {"v": 1, "id": self._last_id, "command": command, "args": args}
        self._writer.write(json.dumps(message).encode() + b"\n")

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        assert self._process is not None
        deadline_s = time.monotonic() + START_S
        while True:
            try:
                return await asyncio.open_unix_connection(self._socket, limit=1 << 20)
            except OSError:
                if self._process.returncode is not None or time.monotonic() > deadline_s:
                    raise DiedError(f"the kiosk did not start: {self.log()}") from None
                await asyncio.sleep(0.02)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                self._take(json.loads(line))

    def _take(self, message: dict[str, Any]) -> None:
        if "topic" in message and "event" in message:
            event = message["event"]
            told = Told(message["time"], event["kind"], event["text"], event["fields"])
            self.events.append(told)
            match told.kind:
                case "state":
                    self.state = told.fields["state"]
                case "session":
                    self.linked = True
                case "dropped" | "refused" | "ended":
                    self.linked = False
        elif "state" in (result := message.get("result") or {}):
            self.state = result["state"]
            if "link" in result:
                self.linked = result["link"]["state"] == "ready"
        self._changed.set()


def free_port() -> int:
    """Return a port that nobody listens on, below those that the kernel gives away by itself."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as one, contextlib.suppress(OSError):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(("127.0.0.1", port))
            return port


@dataclass
class Simulator:
    """`voicekiosk simulate` in a process of its own, on one port over all its lives."""

    folder: Path
    scenario: Path
    seed: int
    port: int = field(default_factory=free_port)
    lives: int = 0
    record: Path = field(init=False)
    _process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it; it listens when this returns."""
        self.lives += 1
        self.record = self.folder / f"record-{self.lives}"
        # No two lives give their sessions the same names.
        seed = str(self.seed + 7919 * self.lives)
        with (self.folder / "simulator.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "voicekiosk", "simulate", "--port", str(self.port), "--key", KEY,
                "--scenario", str(self.scenario), "--seed", seed, "--record", str(self.record),
                stdout=asyncio.subprocess.PIPE, stderr=log,
            )  # fmt: skip
        assert self._process.stdout is not None
        async with asyncio.timeout(START_S):
            line = (await self._process.stdout.readline()).decode()
        if not line.startswith("listening on "):
            log_text = (self.folder / "simulator.log").read_text()[-1000:]
            raise DiedError(f"the simulator did not start: {log_text}")
        self.port = int(line.rsplit(":", 1)[1].split("/")[0])

    async def kill(self) -> None:
        """Kill it, and all that it knew."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def control(self, path: str) -> None:
        """Ask for something at its control address; what it answers is not looked at."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        await reader.read()
        writer.close()
