"""Fetch an address of the local network: one GET, no redirects, never anything beyond that network."""

import asyncio
import contextlib
import ipaddress
import re
import socket
from typing import Any
from urllib.parse import SplitResult, quote, urlencode, urlsplit

import msgspec

from voicekiosk.tools.outcome import MAX_RESULT_BYTES, ToolError

MAX_HEAD_BYTES = 16 * 1024
CONNECT_S = 3.0
"""For each address of a name: a device may have one that leads nowhere."""
_SAFE = "/%:@!$&'()*+,;=~-._?"


async def get(url: str, query: dict[str, Any]) -> object:
    """Fetch `url` with the arguments as its query; JSON is returned as its value, else text.

    Raises `ToolError`. The caller limits the time.
    """
    parts = urlsplit(url)
    host, port = (parts.hostname or "").replace("%25", "%"), parts.port or 80
    request = _request(parts, query)
    try:
        reader, writer = await _connect(host, port)
    except OSError as error:
        raise ToolError(f"the device at {host} cannot be reached ({error.strerror or error})") from None
    try:
        writer.write(request)
        await writer.drain()
        body = await _read(reader, host)
    except (OSError, asyncio.IncompleteReadError) as error:
        why = getattr(error, "strerror", None) or error
        raise ToolError(f"the device at {host} broke off ({why})") from None
    except (ValueError, asyncio.LimitOverrunError):
        raise _no_web_server(host) from None
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return _value(body, host)


def _request(parts: SplitResult, query: dict[str, Any]) -> bytes:
    plain = {name: value if isinstance(value, str) else _text(value) for name, value in query.items()}
    joined = "&".join(part for part in (quote(parts.query, safe=_SAFE), urlencode(plain)) if part)
    target = quote(parts.path or "/", safe=_SAFE.rstrip("?")) + (f"?{joined}" if joined else "")
    # The zone of a link-local address means something on this machine only.
    where = re.sub(r"%[^]]*", "", parts.netloc)
    lines = (
        f"GET {target} HTTP/1.0",
        f"Host: {where}",
        "Accept: application/json, text/plain",
        "User-Agent: voicekiosk",
        "Connection: close",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii")


async def _connect(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # The name was checked with the configuration; what it means, a name server says each time anew.
    near = [address for address in map(_address, found) if _is_near(address)]
    if not near:
        raise ToolError(f"{host} is not in the local network")
    failure = OSError("no address")
    for address in near:
        try:
            async with asyncio.timeout(CONNECT_S):
                return await asyncio.open_connection(address, port, limit=MAX_HEAD_BYTES)
        except TimeoutError:
            failure = OSError("no answer")
        except OSError as error:
            failure = error
    raise failure


def _address(found: Any) -> str:
    address, scope = str(found[4][0]), found[4][3:]
    return f"{address}%{scope[0]}" if scope and scope[0] and "%" not in address else address


def _is_near(address: str) -> bool:
    it = ipaddress.ip_address(address.partition("%")[0])
    return it.is_private or it.is_loopback or it.is_link_local


async def _read(reader: asyncio.StreamReader, host: str) -> bytes:
    """Return the body of the answer; old devices keep the connection open after it."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        raise _no_web_server(host) from None
    first, *rest = head.decode("latin-1").split("\r\n")
    words = first.split(maxsplit=2)
    if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdecimal():
        raise _no_web_server(host)
    if not words[1].startswith("2"):
        raise ToolError(f"the device at {host} answered with status {words[1]}")
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)
    }
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return await _chunks(reader)
    if "content-length" in headers:
        return await _exactly(reader, int(headers["content-length"]))
    body = bytearray()
    while data := await reader.read(4096):
        body += data
        _not_too_much(len(body))
    return bytes(body)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        _not_too_much(len(body) + size)
        body += await _exactly(reader, size)
        await reader.readexactly(2)
    return body


async def _exactly(reader: asyncio.StreamReader, size: int) -> bytes:
    _not_too_much(size)
    return await reader.readexactly(size)


def _not_too_much(size: int) -> None:
    if size > MAX_RESULT_BYTES:
        raise ToolError("the device said too much")


def _no_web_server(host: str) -> ToolError:
    return ToolError(f"the device at {host} did not answer as a web server does")


def _value(body: bytes, host: str) -> object:
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
