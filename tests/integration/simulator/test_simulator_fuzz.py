"""Random messages in random order leave the simulator serving.

The full run, which prints what it walked through (VOICEKIOSK_FUZZ_SEED=2 takes another way):

    VOICEKIOSK_FUZZ_MESSAGES=100000 scripts/test tests/integration/simulator/test_simulator_fuzz.py -s -k random_order
"""

import asyncio
import contextlib
import json
import os
import resource
import sys
from collections import Counter
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.rigs.plain_client import PlainClient, calm, settings
from tests.rigs.random_messages import Messages
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from voicekiosk.simulator import Answer, Call, Simulator
from voicekiosk.simulator.scenario import StoredAgent

MESSAGES = int(os.environ.get("VOICEKIOSK_FUZZ_MESSAGES", "3000"))
SEED = int(os.environ.get("VOICEKIOSK_FUZZ_SEED", "1"))
GROWTH_LIMIT_KB = 200_000
FIRST = json.dumps(
    {"type": "session.update", "session": {"greeting": "Hi", "tools": [{"type": "function", "name": "slow"}]}}
)


def agent(heard):
    """Answer each third turn with a tool, so that every path is walked."""
    if heard.reason in ("turn", "create") and heard.turn % 3 == 0:
        return Answer(calls=(Call(("get_weather", "slow")[heard.turn % 2]),))
    return heard.text or "yes"


ROOMS = ("session.ready", "resumed", "session.updated", "session.error", "tool.call", "reply.done")


async def one_connection(sim, source, left):
    """Send messages until the server has had enough or the client has; return how many, and what came back."""
    headers = {"Authorization": f"Bearer {sim.key}"}
    sent, rng, came, answered = 0, source.rng, Counter(), asyncio.Event()
    async with connect(
        sim.url, additional_headers=headers, compression=None, proxy=None, close_timeout=1
    ) as ws:

        async def drain():
            with contextlib.suppress(ConnectionClosed):
                async for text in ws:
                    if isinstance(text, str) and '"reply.audio"' not in text[:30]:
                        event = json.loads(text)
                        source.learn(event)
                        came[event["type"]] += 1
                        if event["type"] in ("session.ready", "session.error"):
                            answered.set()
            answered.set()

        reader = asyncio.create_task(drain())
        with contextlib.suppress(ConnectionClosed):
            first = rng.random()
            if first < 0.7:
                await ws.send(FIRST)
            elif first < 0.9:
                await ws.send(source.resume())
            if first < 0.9 and rng.random() < 0.9:
                await answered.wait()
            if first >= 0.7:
                came["resumed"] += came["session.ready"]
            for _ in range(min(left, rng.choice((1, 10, 100, 400)))):
                await ws.send(source.message())
                sent += 1
                if rng.random() < 0.05:
                    await asyncio.sleep(0.005)
        if rng.random() < 0.5:
            ws.transport.abort()
        reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reader
    return max(1, sent), came


def peak_kb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def serves(sim):
    async with await PlainClient.open(sim) as client:
        await client.ready()
        await client.talk()
        await client.get("reply.done")
        await client.send("session.end")
        assert await client.code() == 1000


