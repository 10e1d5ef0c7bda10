"""Commands that hang, flood, crash, print rubbish or fork: one outcome, soon, and nothing left behind."""

import asyncio
import contextlib
import os
import sys
import time
from pathlib import Path

import pytest

from voicekiosk.tools.command import run_command
from voicekiosk.tools.outcome import MAX_RESULT_BYTES, ToolError


def sh(script):
    return ("sh", "-c", script)


async def run(command, arguments=None, within_s=20.0):
    async with asyncio.timeout(within_s):
        return await run_command(command, arguments or {}, "t")


def descriptors():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def children():
    """Processes whose parent is this one, zombies too."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if stat.read_text().rpartition(")")[2].split()[1] == str(os.getpid()):
                found.add(int(stat.parent.name))
    return found


@pytest.fixture(autouse=True)
def nothing_is_left():
    before, fds = children(), descriptors()
    yield
    assert children() <= before
    assert descriptors() <= fds + 1  # the event loop's own are gone or not


async def test_arguments_come_in_as_json_and_json_goes_out_as_its_value():
    assert await run(("cat",), {"city": "Utrecht", "n": [1]}) == {"city": "Utrecht", "n": [1]}


async def test_anything_else_is_text():
    assert await run(sh("echo It rains.")) == "It rains."


async def test_there_is_no_shell():
    assert await run(("echo", "$HOME; rm -rf /")) == "$HOME; rm -rf /"


async def test_the_environment_holds_no_secret(monkeypatch):
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", "secret")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/x")
    said = await run(("env",))
    names = {line.partition("=")[0] for line in said.splitlines()}
    assert names <= {"PATH", "LANG", "HOME", "TZ", "VOICEKIOSK_TOOL", "PWD", "SHLVL", "_"}
    assert "VOICEKIOSK_TOOL=t" in said


async def test_no_descriptor_of_the_daemon_is_open_in_a_tool():
    with open("/etc/hostname") as kept:  # noqa: ASYNC230, PTH123
        os.set_inheritable(kept.fileno(), True)
        said = await run(("ls", "/proc/self/fd"))
    assert {str(name) for name in str(said).split()} <= {"0", "1", "2", "3"}


async def test_a_failure_carries_the_status_and_the_last_line_of_the_errors():
    with pytest.raises(ToolError, match="ended with status 3: no such city"):
        await run(sh("echo first >&2; echo 'no such city' >&2; exit 3"))


async def test_a_crash_is_named():
    with pytest.raises(ToolError, match="killed by SIGSEGV"):
        await run(sh("kill -SEGV $$"))


async def test_a_program_that_is_not_there_is_said():
    with pytest.raises(ToolError, match="/nonexistent/weather of this tool is not installed"):
        await run(("/nonexistent/weather",))


async def test_a_program_that_cannot_be_run_is_said(tmp_path):
    script = tmp_path / "script"
    script.write_text("no interpreter line, no program\n")
    script.chmod(0o755)
    with pytest.raises(ToolError, match="cannot be started"):
        await run((str(script),))


async def test_ten_megabytes_are_too_much_and_end_it_at_once():
    with pytest.raises(ToolError, match=f"more than {MAX_RESULT_BYTES} bytes"):
        await run(("head", "-c", "10000000", "/dev/zero"))


async def test_a_flood_without_end_is_ended():
    with pytest.raises(ToolError, match="more than"):
        await run(("yes",))


async def test_a_flood_of_errors_harms_nobody():
    assert await run(sh("head -c 3000000 /dev/zero >&2; echo ok")) == "ok"


async def test_binary_is_no_answer():
    with pytest.raises(ToolError, match="no text"):
        await run(sh(r"printf '\377\376\000\001'"))


async def test_a_program_that_does_not_read_its_input_is_fine():
    assert await run(sh("exec 0<&-; echo ok"), {"a": "x" * 200_000}) == "ok"


async def test_a_hanging_program_is_killed_with_all_its_children_when_it_is_cancelled(tmp_path):
    mark = tmp_path / "alive"
    script = f"(while :; do touch {mark}; sleep 0.05; done) & sleep 100"
    with pytest.raises(TimeoutError):
        await run(sh(script), within_s=1.0)
    await asyncio.sleep(0.2)
    mark.unlink(missing_ok=True)
    await asyncio.sleep(0.3)
    assert not mark.exists()


async def test_a_program_that_ignores_every_polite_signal_is_killed():
    with pytest.raises(TimeoutError):
        await run(sh("trap '' TERM INT HUP; while :; do sleep 1; done"), within_s=0.5)


async def test_what_it_leaves_in_the_background_does_not_hold_the_answer():
    started_s = time.monotonic()
    assert await run(sh("sleep 100 & echo done")) == "done"
    assert time.monotonic() - started_s < 15


async def test_a_child_in_a_session_of_its_own_does_not_hold_the_answer_either():
    code = "import os,time\nprint('done',flush=True)\nif os.fork()==0:\n os.setsid()\n time.sleep(5)"
    assert await run((sys.executable, "-c", code)) == "done"


async def test_twenty_at_a_time_are_twenty_outcomes():
    results = await asyncio.gather(*(run(sh(f"sleep 0.1; echo {n}")) for n in range(20)))
    assert results == list(range(20))


async def test_a_program_that_eats_memory_hits_its_limit_and_not_the_machine_s():
    code = "x = bytearray(800 << 20); print('got it')"
    with pytest.raises(ToolError, match="status 1"):
        await run((sys.executable, "-c", code))
