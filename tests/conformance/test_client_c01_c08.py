"""Checklist 12.1, items 1 to 8: connection and authentication. Each test says what it takes to break it."""

import asyncio
import logging
import random
import time

import numpy as np
import pytest
from tests.rigs.live_kiosk import LiveKiosk
from tests.rigs.tcp_proxy import TcpProxy

from voicekiosk.agent import events as agent
from voicekiosk.agent.client import AgentClient
from voicekiosk.agent.facts import LinkState
from voicekiosk.agent.failures import Failure, Remedy
from voicekiosk.agent.ladder import Ladder
from voicekiosk.agent.opening import HOSTS
from voicekiosk.config.schema import Agent, Config
from voicekiosk.kiosk.events import Fault
from voicekiosk.kiosk.state import Link
from voicekiosk.simulator import Settings, Simulator
from voicekiosk.simulator.world import Credential


async def test_c01_the_address_is_configurable_and_has_the_documented_default(stage):
    # Break: ignore `agent.url` in client.HOSTS' use.
    assert HOSTS["default"] == "wss://agents.assemblyai.com/v1/ws"
    client = AgentClient(Config(), lambda: None, lambda event: None)
    assert client.facts().host == "agents.assemblyai.com"
    client = AgentClient(Config(agent=Agent(region="eu")), lambda: None, lambda event: None)
    assert client.facts().host == "agents.eu.assemblyai.com"
    async with stage() as s:
        s.kiosk.press()
        await s.kiosk.ready()
        assert s.sim.stats()["connections_opened"] == 1


async def test_c02_the_key_is_sent_as_a_bearer(stage):
    # Break: send the key without "Bearer ", or another key.
    async with stage(simulator={"key": "another-key"}, key="another-key") as s:
        s.kiosk.press()
        await s.kiosk.ready()
        assert s.kept_the_rules()


async def test_c02_a_temporary_token_goes_in_the_keys_place(stage, tmp_path):
    # Break: send the key although there is a token command, or one token twice.
    tokens = tmp_path / "tokens"
    first = f"head -n 1 {tokens}; sed -i 1d {tokens}"
    async with stage(agent={"token_command": ("/bin/sh", "-c", first)}) as s:
        tokens.write_text("".join(s.sim.world.make_token(300, None, 0.0) + "\n" for _ in range(2)))
        for number in range(2):
            s.kiosk.press()
            await s.kiosk.until(lambda number=number: len(s.kiosk.said(agent.Ready)) > number)
            assert s.sim.connections[number].session.admission.how is Credential.TOKEN
            s.kiosk.release()
            await s.kiosk.hang_up()
        assert tokens.read_text() == ""
        assert s.kept_the_rules()


@pytest.mark.parametrize("trusted", [True, False])
async def test_c01_the_good_certificate_is_accepted_from_its_authority_only(trusted):
    # Break: connect without looking at the certificate, or without network.ca_file.
    async with Simulator(Settings(tls="good")) as sim:
        network = {"ca_file": str(sim.certificates.authority)} if trusted else {}
        async with LiveKiosk(sim.url, network=network) as kiosk:
            kiosk.press()
            if trusted:
                await kiosk.ready()
                assert sim.violations == []
            else:
                await kiosk.until(lambda: kiosk.said(agent.Dropped) or kiosk.said(agent.Refused))
                failed = (kiosk.said(agent.Dropped) + kiosk.said(agent.Refused))[0]
                assert failed.cause is agent.Cause.TLS
                assert sim.connections == []


async def test_c03_an_open_socket_is_not_success(stage):
    # Break: report Ready when the handshake is done.
    async with stage("bad-key") as s:
        s.kiosk.press()
        await s.kiosk.until(lambda: s.kiosk.said(agent.Refused))
        assert not s.kiosk.said(agent.Ready)
        assert s.kiosk.state.link is not Link.READY
        assert Fault.KEY in s.kiosk.state.faults


async def test_c04_the_first_message_is_one_update_and_later_ones_are_not_first(stage):
    # Break: send session.update twice, or audio before it.
    async with stage() as s:
        await s.kiosk.converse()
        await s.kiosk.hang_up()
        assert s.sent()[0]["type"] == "session.update"
        assert len(s.sent("session.update")) == 1
        assert s.kept_the_rules()


async def test_c04_a_resumed_socket_begins_with_session_resume_alone(stage):
    # Break: send session.update after session.resume.
    async with stage("resume-granted") as s:
        s.kiosk.press()
        await s.kiosk.ready()
        s.sim.drop()
        await s.kiosk.until(lambda: len(s.kiosk.said(agent.Ready)) == 2)
        await s.kiosk.hang_up()
        assert s.sent(connection=2)[0]["type"] == "session.resume"
        assert not s.sent("session.update", connection=2)
        assert s.kept_the_rules()


