"""What the journal of a daemon holds: each thing that matters once, and never what must not be there."""

import base64
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.rigs.live_audio import LiveWorld
from tests.rigs.live_daemon import KEY, LiveDaemon, journal_in_memory

from voicekiosk.kiosk.events import Fault
from voicekiosk.kiosk.state import Link, Turn
from voicekiosk.service import journal
from voicekiosk.service.redact import REDACTOR
from voicekiosk.simulator import Settings, Simulator

PROMPT = "a prompt that only the service should read"


class Everything(logging.Handler):
    """All that anybody logs, as it was before anything was hidden."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        fields = getattr(record, "fields", {})
        self.lines.append(f"{record.getMessage()} {record.args!r} {fields!r} {record.exc_text or ''}")


@pytest.fixture(autouse=True)
def written() -> Iterator[Any]:
    with journal_in_memory() as stream:
        yield stream


@pytest.fixture
def everything() -> Iterator[Everything]:
    handler = Everything()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEKIOSK_SOCKET", str(tmp_path / "control.sock"))
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", KEY)


@pytest.fixture
async def service() -> AsyncIterator[Simulator]:
    async with Simulator(Settings(key=KEY)) as simulator:
        yield simulator


def config(service: Simulator, rest: str = "") -> str:
    return f"[agent]\nurl = '{service.url}'\nsystem_prompt = '{PROMPT}'\n{rest}"


async def converse(kiosk: LiveDaemon) -> None:
    """Ask something and hear the answer to its end."""
    await kiosk.ask("press")
    await kiosk.until(lambda: kiosk.conductor.state.heard, "being heard")
    await kiosk.ask("release")
    await kiosk.until(lambda: kiosk.conductor.state.turn is Turn.SPEAKING, "an answer")
    await kiosk.until(lambda: kiosk.conductor.state.turn is Turn.NONE, "the end of the answer")


def spoken(service: Simulator) -> set[str]:
    """Words of both sides that were said on the first connection."""
    messages = [message for _, side, message in service.connections[0].record.messages if side == "server"]
    texts = [m.get("text", "") for m in messages if m["type"] in ("transcript.user", "transcript.agent")]
    assert any(texts)
    return {text for text in texts if text}


async def test_at_debug_no_key_no_token_no_audio_and_no_word_of_anybody_is_logged(
    tmp_path, service, everything, written
):
    journal.configure("debug")
    async with LiveDaemon(tmp_path, config(service, "[log]\nlevel = 'debug'\n")) as kiosk:
        await converse(kiosk)
        tokens = [
            message["resume_token"]
            for _, _, message in service.connections[0].record.messages
            if message["type"] == "session.ready"
        ]
        service.drop(code=1011)
        await kiosk.until(lambda: len(service.connections) == 2, "a second connection")
        await kiosk.ask("set-key", key=KEY + "-rotated")
    log = "\n".join(everything.lines)
    assert "session" in log
    assert tokens
    assert [REDACTOR.mask(token) for token in tokens] == ["<hidden>"] * len(tokens)
    for secret in (KEY, *tokens, base64.b64encode(KEY.encode()).decode(), PROMPT):
        assert secret not in log
        assert secret not in written.getvalue()
    assert not re.search(r"[A-Za-z0-9+/]{100,}", log)
    assert not [word for word in spoken(service) if word in log]
    assert service.violations == []


async def test_what_people_say_is_in_the_journal_where_the_configuration_allows_it(
    tmp_path, service, written
):
    async with LiveDaemon(tmp_path, config(service, "[log]\ntranscripts = true\n")) as kiosk:
        await converse(kiosk)
        words = spoken(service)
        await kiosk.until(lambda: all(word in written.getvalue() for word in words), "the words")


async def test_a_conversation_is_a_handful_of_lines_with_fields_to_find_them_by(
    tmp_path, service, everything
):
    async with LiveDaemon(tmp_path, config(service, "[conversation]\nkeep_open_s = 0\n")) as kiosk:
        await kiosk.until(lambda: not kiosk.conductor.state.untried, "the devices to be known")
        everything.records.clear()
        await converse(kiosk)
        await kiosk.until(lambda: kiosk.conductor.state.link is Link.CLOSED, "the end")
        await kiosk.until(lambda: "ended" in everything.lines[-1] or "idle" in everything.lines[-1], "it")
    records = [
        record
        for record in everything.records
        if record.name.startswith("voicekiosk") and record.levelno == logging.INFO
    ]
    said = [re.sub(r"sess_\w+", "ID", record.getMessage()) for record in records]
    said = [re.sub(r"[\d.]+ s", "N s", line) for line in said]
    expected = ["listening", "session ID open", "thinking", "speaking", "idle", "session ID ended after N s"]
    assert [line for line in said if line in expected] == expected
    assert set(said) - set(expected) <= {"connecting", "stopping"}
    fields = {record.getMessage(): record.fields for record in records}
    assert fields["speaking"]["STATE"] == "speaking"
    assert fields["speaking"]["TURN"] == "1"
    assert fields["speaking"]["SESSION_ID"].startswith("sess_")


async def test_a_session_that_breaks_leaves_a_block_for_the_vendors_support(tmp_path, service, everything):
    async with LiveDaemon(tmp_path, config(service)) as kiosk:
        await kiosk.ask("press")
        await kiosk.until(lambda: kiosk.conductor.state.link is Link.READY, "a session")
        session_id = (await kiosk.status())["session"]["session_id"]
        service.drop(code=1011)
        await kiosk.until(lambda: any("support:" in line for line in everything.lines), "the block")
        (record,) = [record for record in everything.records if "support:" in record.getMessage()]
    block = record.getMessage()
    assert f"session id: {session_id}" in block
    assert f"host: 127.0.0.1:{service.port}" in block
    assert "close code: 1011" in block
    assert re.search(r"opened: \S+Z\n  failed: \S+Z\n  lasted: [\d.]+ s", block)
    assert record.fields == {"SESSION_ID": session_id, "ERROR_CODE": "", "CLOSE_CODE": 1011}


async def test_a_session_that_is_refused_leaves_the_block_as_well(tmp_path, service, everything):
    text = f"[agent]\nurl = '{service.url}'\nagent_id = 'nobody'\n"
    async with LiveDaemon(tmp_path, text) as kiosk:
        await kiosk.ask("press")
        await kiosk.until(lambda: Fault.SERVICE in kiosk.conductor.state.faults, "the fault")
        (record,) = [record for record in everything.records if "support:" in record.getMessage()]
    assert "session id: none yet" in record.getMessage()
    assert "error code: agent_not_found" in record.getMessage()
    assert record.fields["ERROR_CODE"] == "agent_not_found"


async def test_a_session_that_ends_as_planned_needs_no_support(tmp_path, service, everything):
    async with LiveDaemon(tmp_path, config(service)) as kiosk:
        await kiosk.ask("press")
        await kiosk.until(lambda: kiosk.conductor.state.link is Link.READY, "a session")
        await kiosk.ask("mute")
    assert not [line for line in everything.lines if "support:" in line]


async def test_a_kiosk_that_is_offline_all_night_says_so_once(tmp_path, everything):
    text = "[agent]\nurl = 'ws://127.0.0.1:1/v1/ws'\n[conversation]\nconnect = 'on_boot'\n"
    async with LiveDaemon(tmp_path, text) as kiosk:
        facts = kiosk.conductor.parts.agent.facts
        await kiosk.until(lambda: facts().attempt >= 3, "three attempts")
    lines = [r for r in everything.records if "no connection" in r.getMessage() and r.levelno >= logging.INFO]
    assert len(lines) == 1


async def test_a_device_that_was_never_opened_is_named_as_in_the_configuration(tmp_path, service, everything):
    world = LiveWorld()
    world.cards = {}
    async with LiveDaemon(tmp_path, config(service), world=world) as kiosk:
        await kiosk.ask("press")
        both = {Fault.MICROPHONE, Fault.LOUDSPEAKER}
        await kiosk.until(lambda: both <= kiosk.conductor.state.faults, "both missing")
    lost = [record for record in everything.records if "next attempt" in record.getMessage()]
    named = {record.fields["DEVICE"] for record in lost if "DEVICE" in record.fields}
    assert named == {"rig:microphone", "rig:loudspeaker"}


async def test_devices_are_told_when_they_change_and_not_at_each_press(tmp_path, service, everything):
    async with LiveDaemon(tmp_path, config(service, "[conversation]\nkeep_open_s = 0\n")) as kiosk:
        for _ in range(2):
            await kiosk.ask("press")
            await kiosk.until(lambda: kiosk.conductor.state.link is Link.READY, "a session")
            await kiosk.until(lambda: kiosk.conductor.state.microphone_open, "a microphone")
            await kiosk.ask("mute")
            await kiosk.ask("release")
            await kiosk.ask("unmute")
            await kiosk.until(lambda: kiosk.conductor.state.link is Link.CLOSED, "idle")
            await kiosk.until(lambda: not kiosk.conductor.state.microphone_open, "a closed microphone")
    opened = [r for r in everything.records if r.getMessage().startswith("microphone open")]
    assert [r.levelno for r in opened].count(logging.INFO) == 1
    assert opened[0].fields["DEVICE"] == "rig:microphone"
    assert json.dumps(opened[0].fields)
