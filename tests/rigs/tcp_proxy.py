"""A TCP proxy that breaks connections on purpose: the network, as far as a daemon can see it.

What it cannot do is lose packets: a stalled connection is still acknowledged by the kernel's TCP, as
behind a router that forgot where to. For cables that are pulled, see the network namespaces in
`test_dead_link.py`.
"""

import asyncio
import contextlib
import random
import socket
import struct
from dataclasses import dataclass, field
from typing import Self

CHUNK_BYTES = 16 * 1024
QUEUED_PIECES = 256
"""On the way at once: enough for any delay, and no more than a kernel would hold."""


@dataclass(eq=False)
class _Connection:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    pumps: list[asyncio.Task[None]] = field(default_factory=list)


class TcpProxy:
    """Forward a loopback port to another one, until told to do something worse.

    async with TcpProxy("127.0.0.1", server_port) as proxy:
        connect to proxy.port; proxy.stall(); proxy.flow(); proxy.reset(); …
    """

    def __init__(self, host: str, port: int, *, seed: int = 0) -> None:
        self.host = host
        self.target_port = port
        self.port = 0
        self.accepted = 0
        """How many connections were ever accepted."""
        self.bytes_up = 0
        self.bytes_down = 0
        self._random = random.Random(seed)
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._up_open = asyncio.Event()
        self._down_open = asyncio.Event()
        self._rate_bytes_s: float | None = None
        self._delay_s = 0.0
        self._swallowing = False

    async def __aenter__(self) -> Self:
        self.flow()
        await self.accept()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.refuse()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    # Faults

    def flow(self) -> None:
        """Forward as a network should, also what was held back."""
        self._up_open.set()
        self._down_open.set()
        self._rate_bytes_s = None
        self._delay_s = 0.0
        self._swallowing = False

    def stall(self, *, up: bool = True, down: bool = True) -> None:
        """Hold everything back, in one direction or both; connections stay and new ones are taken."""
        if up:
            self._up_open.clear()
        if down:
            self._down_open.clear()

    def half_open(self) -> None:
        """Let the way up work and the way back not: the server hears us, we hear nothing."""
        self.stall(up=False)

    def swallow(self) -> None:
        """Read and throw away everything from now on: whatever is sent seems to get through."""
        self._swallowing = True

    def slow(self, *, bytes_per_s: float | None = None, delay_s: float = 0.0) -> None:
        """Forward at a limited rate, each piece late by `delay_s`."""
        self._rate_bytes_s, self._delay_s = bytes_per_s, delay_s

    def garbage(self, size: int = 200) -> None:
        """Put random bytes into every stream to the client."""
        for connection in self._connections:
            connection.client.write(self._random.randbytes(size))

    def hang_up(self) -> None:
        """Close every connection politely (FIN)."""
        for connection in list(self._connections):
            connection.client.close()
            connection.server.close()

    def reset(self) -> None:
        """Break every connection (RST)."""
        for connection in list(self._connections):
            for writer in (connection.client, connection.server):
                _linger_not(writer)
                writer.transport.abort()

    async def refuse(self) -> None:
        """Break every connection, and have nobody listen."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.reset()

    async def accept(self) -> None:
        """Listen (again), on the same port."""
        if self._server is None:
            self._server = await asyncio.start_server(
                self._take, "127.0.0.1", self.port, limit=CHUNK_BYTES, reuse_address=True
            )
            self.port = self._server.sockets[0].getsockname()[1]

    # Inside

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # Else the streams of asyncio complain of a task that was cancelled.
        with contextlib.suppress(asyncio.CancelledError):
            await self._forward(reader, writer)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            from_server, to_server = await asyncio.open_connection(
                self.host, self.target_port, limit=CHUNK_BYTES
            )
        except OSError:
            _linger_not(writer)
            writer.transport.abort()
            return
        connection = _Connection(writer, to_server)
        self._connections.add(connection)
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(reader, to_server, self._up_open, up=True))
                pumps.create_task(self._pump(from_server, writer, self._down_open, up=False))
        except* OSError:
            pass
        finally:
            self._connections.discard(connection)
            for end in (writer, to_server):
                end.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event, *, up: bool
    ) -> None:
        # Read while earlier pieces wait, or they would all be late by what the ones before them waited.
        on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(QUEUED_PIECES)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._read(reader, on_the_way, gate))
            both.create_task(self._write(writer, on_the_way, gate, up=up))

    async def _read(
        self,
        reader: asyncio.StreamReader,
        on_the_way: asyncio.Queue[tuple[float, bytes]],
        gate: asyncio.Event,
    ) -> None:
        now_s = asyncio.get_running_loop().time
        while piece := await reader.read(CHUNK_BYTES):
            await gate.wait()
            if self._swallowing:
                continue
            if self._rate_bytes_s is not None:
                await asyncio.sleep(len(piece) / self._rate_bytes_s)
            await on_the_way.put((now_s() + self._delay_s, piece))
        await on_the_way.put((now_s() + self._delay_s, b""))

    async def _write(
        self,
        writer: asyncio.StreamWriter,
        on_the_way: asyncio.Queue[tuple[float, bytes]],
        gate: asyncio.Event,
        *,
        up: bool,
    ) -> None:
        while True:
            due_s, piece = await on_the_way.get()
            if (wait_s := due_s - asyncio.get_running_loop().time()) > 0:
                await asyncio.sleep(wait_s)
            await gate.wait()
            if not piece:
                break
            writer.write(piece)
            await writer.drain()
            if up:
                self.bytes_up += len(piece)
            else:
                self.bytes_down += len(piece)
        with contextlib.suppress(OSError):
            writer.write_eof()


def _linger_not(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
