"""A refusal that comes in the same packet as the handshake's answer, as the live service sends it (protocol 1.4)."""

import asyncio
import base64
import hashlib
import json

from voicekiosk.agent import events
from voicekiosk.agent.client import AgentClient
from voicekiosk.config.schema import Agent, Config

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
REFUSAL = {
    "type": "session.error",
    "code": "unauthorized",
    "message": "Authentication failed",
    "session_id": None,
}


def text_frame(message: dict) -> bytes:
    payload = json.dumps(message).encode()
    assert len(payload) >= 126 or len(payload) < 126
    size = bytes([len(payload)]) if len(payload) < 126 else bytes([126]) + len(payload).to_bytes(2, "big")
    return b"\x81" + size + payload


async def test_an_error_that_comes_with_the_handshake_is_heard() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        key = next(line.split(b": ")[1] for line in request.split(b"\r\n") if b"Sec-WebSocket-Key" in line)
        accept = base64.b64encode(hashlib.sha1(key + MAGIC).digest())
        head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        close = b"\x88\x02" + (1008).to_bytes(2, "big")
        writer.write(head + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n" + text_frame(REFUSAL) + close)
        await reader.read()
        writer.close()

    heard: list[events.AgentEvent] = []
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        config = Config(agent=Agent(url=f"ws://127.0.0.1:{port}/v1/ws"))
        client = AgentClient(config, lambda: "a-key", heard.append)
        client.open()
        async with asyncio.timeout(10):
            while not any(isinstance(event, events.Refused | events.Dropped) for event in heard):
                await asyncio.sleep(0.01)
    (refused,) = [event for event in heard if isinstance(event, events.Refused)]
    assert refused.cause is events.Cause.KEY
