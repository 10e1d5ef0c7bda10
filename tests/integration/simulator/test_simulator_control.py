"""Steering a simulator while it runs, its REST side, its regions, and its voices."""

import asyncio
import os
import shutil
import struct

import numpy as np
import pytest
from tests.rigs.plain_client import PlainClient, calm, request, settings, tone

from voicekiosk.errors import ConfigError, KioskError
from voicekiosk.simulator import Answer, Fault, Scenario, Simulator
from voicekiosk.simulator.scenario import StoredAgent
from voicekiosk.simulator.voices import Espeak

TOOL = {"type": "function", "name": "look"}


# --- control


async def test_stats_tell_what_each_connection_did():
    async with Simulator(settings()) as sim, await PlainClient.open(sim) as client:
        await client.ready(greeting="Hello")
        await client.talk()
        await client.get("reply.done", 2)
        _, stats = await request(sim, "/stats", headers={})
        (connection,) = stats["connections"]
        assert stats["bugs"] == 0
        assert connection["samples"] == 24000 * 5
        assert connection["events"] == {"session.update": 1, "input.audio": 125}
        assert connection["events_sent"]["reply.done"] == 2
        assert [reply["kind"] for reply in connection["replies"]] == ["greeting", "turn"]
        assert (connection["open"], connection["phase"], connection["violations"]) == (True, "ready", [])


async def test_say_and_hears_and_call_tool_reach_the_open_sessions():
    async with Simulator(settings()) as sim, await PlainClient.open(sim) as client:
        await client.ready(tools=[TOOL])
        assert (await request(sim, "/say", query={"text": "Good evening"}))[1] == {
            "ok": True,
            "connections": 1,
        }
        await client.get("reply.done")
        assert client.all("transcript.agent")[0]["text"] == "Good evening"
        await request(sim, "/say", query={"hears": "Where is the exit?", "connection": 1})
        await client.talk()
        assert (await client.get("transcript.user"))["text"] == "Where is the exit?"
        await client.get("reply.done", 2)
        query = {"name": "look", "arguments": '{"at":["a",1]}'}
        assert (await request(sim, "/call-tool", query=query))[0] == 200
        call = await client.get("tool.call")
        assert (call["name"], call["arguments"]) == ("look", {"at": ["a", 1]})
        await client.get("reply.done", 3)
        await client.send("tool.result", call_id=call["call_id"], result='"here"')
        await client.get("reply.done", 4)
        assert client.all("transcript.agent")[-1]["text"] == "The answer is here"


async def test_faults_happen_on_command():
    async with Simulator(settings()) as sim, await PlainClient.open(sim) as client:
        await client.ready()
        await request(sim, "/fault", query={"do": "garbage"})
        await client.get("(garbage)")
        await request(sim, "/fault", query={"do": "frame", "frame": '{"type":"x.y","z":1}'})
        await client.get("x.y")
        await request(sim, "/fault", query={"do": "error", "error": "invalid_value", "message": "Hm"})
        assert (await client.get("session.error"))["message"] == "Hm"
        sim.say(" ".join(["word"] * 40))
        await client.get("reply.started")
        await request(sim, "/fault", query={"do": "interrupt"})
        assert (await client.get("reply.done"))["status"] == "interrupted"
        await request(sim, "/fault", query={"do": "fail", "error": "internal_error"})
        assert await client.code() == 1011


async def test_another_scenario_holds_from_the_next_connection_on():
    async with Simulator(settings()) as sim:
        async with await PlainClient.open(sim) as client:
            await client.ready()
        assert (await request(sim, "/scenario", query={"name": "at-capacity"}))[0] == 200
        async with await PlainClient.open(sim) as client:
            await client.update()
            assert (await client.get("session.error"))["code"] == "at_capacity"


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/drop", {}, 409),
        ("/drop", {"code": "999"}, 400),
        ("/drop", {"code": "x"}, 400),
        ("/say", {}, 400),
        ("/say", {"text": "to nobody"}, 409),
        ("/fault", {"do": "nothing"}, 400),
        ("/fault", {"do": "stall", "seconds": "long"}, 400),
        ("/fault", {"do": "stall", "second": "1"}, 400),
        ("/call-tool", {"name": "x", "arguments": "[]"}, 400),
        ("/scenario", {"name": "none"}, 400),
        ("/elsewhere", {}, 404),
    ],
)
async def test_a_control_request_that_cannot_be_met_says_why(path, query, status):
    async with Simulator(settings()) as sim:
        found, answer = await request(sim, path, query=query)
        assert found == status
        assert answer.get("error") or answer.get("detail")


async def test_drop_can_choose_one_of_several_connections():
    async with (
        Simulator(settings()) as sim,
        await PlainClient.open(sim) as one,
        await PlainClient.open(sim) as two,
    ):
        await one.ready()
        await two.ready()
        assert sim.drop(2, code=1011) == 1
        assert await two.code() == 1011
        assert one.closed is None


