import asyncio
import base64
import json
import logging
import random

import pytest
from tests.rigs.scripted_agent import (
    READY,
    Listener,
    Peer,
    ScriptedAgent,
    be_ready,
    config_for,
    until_ended,
)
from websockets.frames import Frame, Opcode
from websockets.utils import accept_key

from voicekiosk.agent import events
from voicekiosk.agent.client import AgentClient
from voicekiosk.agent.facts import LinkState
from voicekiosk.config.schema import Agent, Config, Network

KEY = "sk-very-secret"
BLOCK = b"\x01\x02" * 960


def client_for(server: ScriptedAgent, heard: Listener, **network: object) -> AgentClient:
    return AgentClient(config_for(server.url, **network), lambda: KEY, heard)


async def test_a_conversation_from_open_to_ended():
    async def script(peer: Peer) -> None:
        await peer.hear("session.update")
        await peer.say({"type": "session.updated"}, READY)
        await peer.hear("input.audio")
        await peer.say({"type": "input.speech.started"}, {"type": "transcript.user.delta", "text": "hel"})
        await peer.say({"type": "input.speech.stopped"}, {"type": "transcript.user", "text": "hello"})
        await peer.say({"type": "reply.started", "reply_id": "r"})
        for number in range(3):
            pcm = bytes([number, 0]) * 240
            data = base64.b64encode(pcm).decode()
            await peer.say({"type": "reply.audio", "reply_id": "r", "data": data})
        await peer.say({"type": "transcript.agent", "reply_id": "r", "text": "Hi.", "interrupted": False})
        await peer.say({"type": "reply.done", "reply_id": "r", "status": "completed"})
        await until_ended(peer)

    heard = Listener()
    async with ScriptedAgent(script) as server:
        client = client_for(server, heard)
        assert not client.ready
        assert client.send_audio(BLOCK) is False
        client.open()
        await heard.wait_for(events.Ready)
        assert client.ready
        assert client.send_audio(BLOCK)
        await heard.wait_for(events.ReplyDone)
        await client.close()
    pcm = b"".join(bytes([number, 0]) * 240 for number in range(3))
    assert b"".join(event.pcm for event in heard.of(events.ReplyAudio)) == pcm
    kinds = [type(event) for event in heard.events if not isinstance(event, events.Proven)]
    # What came in one read is handed on as one.
    assert [kind for kind, before in zip(kinds, [None, *kinds], strict=False) if kind is not before] == [
        events.Connecting,
        events.Ready,
        events.SpeechStarted,
        events.UserText,
        events.SpeechStopped,
        events.UserText,
        events.ReplyStarted,
        events.ReplyAudio,
        events.AgentText,
        events.ReplyDone,
        events.Ended,
    ]
    audio = next(message for message in server.peers[0].received if message["type"] == "input.audio")
    assert base64.b64decode(audio["audio"]) == BLOCK
    assert server.peers[0].authorization == f"Bearer {KEY}"


async def test_nothing_is_connected_before_a_session_is_wanted():
    heard = Listener()
    async with ScriptedAgent(be_ready) as server:
        client = client_for(server, heard)
        await client.close()
        assert (heard.events, server.peers) == ([], [])
        assert client.facts().state is LinkState.CLOSED


async def test_all_audio_is_proven_once_it_has_arrived():
    heard = Listener()
    async with ScriptedAgent(be_ready) as server:
        client = client_for(server, heard)
        client.open()
        await heard.wait_for(events.Ready)
        client.speech_going_up(True)
        while client.audio_sent_samples < 20 * 960:
            # Faster than speech, so that now and then the link wants a proof first.
            client.send_audio(BLOCK)
            await asyncio.sleep(0.01)
        async with asyncio.timeout(10):
            while client.facts().audio_proven_samples < 20 * 960:
                await asyncio.sleep(0.01)
        proven = [event.samples for event in heard.of(events.Proven)]
        assert proven == sorted(set(proven))
        assert client.audio_sent_samples == 20 * 960
        assert client.facts().audio_proven_samples == 20 * 960
        await client.close()
        got = [message for message in server.peers[0].received if message["type"] == "input.audio"]
        assert len(got) == 20


