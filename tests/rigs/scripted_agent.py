"""A WebSocket server that does what a test's script says; it knows nothing of the protocol by itself."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from voicekiosk.config.schema import Agent, Config, Network

READY = {"type": "session.ready", "session_id": "sess_1", "resume_token": "token-1", "config": {}}


@dataclass
class Peer:
    """One connection, from the server's side, with everything the client sent."""

    websocket: ServerConnection
    number: int
    authorization: str
    received: list[dict[str, Any]] = field(default_factory=list)

    async def say(self, *messages: dict[str, Any] | str) -> None:
        for message in messages:
            await self.websocket.send(message if isinstance(message, str) else json.dumps(message))

    async def hear(self, type_: str | None = None) -> dict[str, Any]:
        """Return the next message (of a type); everything heard is kept in `received`."""
        while True:
            message: dict[str, Any] = json.loads(await asyncio.wait_for(self.websocket.recv(), 20))
            self.received.append(message)
            if type_ in (None, message["type"]):
                return message

    async def hear_until_closed(self) -> None:
        try:
            while True:
                await self.hear()
        except (ConnectionClosed, TimeoutError):
            pass

    async def fail(self, code: str, close: int = 1008, **fields: Any) -> None:
        await self.say({"type": "session.error", "code": code, "message": f"no: {code}", **fields})
        await self.websocket.close(close)


Script = Callable[[Peer], Awaitable[None]]


async def be_ready(peer: Peer, session_id: str = "sess_1", **fields: Any) -> None:
    """Open a session and listen until the client ends it."""
    await peer.hear()
    await peer.say({"type": "session.updated"}, READY | {"session_id": session_id} | fields)
    await until_ended(peer)


async def until_ended(peer: Peer) -> None:
    await peer.hear("session.end")
    await peer.say({"type": "session.ended", "session_duration_seconds": 1.5})
    await peer.websocket.close(1000)


class ScriptedAgent:
    """Run one script for each connection in turn, the last one for all that follow."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = scripts
        self.peers: list[Peer] = []
        self.port = 0
        self.errors: list[BaseException] = []
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await serve(self._serve, "127.0.0.1", 0, compression=None, ping_interval=None)
        self.port = next(iter(self._server.sockets)).getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close(close_connections=True)
        for peer in self.peers:
            peer.websocket.transport.abort()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/ws"

    async def _serve(self, websocket: ServerConnection) -> None:
        assert websocket.request is not None
        number = len(self.peers)
        peer = Peer(websocket, number, websocket.request.headers.get("Authorization", ""))
        self.peers.append(peer)
        try:
            await self.scripts[min(number, len(self.scripts) - 1)](peer)
        except (ConnectionClosed, TimeoutError) as error:
            self.errors.append(error)


def config_for(url: str, *, agent: dict[str, Any] | None = None, **network: Any) -> Config:
    """Give a configuration for a test server; keywords go into the table `network`."""
    return Config(agent=Agent(url=url, **(agent or {})), network=Network(**network))


class Listener:
    """Collects what a client tells, and waits for it."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self._news = asyncio.Event()

    def __call__(self, event: Any) -> None:
        self.events.append(event)
        self._news.set()

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    async def wait_for(self, kind: type, count: int = 1, within_s: float = 20.0) -> Any:
        """Return the count-th event of a kind, once it is there."""
        async with asyncio.timeout(within_s):
            while len(self.of(kind)) < count:
                self._news.clear()
                await self._news.wait()
        return self.of(kind)[count - 1]
