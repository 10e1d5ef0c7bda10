"""Every row of protocol 1.6, 8.1 and 8.3, by name, over real sockets."""

import asyncio
from typing import Self

import pytest
from tests.rigs.scripted_agent import (
    READY,
    Listener,
    Peer,
    Script,
    ScriptedAgent,
    be_ready,
    config_for,
)

from voicekiosk.agent import events
from voicekiosk.agent.client import AgentClient
from voicekiosk.agent.events import Cause
from voicekiosk.config.schema import Config

STOPS = {
    "unauthorized": Cause.KEY,
    "UNAUTHORIZED": Cause.KEY,
    "forbidden": Cause.KEY,
    "FORBIDDEN": Cause.KEY,
    "agent_not_found": Cause.CONFIG,
    "agent_id_not_first": Cause.CONFIG,
    "invalid_format": Cause.CONFIG,
    "invalid_value": Cause.CONFIG,
    "invalid_config": Cause.CONFIG,
    "invalid_webhook": Cause.CONFIG,
    "immutable_field": Cause.CONFIG,
}
RETRIES = {
    "server_error": Cause.SERVER,
    "internal_error": Cause.SERVER,
    "INTERNAL_ERROR": Cause.SERVER,
    "agent_init_failed": Cause.SERVER,
    "agent_timeout": Cause.SERVER,
    "at_capacity": Cause.CAPACITY,
    "concurrency_exceeded": Cause.CAPACITY,
    "invalid_audio": Cause.SERVER,
    "audio_rate_violation": Cause.SERVER,
    "session_not_found": Cause.EXPIRED,
    "something_new": Cause.SERVER,
}
SURVIVED = [
    "agent_id_not_first",
    "invalid_format",
    "invalid_audio",
    "invalid_value",
    "invalid_config",
    "invalid_webhook",
    "immutable_field",
    "audio_rate_violation",
    "something_new",
]


class Kiosk:
    """A client against scripts, ended whatever the test does."""

    def __init__(self, *scripts: Script, **network: object) -> None:
        self.server = ScriptedAgent(*scripts)
        self.network = {"backoff_max_s": 1.0} | network
        self.heard = Listener()
        self.client: AgentClient

    def config(self) -> Config:
        return config_for(self.server.url, **self.network)

    async def __aenter__(self) -> Self:
        await self.server.__aenter__()
        self.client = AgentClient(self.config(), lambda: "the-key", self.heard)
        self.client.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close(0.5)
        await self.server.__aexit__()


def refusing(code: str, close: int = 1008) -> Script:
    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.fail(code, close)

    return script


def closing(code: int) -> Script:
    """Be ready, then close with a code and not a word."""

    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say(READY)
        await peer.websocket.close(code)

    return script


@pytest.mark.parametrize(("code", "cause"), STOPS.items())
async def test_before_ready_this_code_stops_until_the_owner_acts(code, cause):
    async with Kiosk(refusing(code)) as kiosk:
        refused = await kiosk.heard.wait_for(events.Refused)
        assert (refused.code, refused.cause) == (code.lower(), cause)
        assert kiosk.heard.of(events.Dropped) == []
        assert len(kiosk.server.peers) == 1


@pytest.mark.parametrize(("code", "cause"), RETRIES.items())
async def test_before_ready_this_code_is_tried_again(code, cause):
    async with Kiosk(refusing(code), be_ready) as kiosk:
        dropped = await kiosk.heard.wait_for(events.Dropped)
        assert dropped.cause is cause
        await kiosk.heard.wait_for(events.Ready)


@pytest.mark.parametrize("code", SURVIVED)
async def test_in_a_session_this_code_is_told_and_survived(code):
    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say(READY, {"type": "session.error", "code": code, "message": "m"})
        await peer.say({"type": "transcript.user", "text": "still here"})
        await peer.hear_until_closed()

    async with Kiosk(script) as kiosk:
        assert (await kiosk.heard.wait_for(events.Trouble)).code == code
        await kiosk.heard.wait_for(events.UserText)
        assert kiosk.client.ready