async def test_c05_a_link_that_goes_silent_is_noticed_by_its_own_pings(stage):
    # Break: rely on the library's keepalive (20 s), or wait for the close handshake of a dead peer.
    async with stage() as s, TcpProxy("127.0.0.1", s.sim.port) as proxy:
        url = f"ws://127.0.0.1:{proxy.port}/v1/ws"
        heard = []
        client = AgentClient(Config(agent=Agent(url=url)), lambda: "sim-key", heard.append)
        client.open()
        async with asyncio.timeout(5):
            while not client.ready:
                await asyncio.sleep(0.01)
        began_s = asyncio.get_running_loop().time()
        proxy.stall()
        async with asyncio.timeout(6):
            while not any(isinstance(event, agent.Dropped) for event in heard):
                await asyncio.sleep(0.01)
        # 3 s is the promise; the rest is for a machine that is out of breath.
        assert asyncio.get_running_loop().time() - began_s < 4.5
        await client.close(0.1)


async def test_c05_pings_of_the_service_are_answered(stage):
    # Break: block the reader, so that the library cannot answer.
    async with stage(changes={"door.ping_interval_s": 0.3}) as s:
        s.kiosk.press()
        await s.kiosk.ready()
        await asyncio.sleep(1.5)
        assert s.kiosk.state.link is Link.READY
        assert not s.kiosk.said(agent.Dropped)


async def test_c06_everything_is_a_text_frame_with_json(stage):
    # Break: send audio as a binary frame.
    async with stage() as s:
        await s.kiosk.converse()
        await s.kiosk.hang_up()
        assert all("type" in frame for frame in s.sent())
        assert s.kept_the_rules()


@pytest.mark.parametrize("scenario", [None, "bad-key", "garbage", "drop-mid-utterance"])
async def test_c07_neither_key_nor_token_is_ever_logged(stage, caplog, scenario):
    # Break: log the headers, the ready event or the attempt.
    caplog.set_level(logging.DEBUG)
    key = "sk-0123456789abcdef-secret"
    async with stage(scenario, simulator={"key": key}, key=key) as s:
        s.kiosk.press()
        await s.kiosk.speak(1.0)
        s.kiosk.release()
        await asyncio.sleep(0.5)
        tokens = [ready["resume_token"] for ready in s.got("session.ready")]
    # The simulator in this process logs what it is sent; that is not the client's.
    ours = [record for record in caplog.records if not record.name.startswith("websockets.server")]
    assert ours
    for secret in [key, *filter(None, tokens)]:
        assert not any(secret in record.getMessage() + repr(record.args) for record in ours)


async def test_c08_attempts_back_off_and_never_follow_a_refused_key(stage):
    # Break: retry after `unauthorized`.
    async with stage("bad-key") as s:
        s.kiosk.press()
        await s.kiosk.until(lambda: s.kiosk.said(agent.Refused))
        s.kiosk.release()
        for _ in range(3):
            await asyncio.sleep(0.4)
            s.kiosk.press()
            s.kiosk.release()
        await asyncio.sleep(1.5)
        assert s.sim.stats()["connections_opened"] == 1


async def test_c08_failed_attempts_are_spread_out(stage):
    # Break: retry at once, whatever pause was announced.
    async with stage("http-503-twice", changes={"door.times": 0}) as s:
        began_s = time.monotonic()
        s.kiosk.press()
        await s.kiosk.until(lambda: len(s.kiosk.said(agent.Dropped)) >= 4, timeout_s=60)
        # However slow this machine is, the pauses between four attempts have passed by now.
        pauses_s = [dropped.retry_in_s for dropped in s.kiosk.said(agent.Dropped)[:3]]
        assert 0.01 < sum(pauses_s) < time.monotonic() - began_s
        assert s.kiosk.conductor.parts.agent.facts().state in (LinkState.WAITING, LinkState.CONNECTING)


@pytest.mark.parametrize("remedy", [Remedy.AGAIN, Remedy.LATER])
def test_c08_pauses_grow_to_a_bound_and_no_two_kiosks_keep_in_step(remedy):
    # Break: a fixed pause, a pause without a bound, or one without jitter.
    failure = Failure(agent.Cause.NETWORK, remedy, "close_1006", "")
    pauses = np.array([pauses_of(seed, failure) for seed in range(50)])
    assert pauses.max() <= 60.0
    assert pauses[:, :3].mean() < 2.0
    late = pauses[:, -5:]
    assert late.mean() > 20.0
    assert late.min(axis=0).max() < 20.0
    assert len(set(late[:, -1])) == 50


def pauses_of(seed, failure):
    """The pauses after 40 failures in a row."""
    ladder = Ladder(backoff_max_s=60.0, connect_timeout_s=10.0, rng=random.Random(seed))
    now_s, pauses = 0.0, []
    for _ in range(40):
        ladder.began(now_s)
        pauses.append(ladder.failed(failure, now_s))
        now_s += pauses[-1]
    return pauses
