"""Starting without what a kiosk needs, and stopping in every state; the real daemon in a process of its own."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from tests.rigs.daemon_process import PATIENCE_S, ROOT, DaemonProcess
from tests.rigs.scripted_agent import READY, Peer, ScriptedAgent

from voicekiosk.simulator import Settings, Simulator

LIMIT_S = 3.0
"""How long a stop may take, on a machine that has nothing else to do."""
KEY = "sim-key"
RIG = ("-m", "tests.rigs.frozen_daemon")
DEVICES = """
[audio.capture]
device = "rig:microphone"
[audio.playback]
device = "rig:loudspeaker"
[panel]
driver = "none"
"""


def start(folder: Path, text: str, **more) -> DaemonProcess:
    config = folder / "config.toml"
    config.write_text(text)
    return DaemonProcess(folder, config, **more)


# --- starting ----------------------------------------------------------------------------------


def test_without_a_key_it_is_ready_and_says_so(tmp_path: Path):
    with start(tmp_path, "[panel]\ndriver = 'none'\n", ASSEMBLYAI_API_KEY="") as kiosk:
        status = kiosk.status()
        assert status["key"] == "none"
        assert "there is no API key" in kiosk.journal
        assert any("STATUS=fault" in line for line in kiosk.told)
        assert kiosk.ask("press")["state"] == "fault"
        assert kiosk.stop()[0] == 0


def test_without_microphone_and_loudspeaker_it_is_ready_and_names_both(tmp_path: Path):
    text = (
        "[audio.capture]\ndevice = 'NoSuchMicrophone'\n[audio.playback]\ndevice = 'NoSuchLoudspeaker'\n"
        "[panel]\ndriver = 'none'\n"
    )
    with start(tmp_path, text) as kiosk:
        kiosk.until(lambda: "NoSuchMicrophone" in kiosk.status()["microphone"]["fault"], "the microphone")
        kiosk.until(lambda: "NoSuchLoudspeaker" in kiosk.status()["loudspeaker"]["fault"], "the loudspeaker")
        assert kiosk.status()["state"] == "fault"
        assert "NoSuchMicrophone" in kiosk.journal
        code, took_s = kiosk.stop()
        assert (code, in_time(took_s)) == (0, True)


def test_without_pins_it_is_ready_and_says_so(tmp_path: Path):
    with start(tmp_path, "[panel]\nchip = '/dev/no-such-chip'\n") as kiosk:
        assert "no-such-chip" in kiosk.status()["panel"]["fault"]
        assert kiosk.status()["state"] == "fault"


def test_without_a_network_it_is_ready_and_says_so(tmp_path: Path):
    # A name that never resolves (RFC 6761).
    text = "[agent]\nurl = 'wss://kiosk.invalid/v1/ws'\n[conversation]\nconnect = 'on_boot'\n" + DEVICES
    with start(tmp_path, text, program=RIG) as kiosk:
        kiosk.until(lambda: kiosk.status()["link"]["cause"], "the cause")
        assert kiosk.status()["link"]["host"] == "kiosk.invalid"
        kiosk.until(lambda: kiosk.status()["state"] == "offline", "being offline")
        assert any("STATUS=offline" in line for line in kiosk.told)


def failed(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Start a daemon that cannot run, and return how it ended."""
    return subprocess.run(
        [sys.executable, "-m", "voicekiosk", "run", "--config", str(folder / "config.toml")],
        env={**os.environ, "PYTHONPATH": str(ROOT / "daemon"), **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_a_control_socket_that_is_taken_ends_it_with_one_sentence(tmp_path: Path):
    with start(tmp_path, "[panel]\ndriver = 'none'\n"):
        done = failed(tmp_path, VOICEKIOSK_SOCKET=str(tmp_path / "control.sock"))
    assert done.returncode == 1
    assert done.stderr.strip().count("\n") == 0
    assert "another voicekiosk is running" in done.stderr


def test_a_place_where_no_socket_can_be_ends_it_with_one_sentence(tmp_path: Path):
    (tmp_path / "config.toml").write_text("[panel]\ndriver = 'none'\n")
    done = failed(tmp_path, VOICEKIOSK_SOCKET=str(tmp_path / "nowhere" / "control.sock"))
    assert done.returncode == 1
    assert done.stderr.strip().count("\n") == 0
    assert "nowhere" in done.stderr


@pytest.mark.parametrize("content", [None, "[panel]\ndrivr = 'none'\nmode = 'loud'\n"])
def test_a_missing_or_broken_file_ends_it_with_every_problem_and_code_2(tmp_path: Path, content: str | None):
    if content is not None:
        (tmp_path / "config.toml").write_text(content)
    done = failed(tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == (1 if content is None else 2)
    assert "Traceback" not in done.stderr


def in_time(took_s: float) -> bool:
    """Whether a stop was quick enough, given what the machine has to do besides."""
    began_s = time.monotonic()
    subprocess.run([sys.executable, "-c", "import asyncio, numpy"], check=True, timeout=PATIENCE_S)
    return took_s < LIMIT_S + 2 * (time.monotonic() - began_s)


# --- stopping ----------------------------------------------------------------------------------


@pytest.fixture
async def service() -> AsyncIterator[Simulator]:
    async with Simulator(Settings(key=KEY)) as simulator:
        yield simulator


@pytest.fixture
def black_hole() -> Iterator[str]:
    """An address that takes a connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"ws://127.0.0.1:{server.getsockname()[1]}/v1/ws"


def at(url: str) -> str:
    return f"[agent]\nurl = '{url}'\n" + DEVICES


async def stopped(folder: Path, url: str, reach: Callable[[DaemonProcess], None]) -> float:
    """Start a daemon, let `reach` bring it somewhere, stop it there; return how long that took."""

    def run() -> float:
        with start(folder, at(url), program=RIG, ASSEMBLYAI_API_KEY=KEY) as kiosk:
            reach(kiosk)
            code, took_s = kiosk.stop()
            assert code == 0, kiosk.journal
            assert "Traceback" not in kiosk.journal
            assert any("STOPPING=1" in line for line in kiosk.told)
            return took_s

    return await asyncio.to_thread(run)


def listen(kiosk: DaemonProcess) -> None:
    kiosk.ask("press")
    kiosk.until(lambda: kiosk.status()["link"]["state"] == "ready", "a session")
    assert kiosk.status()["state"] == "listening"


def be_answered(kiosk: DaemonProcess) -> None:
    listen(kiosk)
    # Long enough to be taken for speech.
    time.sleep(1.5)
    kiosk.ask("release")
    kiosk.until(lambda: kiosk.status()["state"] == "speaking", "an answer")


def ended(service: Simulator) -> list[int]:
    """How often each session was ended."""
    return [link.record.counts["client"]["session.end"] for link in service.connections]


async def test_it_stops_at_once_when_idle(tmp_path: Path, service: Simulator):
    assert in_time(await stopped(tmp_path, service.url, lambda kiosk: None))
    assert service.connections == []


async def test_it_ends_the_session_when_stopped_while_it_listens(tmp_path: Path, service: Simulator):
    assert in_time(await stopped(tmp_path, service.url, listen))
    assert ended(service) == [1]
    assert service.violations == []


async def test_it_ends_the_session_when_stopped_while_it_speaks(tmp_path: Path, service: Simulator):
    assert in_time(await stopped(tmp_path, service.url, be_answered))
    assert ended(service) == [1]
    assert service.violations == []


async def test_it_stops_in_time_while_it_connects_to_a_black_hole(tmp_path: Path, black_hole: str):
    def connect(kiosk: DaemonProcess) -> None:
        kiosk.ask("press")
        kiosk.until(lambda: kiosk.status()["link"]["state"] == "connecting", "an attempt")

    assert in_time(await stopped(tmp_path, black_hole, connect))


async def test_it_stops_in_time_when_the_service_does_not_answer_the_end(tmp_path: Path):
    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say({"type": "session.updated"}, READY)
        await peer.hear_until_closed()

    async with ScriptedAgent(script) as server:
        assert in_time(await stopped(tmp_path, server.url, listen))
        assert {"type": "session.end"} in server.peers[0].received


async def test_it_stops_in_time_while_its_microphone_hangs(tmp_path: Path, service: Simulator):
    def hang(kiosk: DaemonProcess) -> None:
        listen(kiosk)
        kiosk.tell("capture")
        time.sleep(0.5)

    assert in_time(await stopped(tmp_path, service.url, hang))
    assert ended(service) == [1]
