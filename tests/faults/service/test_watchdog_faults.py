"""A process of its own with systemd's end of the notify socket in this one."""

import os
import socket
import subprocess
import sys

import pytest
from tests.rigs.control import WAIT_S

# Feeds every 50 ms; freezes what it is told to on its standard input.
PROGRAM = """
import asyncio, sys, time
from voicekiosk.service.notify import Notifier
from voicekiosk.service.watchdog import Watchdog

async def main():
    loop, notifier, frozen = asyncio.get_running_loop(), Notifier.from_environment(), {}

    def told():
        match sys.stdin.readline().strip():
            case "freeze loop":
                time.sleep(600)
            case "freeze capture":
                frozen["capture"] = 60.0
            case "go on":
                frozen.clear()

    loop.add_reader(sys.stdin, told)
    Watchdog(notifier, lambda now_s: frozen).start(loop)
    notifier.ready("idle")
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.fixture
def systemd(tmp_path):
    endpoint = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    endpoint.bind(str(tmp_path / "notify"))
    endpoint.settimeout(WAIT_S)
    yield endpoint
    endpoint.close()


@pytest.fixture
def daemon(systemd, tmp_path):
    environ = {
        **os.environ,
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": "100000",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    environ.pop("WATCHDOG_PID", None)
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=environ, stdin=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def tell(daemon, what):
    daemon.stdin.write(what + "\n")
    daemon.stdin.flush()


def starved(systemd):
    """Wait until nothing has come for twenty intervals."""
    systemd.settimeout(1.0)
    for _ in range(200):
        try:
            systemd.recv(4096)
        except TimeoutError:
            return True
    return False


def fed(systemd):
    systemd.settimeout(WAIT_S)
    return [systemd.recv(4096) for _ in range(5)]


def test_a_running_daemon_is_ready_and_feeds_the_watchdog(systemd, daemon):
    heard = fed(systemd)
    assert b"READY=1\nSTATUS=idle" in heard
    assert heard.count(b"WATCHDOG=1") == 4


def test_a_frozen_event_loop_starves_the_watchdog(systemd, daemon):
    fed(systemd)
    tell(daemon, "freeze loop")
    assert starved(systemd)


def test_a_frozen_thread_starves_the_watchdog_though_the_loop_turns(systemd, daemon):
    fed(systemd)
    tell(daemon, "freeze capture")
    assert starved(systemd)
    tell(daemon, "go on")
    assert fed(systemd) == [b"WATCHDOG=1"] * 5