async def test_random_messages_in_random_order_leave_it_serving(tmp_path):
    source, came, connections = Messages(SEED), Counter(), 0
    scenario = calm(
        lifecycle={"resume": "grant", "grace_s": 6000},
        reply={"create_ms": 1, "first_audio_ms": 1, "pace": 0},
        tools={"call_ms": 1, "done_ms": 1},
    )
    scenario = replace(scenario, agent=(StoredAgent(id="agent_1"),))
    async with Simulator(
        settings(scenario, speed=200.0, agent=agent, kept_audio_s=1.0, record=tmp_path)
    ) as sim:
        await serves(sim)
        before_kb = peak_kb()
        sent = 0
        while sent < MESSAGES:
            batch = [one_connection(sim, source, MESSAGES - sent) for _ in range(4)]
            for number, answers in await asyncio.gather(*batch):
                sent, connections, came = sent + number, connections + 1, came + answers
            for path in tmp_path.iterdir():
                path.unlink()
        assert sim.bugs == 0
        grown_kb = peak_kb() - before_kb
        assert grown_kb < GROWTH_LIMIT_KB
        await serves(sim)
        sys.stdout.write(
            f"\n{sent} messages on {connections} connections: {sim.bugs} bugs, {grown_kb} kB more, {dict(came)}\n"
        )
        # A walk that does not come into the rooms proves nothing about them.
        assert all(came[room] >= MESSAGES // 3000 for room in ROOMS), came


RAW = [
    b"",
    b"\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
    b"GET http://x/ HTTP/1.1\r\n\r\n",
    b"POST /v1/agents HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
    b"POST /v1/agents HTTP/1.1\r\nContent-Length: " + 5000 * b"0" + b"\r\n\r\n",
    b"POST /v1/agents HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    b"POST /v1/agents HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET /v1/ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
    b"GET /v1/ws HTTP/1.0\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"POST /v1/ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"GET /fault?do=nothing HTTP/1.1\r\n\r\n",
    b"GET /call-tool?name=x&arguments=[ HTTP/1.1\r\n\r\n",
    b"GET /stats?connection=x HTTP/1.1\r\n\r\n",
    b"GET /v1/sessions/%00 HTTP/1.1\r\nAuthorization: Bearer sim-key\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\n\r\n",
    b"A" * 100_000,
    Path("/dev/urandom").open("rb").read(5000),  # noqa: SIM115
]


@pytest.mark.parametrize("data", RAW, ids=range(len(RAW)))
async def test_bytes_that_are_no_request_are_answered_or_dropped(data):
    async with Simulator(settings()) as sim:
        reader, writer = await asyncio.open_connection("127.0.0.1", sim.port)
        with contextlib.suppress(ConnectionError):
            writer.write(data)
            writer.write_eof()
            async with asyncio.timeout(15):
                answer = await reader.read()
            assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 505"))
        writer.close()
        assert sim.bugs == 0
        await serves(sim)


UPGRADE = (
    b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAuthorization: Bearer sim-key\r\n\r\n"
)
FRAMES = {
    "a half frame": b"\x81\xfe\x01",
    "an unmasked frame": b"\x81\x02hi",
    "a reserved opcode": b"\x83\x80\0\0\0\0",
    "a continuation of nothing": b"\x80\x80\0\0\0\0",
    "text that is not UTF-8": b"\x81\x82\0\0\0\0\xff\xfe",
    "fragments without content": b"\x01\x80\0\0\0\0" + 20_000 * b"\x00\x80\0\0\0\0",
    "a fragment without end": b"\x01\x82\0\0\0\0{}",
    "an endless ping": b"\x89\xfe\xff\xff\0\0\0\0",
    "a frame of 2 to the 62 bytes": b"\x81\xff\x40" + bytes(7) + bytes(4),
    "a close with half a code": b"\x88\x81\0\0\0\0\x03",
}


@pytest.mark.parametrize("name", FRAMES)
async def test_broken_frames_close_their_connection_and_no_other(name):
    async with Simulator(settings()) as sim:
        reader, writer = await asyncio.open_connection("127.0.0.1", sim.port)
        writer.write(UPGRADE + FRAMES[name])
        writer.write_eof()
        async with asyncio.timeout(15):
            answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 101")
        writer.close()
        await sim.wait_for(lambda: not sim.links)
        assert sim.bugs == 0
        await serves(sim)


async def test_a_frame_of_10_mb_is_closed_with_1009():
    async with Simulator(settings()) as sim:
        async with await PlainClient.open(sim) as client:
            await client.ready()
            with contextlib.suppress(ConnectionClosed):
                await client.raw("x" * 10_000_000)
            assert await client.code() == 1009
        assert sim.bugs == 0
        await serves(sim)


async def test_a_client_that_never_reads_is_cut_off_before_memory_runs_out():
    async with Simulator(settings()) as sim:
        reader, writer = await asyncio.open_connection("127.0.0.1", sim.port, limit=1)
        prompt = b"p" * 60_000
        update = b'{"type":"session.update","session":{"system_prompt":"' + prompt + b'"}}'
        frame = b"\x81\xfe" + len(update).to_bytes(2, "big") + b"\0\0\0\0" + update
        writer.write(UPGRADE + frame)
        await sim.wait_for(
            lambda: sim.connections and sim.connections[0].record.counts["server"]["session.ready"]
        )
        before_kb = peak_kb()
        with contextlib.suppress(ConnectionError):
            for _ in range(2000):
                writer.write(frame)
                await writer.drain()
        await sim.wait_for(lambda: sim.connections[0].closed, timeout_s=20)
        assert peak_kb() - before_kb < GROWTH_LIMIT_KB
        writer.close()
        await serves(sim)
        assert not reader.at_eof() or sim.bugs == 0
