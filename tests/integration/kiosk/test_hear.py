"""What the owner can hear of the last question, and what of it stays."""

import base64

import pytest
from tests.rigs.live_daemon import KEY, LiveDaemon

from voicekiosk.kiosk.state import Link, Turn
from voicekiosk.simulator import Settings, Simulator


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    monkeypatch.setenv("VOICEKIOSK_SOCKET", str(tmp_path / "control.sock"))
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", KEY)


@pytest.fixture
async def service():
    async with Simulator(Settings(key=KEY)) as simulator:
        yield simulator


def settings(simulator, keep_open_s=45):
    return f"[agent]\nurl = '{simulator.url}'\n[conversation]\nkeep_open_s = {keep_open_s}\n"


async def ask_a_question(kiosk):
    await kiosk.ask("press")
    await kiosk.until(lambda: kiosk.conductor.state.link is Link.READY, "a session")
    await kiosk.until(lambda: kiosk.conductor.uplink.utterance.sent > 12000, "half a second sent")
    await kiosk.ask("release")
    await kiosk.until(lambda: kiosk.conductor.state.turn is not Turn.LISTENING, "the end of the question")
    await kiosk.until(lambda: kiosk.conductor.uplink.utterance.waiting == 0, "all sent")


async def test_the_last_question_is_what_the_service_received(tmp_path, service):
    async with LiveDaemon(tmp_path, settings(service)) as kiosk:
        await ask_a_question(kiosk)
        heard = await kiosk.ask("hear")
        pcm = base64.b64decode(heard["pcm"])
        assert len(pcm) == 2 * heard["samples"]
        assert heard["skipped"] == 0
        received = service.connections[0].record.up
    assert bytes(received)[: len(pcm)] == pcm


async def test_a_long_question_comes_in_parts(tmp_path, service):
    async with LiveDaemon(tmp_path, settings(service)) as kiosk:
        await ask_a_question(kiosk)
        whole = await kiosk.ask("hear")
        part = await kiosk.ask("hear", start=1000)
        beyond = await kiosk.ask("hear", start=whole["samples"] + 10)
    assert base64.b64decode(whole["pcm"])[2000:] == base64.b64decode(part["pcm"])
    assert beyond["pcm"] == ""


async def test_nothing_of_a_question_is_left_when_the_conversation_is_over(tmp_path, service):
    async with LiveDaemon(tmp_path, settings(service, keep_open_s=0)) as kiosk:
        await ask_a_question(kiosk)
        await kiosk.until(lambda: kiosk.conductor.state.link is Link.CLOSED, "the end of the session")
        assert (await kiosk.ask("hear"))["samples"] == 0
        refused = await kiosk.ask("hear-aloud")
    assert refused["code"] == "refused"


async def test_the_last_question_is_played_when_nobody_talks(tmp_path, service):
    async with LiveDaemon(tmp_path, settings(service)) as kiosk:
        await ask_a_question(kiosk)
        await kiosk.until(lambda: kiosk.conductor.state.turn is Turn.NONE, "the answer is over")
        played = kiosk.conductor.parts.playback.statistics().played_samples
        assert "playing" in (await kiosk.ask("hear-aloud"))["message"]
        await kiosk.until(
            lambda: kiosk.conductor.parts.playback.statistics().played_samples > played + 6000, "it plays"
        )


async def test_it_is_not_played_into_a_conversation(tmp_path, service):
    async with LiveDaemon(tmp_path, settings(service)) as kiosk:
        await ask_a_question(kiosk)
        await kiosk.ask("press")
        assert (await kiosk.ask("hear-aloud"))["code"] == "refused"


async def test_the_level_is_told_of_an_open_microphone_only(tmp_path, service):
    async with LiveDaemon(tmp_path, settings(service)) as kiosk:
        state, capture = lambda: kiosk.conductor.state, kiosk.conductor.parts.capture
        # At a start it is opened once, to see whether it can be.
        await kiosk.until(
            lambda: capture.stream and not (state().untried or state().microphone_open),
            "a microphone at rest",
        )
        closed = await kiosk.ask("level")
        await kiosk.ask("press")
        await kiosk.until(lambda: kiosk.conductor.state.microphone_open, "the microphone")
        await kiosk.until(lambda: kiosk.conductor.parts.capture.stream.ring.written > 9600, "some sound")
        heard = await kiosk.ask("level")
    assert closed == {"open": False, "state": "idle", "rms_dbfs": None, "peak_dbfs": None}
    assert (heard["open"], heard["state"]) == (True, "listening")
    assert -30 < heard["rms_dbfs"] < heard["peak_dbfs"] <= 0