@pytest.mark.parametrize("code", ["session_expired", "session_forbidden", "session_not_found"])
async def test_a_session_ended_by_this_code_is_followed_by_a_fresh_one(code):
    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say(READY)
        await peer.fail(code)

    async with Kiosk(script, be_ready) as kiosk:
        ready = await kiosk.heard.wait_for(events.Ready, 2)
        assert (ready.resumed, ready.continued) == (False, True)
        assert kiosk.server.peers[1].received[0]["type"] == "session.update"


@pytest.mark.parametrize(
    "code", ["session_not_found", "session_forbidden", "session_expired", "unauthorized"]
)
async def test_a_resume_refused_with_this_code_is_followed_by_a_fresh_session_with_the_key(code):
    async with Kiosk(closing(1011), refusing(code), be_ready) as kiosk:
        ready = await kiosk.heard.wait_for(events.Ready, 2)
        assert (ready.resumed, ready.continued) == (False, True)
        firsts = [peer.received[0]["type"] for peer in kiosk.server.peers]
        assert firsts == ["session.update", "session.resume", "session.update"]
        bearers = [peer.authorization for peer in kiosk.server.peers]
        assert bearers == ["Bearer the-key", "Bearer token-1", "Bearer the-key"]


async def test_a_resume_refused_on_a_socket_that_stays_open_is_closed_by_us():
    async def stay_open(peer: Peer) -> None:
        await peer.hear()
        await peer.say({"type": "session.error", "code": "session_not_found", "message": ""})
        await peer.websocket.wait_closed()

    async with Kiosk(closing(1011), stay_open, be_ready) as kiosk:
        await kiosk.heard.wait_for(events.Ready, 2)
        assert kiosk.server.peers[1].websocket.close_code == 1000


@pytest.mark.parametrize("code", [1000, 1001, 1005, 1008, 1011, 1012, 1013, 1014, 3005, 4999])
async def test_a_session_closed_with_this_code_is_a_drop_and_resumed(code):
    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say(READY)
        if code == 1005:
            peer.websocket.protocol.send_close()
            peer.websocket.send_data()
        else:
            await peer.websocket.close(code)

    async with Kiosk(script, be_ready) as kiosk:
        ready = await kiosk.heard.wait_for(events.Ready, 2)
        assert ready.resumed


async def test_a_session_that_breaks_without_a_close_frame_1006_is_resumed():
    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say(READY)
        peer.websocket.transport.abort()

    async with Kiosk(script, be_ready) as kiosk:
        ready = await kiosk.heard.wait_for(events.Ready, 2)
        assert ready.resumed
        assert kiosk.heard.of(events.Dropped)[0].cause is Cause.NETWORK


@pytest.mark.parametrize("code", [3006, 3007, 3008, 3009, 4001])
async def test_a_session_closed_with_this_code_is_over_for_good(code):
    async with Kiosk(closing(code)) as kiosk:
        assert (await kiosk.heard.wait_for(events.Refused)).code == f"close_{code}"
        assert len(kiosk.server.peers) == 1


async def test_a_clean_close_after_our_end_is_no_drop():
    async with Kiosk(be_ready) as kiosk:
        await kiosk.heard.wait_for(events.Ready)
        await kiosk.client.close()
        assert kiosk.heard.events[-1] == events.Ended(1.5)
        assert kiosk.heard.of(events.Dropped) == []


async def test_an_end_at_the_three_hour_limit_is_followed_by_a_fresh_session():
    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say(READY, {"type": "session.ended", "session_duration_seconds": 10800})
        await peer.websocket.close(1000)

    async with Kiosk(script, be_ready) as kiosk:
        ready = await kiosk.heard.wait_for(events.Ready, 2)
        assert (ready.resumed, ready.continued) == (False, True)
        assert kiosk.heard.of(events.Dropped)[0].cause is Cause.EXPIRED


# 8.3, silent failures


async def test_a_session_that_is_never_ready_is_given_up_and_tried_again():
    async def silent(peer: Peer) -> None:
        await peer.hear_until_closed()

    async with Kiosk(silent, be_ready, ready_timeout_s=1.0) as kiosk:
        await kiosk.heard.wait_for(events.Ready)
        assert kiosk.heard.of(events.Dropped)[0].cause is Cause.SERVER