async def test_a_second_conversation_is_a_new_one():
    heard = Listener()
    async with ScriptedAgent(be_ready) as server:
        client = client_for(server, heard)
        for conversation in (1, 2):
            client.open()
            ready = await heard.wait_for(events.Ready, conversation)
            assert (ready.resumed, ready.continued) == (False, False)
            await client.close()
        assert [peer.received[0]["type"] for peer in server.peers] == ["session.update"] * 2
        assert len(heard.of(events.Ended)) == 2


async def test_a_press_while_the_last_conversation_ends_starts_a_new_one():
    heard = Listener()
    async with ScriptedAgent(be_ready) as server:
        client = client_for(server, heard)
        client.open()
        await heard.wait_for(events.Ready)
        closing = asyncio.create_task(client.close())
        await asyncio.sleep(0)
        client.open()
        ready = await heard.wait_for(events.Ready, 2)
        assert not ready.continued
        await closing
        assert client.ready
        await client.close()
        assert len(heard.of(events.Ended)) == 2


async def test_an_open_that_is_taken_back_at_once_leaves_nothing_behind():
    heard = Listener()
    async with ScriptedAgent(be_ready) as server:
        client = client_for(server, heard)
        client.open()
        await client.close()
        assert heard.events[-1] == events.Ended(None)
        assert client.facts().state is LinkState.CLOSED


async def test_a_server_that_does_not_answer_the_end_is_left_after_the_wait():
    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say(READY)
        await peer.hear_until_closed()

    heard = Listener()
    async with ScriptedAgent(script) as server:
        client = client_for(server, heard)
        client.open()
        await heard.wait_for(events.Ready)
        await client.close(0.2)
        assert heard.events[-1] == events.Ended(None)


async def test_a_close_while_waiting_for_the_next_attempt_ends_at_once():
    heard = Listener()
    client = AgentClient(config_for("ws://127.0.0.1:1/v1/ws"), lambda: KEY, heard)
    client.open()
    await heard.wait_for(events.Dropped)
    await client.close(0.1)
    assert heard.events[-1] == events.Ended(None)


async def test_a_press_skips_the_pause():
    heard = Listener()
    config = config_for("ws://127.0.0.1:1/v1/ws", backoff_max_s=600.0)
    client = AgentClient(config, lambda: KEY, heard)
    client.open()
    for count in range(1, 6):
        await heard.wait_for(events.Dropped, count)
        client.open()
    await client.close(0.1)
    assert heard.of(events.Dropped)[0].cause is events.Cause.REFUSED


async def test_a_new_route_gives_up_an_attempt_in_flight():
    heard = Listener()
    async with ScriptedAgent(be_ready) as server:
        silent = await asyncio.start_server(lambda _r, _w: asyncio.sleep(60), "127.0.0.1", 0)
        port = silent.sockets[0].getsockname()[1]
        client = AgentClient(config_for(f"ws://127.0.0.1:{port}/"), lambda: KEY, heard)
        client.open()
        await heard.wait_for(events.Connecting)
        await asyncio.sleep(0.05)
        client.reconfigure(config_for(server.url))
        client.network_returned()
        await heard.wait_for(events.Ready)
        await client.close()
        silent.close()


async def test_a_new_configuration_reaches_the_running_session():
    heard = Listener()
    async with ScriptedAgent(be_ready) as server:
        client = client_for(server, heard)
        client.open()
        await heard.wait_for(events.Ready)
        client.reconfigure(Config(agent=Agent(url=server.url, volume=30), network=Network()))
        await client.close()
        assert server.peers[0].received[1] == {
            "type": "session.update",
            "session": {"output": {"volume": 30}},
        }


