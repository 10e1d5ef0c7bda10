"""A knock at the door of a service that lets in, refuses, or is not there."""

import asyncio

import msgspec
import pytest
from tests.rigs.scripted_agent import ScriptedAgent

from voicekiosk.agent.events import Cause
from voicekiosk.agent.probe import knock
from voicekiosk.config.schema import Agent, Config, Network
from voicekiosk.simulator import Settings, Simulator


def config(url, **network):
    return Config(agent=Agent(url=url), network=Network(**network))


async def test_a_good_key_is_let_in_and_no_session_is_opened():
    async with Simulator(Settings(key="good")) as service:
        result = await knock(config(service.url), "good")
        messages = list(service.connections[0].record.messages)
    assert result.failure is None
    assert result.stage == "done"
    assert result.open_s < 5
    assert [message for _, side, message in messages if side == "client"] == []


async def test_a_refused_key_is_told_as_such():
    async with Simulator(Settings(key="good")) as service:
        result = await knock(config(service.url), "wrong")
    assert result.failure is not None
    assert result.failure.cause is Cause.KEY
    assert result.stage == "done"


async def test_a_refusal_by_close_code_alone_is_told_too():
    async def refuse(peer):
        await peer.websocket.close(1008, "unauthorized")

    async with ScriptedAgent(refuse) as service:
        result = await knock(config(service.url), "wrong")
    assert result.failure is not None
    assert result.failure.cause is Cause.KEY


async def test_a_port_where_nobody_listens_fails_at_connecting():
    result = await knock(config("ws://127.0.0.1:9/v1/ws"), "key")
    assert result.stage == "connecting"
    assert result.failure is not None
    assert result.failure.cause is Cause.REFUSED


async def test_a_name_that_does_not_exist_fails_at_looking_it_up():
    result = await knock(config("ws://kiosk.invalid/v1/ws"), "key")
    assert result.stage == "looking up the name"
    assert result.failure is not None


async def test_an_address_that_is_none_is_a_fault_of_the_configuration():
    result = await knock(config("http://example.org"), "key")
    assert result.stage == "reading the address"
    assert result.failure is not None
    assert result.failure.cause is Cause.CONFIG


@pytest.mark.parametrize("tls", ["self-signed", "wrong-name", "expired"])
async def test_a_bad_certificate_is_refused_in_the_handshake(tls):
    async with Simulator(Settings(key="good", tls=tls)) as service:
        result = await knock(config(service.url), "good")
    assert result.failure is not None
    assert result.failure.cause in (Cause.TLS, Cause.CLOCK)
    assert result.stage == "shaking hands"


async def test_a_service_that_does_not_answer_is_given_up():
    async def silent(reader, writer):
        await reader.read()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        result = await knock(config(f"ws://127.0.0.1:{port}/v1/ws", connect_timeout_s=1), "key")
    finally:
        server.close()
    assert result.failure is not None
    assert "did not answer within 1 s (shaking hands)" in result.failure.detail


async def test_the_key_is_in_nothing_that_is_told():
    result = await knock(config("ws://kiosk.invalid/v1/ws"), "very-secret-key")
    assert "very-secret-key" not in repr(result)
    assert b"very-secret-key" not in msgspec.json.encode(repr(result))
