"""The gallery: each scenario loads, does what its description says, and never breaks the simulator."""

import contextlib

import numpy as np
import pytest
from tests.rigs.plain_client import CALM, SILENCE, PlainClient, settings, tone
from websockets.exceptions import ConnectionClosed, InvalidStatus

from voicekiosk.simulator import Scenario, Simulator, scenario
from voicekiosk.simulator.faults import KINDS

TOOLS = [
    {"type": "function", "name": name}
    for name in ("get_weather", "find_museum", "get_time", "find_route", "opening_hours")
]


def of_the_gallery(name):
    """Return a scenario of the gallery that lets audio come as fast as a test can send it."""
    changes = {"audio.rate_limit": False, "audio.pace_tolerance_s": 1e6}
    return scenario.change(scenario.load(name), changes)


async def converse(sim, turns=2):
    """Talk as a tolerant client would, through everything that may happen; return what was seen."""
    try:
        client = await PlainClient.open(sim)
    except InvalidStatus as error:
        return [{"type": f"HTTP {error.response.status_code}"}]
    async with client:
        with contextlib.suppress(ConnectionClosed):  # being cut off is the point of many
            await client.update(tools=TOOLS)
            await client.until(lambda: client.seen or client.closed is not None or never_answers(sim))
            for number in range(turns):
                speech = np.concatenate((tone(1.2, 300.0 + 100 * number), SILENCE))
                await client.audio(speech, 9600)
                await client.settle(sim, 4.0)
                for call in client.all("tool.call"):
                    await client.send("tool.result", call_id=call["call_id"], result='"fine"')
                await client.settle(sim, 8.0)
            await client.send("session.end")
            await client.settle(sim, 2.0)
        return client.seen


def never_answers(sim):
    return sim.world.scenario.door.refuse == "silence"


def test_the_gallery_has_at_least_25_scenarios_that_all_load_and_say_what_they_are():
    names = scenario.names()
    assert len(names) >= 25
    for name in names:
        loaded = scenario.load(name)
        assert 10 < len(loaded.description) <= 110, name
        assert all(fault.do in KINDS for fault in loaded.fault), name
        assert name == "live" or loaded != Scenario(description=loaded.description), f"{name} changes nothing"


@pytest.mark.parametrize("name", scenario.names())
async def test_a_tolerant_client_can_talk_in_each_scenario(name):
    async with Simulator(settings(of_the_gallery(name), speed=150.0)) as sim:
        for _ in range(2):
            seen = await converse(sim)
        assert sim.bugs == 0
        assert seen or never_answers(sim) or name.startswith("drop"), "nothing came"


async def test_drop_mid_handshake_cuts_only_the_first_connection_before_ready():
    async with Simulator(settings(of_the_gallery("drop-mid-handshake"))) as sim:
        async with await PlainClient.open(sim) as client:
            await client.update()
            assert await client.code() == 1006
            assert client.types() == ["session.updated"]
        async with await PlainClient.open(sim) as client:
            await client.ready()


async def test_drop_mid_reply_cuts_after_60_chunks():
    async with (
        Simulator(settings(of_the_gallery("drop-mid-reply"))) as sim,
        await PlainClient.open(sim) as client,
    ):
        await client.ready()
        await client.talk()
        assert await client.code() == 1006
        assert len(client.all("reply.audio")) >= 60
        assert client.all("reply.done") == []


async def test_stalling_holds_everything_back_and_then_sends_it_at_once():
    async with (
        Simulator(settings(of_the_gallery("stalling"), speed=2.0)) as sim,
        await PlainClient.open(sim) as client,
    ):
        await client.ready()
        await client.talk(tone(3.0))
        await client.get("reply.done")
        assert any(
            note["do"] == "stall" for note in sim.connections[0].facts()["notes"] if note["note"] == "fault"
        )
        assert client.sound().size == sim.connections[0].record.sent_samples


