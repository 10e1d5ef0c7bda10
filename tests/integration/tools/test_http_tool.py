"""The built-in tool that fetches an address of the local network, against a real socket."""

import asyncio
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from voicekiosk.tools import http
from voicekiosk.tools.http import get
from voicekiosk.tools.outcome import ToolError

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@asynccontextmanager
async def device(answer, *, seen=None, stays=False):
    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        if seen is not None:
            seen.append(head.decode())
        writer.write(answer)
        if stays:
            await reader.read()
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
        (b"HTTP/1.0 200 OK\r\nX: " + b"x" * 200_000, "did not answer as a web server"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 200000\r\n\r\n", "too much"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: many\r\n\r\n", "did not answer as a web server"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nshort", "broke off"),
        (CHUNKED + b"fffffff\r\n", "too much"),
        (CHUNKED + b"-5\r\n", "did not answer as a web server"),
        (CHUNKED + b"5\r\nab", "broke off"),
    ],
)
async def test_a_device_that_answers_badly_is_said(answer, says):
    async with device(answer) as url:
        with pytest.raises(ToolError, match=says):
            await get(url, {})


@pytest.mark.parametrize(
    "answer",
    [
        b'HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{"on": true}',
        CHUNKED + b'3;x=y\r\n{"o\r\n9\r\nn": true}\r\n0\r\n\r\n',
    ],
)
async def test_a_device_that_keeps_the_connection_open_is_not_waited_for(answer):
    async with asyncio.timeout(10), device(answer, stays=True) as url:
        assert await get(url, {}) == {"on": True}


async def test_the_connection_is_to_be_closed_and_every_letter_is_sent_as_ascii():
    seen = []
    async with device(b"HTTP/1.1 200 OK\r\n\r\nok", seen=seen) as url:
        await get(f"{url}/küche?für=a%20b", {"wo": "Café"})
    assert seen[0].startswith("GET /k%C3%BCche?f%C3%BCr=a%20b&wo=Caf%C3%A9 HTTP/1.0\r\n")
    assert "\r\nConnection: close\r\n" in seen[0]


async def test_every_address_of_a_name_is_tried(monkeypatch):
    async with device(b"HTTP/1.1 200 OK\r\n\r\nok") as url:
        port = int(url.rpartition(":")[2])
        tried, open_connection = [], asyncio.open_connection

        async def resolve(*_, **__):
            hosts = ("fe80::1", "10.0.0.9", "127.0.0.1")
            return [(0, 1, 6, "", (host, port, 0, 7) if ":" in host else (host, port)) for host in hosts]

        async def connect(host, port, **settings):
            tried.append(host)
            if host == "10.0.0.9":
                await asyncio.Event().wait()
            if host != "127.0.0.1":
                raise OSError(113, "No route to host")
            monkeypatch.undo()
            return await open_connection(host, port, **settings)

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        monkeypatch.setattr(asyncio, "open_connection", connect)
        monkeypatch.setattr(http, "CONNECT_S", 0.05)
        assert await get(f"http://lamp:{port}/", {}) == "ok"
    assert tried == ["fe80::1%7", "10.0.0.9", "127.0.0.1"]


async def test_a_device_that_is_not_there_on_any_address_is_said(monkeypatch):
    async def resolve(*_, **__):
        return [(2, 1, 6, "", ("10.0.0.9", 80))]

    async def connect(*_, **__):
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    monkeypatch.setattr(asyncio, "open_connection", connect)
    monkeypatch.setattr(http, "CONNECT_S", 0.05)
    with pytest.raises(ToolError, match=r"lamp cannot be reached \(no answer"):
        await get("http://lamp/", {})


async def test_the_zone_of_a_link_local_address_stays_here(monkeypatch):
    asked = []

    async def resolve(host, *_, **__):
        asked.append(host)
        raise OSError("no")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    with pytest.raises(ToolError):
        await get("http://[fe80::1%25eth0]:80/", {})
    assert asked == ["fe80::1%eth0"]
    request = http._request(urlsplit("http://[fe80::1%25eth0]:8080/a"), {})
    assert b"\r\nHost: [fe80::1]:8080\r\n" in request


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
