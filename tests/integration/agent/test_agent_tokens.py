"""Temporary tokens from a command: printed by a real program, used once each."""

import asyncio
import sys
import time
from pathlib import Path

import pytest
from tests.rigs.live_kiosk import LiveKiosk

from voicekiosk.agent import events as agent
from voicekiosk.agent.dial import LinkError
from voicekiosk.agent.events import Cause
from voicekiosk.agent.failures import Remedy
from voicekiosk.agent.tokens import fetch_token
from voicekiosk.kiosk.state import Name
from voicekiosk.simulator import Settings, Simulator
from voicekiosk.simulator.scenario import Scenario, change

SECRET = "tok-" + "a1" * 20
QUICK = {"ready.updated_ms": 20.0, "turn.onset_ms": 200.0, "turn.end_ms": 300.0, "reply.lead_in_ms": 60.0}


def program(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.mark.parametrize(
    "printed", [SECRET, f"\n{SECRET}\n", '{"token": "' + SECRET + '", "expires_in_seconds": 60}']
)
async def test_the_token_is_what_the_command_prints(printed):
    assert await fetch_token(program(f"print({printed!r})"), 20) == SECRET


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (f"print('{SECRET}'); raise SystemExit(3)", "ended with status 3"),
        ("pass", "printed no token"),
        (f"print('{SECRET} {SECRET}')", "printed no token"),
        ("print('{\"token\": null}')", "printed no token"),
        ("print('{\"token\"')", "printed no token"),
        (f"print('{SECRET}' * 10000)", "printed more than"),
        ("import sys; sys.stdout.buffer.write(bytes(range(256)))", "printed no token"),
    ],
)
async def test_a_command_that_gives_no_token_says_why_and_never_what_it_printed(code, told):
    with pytest.raises(LinkError) as caught:
        await fetch_token(program(code), 20)
    failure = caught.value.failure
    assert told in failure.detail
    assert SECRET not in str(caught.value)
    assert (failure.cause, failure.remedy) == (Cause.KEY, Remedy.LATER)


async def test_a_program_that_is_not_there_says_so():
    with pytest.raises(LinkError, match="cannot be started: No such file"):
        await fetch_token(["/no/such/program"])


async def test_a_command_that_hangs_is_killed_with_its_children(tmp_path):
    pid = tmp_path / "pid"
    code = (
        "import subprocess, time; child = subprocess.Popen(['sleep', '60']); "
        f"open({str(pid)!r}, 'w').write(str(child.pid)); time.sleep(60)"
    )
    fetching = asyncio.create_task(fetch_token(program(code), 3))
    with pytest.raises(LinkError, match="did not end within 3 s"):
        await fetching
    await asyncio.to_thread(_gone, int(pid.read_text()))


def _gone(pid):
    deadline_s = time.monotonic() + 10
    while time.monotonic() < deadline_s:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return
        if state == "Z":
            return
        time.sleep(0.05)
    raise AssertionError("the child lives on")


async def test_each_connection_takes_a_token_of_its_own(tmp_path):
    tokens = tmp_path / "tokens"
    code = f"p = {str(tokens)!r}; all = open(p).read().split(); print(all[0]); open(p, 'w').write(' '.join(all[1:]))"
    async with Simulator(Settings(scenario=change(Scenario(), QUICK))) as sim:
        made = [sim.world.make_token(300, None, 0.0) for _ in range(3)]
        tokens.write_text(" ".join(made))
        command = {"token_command": tuple(program(code))}
        async with LiveKiosk(sim.url, key="", agent=command) as kiosk:
            await kiosk.converse()
            await kiosk.hang_up()
            await kiosk.converse()
        assert len(sim.connections) == 2
        assert tokens.read_text().split() == made[2:]
        assert sim.violations == []


async def test_a_token_that_is_refused_is_no_refused_key():
    async with Simulator(Settings()) as sim:
        command = {"token_command": tuple(program("print('nonsense')"))}
        async with LiveKiosk(sim.url, key="", agent=command) as kiosk:
            kiosk.press()
            await kiosk.until(lambda: kiosk.said(agent.Dropped), 30)
            dropped = kiosk.said(agent.Dropped)[0]
            assert dropped.cause is Cause.KEY
            kiosk.release()
            assert not kiosk.said(agent.Refused)
            assert kiosk.name is not Name.FAULT