async def test_a_dead_link_neither_reads_nor_answers_pings_and_then_comes_back():
    changed = scenario.change(of_the_gallery("live"), {"turn.clock": "audio"})
    async with Simulator(settings(changed, speed=1.0)) as sim, await PlainClient.open(sim) as client:
        await client.ready()
        sim.fault(scenario.Fault(do="blackhole", seconds=0.6))
        await client.send("reply.create")
        await client.until(lambda: client.all("reply.started"))
        assert client.seen[-1]["timestamp"] - client.seen[1]["timestamp"] >= 0.5


async def test_a_stored_agent_is_found_by_its_id_alone():
    async with (
        Simulator(settings(of_the_gallery("stored-agent"))) as sim,
        await PlainClient.open(sim) as client,
    ):
        ready = await client.ready(agent_id="agent_museum")
        assert ready["config"]["system_prompt"] == "You are a museum guide."
        assert (await client.get("transcript.agent"))["text"] == "Welcome to the museum."


async def test_the_script_hears_says_calls_and_begins_anew():
    async with (
        Simulator(settings(of_the_gallery("tools-chained"))) as sim,
        await PlainClient.open(sim) as client,
    ):
        await client.ready(tools=TOOLS)
        for number in (0, 1):
            await client.talk()
            first, second = (
                await client.get("tool.call", 3 * number + 1),
                await client.get("tool.call", 3 * number + 2),
            )
            await client.get("reply.done", 3 * number + 1)
            for call in (first, second):
                await client.send("tool.result", call_id=call["call_id"], result='"ok"')
            third = await client.get("tool.call", 3 * number + 3)
            await client.get("reply.done", 3 * number + 2)
            await client.send("tool.result", call_id=third["call_id"], result='{"route":"left"}')
            await client.get("reply.done", 3 * number + 3)
            assert client.all("transcript.user")[number]["text"].startswith("Which museum")
            assert client.all("transcript.agent")[number]["text"] == "This way: route left"


async def test_speech_over_a_running_tool_gives_a_late_stop_and_the_answer_twice():
    async with (
        Simulator(settings(of_the_gallery("tool-talked-over"))) as sim,
        await PlainClient.open(sim) as client,
    ):
        await client.ready(tools=TOOLS)
        await client.talk()
        call = await client.get("tool.call")
        await client.get("reply.done")
        await client.talk(tone(1.0, 700.0))
        await client.settle(sim, 2.0)
        assert len(client.all("input.speech.started")) == 1
        await client.send("tool.result", call_id=call["call_id"], result='"dry"')
        await client.get("reply.done", 3)
        assert len(client.all("input.speech.stopped")) == 2
        assert len(client.all("transcript.user")) == 1
        first, second = client.all("transcript.agent")
        assert (first["interrupted"], second["interrupted"]) == (True, False)
        assert first["text"] == second["text"] == "It is dry"
        assert [event["status"] for event in client.all("reply.done")] == ["completed"] * 3


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[turn]\nonset = 3", "unknown field `onset`"),
        ("[turn]\nclock = 'moon'", "Invalid enum value"),
        ("[turn", "not TOML"),
        ("[door]\nhttp_status = 600", "<= 599"),
        ("[[fault]]\nafter = 'x'", "missing required field `do`"),
    ],
)
def test_a_scenario_with_a_mistake_is_refused_with_its_place(text, complaint):
    with pytest.raises(scenario.ConfigError, match=complaint):
        scenario.parse(text, "mine.toml")


def test_a_scenario_file_is_read_by_its_path(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("description = 'mine'\n[reply]\npace = 2.0\n")
    assert scenario.load(str(path)).reply.pace == 2.0
    with pytest.raises(scenario.ConfigError, match="cannot read"):
        scenario.load(str(tmp_path / "none.toml"))
    with pytest.raises(scenario.ConfigError, match="--list"):
        scenario.load("none")


def test_the_calm_of_these_tests_is_made_of_known_keys():
    scenario.change(Scenario(), CALM)
