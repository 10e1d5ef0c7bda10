"""Fetch an address of the local network: one GET, no redirects, never anything beyond that network."""

import asyncio
import contextlib
import ipaddress
import socket
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from voicekiosk.tools.outcome import MAX_RESULT_BYTES, ToolError

MAX_HEAD_BYTES = 16 * 1024


async def get(url: str, query: dict[str, Any]) -> object:
    """Fetch `url` with the arguments as its query; JSON is returned as its value, else text.

    Raises `ToolError`. The caller limits the time.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    plain = {name: value if isinstance(value, str) else _text(value) for name, value in query.items()}
    added = urlencode(plain)
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    joined = "&".join(part for part in (parts.query, added) if part)
    request = (
        f"GET {target}{f'?{joined}' if joined else ''} HTTP/1.0\r\nHost: {parts.netloc}\r\n"
        "Accept: application/json, text/plain\r\nUser-Agent: voicekiosk\r\n\r\n"
    )
    try:
        reader, writer = await _connect(host, port)
    except OSError as error:
        raise ToolError(f"the device at {host} cannot be reached ({error.strerror or error})") from None
    try:
        writer.write(request.encode("ascii"))
        await writer.drain()
        answer = await _read(reader)
    except OSError as error:
        raise ToolError(f"the device at {host} broke off ({error.strerror or error})") from None
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return _body(answer, host)


async def _connect(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # The name was checked with the configuration; what it means, a name server says each time anew.
    addresses = [str(where[4][0]) for where in found]
    near = [address for address in addresses if _is_near(address)]
    if not near:
        raise ToolError(f"{host} is not in the local network")
    return await asyncio.open_connection(near[0], port)


def _is_near(address: str) -> bool:
    it = ipaddress.ip_address(address.partition("%")[0])
    return it.is_private or it.is_loopback or it.is_link_local


async def _read(reader: asyncio.StreamReader) -> bytes:
    answer = bytearray()
    while data := await reader.read(4096):
        answer += data
        if len(answer) > MAX_HEAD_BYTES + MAX_RESULT_BYTES:
            raise ToolError("the device said too much")
    return bytes(answer)


def _body(answer: bytes, host: str) -> object:
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.partition(b"\r\n")[0].decode("latin-1").split(maxsplit=2)
    if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdecimal():
        raise ToolError(f"the device at {host} did not answer as a web server does")
    if not words[1].startswith("2"):
        raise ToolError(f"the device at {host} answered with status {words[1]}")
    try:
        text = body.decode().strip()
    except UnicodeDecodeError:
        raise ToolError(f"the device at {host} answered with something that is no text") from None
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