async def test_a_deaf_agent_can_be_replaced_by_a_fresh_session_that_continues():
    async with Kiosk(be_ready) as kiosk:
        await kiosk.heard.wait_for(events.Ready)
        kiosk.client.renew("loud microphone, and no speech heard for 10 s")
        ready = await kiosk.heard.wait_for(events.Ready, 2)
        assert ready.continued
        assert kiosk.server.peers[0].received[-1]["type"] == "session.end"
        assert kiosk.server.peers[1].received[0]["type"] == "session.update"


async def test_a_reply_of_silence_without_words_is_handed_on_as_it_is():
    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say(READY, {"type": "reply.started", "reply_id": "r"})
        for _ in range(3):
            await peer.say({"type": "reply.audio", "reply_id": "r", "data": "AAAAAAAA"})
        await peer.say({"type": "reply.done", "reply_id": "r", "status": "completed"})
        await peer.hear_until_closed()

    async with Kiosk(script) as kiosk:
        await kiosk.heard.wait_for(events.ReplyDone)
        assert kiosk.heard.of(events.AgentText) == []
        assert sum(len(event.pcm) for event in kiosk.heard.of(events.ReplyAudio)) == 3 * 6


async def test_odd_frames_never_stop_a_conversation():
    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say(READY, "not json", "[1, 2]", "{}", '{"type": 5}', '{"type": "from.the.future"}')
        await peer.say('{"type":"reply.audio","data":"%%%"}', '{"type":"reply.audio"}', "[" * 100_000)
        await peer.websocket.send(b"\x00\x01\x02")
        await peer.websocket.send(["{", '"type":"transcript.user","text":"in pieces"', "}"])
        await peer.hear_until_closed()

    async with Kiosk(script) as kiosk:
        assert (await kiosk.heard.wait_for(events.UserText)).text == "in pieces"
        assert sum(kiosk.client.facts().skipped.values()) == 9
        assert kiosk.client.ready


async def test_a_listener_that_fails_does_not_end_the_conversation(caplog):
    heard = Listener()

    def on_event(event: object) -> None:
        heard(event)
        if isinstance(event, events.SpeechStarted):
            raise TypeError("a bug of ours")

    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say(READY, {"type": "input.speech.started"}, {"type": "transcript.user", "text": "hi"})
        await peer.hear_until_closed()

    async with ScriptedAgent(script) as server:
        client = AgentClient(config_for(server.url), lambda: "k", on_event)
        client.open()
        await heard.wait_for(events.UserText)
        await client.close(0.2)
    assert "SpeechStarted" in caplog.text


async def test_a_voice_that_is_refused_is_left_out_and_the_session_opens():
    async def refuse_voice(peer: Peer) -> None:
        await peer.hear()
        await peer.fail("invalid_value", param="output.voice")

    async with Kiosk(refuse_voice, be_ready) as kiosk:
        await kiosk.heard.wait_for(events.Ready)
        assert "voice" not in kiosk.server.peers[1].received[0]["session"]["output"]


async def test_a_refused_key_is_not_tried_again_until_it_changes():
    keys = ["bad"]
    heard = Listener()
    async with ScriptedAgent(refusing("unauthorized"), be_ready) as server:
        client = AgentClient(config_for(server.url), lambda: keys[0], heard)
        client.open()
        await heard.wait_for(events.Refused)
        client.open()
        await heard.wait_for(events.Refused, 2)
        assert len(server.peers) == 1
        keys[0] = "good"
        client.open()
        await heard.wait_for(events.Ready)
        await client.close()


async def test_a_refused_configuration_is_tried_again_at_a_press():
    async with Kiosk(refusing("invalid_config"), be_ready) as kiosk:
        await kiosk.heard.wait_for(events.Refused)
        await asyncio.sleep(0)
        kiosk.client.open()
        await kiosk.heard.wait_for(events.Ready)


@pytest.mark.parametrize("key", [None, "", "with\nnewline", "schlüssel"])
async def test_a_missing_or_broken_key_is_said_without_a_connection(key):
    heard = Listener()
    async with ScriptedAgent(be_ready) as server:
        client = AgentClient(config_for(server.url), lambda: key, heard)
        client.open()
        refused = await heard.wait_for(events.Refused)
        assert refused.cause is Cause.KEY
        assert server.peers == []
