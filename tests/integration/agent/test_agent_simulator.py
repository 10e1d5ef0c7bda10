"""The client against the stand-in for the service, which judges it by the checklist 12.1."""

import asyncio
import math
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.rigs.scripted_agent import Listener, config_for

from voicekiosk.agent import events
from voicekiosk.agent.client import AgentClient
from voicekiosk.agent.events import Cause
from voicekiosk.simulator import Settings, Simulator

BLOCK_SAMPLES = 960


def tone(samples: int) -> bytes:
    return array("h", (int(9000 * math.sin(n / 9)) for n in range(samples))).tobytes()


class Visitor:
    """Speaks into a client at real-time pace: a loud tone, then silence, for ever."""

    def __init__(self, client: AgentClient) -> None:
        self.client = client
        self.loud_blocks = 0

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        next_s = loop.time()
        loud, silent = tone(BLOCK_SAMPLES), bytes(2 * BLOCK_SAMPLES)
        while True:
            if self.client.send_audio(loud if self.loud_blocks else silent):
                self.loud_blocks = max(0, self.loud_blocks - 1)
            next_s = max(next_s + 0.04, loop.time() - 0.1)
            await asyncio.sleep(max(0.0, next_s - loop.time()))

    def speak(self, seconds: float) -> None:
        self.loud_blocks = int(seconds / 0.04)


@asynccontextmanager
async def kiosk(
    scenario: str = "", *, agent: dict[str, Any] | None = None, key: str = "sim-key", **network: Any
) -> AsyncIterator[tuple[Simulator, AgentClient, Listener, Visitor]]:
    settings = Settings(scenario=scenario) if scenario else Settings()
    async with Simulator(settings) as simulator:
        heard = Listener()
        config = config_for(simulator.url, agent=agent, **network)
        client = AgentClient(config, lambda: key, heard)
        visitor = Visitor(client)
        client.open()
        talking = asyncio.create_task(visitor.run())
        try:
            yield simulator, client, heard, visitor
        finally:
            talking.cancel()
            await client.close(2.0)
        assert simulator.bugs == 0
        assert simulator.violations == []


async def test_a_spoken_question_is_answered_by_the_parrot():
    async with kiosk() as (_, client, heard, visitor):
        await heard.wait_for(events.Ready)
        client.speech_going_up(True)
        visitor.speak(1.5)
        await heard.wait_for(events.ReplyDone, within_s=60)
        kinds = [type(event) for event in heard.events]
        for kind in (events.SpeechStarted, events.SpeechStopped, events.UserText, events.ReplyStarted):
            assert kind in kinds
        pcm = b"".join(event.pcm for event in heard.of(events.ReplyAudio))
        assert max(array("h", pcm)) > 5000
    assert heard.events[-1].duration_s is not None


async def test_a_greeting_is_a_reply():
    async with kiosk(agent={"greeting": "Hello there."}) as (_, _client, heard, _visitor):
        text = await heard.wait_for(events.AgentText)
        assert text.reply_id == heard.of(events.ReplyStarted)[0].reply_id
        await heard.wait_for(events.ReplyDone)


async def test_a_bad_key_is_refused_once():
    async with kiosk(key="wrong") as (simulator, _client, heard, _visitor):
        assert (await heard.wait_for(events.Refused)).cause is Cause.KEY
        assert simulator.stats()["connections_opened"] == 1


async def test_a_voice_that_is_no_more_is_left_out():
    async with kiosk(agent={"voice": "ivy"}) as (simulator, _client, heard, _visitor):
        await heard.wait_for(events.Ready)
        assert simulator.stats()["connections_opened"] == 2


@pytest.mark.parametrize("code", [0, 1006, 1011])
async def test_a_drop_becomes_a_continued_session_where_resuming_is_refused_as_it_is_live(code):
    async with kiosk(agent={"greeting": "Hello."}) as (simulator, _client, heard, _visitor):
        await heard.wait_for(events.ReplyDone)
        simulator.drop(code=code)
        ready = await heard.wait_for(events.Ready, 2)
        assert (ready.resumed, ready.continued) == (False, True)
        await asyncio.sleep(0.5)
        assert len(heard.of(events.ReplyStarted)) == 1


@pytest.mark.parametrize("scenario", ["resume-granted", "resume-with-token", "documented"])
async def test_a_drop_is_resumed_where_that_is_granted(scenario):
    async with kiosk(scenario) as (simulator, client, heard, _visitor):
        first = await heard.wait_for(events.Ready)
        simulator.drop()
        ready = await heard.wait_for(events.Ready, 2)
        assert ready.resumed
        assert ready.session_id == first.session_id
        assert client.facts().resumed == 1


@pytest.mark.parametrize("scenario", ["resume-forbidden", "resume-refused-open"])
async def test_however_a_resume_is_refused_the_conversation_goes_on(scenario):
    async with kiosk(scenario) as (simulator, _client, heard, _visitor):
        await heard.wait_for(events.Ready)
        simulator.drop()
        assert (await heard.wait_for(events.Ready, 2)).continued


@pytest.mark.parametrize(
    "scenario",
    ["strange-events", "unbalanced", "double-done", "no-done", "faster-than-real-time", "preview-era"],
)
async def test_a_service_with_odd_habits_is_understood(scenario):
    async with kiosk(scenario) as (_, client, heard, visitor):
        await heard.wait_for(events.Ready)
        client.speech_going_up(True)
        visitor.speak(1.5)
        await heard.wait_for(events.ReplyAudio, within_s=60)
        assert client.ready
        assert heard.of(events.Dropped) == []


@pytest.mark.parametrize("scenario", ["at-capacity", "http-503-twice", "drop-mid-handshake"])
async def test_a_service_that_is_not_well_is_waited_for(scenario):
    async with kiosk(scenario, backoff_max_s=1.0) as (_, _client, heard, _visitor):
        await heard.wait_for(events.Dropped, within_s=60)
        await heard.wait_for(events.Ready, within_s=60)


async def test_a_service_that_fails_in_the_middle_of_an_answer_is_continued():
    async with kiosk("internal-error") as (_, client, heard, visitor):
        await heard.wait_for(events.Ready)
        client.speech_going_up(True)
        visitor.speak(1.5)
        dropped = await heard.wait_for(events.Dropped, within_s=60)
        assert dropped.cause is Cause.SERVER
        assert (await heard.wait_for(events.Ready, 2, within_s=60)).continued
