"""Opening a link over real sockets: TLS, proxies, and everything that answers in the service's place."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.rigs.certificates import Certificate, make_certificate
from tests.rigs.scripted_agent import READY, Listener, Peer, ScriptedAgent, config_for
from websockets.asyncio.server import ServerConnection, serve

from voicekiosk.agent import dial, events, opening
from voicekiosk.agent.client import AgentClient
from voicekiosk.agent.dial import Resolver, connect
from voicekiosk.agent.events import Cause
from voicekiosk.agent.link import Link

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def tcp_server(handler: Handler) -> AsyncIterator[int]:
    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(guarded, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@asynccontextmanager
async def kiosk(url: str, **network: Any) -> AsyncIterator[Listener]:
    heard = Listener()
    client = AgentClient(config_for(url, **network), lambda: "the-key", heard)
    client.open()
    yield heard
    await client.close(0.3)


async def talk(websocket: ServerConnection) -> None:
    peer = Peer(websocket, 0, "")
    await peer.hear()
    await peer.say(READY)
    await peer.hear_until_closed()


@asynccontextmanager
async def tls_server(certificate: Certificate) -> AsyncIterator[int]:
    context = certificate.server_context()
    async with serve(talk, "127.0.0.1", 0, ssl=context, compression=None) as server:
        yield next(iter(server.sockets)).getsockname()[1]


# TLS


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("good"))


async def test_a_good_certificate_of_a_trusted_root_is_accepted(good):
    async with (
        tls_server(good) as port,
        kiosk(f"wss://localhost:{port}/", ca_file=str(good.ca)) as heard,
    ):
        await heard.wait_for(events.Ready)


async def test_a_certificate_of_an_unknown_root_is_refused(good):
    async with tls_server(good) as port, kiosk(f"wss://localhost:{port}/") as heard:
        dropped = await heard.wait_for(events.Dropped)
        assert dropped.cause is Cause.TLS
        assert "certificate" in dropped.detail


@pytest.mark.parametrize(
    ("dates", "cause"),
    [
        ({"names": "DNS:elsewhere.example"}, Cause.TLS),
        ({"end": "20210101000000Z"}, Cause.TLS),
        ({"start": "20980101000000Z"}, Cause.CLOCK),
    ],
    ids=["wrong name", "expired", "not yet valid"],
)
async def test_a_bad_certificate_is_refused_and_told_from_a_bad_clock(tmp_path: Path, dates, cause):
    certificate = make_certificate(tmp_path, **dates)
    async with (
        tls_server(certificate) as port,
        kiosk(f"wss://localhost:{port}/", ca_file=str(certificate.ca)) as heard,
    ):
        assert (await heard.wait_for(events.Dropped)).cause is cause
        assert heard.of(events.Ready) == []


async def test_a_server_without_tls_is_a_tls_failure():
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with tcp_server(answer) as port, kiosk(f"wss://localhost:{port}/") as heard:
        assert (await heard.wait_for(events.Dropped)).cause is Cause.TLS


async def test_a_certificate_file_that_is_none_stops_and_names_the_key():
    async with kiosk("wss://localhost:1/", ca_file="/nonexistent.pem") as heard:
        refused = await heard.wait_for(events.Refused)
        assert refused.cause is Cause.CONFIG
        assert "network.ca_file" in refused.message


async def test_tls_settings_are_made_once_when_warmed_up(good):
    opening.tls_context.cache_clear()
    config = config_for("wss://localhost:1/", ca_file=str(good.ca))
    AgentClient(config, lambda: "k", Listener()).warm_up()
    assert opening.tls_context.cache_info().currsize == 1


# What else may answer


def answering(answer: bytes, *, then: float = 0.0) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in (answer[:3], answer[3:]):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)
        await asyncio.sleep(then)

    return handler


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>Log in", Cause.CAPTIVE_PORTAL),
        (b"HTTP/1.1 302 Found\r\nLocation: http://portal/\r\n\r\n", Cause.CAPTIVE_PORTAL),
        (b"HTTP/1.1 511 Network Authentication Required\r\n\r\n", Cause.CAPTIVE_PORTAL),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", Cause.CONFIG),
        (b"HTTP/1.1 429 Too Many Requests\r\n\r\n", Cause.CAPACITY),
        (b"HTTP/1.1 503 Unavailable\r\n\r\n", Cause.SERVER),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", Cause.SERVER),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Cause.SERVER),
        (b"", Cause.NETWORK),
    ],
)
async def test_who_answers_in_the_place_of_the_service_is_told_apart(answer, cause):
    async with tcp_server(answering(answer)) as port, kiosk(f"ws://127.0.0.1:{port}/") as heard:
        assert (await heard.wait_for(events.Dropped)).cause is cause


async def test_a_web_page_that_never_ends_is_known_by_its_first_line():
    page = answering(b"HTTP/1.1 200 OK\r\n\r\n<html>", then=30)
    async with tcp_server(page) as port, kiosk(f"ws://127.0.0.1:{port}/") as heard:
        assert (await heard.wait_for(events.Dropped)).cause is Cause.CAPTIVE_PORTAL


@pytest.mark.parametrize("status", [b"401 Unauthorized", b"403 Forbidden"])
async def test_a_key_refused_by_http_stops(status):
    page = answering(b"HTTP/1.1 " + status + b"\r\n\r\n")
    async with tcp_server(page) as port, kiosk(f"ws://127.0.0.1:{port}/") as heard:
        assert (await heard.wait_for(events.Refused)).cause is Cause.KEY


async def test_a_host_where_nobody_listens_is_told():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with kiosk(f"ws://127.0.0.1:{unused.getsockname()[1]}/") as heard:
            assert (await heard.wait_for(events.Dropped)).cause is Cause.REFUSED


async def test_a_host_that_says_nothing_is_told_with_how_far_we_came():
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    async with tcp_server(say_nothing) as port, kiosk(f"ws://127.0.0.1:{port}/") as heard:
        dropped = await heard.wait_for(events.Dropped)
        assert dropped.cause is Cause.TIMEOUT
        assert "shaking hands" in dropped.detail


async def test_a_name_that_does_not_resolve_is_told(monkeypatch):
    def look_up(host: str, port: int, flags: int) -> list[dial.Address]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(dial, "_look_up", look_up)
    async with kiosk("ws://nowhere.invalid/") as heard:
        dropped = await heard.wait_for(events.Dropped)
        assert dropped.cause is Cause.DNS
        assert "nowhere.invalid" in dropped.detail


async def test_a_name_server_that_is_silent_is_told_from_a_service_that_is(monkeypatch):
    async def resolve(self: Resolver, host: str, port: int) -> list[dial.Address]:
        await asyncio.sleep(30)
        return []

    monkeypatch.setattr(Resolver, "resolve", resolve)
    async with kiosk("ws://somewhere.example/") as heard:
        dropped = await heard.wait_for(events.Dropped)
        assert dropped.cause is Cause.DNS
        assert "looking up the name" in dropped.detail


# Several addresses


async def test_an_address_that_fails_gives_way_to_the_next_at_once():
    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with tcp_server(wait) as port:
        sock = await connect([(socket.AF_INET, ("127.0.0.1", 1)), (socket.AF_INET, ("127.0.0.1", port))])
        assert sock.getpeername() == ("127.0.0.1", port)
        sock.close()


async def test_an_address_that_swallows_everything_does_not_hold_up_the_next():
    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    with socket.socket() as full:
        # A listener with a full backlog drops SYNs, as a broken IPv6 router does.
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        async with tcp_server(wait) as port, asyncio.timeout(20):
            sock = await connect(
                [(socket.AF_INET, full.getsockname()), (socket.AF_INET, ("127.0.0.1", port))]
            )
            assert sock.getpeername()[1] == port
            sock.close()
        for filler in fillers:
            filler.close()


async def test_the_first_error_is_the_one_that_is_told():
    with pytest.raises(ConnectionRefusedError):
        await connect([(socket.AF_INET, ("127.0.0.1", 1)), (socket.AF_INET, ("127.0.0.1", 2))])


async def test_a_name_without_an_address_is_an_error():
    with pytest.raises(OSError, match="no address"):
        await connect([])


# Proxies


class ConnectProxy:
    """An HTTP proxy that tunnels, and remembers what it was asked."""

    def __init__(self, answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> None:
        self.answer = answer
        self.requests: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        self.requests.append(request)
        writer.write(self.answer)
        await writer.drain()
        if b" 200 " not in self.answer:
            return
        host, _, port = request.split(b" ")[1].rpartition(b":")
        far_reader, far_writer = await asyncio.open_connection(host.decode(), int(port))
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(4096):
        writer.write(piece)
        await writer.drain()
    writer.close()


async def test_a_session_goes_through_a_proxy_with_a_login():
    proxy = ConnectProxy()
    async with (
        ScriptedAgent(lambda peer: talk(peer.websocket)) as server,
        tcp_server(proxy) as port,
        kiosk(server.url, proxy=f"http://user:pass%21@127.0.0.1:{port}") as heard,
    ):
        await heard.wait_for(events.Ready)
    assert proxy.requests[0].startswith(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\n".encode())
    assert b"Proxy-Authorization: Basic dXNlcjpwYXNzIQ==\r\n" in proxy.requests[0]
    assert b"the-key" not in proxy.requests[0]


async def test_tls_goes_through_a_proxy_unread(good):
    proxy = ConnectProxy()
    async with tls_server(good) as port, tcp_server(proxy) as proxy_port:
        network = {"ca_file": str(good.ca), "proxy": f"http://127.0.0.1:{proxy_port}"}
        async with kiosk(f"wss://localhost:{port}/", **network) as heard:
            await heard.wait_for(events.Ready)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", events.Refused),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", events.Dropped),
        (b"what?\r\n\r\n", events.Dropped),
        (b"", events.Dropped),
    ],
)
async def test_a_proxy_that_does_not_let_us_through_is_named(answer, kind):
    async with (
        tcp_server(ConnectProxy(answer)) as port,
        kiosk("ws://service.example/", proxy=f"http://127.0.0.1:{port}") as heard,
    ):
        event = await heard.wait_for(kind)
        assert event.cause is Cause.PROXY
        assert f"127.0.0.1:{port}" in (event.detail if kind is events.Dropped else event.message)


async def test_a_proxy_that_is_not_there_is_named():
    async with kiosk("ws://service.example/", proxy="http://127.0.0.1:1") as heard:
        dropped = await heard.wait_for(events.Dropped)
        assert dropped.cause is Cause.PROXY
        assert "127.0.0.1:1" in dropped.detail


async def test_the_environments_proxy_is_not_used(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with (
        ScriptedAgent(lambda peer: talk(peer.websocket)) as server,
        kiosk(server.url) as heard,
    ):
        await heard.wait_for(events.Ready)


# The link itself


def test_the_key_is_not_in_the_repr_of_a_link():
    async def make() -> str:
        target = opening.Target.of(config_for("ws://host/"))
        link = Link(
            target.uri,
            "the-key",
            on_text=lambda frame: None,
            on_binary=lambda: None,
            on_proven=lambda samples: None,
            dead_after_s=2.4,
        )
        return repr(link)

    assert "the-key" not in asyncio.run(make())


async def test_pings_of_the_service_are_answered():
    answered = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say(READY)
        await (await peer.websocket.ping())
        answered.set()
        await peer.hear_until_closed()

    async with ScriptedAgent(script) as server, kiosk(server.url):
        await asyncio.wait_for(answered.wait(), 20)


async def test_no_compression_is_offered():
    async def script(peer: Peer) -> None:
        assert peer.websocket.request is not None
        offered = peer.websocket.request.headers.get("Sec-WebSocket-Extensions")
        await peer.hear()
        await peer.say(READY | {"session_id": f"offered {offered}"})
        await peer.hear_until_closed()

    async with ScriptedAgent(script) as server, kiosk(server.url) as heard:
        assert (await heard.wait_for(events.Ready)).session_id == "offered None"


def test_the_speedups_of_websockets_are_there():
    # Masking a frame takes 20 times longer without.
    import websockets.speedups

    assert websockets.speedups


def test_the_tls_settings_check_certificates_and_names():
    context = opening.tls_context("")
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
