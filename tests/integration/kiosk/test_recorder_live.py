"""The recorder in a whole daemon, asked by the command line."""

import asyncio
import json

import pytest
from tests.rigs.live_daemon import KEY, LiveDaemon

from voicekiosk.cli import main
from voicekiosk.kiosk.state import Link, Turn
from voicekiosk.simulator import Settings, Simulator


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    monkeypatch.setenv("VOICEKIOSK_SOCKET", str(tmp_path / "control.sock"))
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
async def service():
    async with Simulator(Settings(key=KEY)) as simulator:
        yield simulator


@pytest.fixture
def voicekiosk(capsys):
    async def run(*arguments):
        code = await asyncio.to_thread(main, list(arguments))
        out, err = capsys.readouterr()
        return code, out, err

    return run


def settings(simulator, *, transcripts):
    return f"[agent]\nurl = '{simulator.url}'\n[log]\ntranscripts = {str(transcripts).lower()}\n"


async def ask_and_be_answered(kiosk):
    await kiosk.ask("press")
    await kiosk.until(lambda: kiosk.conductor.state.link is Link.READY, "a session")
    await kiosk.until(lambda: kiosk.conductor.uplink.utterance.sent > 24000, "a second sent")
    await kiosk.ask("release")
    await kiosk.until(lambda: kiosk.conductor.state.turn is Turn.SPEAKING, "an answer")
    await kiosk.until(lambda: kiosk.conductor.state.turn is Turn.NONE, "its end")


async def test_a_turn_is_recorded_with_every_moment_and_both_levels(tmp_path, service, voicekiosk):
    async with LiveDaemon(tmp_path, settings(service, transcripts=False)) as kiosk:
        await ask_and_be_answered(kiosk)
        _, out, _ = await voicekiosk("report", "--json")
        code, table, _ = await voicekiosk("latency")
        _, delays, _ = await voicekiosk("latency", "--json")
    turn = json.loads(out)["turns"][-1]
    expected = "pressed first_frame first_send proven released speech_stopped first_reply sound"
    assert set(expected.split()) <= set(turn["moments"])
    assert turn["rest_s"] > turn["moments"]["sound"] > turn["moments"]["released"] > 0
    assert max(level for level in turn["levels"]["microphone"]["dbfs"] if level is not None) > -30
    assert max(level for level in turn["levels"]["loudspeaker"]["dbfs"] if level is not None) > -30
    kinds = {mark["kind"] for mark in turn["marks"]}
    assert {"button", "session", "first_send", "speech", "speech_end", "sound", "quiet"} <= kinds
    assert "words" not in kinds
    assert code == 0
    assert table.startswith("last turn ")
    counts = {delay["name"]: delay["count"] for delay in json.loads(delays)["delays"]}
    assert counts["release_to_sound"] == 1
    assert counts["press_to_silence"] == 0


async def test_words_are_recorded_if_allowed_and_forgotten_when_not_any_more(tmp_path, service, voicekiosk):
    async with LiveDaemon(tmp_path, settings(service, transcripts=True)) as kiosk:
        await ask_and_be_answered(kiosk)
        before = await kiosk.ask("report")
        kiosk.edit(settings(service, transcripts=False) + "[kiosk]\nname = 'quiet'\n")
        await kiosk.in_force("quiet")
        after = await kiosk.ask("report")
    texts = [mark["text"] for turn in before["turns"] for mark in turn["marks"] if mark["kind"] == "words"]
    assert any(text.startswith("visitor: ") for text in texts)
    assert before["words"] is True
    assert after["words"] is False
    assert not [mark for turn in after["turns"] for mark in turn["marks"] if mark["kind"] == "words"]
    assert not any(text in json.dumps(after) for text in texts)


async def test_the_page_is_a_new_file_and_never_another_one(tmp_path, service, voicekiosk):
    async with LiveDaemon(tmp_path, settings(service, transcripts=False)):
        code, out, _ = await voicekiosk("report")
        named = await voicekiosk("report", "--output", "mine.html")
        again = await voicekiosk("report", "--output", "mine.html")
        forced = await voicekiosk("report", "--output", "mine.html", "--force")
        lost = await voicekiosk("report", "--output", "nowhere/mine.html")
        _, page, _ = await voicekiosk("report", "-o", "-")
    assert code == 0
    assert (tmp_path / out.strip()).read_text().startswith("<!doctype html>")
    assert out.startswith("voicekiosk-report-")
    assert named == forced == (0, "mine.html\n", "")
    assert (again[0], again[1]) == (1, "")
    assert "mine.html: is there already" in again[2]
    assert lost[0] == 1
    assert "--output" in lost[2]
    assert page.endswith("</html>\n")
    assert KEY not in page


@pytest.mark.parametrize("command", ["latency", "report"])
async def test_without_a_daemon_they_say_so(voicekiosk, command, tmp_path):
    code, _, err = await voicekiosk(command)
    assert code == 3
    assert "not running" in err
    assert list(tmp_path.iterdir()) == []
