"""One WebSocket on a transport: frames in, frames out in one write, and the ways to break it."""

from __future__ import annotations

import asyncio
import socket
import struct
from enum import Enum, auto
from typing import NamedTuple

from websockets.exceptions import InvalidState
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from voicekiosk.simulator.outage import Outage

WRITE_LIMIT = 16 << 20
"""A client that leaves this much unread is cut off."""


class Kind(Enum):
    """What a message is."""

    TEXT = auto()
    BINARY = auto()
    PONG = auto()


class Message(NamedTuple):
    """One whole message."""

    kind: Kind
    data: bytes


class WebSocket:
    """A server's end. Nothing here waits; what is written goes out with `flush`."""

    def __init__(self, transport: asyncio.Transport, *, max_size: int, compression: bool) -> None:
        factories = [ServerPerMessageDeflateFactory()] if compression else None
        self._protocol = ServerProtocol(max_size=max_size, extensions=factories)
        self._transport = transport
        self._parts: list[bytes] = []
        self._opcode: Opcode | None = None
        self._held: list[bytes] | None = None  # what waits while stalled
        self._held_bytes = 0
        self._dead = False
        self.outage = Outage()

    @property
    def open(self) -> bool:
        """Whether messages can be sent."""
        return self._protocol.state is State.OPEN and not self._transport.is_closing()

    @property
    def closed_by_client(self) -> bool:
        """Whether the client sent the first close frame."""
        return self._protocol.close_rcvd is not None and self._protocol.close_rcvd_then_sent is not False

    @property
    def close_code(self) -> int:
        """The close code that was sent or received first; 1006 when there was none."""
        close = self._protocol.close_sent or self._protocol.close_rcvd
        return int(close.code) if close is not None else 1006

    def upgrade(self, head: bytes) -> bool:
        """Answer the opening handshake; returns whether it succeeded."""
        self._protocol.receive_data(head)
        requests = [event for event in self._protocol.events_received() if isinstance(event, Request)]
        if not requests:
            # The request is not one that the library accepts; it has put its answer into the output.
            self.flush()
            self._transport.close()
            return False
        response = self._protocol.accept(requests[0])
        response.headers["Server"] = "Python/3.13 websockets/15.0.1"
        self._protocol.send_response(response)
        self.flush()
        if self._protocol.state is not State.OPEN:
            self._transport.close()
            return False
        return True

    def feed(self, data: bytes) -> list[Message]:
        """Take bytes and return the whole messages in them."""
        self._protocol.receive_data(data)
        messages = []
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                message = self._assemble(event)
                if message is not None:
                    messages.append(message)
        self.flush()
        return messages

    def eof(self) -> None:
        """Take the end of the stream."""
        self._protocol.receive_eof()
        self.flush()

    def send_text(self, payload: bytes) -> None:
        """Send one text frame; does nothing on a socket that is closing."""
        if self.open:
            self._protocol.send_text(payload)

    def send_binary(self, payload: bytes) -> None:
        """Send one binary frame, which is no part of the protocol."""
        if self.open:
            self._protocol.send_binary(payload)

    def ping(self, payload: bytes) -> None:
        """Send a ping."""
        if self.open:
            self._protocol.send_ping(payload)
            self.flush()

    def close(self, code: int, reason: str = "") -> None:
        """Begin to close; a code that may not be sent closes the connection without a frame."""
        if not self.open:
            return
        try:
            self._protocol.send_close(code, reason)
        except (InvalidState, ValueError, struct.error):
            self.abort()

    def abort(self, *, reset: bool = False) -> None:
        """Cut the connection at once, by a TCP reset if asked."""
        connection = self._transport.get_extra_info("socket")
        if reset and connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._held = None
        self._transport.abort()

    def stall(self, now_s: float) -> None:
        """Hold back everything that is sent from now on."""
        self.outage.begin(now_s)
        self._held = self._held or []

    def blackhole(self, now_s: float) -> None:
        """Neither read nor send from now on."""
        self.stall(now_s)
        self._dead = True
        self._transport.pause_reading()

    def recover(self, now_s: float) -> None:
        """End a stall or a black hole; what was held goes out at once."""
        self.outage.end(now_s)
        held, self._held, self._held_bytes = self._held, None, 0
        if self._dead:
            self._dead = False
            self._transport.resume_reading()
        if held:
            self._write(b"".join(held))

    def flush(self) -> None:
        """Write what has been sent since the last time, in one go."""
        data = self._protocol.data_to_send()
        if not data:
            return
        joined = b"".join(data)
        if self._held is not None:
            self._held.append(joined)
            self._held_bytes += len(joined)
            if self._held_bytes > WRITE_LIMIT:
                self.abort()
            return
        if joined:
            self._write(joined)
        if b"" in data:
            self._end()

    def _end(self) -> None:
        """End the stream, and go on reading, so that the close frame is not lost to a reset."""
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
        else:
            self._transport.close()

    def _write(self, data: bytes) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > WRITE_LIMIT:
            self.abort()

    def _assemble(self, frame: Frame) -> Message | None:
        match frame.opcode:
            case Opcode.PONG:
                return Message(Kind.PONG, bytes(frame.data))
            case Opcode.TEXT | Opcode.BINARY:
                self._opcode, self._parts = frame.opcode, []
            case Opcode.CONT:
                pass
            case _:
                return None
        if frame.data:  # Empty ones would pile up without ever reaching the limit of bytes.
            self._parts.append(bytes(frame.data))
        if not frame.fin:
            return None
        data, kind = b"".join(self._parts), self._opcode
        self._parts = []
        if kind is Opcode.BINARY:
            return Message(Kind.BINARY, data)
        try:
            data.decode()
        except UnicodeDecodeError:
            self._protocol.fail(1007, "invalid UTF-8")
            return None
        return Message(Kind.TEXT, data)
