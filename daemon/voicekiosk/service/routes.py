"""Hear from the kernel that there is a way to the network: rtnetlink(7), no polling, no thread."""

import asyncio
import logging
import socket
import struct
from collections.abc import Callable, Iterator

logger = logging.getLogger(__name__)

_GROUPS = 0x40 | 0x400  # RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE
_NEW_ROUTE = 24  # RTM_NEWROUTE
_UNICAST = 1  # RTN_UNICAST
_MESSAGE = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ROUTE = struct.Struct(
    "=BBBBBBBBI"
)  # rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags
_BUFFER = 65536


def default_routes(datagram: bytes) -> Iterator[int]:
    """Yield the address family of each default route that a datagram says was added."""
    start = 0
    while start + _MESSAGE.size <= len(datagram):
        length, kind, *_ = _MESSAGE.unpack_from(datagram, start)
        if length < _MESSAGE.size or start + length > len(datagram):
            return
        if kind == _NEW_ROUTE and length >= _MESSAGE.size + _ROUTE.size:
            route = _ROUTE.unpack_from(datagram, start + _MESSAGE.size)
            family, destination_bits, route_type = route[0], route[1], route[7]
            if destination_bits == 0 and route_type == _UNICAST:
                yield family
        # Messages are aligned to 4 bytes.
        start += (length + 3) & ~3


class Routes:
    """Calls back when a default route appears. Belongs to the event loop's thread."""

    def __init__(self, appeared: Callable[[], None]) -> None:
        """Call `appeared()` in the event loop, once for all routes that came together."""
        self._appeared = appeared
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Listen; return whether the kernel lets us. Without it, timers and presses have to do."""
        try:
            self._socket = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0
            )
            self._socket.bind((0, _GROUPS))
        except OSError as error:
            logger.info("the kernel does not tell about routes: %s", error.strerror)
            self.close()
            return False
        self._loop = loop
        loop.add_reader(self._socket.fileno(), self._readable)
        return True

    def close(self) -> None:
        """Stop listening. May be called twice."""
        listener, self._socket = self._socket, None
        if listener is not None:
            if self._loop is not None:
                self._loop.remove_reader(listener.fileno())
            listener.close()

    def _readable(self) -> None:
        found = False
        while self._socket is not None:
            try:
                datagram = self._socket.recv(_BUFFER)
            except BlockingIOError:
                break
            except OSError:
                # ENOBUFS: so much happened that some of it was not told. One look too many does no harm.
                found = True
                break
            found = any(default_routes(datagram)) or found
        if found:
            self._appeared()
