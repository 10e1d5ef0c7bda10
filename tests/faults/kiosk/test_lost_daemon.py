"""The daemon's own death, in a process of its own: what is in the runtime directory, and what comes of it."""

import asyncio
import json
import signal
import stat
import sys

import pytest
from tests.rigs.live_daemon import KEY, PATIENCE_S

PROGRAM = """
import sys
from pathlib import Path
from tests.rigs.live_audio import LiveParts, LiveWorld
from voicekiosk.config.live import LiveConfig
from voicekiosk.kiosk.daemon import run

daemons = []
parts = LiveParts(LiveWorld(), lambda: daemons[0].credential.key)
run(LiveConfig(Path(sys.argv[1]), None), factory=parts, started=daemons.append)
"""


class Kiosk:
    """A daemon that can be killed."""

    def __init__(self, folder, url):
        from tests.rigs.live_audio import CARDS

        self.socket, self.runtime = folder / "control.sock", folder / "run"
        self.runtime.mkdir()
        self.config = folder / "config.toml"
        self.config.write_text(f"[agent]\nurl = '{url}'\n{CARDS}")

    async def start(self, *, runtime=True):
        from tests.rigs.control import RawClient

        self.socket.unlink(missing_ok=True)
        environ = {"PYTHONPATH": ":".join(sys.path), "ASSEMBLYAI_API_KEY": KEY}
        environ["VOICEKIOSK_SOCKET"] = str(self.socket)
        if runtime:
            environ["RUNTIME_DIRECTORY"] = str(self.runtime)
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, str(self.config), env=environ, cwd=self.runtime.parent
        )
        async with asyncio.timeout(PATIENCE_S):
            while not self.socket.exists():
                await asyncio.sleep(0.02)
        self.client = await RawClient.connect(self.socket)

    async def ask(self, command):
        return (await self.client.ask(command))["result"]

    async def until(self, **wanted):
        """Wait for a status: `state`, or `link`."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                status = await self.ask("status")
                if all(
                    wanted[key] == (status["link"]["state"] if key == "link" else status[key])
                    for key in wanted
                ):
                    return status
                await asyncio.sleep(0.02)

    async def end(self, how):
        self.client.close()
        self.process.send_signal(how)
        await asyncio.wait_for(self.process.wait(), PATIENCE_S)

    @property
    def left(self):
        return self.runtime / "conversation.json"


@pytest.fixture
async def kiosk(tmp_path, service):
    one = Kiosk(tmp_path, service.url)
    yield one
    if one.process.returncode is None:
        one.process.kill()
        await one.process.wait()


def updates(simulator, connection):
    return [
        message["session"]["system_prompt"]
        for _, side, message in simulator.connections[connection].record.messages
        if side == "client" and message["type"] == "session.update"
    ]


def kinds(simulator, connection):
    record = simulator.connections[connection].record
    return [message["type"] for _, side, message in record.messages if side == "client"]


async def converse(kiosk):
    await kiosk.ask("press")
    await kiosk.until(link="ready")
    await asyncio.sleep(0.6)
    await kiosk.ask("release")
    await kiosk.until(state="speaking")


@pytest.mark.parametrize("mode", ["grant", "refuse"])
async def test_an_answer_that_a_killed_daemon_was_giving_is_taken_up_by_the_next(kiosk, service, mode):
    from voicekiosk.simulator.scenario import change

    service.use_scenario(change(service.world.scenario, {"lifecycle.resume": mode}))
    await kiosk.start()
    await converse(kiosk)
    assert stat.S_IMODE(kiosk.left.stat().st_mode) == 0o600
    session_id = json.loads(kiosk.left.read_bytes())["session_id"]
    await kiosk.end(signal.SIGKILL)
    await kiosk.start()
    await kiosk.until(state="speaking")
    assert kinds(service, 1)[0] == "session.resume"
    status = await kiosk.until(link="ready")
    assert (status["session"]["session_id"] == session_id) == (mode == "grant")
    last = len(service.connections) - 1
    assert "reply.create" in kinds(service, last)
    if mode == "refuse":
        assert "What was said so far" in updates(service, last)[0]


async def test_a_daemon_that_is_stopped_leaves_nothing(kiosk):
    await kiosk.start()
    await converse(kiosk)
    assert kiosk.left.exists()
    await kiosk.end(signal.SIGTERM)
    assert list(kiosk.runtime.iterdir()) == []


async def test_a_daemon_killed_after_the_conversation_begins_the_next_with_nothing_of_it(kiosk, service):
    kiosk.config.write_text(kiosk.config.read_text() + "[conversation]\nkeep_open_s = 0\n")
    await kiosk.start()
    await converse(kiosk)
    await kiosk.until(state="idle", link="closed")
    assert not kiosk.left.exists()
    await kiosk.end(signal.SIGKILL)
    await kiosk.start()
    await converse(kiosk)
    last = len(service.connections) - 1
    assert kinds(service, last)[0] == "session.update"
    assert "What was said so far" not in updates(service, last)[0]


async def test_at_a_desk_nothing_is_written_anywhere(kiosk):
    before = set(kiosk.runtime.parent.rglob("*"))
    await kiosk.start(runtime=False)
    await converse(kiosk)
    new = set(kiosk.runtime.parent.rglob("*")) - before
    assert new == {kiosk.socket}