async def test_two_simulators_cannot_share_a_port():
    async with Simulator(settings()) as sim:
        with pytest.raises(KioskError, match="choose another --port"):
            await Simulator(settings(port=sim.port)).start()


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ConfigError, match="speed"):
        Simulator(settings(speed=0.0))
    with pytest.raises(ConfigError, match="no fault"):
        Simulator(settings(Scenario(fault=(Fault(do="explode"),))))


# --- an agent in Python


async def test_a_callable_decides_what_is_said_and_knows_what_was_heard():
    heard_all = []

    def agent(heard):
        heard_all.append(heard)
        return Answer("a tone", tone(0.5, 880.0)) if heard.reason == "turn" else "text"

    async with Simulator(settings(agent=agent)) as sim, await PlainClient.open(sim) as client:
        await client.ready(system_prompt="be brief", tools=[TOOL])
        await client.talk()
        done = await client.get("reply.done")
        assert np.array_equal(client.sound(done["reply_id"])[200 * 24 :][:12000], tone(0.5, 880.0))
        (heard,) = heard_all
        assert (heard.reason, heard.turn, heard.system_prompt, heard.tools) == (
            "turn",
            1,
            "be brief",
            ("look",),
        )
        assert 24000 <= heard.samples.size <= 30000


async def test_an_agent_may_keep_silent():
    async with Simulator(settings(agent=lambda _: None)) as sim, await PlainClient.open(sim) as client:
        await client.ready()
        await client.talk()
        await client.get("transcript.user")
        await client.settle(sim, 5.0)
        assert client.all("reply.started") == []


async def test_an_agent_that_raises_ends_its_connection_and_no_other():
    def agent(heard):
        raise RuntimeError(heard.reason)

    async with Simulator(settings(agent=agent)) as sim, await PlainClient.open(sim, bugs=1) as other:
        await other.ready()
        async with await PlainClient.open(sim, bugs=1) as client:
            await client.ready()
            await client.send("reply.create")
            assert await client.code() == 1011
        assert sim.bugs == 1
        assert other.closed is None


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
async def test_with_espeak_text_is_spoken():
    async with (
        Simulator(settings(calm(voice={"kind": "espeak"}), speed=5.0)) as sim,
        await PlainClient.open(sim) as client,
    ):
        await client.ready(greeting="Good morning, and welcome.")
        await client.get("reply.done")
        first = client.sound().copy()
        assert 24000 < first.size < 24000 * 5
        assert np.abs(first).max() > 3000
        await client.talk()
        await client.get("reply.done", 2)
        assert client.all("transcript.agent")[1]["text"].startswith("I heard you for")


def program(tmp_path, text):
    """Make a stand-in for espeak-ng."""
    file = tmp_path / "espeak-ng"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return str(tmp_path)


def wav(data):
    """A WAV of 16 bits at 22050 Hz around any bytes, as shell code that prints it."""
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 1,
                       22050, 44100, 2, 16, b"data", len(data))  # fmt: skip
    return "cat >/dev/null; printf '" + "".join(f"\\{byte:03o}" for byte in head + data) + "'"


@pytest.mark.parametrize("text", [wav(b""), wav(b"\1"), "cat >/dev/null; echo no wav", "cat >/dev/null"])
async def test_where_espeak_fails_tones_speak(tmp_path, monkeypatch, text):
    monkeypatch.setenv("PATH", f"{program(tmp_path, text)}:{os.environ['PATH']}")
    done = asyncio.get_running_loop().create_future()
    Espeak("en").render("Hello there", done.set_result)
    async with asyncio.timeout(10):
        assert (await done).size > 1000


def runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_an_espeak_that_hangs_is_ended(tmp_path, monkeypatch):
    text = f"echo $$ > {tmp_path}/pid; exec sleep 60"
    monkeypatch.setenv("PATH", f"{program(tmp_path, text)}:{os.environ['PATH']}")
    monkeypatch.setattr(Espeak, "TIMEOUT_S", 1.0)
    done = asyncio.get_running_loop().create_future()
    Espeak("en").render("Hello there", done.set_result)
    async with asyncio.timeout(20):
        assert (await done).size > 1000
        pid = int((tmp_path / "pid").read_text())
        while runs(pid):
            await asyncio.sleep(0.02)


# --- REST


async def test_sessions_can_be_listed_shown_and_deleted():
    async with Simulator(settings()) as sim:
        async with await PlainClient.open(sim) as client:
            ready = await client.ready(system_prompt="p")
            await client.send("session.end")
            await client.code()
        path = f"/v1/sessions/{ready['session_id']}"
        _, listed = await request(sim, "/v1/sessions", query={"limit": 10})
        assert [session["id"] for session in listed["sessions"]] == [ready["session_id"]]
        status, shown = await request(sim, path)
        assert (status, shown["public_close_reason"], shown["config"]["system_prompt"]) == (
            200,
            "client_end",
            "p",
        )
        assert (await request(sim, path, headers={"Authorization": "Bearer no"}))[0] == 404
        assert await request(sim, path, "DELETE") == (204, None)
        assert (await request(sim, path))[0] == 404
        assert (await request(sim, "/v1/sessions", query={"limit": 500}))[0] == 422


