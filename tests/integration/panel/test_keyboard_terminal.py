"""The keyboard panel on real pseudo-terminals."""

import asyncio
import contextlib
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from functools import partial
from pathlib import Path

import msgspec
import pytest

from voicekiosk.config import schema
from voicekiosk.panel.driver import make_panel
from voicekiosk.panel.keyboard import KeyboardPanel
from voicekiosk.panel.lamp import Sign

HOLD = msgspec.convert({"driver": "keyboard"}, schema.Panel)
AUTO = msgspec.convert({"driver": "keyboard", "mode": "auto"}, schema.Panel)


class Screen:
    """The person's side of a terminal, and the program's."""

    def __init__(self):
        self.person, self.fd = pty.openpty()
        os.set_blocking(self.person, False)
        self.stdin = os.fdopen(os.dup(self.fd), "r")
        self.stdout = os.fdopen(os.dup(self.fd), "w", encoding="utf-8")

    def type(self, keys: str) -> None:
        os.write(self.person, keys.encode())

    def seen(self) -> str:
        try:
            return os.read(self.person, 65536).decode()
        except BlockingIOError:
            return ""

    @property
    def cooked(self) -> bool:
        return bool(termios.tcgetattr(self.fd)[3] & termios.ICANON)


@pytest.fixture
def screen():
    screen = Screen()
    yield screen
    # A terminal that was hung up cannot be flushed any more.
    for close in (screen.stdin.close, screen.stdout.close, partial(os.close, screen.fd)):
        with contextlib.suppress(OSError):
            close()
    with contextlib.suppress(OSError):
        os.close(screen.person)


class House:
    def __init__(self):
        self.edges = []
        self.changed = asyncio.Event()

    def on_edge(self, button, pressed, t_s):
        self.edges.append((button, pressed))
        self.changed.set()

    async def have(self, count: int) -> list[tuple[str, bool]]:
        async with asyncio.timeout(20):
            while len(self.edges) < count:
                self.changed.clear()
                await self.changed.wait()
        return self.edges


@pytest.fixture
def house():
    return House()


@pytest.fixture
async def panel(screen, house, request):
    panel = KeyboardPanel(getattr(request, "param", HOLD), screen.stdin, screen.stdout)
    panel.start(asyncio.get_running_loop(), house.on_edge)
    yield panel
    panel.close()


def test_the_configuration_chooses_the_keyboard():
    assert isinstance(make_panel(HOLD), KeyboardPanel)


async def test_space_presses_and_space_releases(panel, screen, house):
    screen.type(" ")
    await house.have(1)
    await asyncio.sleep(0.2)
    screen.type(" ")
    assert await house.have(2) == [("talk", True), ("talk", False)]


@pytest.mark.parametrize("panel", [AUTO], indirect=True)
async def test_a_lone_space_is_a_tap_when_the_mode_is_not_hold(panel, screen, house):
    screen.type(" ")
    assert await house.have(2) == [("talk", True), ("talk", False)]


async def test_m_is_the_mute_button(panel, screen, house):
    screen.type("M")
    assert await house.have(2) == [("mute", True), ("mute", False)]


async def test_plus_and_minus_are_louder_and_quieter(panel, screen, house):
    screen.type("+-")
    edges = [("louder", True), ("louder", False), ("quieter", True), ("quieter", False)]
    assert await house.have(4) == edges


async def test_q_stops_the_program_as_ctrl_c_does(panel, screen):
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, stopped.set)
    try:
        screen.type("q")
        async with asyncio.timeout(20):
            await stopped.wait()
    finally:
        loop.remove_signal_handler(signal.SIGINT)


async def test_other_keys_do_nothing(panel, screen, house):
    screen.type("xyz\x1b[A\xff m")
    assert (await house.have(3))[0] == ("talk", True)


async def test_the_terminal_gives_single_strokes_and_is_restored_at_the_end(panel, screen):
    assert not screen.cooked
    panel.close()
    assert screen.cooked
    panel.close()


async def test_closing_lets_go_of_the_button(panel, screen, house):
    screen.type(" ")
    await house.have(1)
    panel.close()
    assert house.edges == [("talk", True), ("talk", False)]


async def test_the_line_names_the_sign_and_what_it_means(panel, screen, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    panel.show(Sign.MICROPHONE_LIVE)
    seen = screen.seen()
    assert "● microphone live" in seen.replace("\x1b[0m", "")
    assert "you are heard" in seen
    assert "\x1b[38;2;" in seen


async def test_no_color_is_respected(panel, screen, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    panel.show(Sign.FAULT)
    seen = screen.seen()
    assert "fault" in seen
    assert "\x1b[38" not in seen
    assert "\x1b[0m" not in seen


@pytest.fixture
def nothing():
    with Path(os.devnull).open("r+") as nothing:
        yield nothing


async def test_without_a_terminal_the_panel_says_so_and_takes_nothing(house, nothing):
    panel = KeyboardPanel(HOLD, nothing, nothing)
    panel.start(asyncio.get_running_loop(), house.on_edge)
    panel.show(Sign.IDLE)
    panel.acknowledge()
    assert "not a terminal" in panel.facts().faults[0]
    assert panel.facts().sign is Sign.IDLE
    panel.close()


async def test_a_terminal_that_hangs_up_is_a_fault_and_does_not_keep_the_loop_turning(panel, screen, house):
    screen.stdout.flush()
    os.close(screen.person)
    await asyncio.to_thread(wait_until, lambda: panel.facts().faults)
    assert panel.facts().faults == ("keyboard: the terminal was closed",)
    panel.show(Sign.FAULT)


# --- a program of its own ---

PROGRAM = """
import asyncio, sys, msgspec
from voicekiosk.config import schema
from voicekiosk.panel.keyboard import KeyboardPanel
from voicekiosk.panel.lamp import Sign

async def main():
    panel = KeyboardPanel(schema.Panel())
    def on_edge(button, pressed, t_s):
        if "raise" in sys.argv:
            asyncio.get_running_loop().stop()
    panel.start(asyncio.get_running_loop(), on_edge)
    panel.show(Sign.IDLE)
    print("started", file=sys.stderr, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
def program(screen):
    """Starts PROGRAM on the screen, in a process group of its own, as a shell would."""
    running = []

    def start(*arguments: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            stdin=screen.fd,
            stdout=screen.fd,
            stderr=subprocess.PIPE,
            process_group=0,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        running.append(process)
        assert b"started" in process.stderr.readline()
        return process

    yield start
    for process in running:
        process.kill()
        process.wait(20)
        process.stderr.close()


def wait_until(condition) -> None:
    deadline_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_the_terminal_is_restored_when_the_program_dies_of_an_exception(screen, program):
    process = program("raise")
    assert not screen.cooked
    screen.type(" ")
    assert process.wait(20) != 0
    assert screen.cooked


def test_the_terminal_is_restored_while_the_program_is_suspended(screen, program):
    process = program()
    assert not screen.cooked
    process.send_signal(signal.SIGTSTP)
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    assert screen.cooked
    process.send_signal(signal.SIGCONT)
    wait_until(lambda: not screen.cooked)
