"""A client of the protocol that knows nothing of ours: a websockets connection and a list of what came."""

import asyncio
import base64
import contextlib
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from voicekiosk.simulator import Settings, Simulator
from voicekiosk.simulator.scenario import Scenario, change

PATIENCE_S = 20.0
SPEED = 20.0
SILENCE = np.zeros(24000 * 4, "<i2")

# Nothing is left to chance, nothing waits for long, and audio may come as fast as a test can send it.
CALM: dict[str, Any] = {
    "audio.rate_limit": False,
    "audio.pace_tolerance_s": 1e6,
    "turn.onset_ms": 600,
    "turn.end_ms": 500,
    "turn.revise": False,
    "reply.lead_in_ms": 200,
}


def calm(**tables: dict[str, Any]) -> Scenario:
    """Return a quick scenario: calm(turn={"clock": "wall"})."""
    changes = {f"{table}.{key}": value for table, keys in tables.items() for key, value in keys.items()}
    return change(Scenario(), CALM | changes)


def settings(scenario: Scenario | None = None, **others: Any) -> Settings:
    """Return settings with quick time and audio kept."""
    return Settings(**{"scenario": scenario or calm(), "speed": SPEED, "kept_audio_s": 600.0} | others)


def tone(seconds: float, hz: float = 440.0, level: int = 8000) -> NDArray[np.int16]:
    """Return a tone whose samples all differ from their neighbours, so that a shift would show."""
    at = np.arange(round(24000 * seconds))
    noise = np.random.default_rng(int(hz)).integers(-50, 50, at.size)
    return (level * np.sin(2 * np.pi * hz * at / 24000) + noise).astype("<i2")


class PlainClient:
    """One connection. `seen` holds every event in order, `closed` the close code once there is one."""

    def __init__(self, websocket: ClientConnection, simulator: Simulator, bugs: int = 0) -> None:
        self.websocket = websocket
        self._simulator, self._bugs = simulator, bugs
        self.seen: list[dict[str, Any]] = []
        self.closed: int | None = None
        self._news = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(
        cls, simulator: Simulator, *, bearer: str | None = None, query: str = "", bugs: int = 0, **kwargs: Any
    ) -> Self:
        """Connect with `Authorization: Bearer`; `bearer=""` sends no header.

        At its exit the simulator may have had as many errors of its own as `bugs`.
        """
        secret = simulator.key if bearer is None else bearer
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        kwargs = {"additional_headers": headers, "compression": None, "proxy": None} | kwargs
        return cls(await connect(simulator.url + query, **kwargs), simulator, bugs)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._reader.cancel()
        if self.closed is None:
            self.websocket.transport.abort()
        with contextlib.suppress(asyncio.CancelledError, ConnectionClosed):
            await self._reader
        if kind is None:
            assert self._simulator.bugs <= self._bugs, "the simulator failed; its log says how"

    async def _read(self) -> None:
        try:
            async for text in self.websocket:
                try:
                    self.seen.append(json.loads(text))
                except ValueError:
                    self.seen.append({"type": "(garbage)", "raw": text})
                self._news.set()
        except ConnectionClosed:
            pass
        close = self.websocket.protocol.close_rcvd
        self.closed = int(close.code) if close is not None else 1006
        self._news.set()

    # --- sending

    async def send(self, type_: str, **fields: Any) -> None:
        """Send one event."""
        await self.raw(json.dumps({"type": type_, **fields}))

    async def raw(self, text: str | bytes) -> None:
        """Send a frame as it is."""
        await self.websocket.send(text)

    async def update(self, **session: Any) -> None:
        """Send `session.update`."""
        await self.send("session.update", session=session)

    async def ready(self, **session: Any) -> dict[str, Any]:
        """Configure and return `session.ready`."""
        await self.update(**session)
        return await self.get("session.ready")

    async def audio(self, samples: NDArray[np.int16], frame: int = 960) -> None:
        """Send PCM as fast as it goes."""
        for start in range(0, samples.size, frame):
            await self.raw_audio(samples[start : start + frame].astype("<i2").tobytes())

    async def raw_audio(self, data: bytes) -> None:
        """Send encoded audio in one event."""
        await self.send("input.audio", audio=base64.b64encode(data).decode())

    async def talk(self, samples: NDArray[np.int16] | None = None) -> None:
        """Say something and then nothing, until the turn has to be over."""
        await self.audio(np.concatenate((tone(1.0) if samples is None else samples, SILENCE)))

    # --- receiving

    async def until(self, condition: Callable[[], Any], timeout_s: float = PATIENCE_S) -> None:
        """Wait until the condition holds."""
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"waited {timeout_s} s in vain; seen: {self.types()[-30:]}") from None

    async def get(self, type_: str, number: int = 1) -> dict[str, Any]:
        """Wait for the event of this type with this number, from 1, and return it."""
        await self.until(lambda: len(self.all(type_)) >= number or self.closed is not None)
        found = self.all(type_)
        assert len(found) >= number, f"closed {self.closed} without {type_}; seen: {self.types()[-30:]}"
        return found[number - 1]

    async def code(self) -> int:
        """Wait for the close and return its code."""
        await self.until(lambda: self.closed is not None)
        assert self.closed is not None
        return self.closed

    async def settle(self, simulator: Simulator, seconds: float) -> None:
        """Let this much of the simulator's time pass."""
        await asyncio.sleep(seconds / simulator.settings.speed)

    def all(self, type_: str) -> list[dict[str, Any]]:
        """Return all events of a type so far."""
        return [event for event in self.seen if event.get("type") == type_]

    def types(self, *, audio: bool = False) -> list[str]:
        """Return the types seen, in order."""
        types = [str(event.get("type")) for event in self.seen]
        return types if audio else [kind for kind in types if kind != "reply.audio"]

    def sound(self, reply_id: str | None = None) -> NDArray[np.int16]:
        """Return the PCM of a reply, or of all."""
        data = [
            base64.b64decode(event["data"])
            for event in self.all("reply.audio")
            if reply_id in (None, event["reply_id"])
        ]
        return np.frombuffer(b"".join(data), "<i2")


async def request(simulator: Simulator, path: str, method: str = "GET", **options: Any) -> tuple[int, Any]:
    """Make an HTTP request; returns status and decoded JSON (None when there is no body)."""
    headers = options.get("headers", {"Authorization": f"Bearer {simulator.key}"})
    query = urllib.parse.urlencode(options.get("query", {}))
    url = f"{simulator.http_url}{path}" + (f"?{query}" if query else "")
    body = json.dumps(options["body"]).encode() if "body" in options else None

    def call() -> tuple[int, Any]:
        asked = urllib.request.Request(url, data=body, headers=headers, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
                status, content = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, content = error.code, error.read()
        return status, json.loads(content) if content else None

    return await asyncio.to_thread(call)
