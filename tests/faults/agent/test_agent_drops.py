"""What the network does to a conversation, through the fault-injecting proxy."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.rigs.scripted_agent import READY, Listener, Peer, Script, ScriptedAgent, be_ready, config_for
from tests.rigs.tcp_proxy import TcpProxy

from voicekiosk.agent import events
from voicekiosk.agent.client import AgentClient
from voicekiosk.agent.events import Cause
from voicekiosk.agent.link import FULL_BUFFER_BYTES
from voicekiosk.agent.window import MOST_S, RATE_HZ

BLOCK = bytes(1920)


class Scene:
    """A client that talks to scripts through a proxy."""

    def __init__(self, server: ScriptedAgent, proxy: TcpProxy, network: dict[str, Any]) -> None:
        self.server = server
        self.proxy = proxy
        self.heard = Listener()
        config = config_for(f"ws://127.0.0.1:{proxy.port}/v1/ws", **network)
        self.client = AgentClient(config, lambda: "k", self.heard)

    async def talk(self, seconds: float) -> int:
        """Speak at real-time pace; return how many samples were taken."""
        sent = 0
        ends_s = time.monotonic() + seconds
        while time.monotonic() < ends_s:
            if self.client.send_audio(BLOCK):
                sent += len(BLOCK) // 2
            await asyncio.sleep(0.04)
        return sent

    async def talk_until(self, kind: type, count: int = 1) -> Any:
        talking = asyncio.create_task(self.talk(30))
        try:
            return await self.heard.wait_for(kind, count)
        finally:
            talking.cancel()


@asynccontextmanager
async def scene(*scripts: Script, **network: Any) -> AsyncIterator[Scene]:
    async with ScriptedAgent(*scripts) as server, TcpProxy("127.0.0.1", server.port) as proxy:
        it = Scene(server, proxy, network)
        it.client.open()
        await it.heard.wait_for(events.Ready)
        yield it
        proxy.flow()
        await it.client.close(0.3)


async def refuse_resume(peer: Peer) -> None:
    first = await peer.hear()
    if first["type"] == "session.resume":
        await peer.fail("session_not_found")
        return
    await peer.say(READY | {"session_id": f"sess_{peer.number}"})
    await peer.hear_until_closed()


@pytest.mark.parametrize("how", ["reset", "hang_up"])
async def test_a_broken_connection_is_noticed_at_once_and_resumed(how):
    async with scene(be_ready) as it:
        getattr(it.proxy, how)()
        ready = await it.heard.wait_for(events.Ready, 2)
        assert ready.resumed
        dropped = it.heard.of(events.Dropped)
        assert (len(dropped), dropped[0].cause, dropped[0].retry_in_s) == (1, Cause.NETWORK, 0.0)
        assert it.client.facts().drops == 1


async def test_a_refused_resume_becomes_a_continued_session():
    async with scene(refuse_resume) as it:
        it.proxy.reset()
        ready = await it.heard.wait_for(events.Ready, 2)
        assert (ready.resumed, ready.continued) == (False, True)
        assert [peer.received[0]["type"] for peer in it.server.peers] == [
            "session.update",
            "session.resume",
            "session.update",
        ]


@pytest.mark.parametrize("direction", ["both", "down", "up"])
@pytest.mark.parametrize("streaming", [False, True], ids=["idle", "streaming"])
async def test_a_stalled_link_is_given_up(direction, streaming):
    async with scene(be_ready, dead_after_s=1.0) as it:
        it.proxy.stall(up=direction in ("both", "up"), down=direction in ("both", "down"))
        if streaming:
            it.client.speech_going_up(True)
            dropped = await it.talk_until(events.Dropped)
        else:
            dropped = await it.heard.wait_for(events.Dropped)
        assert dropped.cause is Cause.NETWORK
        assert "nothing heard for 1 s" in dropped.detail
        it.proxy.flow()
        await it.heard.wait_for(events.Ready, 2)


async def speak_without_end(peer: Peer) -> None:
    """Be a service whose reply goes on, whatever it hears or does not hear."""
    await peer.hear()
    await peer.say(READY | {"session_id": f"sess_{peer.number}"}, {"type": "reply.started", "reply_id": "r"})
    listening = asyncio.create_task(peer.hear_until_closed())
    audio = {"type": "reply.audio", "reply_id": "r", "data": base64.b64encode(BLOCK).decode()}
    while not listening.done():
        await peer.say(audio)
        await asyncio.sleep(0.04)


@pytest.mark.parametrize("streaming", [False, True], ids=["idle", "streaming"])
async def test_a_dead_way_up_is_noticed_though_a_reply_comes_down(streaming):
    async with scene(speak_without_end, dead_after_s=1.0) as it:
        if streaming:
            it.client.speech_going_up(True)
            await it.talk(0.5)
        it.proxy.stall(down=False)
        dropped = await (it.talk_until(events.Dropped) if streaming else it.heard.wait_for(events.Dropped))
        assert dropped.cause is Cause.NETWORK
        assert "no ping answered for 1 s" in dropped.detail
        it.proxy.flow()
        await it.heard.wait_for(events.Ready, 2)


async def test_a_reply_over_a_way_up_that_pauses_is_not_cut_off():
    async with scene(speak_without_end, dead_after_s=3.0) as it:
        it.proxy.stall(down=False)
        await asyncio.sleep(3.5)
        it.proxy.flow()
        await asyncio.sleep(0.5)
        assert it.heard.of(events.Dropped) == []


async def test_a_link_that_swallows_what_is_sent_is_given_up():
    async with scene(be_ready, dead_after_s=1.0) as it:
        it.proxy.swallow()
        assert (await it.talk_until(events.Dropped)).cause is Cause.NETWORK


async def test_a_pause_shorter_than_the_limit_is_no_drop():
    async with scene(be_ready, dead_after_s=6.0) as it:
        it.proxy.stall()
        await asyncio.sleep(1.0)
        it.proxy.flow()
        await asyncio.sleep(0.5)
        assert it.heard.of(events.Dropped) == []
        assert it.client.ready


async def test_what_was_not_proven_at_a_drop_covers_all_that_was_lost():
    async with scene(be_ready, dead_after_s=1.0) as it:
        it.client.speech_going_up(True)
        await it.talk(0.5)
        it.proxy.stall(down=False)
        await it.talk_until(events.Dropped)
        proven = it.heard.of(events.Proven)[-1].samples
        # Let the server read to the end what it was sent.
        await asyncio.sleep(0.1)
        blocks = [m for m in it.server.peers[0].received if m["type"] == "input.audio"]
        assert 0 < proven <= len(blocks) * len(BLOCK) // 2


async def test_a_service_that_hears_us_but_is_not_heard_gets_little_that_will_be_sent_again():
    async with scene(be_ready, dead_after_s=2.4) as it:
        it.client.speech_going_up(True)
        await it.talk(0.8)
        it.proxy.half_open()
        await it.talk_until(events.Dropped)
        proven = it.heard.of(events.Proven)[-1].samples
        await asyncio.sleep(0.1)
        blocks = [m for m in it.server.peers[0].received if m["type"] == "input.audio"]
        # 2.4 s were spoken meanwhile; a busy machine's pongs are late.
        assert len(blocks) * len(BLOCK) // 2 - proven < RATE_HZ


async def test_audio_is_refused_when_the_link_does_not_drain():
    async with scene(be_ready, dead_after_s=20.0) as it:
        it.proxy.stall(up=True, down=True)
        taken = 0
        for _ in range(2000):
            if not it.client.send_audio(BLOCK):
                break
            taken += len(BLOCK) // 2
            await asyncio.sleep(0)
        assert it.client.send_audio(BLOCK) is False
        assert taken <= MOST_S * RATE_HZ + FULL_BUFFER_BYTES
        assert it.client.audio_sent_samples == taken
        it.proxy.flow()
        proven = await it.heard.wait_for(events.Proven)
        while proven.samples < taken:
            proven = await it.heard.wait_for(events.Proven, len(it.heard.of(events.Proven)) + 1)
        assert it.client.send_audio(BLOCK)


async def test_a_slow_link_is_not_taken_for_a_dead_one():
    """Half the rate that speech needs: the queue must stay so short that pings get through."""
    async with scene(be_ready) as it:
        it.client.speech_going_up(True)
        it.proxy.slow(bytes_per_s=32_000)
        sent = await it.talk(6.0)
        assert it.heard.of(events.Dropped) == []
        assert 0 < sent < 6.0 * 24_000


async def test_garbage_from_the_network_is_a_drop():
    async with scene(be_ready) as it:
        it.proxy.garbage()
        await it.heard.wait_for(events.Dropped)
        await it.heard.wait_for(events.Ready, 2)


async def test_a_network_that_is_away_for_a_while_is_waited_for():
    async with scene(be_ready) as it:
        await it.proxy.refuse()
        await it.heard.wait_for(events.Dropped, 3)
        await it.proxy.accept()
        ready = await it.heard.wait_for(events.Ready, 2)
        assert ready.resumed


async def test_a_network_that_is_away_for_longer_than_the_window_means_a_fresh_session():
    async with scene(be_ready, resume_window_s=0.5) as it:
        await it.proxy.refuse()
        await it.heard.wait_for(events.Dropped, 3)
        await it.proxy.accept()
        ready = await it.heard.wait_for(events.Ready, 2)
        assert ready.continued
        assert [peer.received[0]["type"] for peer in it.server.peers] == ["session.update"] * 2


async def test_a_network_that_stalls_in_the_handshake_is_tried_again():
    async with scene(be_ready) as it:
        it.proxy.stall()
        it.proxy.reset()
        await it.heard.wait_for(events.Dropped, 2)
        assert it.heard.of(events.Dropped)[1].cause is Cause.TIMEOUT
        it.proxy.flow()
        await it.heard.wait_for(events.Ready, 2)


async def test_a_resume_that_is_cut_off_is_not_tried_twice():
    async def cut(peer: Peer) -> None:
        assert (await peer.hear())["type"] == "session.resume"
        peer.websocket.transport.abort()

    async def first(peer: Peer) -> None:
        await peer.hear()
        await peer.say(READY)
        await peer.hear_until_closed()

    async with scene(first, cut, be_ready) as it:
        it.proxy.reset()
        ready = await it.heard.wait_for(events.Ready, 2)
        assert ready.continued
        assert it.server.peers[2].received[0]["type"] == "session.update"


async def test_many_drops_leave_nothing_behind():
    async with scene(refuse_resume) as it:
        before = len(asyncio.all_tasks())
        for count in range(2, 10):
            it.proxy.reset()
            await it.heard.wait_for(events.Ready, count)
        await asyncio.sleep(0.2)
        assert len(asyncio.all_tasks()) <= before + 2
        assert it.proxy.open_connections == 1


async def test_a_close_on_a_stalled_link_ends_in_time():
    async with scene(be_ready) as it:
        it.proxy.stall()
        async with asyncio.timeout(10):
            await it.client.close(0.5)
        assert it.heard.events[-1] == events.Ended(None)


async def test_the_event_loop_that_slept_does_not_blame_the_link():
    async with scene(be_ready, dead_after_s=0.5) as it:
        await asyncio.sleep(0.3)
        time.sleep(1.5)  # noqa: ASYNC251  # the fault itself: the whole process stands still
        await asyncio.sleep(0.5)
        assert it.heard.of(events.Dropped) == []