async def test_the_key_is_in_no_log_and_no_repr(caplog):
    caplog.set_level(logging.DEBUG)
    logging.getLogger("websockets").setLevel(logging.DEBUG)
    heard = Listener()

    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say(READY)
        peer.websocket.transport.abort()

    async def refuse(peer: Peer) -> None:
        await peer.hear()
        await peer.fail("unauthorized")

    async with ScriptedAgent(script, refuse) as server:
        server_side = logging.getLogger("websockets.server")
        server_side.disabled = True
        client = client_for(server, heard)
        client.open()
        await heard.wait_for(events.Refused)
        await client.close()
        server_side.disabled = False
    everything = caplog.text + repr(heard.events) + repr(client.facts()) + repr(client)
    assert KEY not in everything
    assert "token-1" not in everything


async def test_what_was_heard_of_a_reply_is_what_a_fresh_session_is_told():
    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say(READY | {"resume_token": ""}, {"type": "reply.started", "reply_id": "r"})
        for number, word in enumerate(("Heard", "unheard")):
            start_ms = 900 * number
            delta = {"type": "transcript.agent.delta", "reply_id": "r", "delta": word, "start_ms": start_ms}
            await peer.say(delta)
        await asyncio.sleep(0.2)
        peer.websocket.transport.abort()

    heard = Listener()
    async with ScriptedAgent(script, be_ready) as server:
        client = client_for(server, heard, resume="never")

        def on_event(event: object) -> None:
            if isinstance(event, events.Dropped):
                assert client._session.memory.spoken("r", 24 * 500) == "Heard"
                client.played("r", 24 * 500)
            heard(event)

        client._on_event = on_event
        client.open()
        await heard.wait_for(events.Ready, 2)
        prompt = server.peers[1].received[0]["session"]["system_prompt"]
        await client.close()
    assert "You: Heard … (cut off here)" in prompt
    assert "unheard" not in prompt


async def test_wishes_reach_the_service():
    heard = Listener()
    async with ScriptedAgent(be_ready) as server:
        client = client_for(server, heard)
        assert client.create_reply() is False
        client.open()
        await heard.wait_for(events.Ready)
        assert client.create_reply("Go on.")
        client.discard_reply()
        await client.close()
        assert server.peers[0].received[1] == {"type": "reply.create", "instructions": "Go on."}


@pytest.mark.parametrize("url", ["http://host", "nonsense", "ws://user:password@host/"])
async def test_an_address_that_is_none_is_refused_with_the_key_to_change(url):
    heard = Listener()
    client = AgentClient(config_for(url), lambda: KEY, heard)
    client.warm_up()
    client.open()
    refused = await heard.wait_for(events.Refused)
    assert "agent.url" in refused.message
    assert "password" not in repr(heard.events)


async def test_no_task_is_left_after_a_conversation():
    heard = Listener()
    async with ScriptedAgent(be_ready) as server:
        before = asyncio.all_tasks()
        client = client_for(server, heard)
        client.open()
        await heard.wait_for(events.Ready)
        await client.close()
        await asyncio.sleep(0.05)
        left = [task for task in asyncio.all_tasks() - before if "websockets" not in repr(task)]
        assert left == []


async def test_a_message_of_ten_megabytes_comes_through():
    big = base64.b64encode(bytes(8 * 1024 * 1024)).decode()

    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say(READY, json.dumps({"type": "reply.audio", "reply_id": "r", "data": big}))
        await until_ended(peer)

    heard = Listener()
    async with ScriptedAgent(script) as server:
        client = client_for(server, heard)
        client.open()
        assert len((await heard.wait_for(events.ReplyAudio)).pcm) == 8 * 1024 * 1024
        await client.close()


