"""The built-in tool that fetches an address of the local network, against a real socket."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from voicekiosk.tools import http
from voicekiosk.tools.http import get
from voicekiosk.tools.outcome import ToolError


@asynccontextmanager
async def device(answer, *, seen=None):
    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        if seen is not None:
            seen.append(head.decode())
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def test_json_comes_as_its_value_and_arguments_go_into_the_query():
    seen = []
    async with device(b'HTTP/1.1 200 OK\r\n\r\n{"on": true}', seen=seen) as url:
        assert await get(f"{url}/state?room=1", {"lamp": "big one", "level": 3}) == {"on": True}
    assert seen[0].startswith("GET /state?room=1&lamp=big+one&level=3 HTTP/1.0\r\n")


async def test_arguments_cannot_add_a_header_or_another_request():
    seen = []
    async with device(b"HTTP/1.1 200 OK\r\n\r\nok", seen=seen) as url:
        await get(f"{url}/", {"a": "x HTTP/1.1\r\nHost: evil\r\n\r\n"})
    assert "evil" not in seen[0].partition("\r\n")[2]


async def test_text_comes_as_text():
    async with device(b"HTTP/1.0 200 OK\r\n\r\nall quiet\n") as url:
        assert await get(url, {}) == "all quiet"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.0 302 Found\r\nLocation: http://example.org/\r\n\r\n", "status 302"),
        (b"HTTP/1.0 500 Oh\r\n\r\n", "status 500"),
        (b"SSH-2.0\r\n", "did not answer as a web server"),
        (b"", "did not answer as a web server"),
        (b"HTTP/1.0 200 OK\r\n\r\n\xff\xfe\x00", "no text"),
        (b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 200_000, "too much"),
    ],
)
async def test_a_device_that_answers_badly_is_said(answer, says):
    async with device(answer) as url:
        with pytest.raises(ToolError, match=says):
            await get(url, {})


async def test_nobody_there_is_said():
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(ToolError, match="cannot be reached"):
        await get(f"http://127.0.0.1:{port}/", {})


async def test_a_name_that_means_an_address_of_the_internet_is_refused(monkeypatch):
    async def resolve(*_, **__):
        return [(2, 1, 6, "", ("93.184.216.34", 80))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    with pytest.raises(ToolError, match="not in the local network"):
        await get("http://printer/", {})
    assert http.MAX_HEAD_BYTES
