"""A control server with a kiosk that records what it is asked, for tests of the control socket."""

import asyncio
import json
from contextlib import asynccontextmanager

from voicekiosk.errors import ConfigError, RefusedError
from voicekiosk.service.control import ControlServer, Limits
from voicekiosk.service.requests import Mute, Press, Release, Reload, Say, SetKey, Status, Unmute, Volume

WAIT_S = 20.0


class FakeKiosk:
    """Obeys like a kiosk: keeps a state, refuses when muted, and can be made to fail or to hang."""

    def __init__(self):
        self.asked = []
        self.state = "idle"
        self.volume = 80
        self.failure = None
        self.hang = False

    async def handle(self, request, peer):
        self.asked.append((request, peer))
        if self.failure is not None:
            raise self.failure
        if self.hang:
            await asyncio.Event().wait()
        match request:
            case Status():
                return {"state": self.state, "versions": {"voicekiosk": "0.0.9"}}
            case Press() if self.state == "muted":
                raise RefusedError("muted: unmute it first")
            case Press():
                self.state = "listening"
            case Release() | Unmute():
                self.state = "idle"
            case Mute():
                self.state = "muted"
            case Say():
                self.state = "speaking"
            case Volume(percent=percent):
                self.volume = self.volume if percent is None else percent
                return {"volume": self.volume}
            case Reload():
                raise ConfigError("config.toml:4:1: gian: unknown key")
            case SetKey():
                return None
        return {"state": self.state, "message": ""}

    @property
    def requests(self):
        return [request for request, _ in self.asked]


@asynccontextmanager
async def control_server(path, **limits):
    """Serve at `path`; yields server and kiosk."""
    kiosk = FakeKiosk()
    server = ControlServer(kiosk, path, Limits(**limits), wall_clock=lambda: 1763812345.0)
    await server.start()
    try:
        yield server, kiosk
    finally:
        async with asyncio.timeout(WAIT_S):
            await server.close()


class RawClient:
    """A client that sends whatever bytes it likes."""

    @classmethod
    async def connect(cls, path):
        client = cls()
        client.reader, client.writer = await asyncio.open_unix_connection(str(path), limit=2**24)
        return client

    async def send(self, data):
        self.writer.write(data if isinstance(data, bytes) else json.dumps(data).encode() + b"\n")
        await self.writer.drain()

    async def receive(self):
        """Return the next message, or None at the end."""
        async with asyncio.timeout(WAIT_S):
            line = await self.reader.readline()
        return json.loads(line) if line else None

    async def ask(self, command, request_id=1, **args):
        await self.send({"v": 1, "id": request_id, "command": command, "args": args})
        return await self.receive()

    def close(self):
        self.writer.transport.abort()


async def until(condition):
    """Wait until `condition()` holds."""
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.005)