async def test_a_reply_far_ahead_of_the_loudspeaker_is_read_with_rests_and_whole():
    chunks = [bytes([number % 251, number // 251]) * 240 for number in range(600)]

    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say(READY, {"type": "reply.started", "reply_id": "r"})
        for chunk in chunks:
            data = base64.b64encode(chunk).decode()
            await peer.say({"type": "reply.audio", "reply_id": "r", "data": data})
        await peer.say({"type": "reply.done", "reply_id": "r", "status": "completed"})
        await until_ended(peer)

    heard = Listener()
    async with ScriptedAgent(script) as server:
        client = client_for(server, heard)
        client.open()
        await heard.wait_for(events.ReplyDone)
        await client.close()
    assert b"".join(event.pcm for event in heard.of(events.ReplyAudio)) == b"".join(chunks)


async def test_a_connection_that_breaks_while_reading_rests_is_noticed():
    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say(READY, {"type": "reply.started", "reply_id": "r"})
        data = base64.b64encode(bytes(48_000)).decode()
        await peer.say({"type": "reply.audio", "reply_id": "r", "data": data})
        peer.websocket.transport.abort()

    heard = Listener()
    async with ScriptedAgent(script, be_ready) as server:
        client = client_for(server, heard)
        client.open()
        assert (await heard.wait_for(events.Ready, 2)).resumed
        await client.close()


async def test_an_error_right_behind_the_handshake_is_not_missed():
    error = b'{"type":"session.error","code":"unauthorized","message":"Authentication failed"}'

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        key = next(line.split(b": ")[1] for line in request.split(b"\r\n") if b"WebSocket-Key" in line)
        head = (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept_key(key.decode())}\r\n\r\n"
        )
        close = Frame(Opcode.CLOSE, b"\x03\xf0").serialize(mask=False)
        writer.write(head.encode() + Frame(Opcode.TEXT, error).serialize(mask=False) + close)
        await writer.drain()
        writer.close()

    heard = Listener()
    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = AgentClient(config_for(f"ws://127.0.0.1:{port}/"), lambda: KEY, heard)
    client.open()
    assert (await heard.wait_for(events.Refused)).cause is events.Cause.KEY
    await client.close()
    server.close()


async def talk_and_give_up(client: AgentClient, heard: Listener, for_s: float) -> None:
    """A conversation whose link does not come back, and the next one."""
    client.open()
    await heard.wait_for(events.UserText)
    client.keep(for_s)
    await client.close()
    client.open()
    await heard.wait_for(events.Ready, 2)
    await client.close()


@pytest.mark.parametrize(("for_s", "goes_on"), [(45.0, True), (0.0, False)])
async def test_who_comes_back_soon_enough_after_an_outage_goes_on_with_the_conversation(for_s, goes_on):
    async def script(peer: Peer) -> None:
        await peer.hear("session.update")
        await peer.say(READY, {"type": "transcript.user", "text": "Where is the lighthouse?"})
        await until_ended(peer)

    heard = Listener()
    async with ScriptedAgent(script) as server:
        client = client_for(server, heard)
        await talk_and_give_up(client, heard, for_s)
        first, second = (peer.received[0] for peer in server.peers)
        assert "lighthouse" not in json.dumps(first)
        assert ("lighthouse" in json.dumps(second)) is goes_on
        assert heard.of(events.Ready)[1].continued is goes_on
        assert not heard.of(events.Ready)[1].resumed


async def test_nobody_who_speaks_waits_for_a_pause_between_attempts() -> None:
    async def script(peer: Peer) -> None:
        await peer.hear("session.update")
        if len(server.peers) == 1:
            await peer.say({"type": "session.error", "code": "at_capacity", "message": "full"})
            return
        await peer.say(READY)
        await until_ended(peer)

    class Slow(random.Random):
        def uniform(self, a, b):
            return 30.0

    heard = Listener()
    async with ScriptedAgent(script) as server:
        client = AgentClient(config_for(server.url), lambda: KEY, heard, Slow())
        client.open()
        await heard.wait_for(events.Dropped)
        client.speech_going_up(True)
        await heard.wait_for(events.Ready)
        await client.close()