async def test_agents_can_be_stored_replaced_used_and_deleted():
    body = {"name": "n", "system_prompt": "one", "voice": {"voice_id": "eve"}}
    async with Simulator(settings()) as sim:
        status, agent = await request(sim, "/v1/agents", "POST", body=body)
        assert status == 201
        assert len(agent["id"]) == len("agent_") + 32
        path = f"/v1/agents/{agent['id']}"
        assert (await request(sim, path, "PUT", body=body | {"system_prompt": "two"}))[0] == 200
        async with await PlainClient.open(sim) as client:
            config = (await client.ready(agent_id=agent["id"]))["config"]
            assert (config["system_prompt"], config["output"]["voice"]) == ("two", "eve")
        assert (await request(sim, path, "DELETE"))[0] == 204
        assert (await request(sim, path))[0] == 404
        status, error = await request(sim, "/v1/agents", "POST", body=body | {"voice": {"voice_id": "ivy"}})
        assert (status, error["code"]) == (422, "validation_error")


@pytest.mark.parametrize(
    "field",
    [
        {"input": 5}, {"input": {"keyterms": [1]}}, {"input": {"format": None}}, {"greeting": 5}, {"tools": 5},
        {"tools": [5]}, {"tools": [{"type": "function"}]}, {"input": {"turn_detection": {"min_silence": 1}}},
    ],
)  # fmt: skip
async def test_an_agent_of_which_no_session_could_be_made_is_not_stored(field):
    body = {"name": "n", "system_prompt": "p", "voice": {"voice_id": "eve"}}
    async with Simulator(settings()) as sim:
        status, error = await request(sim, "/v1/agents", "POST", body=body | field)
        assert (status, error["code"]) == (422, "validation_error")
        assert error["error"]
        assert (await request(sim, "/v1/agents"))[1]["agents"] == []


@pytest.mark.parametrize(("field", "complaint"), [({"voice": "ivy"}, "ivy"), ({"tools": ({},)}, "tools")])
def test_an_agent_of_a_scenario_is_checked_before_anyone_names_it(field, complaint):
    with pytest.raises(ConfigError, match=f"'guide'.*{complaint}"):
        Simulator(settings(Scenario(agent=(StoredAgent(id="guide", **field),))))


async def test_each_region_knows_only_its_own_sessions_and_agents():
    eu = {"Host": "agents.eu.localhost", "Authorization": "Bearer sim-key"}
    body = {"name": "n", "system_prompt": "p", "voice": {"voice_id": "alba"}}
    async with Simulator(settings(calm(lifecycle={"resume": "grant", "grace_s": 600}))) as sim:
        _, agent = await request(sim, "/v1/agents", "POST", body=body, headers=eu)
        assert (await request(sim, f"/v1/agents/{agent['id']}"))[0] == 404
        assert (await request(sim, f"/v1/agents/{agent['id']}", headers=eu))[0] == 200
        async with await PlainClient.open(sim) as client:
            await client.update(agent_id=agent["id"])
            assert (await client.get("session.error"))["code"] == "agent_not_found"


# --- endings


async def test_stopping_closes_every_connection_with_1001():
    async with Simulator(settings()) as sim:
        client = await PlainClient.open(sim)
        await client.ready()
    async with client:
        assert await client.code() == 1001


async def test_a_record_that_cannot_be_written_is_given_up_and_the_session_goes_on(tmp_path, caplog):
    async with Simulator(settings(record=tmp_path)) as sim:
        (tmp_path / "2.jsonl").mkdir()
        async with await PlainClient.open(sim) as client:
            await client.ready()
        async with await PlainClient.open(sim) as client:
            await client.ready(greeting="Hello")
            await client.get("reply.done")
        assert sim.bugs == 0
    assert "connection 2 is no longer recorded" in caplog.text
    assert (tmp_path / "1.jsonl").stat().st_size > 0


async def test_a_folder_that_cannot_be_made_is_said_at_the_start(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(KioskError, match="cannot record in"):
        await Simulator(settings(record=tmp_path / "file" / "folder")).start()


async def test_memory_of_old_connections_is_given_back():
    async with Simulator(settings()) as sim:
        for _ in range(25):
            async with await PlainClient.open(sim) as client:
                await client.ready()
                await client.audio(tone(0.2))
                await sim.wait_for(lambda: sim.connections[-1].record.received_samples == 4800)
        await sim.wait_for(lambda: not sim.links)
        kept = [bool(link.record.up) for link in sim.connections]
        assert kept[:4] == [False] * 4
        assert kept[-1] is True
        assert all(link.facts()["samples"] == 4800 for link in sim.connections)
