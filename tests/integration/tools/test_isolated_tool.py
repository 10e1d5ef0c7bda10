"""Tools behind a socket, as systemd starts them: only a name and arguments cross it."""

import asyncio
import socket
import subprocess
import sys
from contextlib import asynccontextmanager

import msgspec
import pytest

from voicekiosk.tools import instance
from voicekiosk.tools.isolated import Reply, run_isolated
from voicekiosk.tools.outcome import ToolError

CONFIG = """
[[tools]]
name = "echo"
description = "d"
command = ["cat"]
[[tools]]
name = "slow"
description = "d"
command = ["sh", "-c", "touch {mark}; sleep 60"]
[[tools]]
name = "user"
description = "d"
command = ["env"]
parameters = {{ type = "object", properties = {{ n = {{ type = "integer" }} }} }}
[[tools]]
name = "clock"
builtin = "clock"
[[tools]]
name = "bye"
builtin = "end"
[[tools]]
name = "lights"
builtin = "unit"
units = ["lights.service"]
"""


@asynccontextmanager
async def behind(tmp_path, text=CONFIG, *options):
    """A socket that starts an instance for each connection, in a process of its own like systemd does."""
    file = tmp_path / "config.toml"
    file.write_text(text.format(mark=tmp_path / "mark"))
    path = str(tmp_path / "tool.sock")
    started = []

    async def accept():
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(listening)
            command = [
                sys.executable,
                "-m",
                "voicekiosk",
                "tool",
                "--connection",
                *options,
                "--config",
                str(file),
            ]
            started.append(await asyncio.create_subprocess_exec(*command, stdin=connection))
            connection.close()

    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen()
    listening.setblocking(False)
    task = asyncio.create_task(accept())
    try:
        yield path, started
    finally:
        task.cancel()
        listening.close()
        for process in started:
            if process.returncode is None:
                process.kill()
            await process.wait()


@pytest.fixture(autouse=True)
def find_the_package(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "daemon")


async def run(path, arguments, name):
    async with asyncio.timeout(30):
        return await run_isolated(path, arguments, name)


async def test_a_call_goes_there_and_its_value_comes_back(tmp_path):
    async with behind(tmp_path) as (path, _):
        assert await run(path, {"city": "Utrecht"}, "echo") == {"city": "Utrecht"}


async def test_only_commands_of_the_file_can_be_run_and_only_with_fitting_arguments(tmp_path):
    async with behind(tmp_path) as (path, _):
        for name in ("rm", "clock", "../echo"):
            with pytest.raises(ToolError, match="there is no command called"):
                await run(path, {}, name)
        with pytest.raises(ToolError, match="n must be of type integer"):
            await run(path, {"n": "x"}, "user")


async def test_the_instance_that_starts_units_starts_those_of_the_file_and_runs_no_command(tmp_path):
    async with behind(tmp_path, CONFIG, "--units") as (path, _):
        for name, unit, says in (
            ("lights", "ssh.service", "none of the units"),
            ("lights", "lights.service --root=/", "none of the units"),
            ("echo", "lights.service", "there is no unit called echo"),
            # No systemd is running here, or it has no such unit.
            ("lights", "lights.service", "ended with status|not installed"),
        ):
            with pytest.raises(ToolError, match=says):
                await run(path, {"unit": unit}, name)
        with pytest.raises(ToolError, match="none of the units"):
            await run(path, {}, "lights")


async def test_when_the_daemon_goes_away_the_tool_ends(tmp_path):
    async with behind(tmp_path) as (path, started):
        task = asyncio.create_task(run(path, {}, "slow"))
        async with asyncio.timeout(30):
            while not (tmp_path / "mark").exists():
                await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(30):
            assert await started[0].wait() == 0


async def test_a_configuration_that_cannot_be_used_is_said(tmp_path):
    async with behind(tmp_path, "nonsense\n") as (path, _):
        with pytest.raises(ToolError, match="voicekiosk check"):
            await run(path, {}, "echo")


async def test_a_socket_that_nobody_serves_is_said(tmp_path):
    with pytest.raises(ToolError, match=r"is voicekiosk-tool\.socket running"):
        await run(str(tmp_path / "voicekiosk-tool.socket"), {}, "echo")


@pytest.mark.parametrize(
    "answer",
    [b"", b"rubbish\n", b"{\n", b'{"error": 3}\n', b"x" * 1_000_000],
    ids=["nothing", "rubbish", "half", "wrong", "endless"],
)
async def test_an_instance_that_answers_rubbish_is_an_error(tmp_path, answer):
    async def serve(reader, writer):
        await reader.readline()
        writer.write(answer)
        writer.close()

    path = str(tmp_path / "tool.sock")
    server = await asyncio.start_unix_server(serve, path)
    with pytest.raises(ToolError, match="without an answer"):
        await run(path, {}, "echo")
    server.close()


@pytest.mark.parametrize("request_", [b"rubbish\n", b"{}\n", b"", b"\xff\n"])
async def test_a_request_that_is_none_ends_quietly(tmp_path, request_, capsys):
    ours, theirs = socket.socketpair()
    ours.sendall(request_)
    ours.shutdown(socket.SHUT_WR)
    theirs.setblocking(False)
    async with asyncio.timeout(10):
        await instance.serve(theirs, tmp_path / "config.toml")
    ours.settimeout(5)
    assert ours.recv(100) == b""
    assert "no request" in capsys.readouterr().err
    ours.close()


def test_a_reply_is_one_line():
    assert b"\n" not in msgspec.json.encode(Reply("two\nlines"))


def voicekiosk(tmp_path, *arguments):
    file = tmp_path / "config.toml"
    file.write_text(CONFIG.format(mark=tmp_path / "mark"))
    command = [sys.executable, "-m", "voicekiosk", "tool", *arguments, "--config", str(file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_maker_can_try_a_tool_at_the_command_line(tmp_path):
    done = voicekiosk(tmp_path, "echo", '{"city": "Utrecht"}')
    assert (done.returncode, done.stdout) == (0, '{"city":"Utrecht"}\n')
    done = voicekiosk(tmp_path, "nothing")
    assert done.returncode == 1
    assert "there is no tool called nothing" in done.stderr
    done = voicekiosk(tmp_path, "user", '{"n": "x"}')
    assert done.returncode == 1
    assert "n must be of type integer" in done.stderr


def test_the_kiosk_s_own_tools_can_be_tried_as_far_as_they_need_no_kiosk(tmp_path):
    done = voicekiosk(tmp_path, "clock")
    assert done.returncode == 0
    assert "weekday" in done.stdout
    done = voicekiosk(tmp_path, "bye")
    assert done.returncode == 1
    assert "only the running kiosk can do that" in done.stderr
    assert voicekiosk(tmp_path, "echo", "rubbish").returncode == 2
    assert voicekiosk(tmp_path).returncode == 2
