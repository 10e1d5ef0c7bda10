"""What the simulator itself breaks is not held against the client, and what it forgets is really gone."""

import asyncio
import gc
import weakref

import numpy as np
import pytest
from tests.rigs.plain_client import PlainClient, request, settings, tone

from voicekiosk.simulator import Fault, Scenario, Simulator
from voicekiosk.simulator.scenario import change
from voicekiosk.simulator.world import REMEMBERED_BYTES

LIVE = {"ready.updated_ms": 10.0, "lifecycle.resume": "grant"}


def live(**others):
    """A simulator in real time that limits and judges the pace."""
    return Simulator(settings(change(Scenario(), LIVE | others), speed=1.0))


async def stream(client, seconds, sound=None):
    """Send audio at the pace of real time; what was due while this machine was out of breath is left out."""
    frame = tone(0.04) if sound is None else sound
    loop = asyncio.get_running_loop()
    end_s = loop.time() + seconds
    while loop.time() < end_s:
        await client.audio(frame)
        await asyncio.sleep(0.04)


def rules(sim):
    return [broken.rule for broken in sim.violations]


async def leave(client):
    await client.send("session.end")
    assert await client.code() == 1000


@pytest.mark.parametrize("do", ["blackhole", "stall"])
async def test_audio_that_waited_in_a_dead_link_is_neither_judged_nor_dropped(do):
    async with live() as sim, await PlainClient.open(sim) as client:
        await client.ready()
        await stream(client, 0.4)
        sim.fault(Fault(do=do, seconds=2.0))
        await stream(client, 2.6)
        await leave(client)
        (connection,) = sim.stats()["connections"]
        assert rules(sim) == []
        assert connection["samples_dropped"] == 0


async def test_audio_that_is_too_fast_after_a_dead_link_is_judged_all_the_same():
    async with live() as sim, await PlainClient.open(sim) as client:
        await client.ready()
        sim.fault(Fault(do="blackhole", seconds=0.3))
        await stream(client, 1.0)
        await client.audio(np.tile(tone(1.0), 3))
        await leave(client)
        assert set(rules(sim)) == {18}


async def test_silence_of_a_client_on_a_dead_link_breaks_no_rule():
    async with live() as sim:
        client = await PlainClient.open(sim)
        await client.ready()
        await stream(client, 1.5)
        await client.get("input.speech.started")
        sim.fault(Fault(do="blackhole", seconds=4.0))
        await asyncio.sleep(0.2)
        client.websocket.transport.abort()
        async with client:
            await sim.wait_for(lambda: not sim.links)
        assert rules(sim) == []


async def test_a_client_that_gave_up_on_a_dead_link_did_not_forget_to_end():
    async with live() as sim, await PlainClient.open(sim) as client:
        await client.ready()
        sim.fault(Fault(do="blackhole", seconds=0.8))
        await client.send("session.end")
        closing = asyncio.create_task(client.websocket.close())
        await sim.wait_for(lambda: not sim.links)
        await closing
        assert rules(sim) == []


@pytest.mark.parametrize("do", ["blackhole", "stall"])
async def test_a_ping_into_a_dead_link_needs_no_answer(do):
    async with live(**{"door.ping_interval_s": 0.2}) as sim, await PlainClient.open(sim) as client:
        await client.ready()
        sim.fault(Fault(do=do, seconds=1.0))
        await asyncio.sleep(1.5)
        await leave(client)
        assert rules(sim) == []


async def test_a_session_whose_old_link_seems_open_is_taken_over():
    async with live() as sim:
        async with await PlainClient.open(sim) as old:
            ready = await old.ready()
            sim.fault(Fault(do="blackhole", seconds=60.0))
            async with await PlainClient.open(sim) as client:
                await client.send("session.resume", session_id=ready["session_id"])
                assert (await client.get("session.ready"))["session_id"] == ready["session_id"]
                assert await old.code() == 1006
                await client.send("reply.create")
                await client.get("reply.started")
                await leave(client)
        assert rules(sim) == []


async def test_a_session_that_is_not_taken_over_goes_on_where_it_is():
    async with (
        live(**{"lifecycle.take_over": False}) as sim,
        await PlainClient.open(sim) as old,
        await PlainClient.open(sim) as client,
    ):
        ready = await old.ready()
        await client.send("session.resume", session_id=ready["session_id"])
        assert (await client.get("session.error"))["code"] == "session_not_found"
        await leave(old)


@pytest.mark.parametrize("code", [1000, 1001, 1011, 4001])
async def test_a_close_without_session_ended_leaves_a_session_that_goes_on(code):
    async with live() as sim:
        async with await PlainClient.open(sim) as client:
            ready = await client.ready()
            sim.drop(code=code)
            assert await client.code() == code
        async with await PlainClient.open(sim) as client:
            await client.send("session.resume", session_id=ready["session_id"])
            await client.get("session.ready")


# --- memory


async def test_of_a_closed_connection_only_facts_stay():
    async with live(**{"lifecycle.grace_s": 0.2}) as sim:
        sessions = []
        for ends in (True, False):
            async with await PlainClient.open(sim) as client:
                await client.ready()
                await stream(client, 0.3)
                sessions.append(weakref.ref(sim.connections[-1].session))
                if ends:
                    await leave(client)
        await sim.wait_for(lambda: not sim.links)
        await asyncio.sleep(0.3)
        async with await PlainClient.open(sim):
            gc.collect()
            assert [session() for session in sessions] == [None, None]
        assert [facts["phase"] for facts in sim.stats()["connections"][:2]] == ["over", "ready"]


async def test_large_prompts_of_old_sessions_are_forgotten():
    many, prompt = 40, "p" * 900_000
    async with live() as sim:
        for _ in range(many):
            async with await PlainClient.open(sim) as client:
                await client.update(system_prompt=prompt)
                await client.get("session.updated")
        _, answer = await request(sim, "/v1/sessions")
        kept = sum(len(session["config"]["system_prompt"]) for session in answer["sessions"])
        assert 0 < kept <= REMEMBERED_BYTES < many * len(prompt)


async def test_large_stored_agents_are_forgotten_from_the_oldest_on():
    body = {"name": "n", "system_prompt": "p" * 900_000, "voice": {"voice_id": "eve"}}
    async with live() as sim:
        made = [(await request(sim, "/v1/agents", "POST", body=body))[1]["id"] for _ in range(20)]
        assert list(sim.world.agents) == made[-len(sim.world.agents) :]
        assert len(sim.world.agents) == REMEMBERED_BYTES // 900_000
