"""An event loop whose time costs nothing, and a network in memory whose wires can be broken.

Protocols and transports are those that asyncio has; what is written on one end arrives at the other a moment
later, and an hour passes in as long as it takes to do what happens in it. Anything that waits for a thread or a
real socket would never come to an end here.
"""

import asyncio
import selectors
from collections.abc import Callable
from dataclasses import dataclass, field

LATENCY_S = 0.01
FULL_BYTES = 16 * 1024
"""What a kernel takes that is told to keep its buffers short."""


class _Selector(selectors.SelectSelector):
    """Waits by moving the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1000.0

    def select(self, timeout=None):
        found = super().select(0)
        if not found and timeout is None:
            raise RuntimeError("nothing will ever happen again")
        # As everywhere, a turn takes a moment: who rounds a deadline down must not come back for ever.
        self.now_s += 1e-6 + (0.0 if found else max(0.0, timeout or 0.0))
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time passes when nothing is left to do; connections go through `network`."""

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)
        self.network = Network(self)

    def time(self) -> float:
        return self._clock.now_s

    async def create_server(self, factory, host=None, port=None, **_):
        self.network.listen = factory
        return _Server()

    async def sock_connect(self, sock, address):
        await self.network.reach()

    async def create_connection(self, factory, *_, sock=None, **__):
        if sock is not None:
            sock.close()
        return await self.network.connect(factory)


class _Server:
    """A listening socket that is none."""

    class _Socket:
        def getsockname(self):
            return ("127.0.0.1", 4242)

    sockets = (_Socket(),)

    def close(self) -> None:
        """Nothing to close."""


class End(asyncio.Transport):
    """One end of a connection."""

    def __init__(self, network: "Network") -> None:
        super().__init__({"peername": ("127.0.0.1", 50000)})
        self.protocol: asyncio.Protocol | None = None
        self.peer: End
        self._network, self._loop = network, network.loop
        self._out: list[bytes] = []
        self._in: list[bytes] = []
        self._reading = True
        self._gone = self._closing = False
        self._due_s = 0.0

    # --- what a protocol asks of it

    def is_closing(self):
        return self._closing or self._gone

    def write(self, data):
        if not self._gone and data:
            self._out.append(bytes(data))
            self._push()

    def writelines(self, parts):
        self.write(b"".join(parts))

    def can_write_eof(self):
        return True

    def write_eof(self):
        self._out.append(b"")
        self._push()

    def get_write_buffer_size(self):
        return max(0, sum(map(len, self._out)) - FULL_BYTES)

    def pause_reading(self):
        self._reading = False

    def resume_reading(self):
        self._reading = True
        self._loop.call_soon(self._deliver)

    def close(self):
        if not self.is_closing():
            self._closing = True
            self._out.append(b"")
            self._push()
            self._loop.call_soon(self.lose, None)

    def abort(self):
        if not self._gone:
            self._out.clear()
            self._loop.call_soon(self.lose, None)
            self._network.reset(self.peer)

    # --- what the wire does

    @property
    def is_gone(self):
        return self._gone

    def _push(self):
        """Put what was written on the wire, if it takes anything."""
        if self._network.flowing and self._out:
            out, self._out = self._out, []
            self._due_s = max(self._due_s, self._loop.time() + self._network.latency_s)
            self._loop.call_at(self._due_s, self.peer.arrive, out)

    def flow(self):
        self._push()

    def arrive(self, parts):
        self._in += parts
        self._deliver()

    def _deliver(self):
        while self._in and self._reading and not self._gone:
            part = self._in.pop(0)
            if part:
                self.protocol.data_received(part)
            elif not self.protocol.eof_received():
                self.close()

    def lose(self, error):
        if not self._gone:
            self._gone = self._closing = True
            self._in.clear()
            self._network.ends.discard(self)
            self.protocol.connection_lost(error)


@dataclass
class Network:
    """All wires at once."""

    loop: VirtualLoop
    latency_s: float = LATENCY_S
    listen: Callable[[], asyncio.Protocol] | None = None
    flowing: bool = True
    """False: what is sent waits, as in a network that comes back before anybody has given up."""
    accepting: bool = True
    """False: connections are refused."""
    cut_after_bytes: int | None = None
    """The next connection is cut when so much of the server's answer has come."""
    ends: set[End] = field(default_factory=set)
    near: End | None = None
    """The client's end of the newest connection."""
    _opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def reach(self) -> None:
        """Take as long as a connection takes; for ever while nothing flows."""
        await asyncio.sleep(self.latency_s)
        while not self.flowing:
            self._opened.clear()
            await self._opened.wait()
        if not self.accepting or self.listen is None:
            raise ConnectionRefusedError(111, "Connection refused")

    async def connect(self, factory):
        near, far = End(self), End(self)
        near.peer, far.peer = far, near
        self.near = near
        near.protocol, far.protocol = factory(), self.listen()
        if self.cut_after_bytes is not None:
            near.arrive = _cutting(self, near, self.cut_after_bytes)
            self.cut_after_bytes = None
        self.ends |= {near, far}
        far.protocol.connection_made(far)
        near.protocol.connection_made(near)
        return near, near.protocol

    def reset(self, end: End) -> None:
        """Let an end know that the other is gone, once anything gets there."""
        if self.flowing:
            error = ConnectionResetError(104, "Connection reset by peer")
            self.loop.call_later(self.latency_s, end.lose, error)

    def cut(self) -> None:
        """Reset every connection; what was on its way is lost."""
        for end in list(self.ends):
            end.lose(ConnectionResetError(104, "Connection reset by peer"))

    def stop(self) -> None:
        """Let nothing through, and tell nobody."""
        self.flowing = False

    def go_on(self) -> None:
        """Let everything through again."""
        self.flowing = True
        self._opened.set()
        for end in list(self.ends):
            end.flow()
            if end.peer.is_gone:
                self.reset(end)


def _cutting(network: Network, end: End, most: int):
    come = 0

    def arrive(parts):
        nonlocal come
        come += sum(map(len, parts))
        if come < most:
            End.arrive(end, parts)
        else:
            error = ConnectionResetError(104, "Connection reset by peer")
            end.peer.lose(error)
            end.lose(error)

    return arrive
