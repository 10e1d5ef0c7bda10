"""Each way in which the network can fail has a name of its own in `status`, and words that say what to do."""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest
from tests.rigs.certificates import make_certificate

from voicekiosk.agent import dial
from voicekiosk.kiosk.state import Name, name_of
from voicekiosk.simulator import Settings, Simulator

PORTAL = b"HTTP/1.1 302 Found\r\nLocation: http://login.hotel.example/\r\nContent-Length: 0\r\n\r\n"


@asynccontextmanager
async def server(answer, context=None):
    """Something that is not the service: it sends `answer`, or nothing, and hangs up."""

    async def handle(reader, writer):
        await reader.read(2048)
        writer.write(answer)
        writer.close()

    one = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    async with one:
        yield one.sockets[0].getsockname()[1]


async def cause_told(kiosk):
    """Press, and return what `status` says of the link once there is something to say."""
    await kiosk.ask("press")

    async def told():
        return (await kiosk.status())["link"]

    async with asyncio.timeout(30):
        while not (link := await told())["cause"]:
            await asyncio.sleep(0.02)
    await kiosk.ask("release")
    return link


def agent(url, **network):
    lines = [f"{key} = '{value}'" for key, value in network.items()]
    return "\n".join([f"[agent]\nurl = '{url}'", "[network]", *lines, ""])


async def test_a_captive_portal(house):
    async with server(PORTAL) as port, house(agent(f"ws://127.0.0.1:{port}/v1/ws")) as kiosk:
        link = await cause_told(kiosk)
        assert link["cause"] == "captive_portal"
        assert "302" in link["detail"] or "portal" in link["detail"]


async def test_a_name_that_does_not_resolve(house, monkeypatch):
    def look_up(host, port, flags):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(dial, "_look_up", look_up)
    async with house(agent("ws://agents.example/v1/ws")) as kiosk:
        link = await cause_told(kiosk)
        assert link["cause"] == "dns"
        assert "agents.example" in link["detail"]


@pytest.mark.parametrize(
    ("variant", "cause"), [("self-signed", "tls"), ("wrong-name", "tls"), ("expired", "tls")]
)
async def test_a_certificate_that_is_none(house, variant, cause):
    async with Simulator(Settings(tls=variant)) as simulator:
        authority = simulator.certificates.authority
        async with house(agent(simulator.url, ca_file=authority)) as kiosk:
            link = await cause_told(kiosk)
            assert link["cause"] == cause


async def test_a_clock_that_is_wrong_after_a_start_without_battery(house, tmp_path):
    certificate = make_certificate(tmp_path / "early", start="20980101000000Z", end="20990101000000Z")
    context = certificate.server_context()
    async with server(b"", context) as port:
        text = agent(f"wss://127.0.0.1:{port}/v1/ws", ca_file=certificate.ca)
        async with house(text) as kiosk:
            link = await cause_told(kiosk)
            assert link["cause"] == "clock"
            assert "clock" in link["detail"]


async def test_a_proxy_that_is_not_there(house):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    async with house(agent("ws://agents.example/v1/ws", proxy=f"http://127.0.0.1:{port}")) as kiosk:
        link = await cause_told(kiosk)
        assert link["cause"] == "proxy"


async def test_a_host_where_nobody_listens(house):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    async with house(agent(f"ws://127.0.0.1:{port}/v1/ws")) as kiosk:
        link = await cause_told(kiosk)
        assert link["cause"] == "refused"


async def test_no_network_is_a_state_that_a_press_is_answered_in_and_not_a_fault(house):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    text = agent(f"ws://127.0.0.1:{port}/v1/ws").replace("[network]", "[network]\nconnect_timeout_s = 2")
    async with house(text) as kiosk:
        await kiosk.ask("press")
        await kiosk.ask("release")
        await kiosk.until(lambda: name_of(kiosk.conductor.state) is Name.OFFLINE, "offline")
        status = await kiosk.status()
        assert status["lamp"] == "offline"
        assert status["reason"]
        assert not kiosk.conductor.state.faults
