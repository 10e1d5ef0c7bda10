"""The program: `voicekiosk simulate` as a person or another project starts it."""

import asyncio
import base64
import contextlib
import json
import os
import re
import signal
import ssl
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from tests.rigs.plain_client import tone
from websockets.asyncio.client import connect

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "daemon"), "PYTHONUNBUFFERED": ""}
HEADERS = {"Authorization": "Bearer sim-key"}
PATIENCE_S = 60.0


async def start(*arguments):
    """Start the program; return it with its first line."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "voicekiosk", "simulate", *arguments,
        env=ENVIRONMENT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(PATIENCE_S):
        line = (await process.stdout.readline()).decode().strip()
    return process, line


async def finish(process, number=signal.SIGINT):
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)
    async with asyncio.timeout(PATIENCE_S):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def run(*arguments):
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, env=ENVIRONMENT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(PATIENCE_S):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def simulate(*arguments):
    return await run("-m", "voicekiosk", "simulate", *arguments)


def address(line):
    found = re.fullmatch(r"listening on (wss?://127\.0\.0\.1:\d+/v1/ws)", line)
    assert found, line
    return found[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_says_where_it_listens_and_ends_cleanly(number):
    process, line = await start("--port", "0")
    async with connect(address(line), additional_headers=HEADERS, proxy=None):
        code, out, err = await finish(process, number)
    assert (code, out, err) == (0, "", "")


async def test_the_judge_says_which_rule_was_broken_and_exits_1():
    process, line = await start("--port", "0", "--judge")
    async with connect(address(line), additional_headers=HEADERS, proxy=None) as socket:
        await socket.send("nonsense")
        await socket.recv()
    code, out, _ = await finish(process)
    assert code == 1
    assert re.search(r"connection 1 at \d+\.\d+ s: rule 6: ", out)
    assert out.splitlines()[-1].startswith("1 connection: 1 violation")


async def test_the_judge_is_content_with_a_client_that_keeps_the_rules():
    process, line = await start("--port", "0", "--judge")
    async with connect(address(line), additional_headers=HEADERS, proxy=None) as socket:
        await socket.send('{"type":"session.update","session":{}}')
        while json.loads(await socket.recv())["type"] != "session.ready":
            pass
        await socket.send('{"type":"session.end"}')
        await socket.recv()
        await socket.wait_closed()
    code, out, _ = await finish(process)
    assert (code, out.strip()) == (0, "1 connection: no rule of checklist 12.1 was broken")


async def test_the_verdict_as_json_holds_the_statistics():
    process, line = await start("--port", "0", "--judge", "--json")
    async with connect(address(line), additional_headers=HEADERS, proxy=None) as socket:
        await socket.send(b"\0")
        await socket.recv()
    code, out, _ = await finish(process)
    assert code == 1
    assert json.loads(out)["connections"][0]["violations"][0]["rule"] == 6


async def test_the_list_shows_every_scenario_with_a_line():
    code, out, _ = await simulate("--list")
    assert code == 0
    assert len(out.splitlines()) >= 25
    assert any(line.startswith("resume-granted ") for line in out.splitlines())
    code, out, _ = await simulate("--list", "--json")
    assert "dead-link" in json.loads(out)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--scenario", "none"), "no scenario 'none'"),
        (("--scenario", "./none.toml"), "cannot read the scenario"),
        (("--set", "turn.clok=1"), "clok"),
        (("--set", "nothing"), "TABLE.KEY=VALUE"),
        (("--speed", "0"), "speed 0.0 is not between"),
        (("--port", "70000"), "70000"),
    ],
)
async def test_a_mistake_on_the_command_line_is_one_sentence_and_exit_code_2(arguments, complaint):
    code, out, err = await simulate(*arguments)
    assert code == 2
    assert complaint in err
    assert len(err.strip().splitlines()) == 1
    assert out == ""


async def test_a_port_that_is_taken_is_said_with_a_way_out():
    process, line = await start("--port", "0")
    port = line.split(":")[-1].split("/")[0]
    code, _, err = await simulate("--port", port)
    assert code == 1
    assert "choose another --port" in err
    await finish(process)


async def test_the_record_holds_whole_frames_and_all_audio_even_after_a_kill(tmp_path):
    process, line = await start("--port", "0", "--record", str(tmp_path), "--set", "audio.rate_limit=false")
    samples = tone(1.0)
    async with connect(address(line), additional_headers=HEADERS, proxy=None, close_timeout=0.5) as socket:
        await socket.send('{"type":"session.update",\n"session":{"greeting":"Hello"}}')
        await socket.recv()
        await socket.recv()
        await socket.send(
            json.dumps({"type": "input.audio", "audio": base64.b64encode(samples.tobytes()).decode()})
        )
        received = [json.loads(await socket.recv()) for _ in range(40)]
        await asyncio.sleep(2.5)  # the record is brought up to date each second
        process.kill()
        await process.wait()
    with wave.open(str(tmp_path / "1-up.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24000)
        assert file.readframes(file.getnframes()) == samples.tobytes()
    lines = (tmp_path / "1.jsonl").read_bytes().splitlines()[:20]
    entries = [json.loads(entry) for entry in lines]
    assert all(set(entry) == {"t_s", "from", "frame"} for entry in entries)
    assert entries[0]["frame"]["type"] == "session.update"
    assert [entry["t_s"] for entry in entries] == sorted(entry["t_s"] for entry in entries)
    sent = [entry["frame"] for entry in entries if entry["from"] == "server"]
    assert sent[2:10] == received[: len(sent[2:10])]


async def test_the_record_of_a_whole_connection_has_its_summary(tmp_path):
    process, line = await start("--port", "0", "--record", str(tmp_path))
    async with connect(address(line), additional_headers=HEADERS, proxy=None) as socket:
        await socket.send('{"type":"session.update","session":{}}')
        await socket.recv()
    await finish(process)
    summary = json.loads((tmp_path / "1.json").read_text())
    assert summary["connection"] == 1
    assert summary["events"] == {"session.update": 1}
    with wave.open(str(tmp_path / "1-down.wav")) as file:
        assert file.getnframes() == 0


def trusting(line):
    authority = line.removeprefix("trust ").strip()
    return ssl.create_default_context(cafile=authority)


async def test_tls_with_a_good_certificate_is_trusted_through_its_authority():
    process, line = await start("--port", "0", "--tls")
    assert line.startswith("listening on wss://")
    context = trusting((await process.stdout.readline()).decode())
    for host in ("127.0.0.1", "localhost"):
        url = address(line).replace("127.0.0.1", host)
        async with connect(url, additional_headers=HEADERS, ssl=context, proxy=None) as socket:
            await socket.send('{"type":"session.update","session":{}}')
            assert json.loads(await socket.recv())["type"] == "session.updated"
    await finish(process)


@pytest.mark.parametrize(
    ("variant", "reason"),
    [("self-signed", "self-signed"), ("wrong-name", "mismatch"), ("expired", "expired")],
)
async def test_tls_with_a_bad_certificate_is_refused_by_a_client_that_looks(variant, reason):
    process, line = await start("--port", "0", "--tls", variant)
    context = trusting((await process.stdout.readline()).decode())
    with pytest.raises(ssl.SSLCertVerificationError, match=reason):
        await connect(address(line), additional_headers=HEADERS, ssl=context, proxy=None)
    code, _, err = await finish(process)
    assert (code, err) == (0, "")


async def test_the_plain_client_of_the_documents_holds_a_conversation(tmp_path):
    speech = np.concatenate((np.zeros(12000, "<i2"), tone(1.5)))
    with wave.open(str(tmp_path / "speech.wav"), "wb") as file:
        file.setparams((1, 2, 24000, 0, "NONE", ""))
        file.writeframes(speech.tobytes())
    process, line = await start("--port", "0", "--judge", "--set", "turn.end_ms=500")
    client = ROOT / "docs" / "plain_client.py"
    code, out, err = await run(str(client), str(tmp_path / "speech.wav"), address(line))
    assert (code, err) == (0, "")
    said = out.splitlines()
    assert "agent says: Hello." in said
    assert any(text.startswith("user says: ") for text in said)
    assert sum(text.startswith("agent says: ") for text in said) == 2
    assert float(re.search(r"heard ([\d.]+) s", out)[1]) > 2.0
    code, out, _ = await finish(process)
    assert code == 0, out


def test_the_plain_client_is_plain():
    text = (ROOT / "docs" / "plain_client.py").read_text()
    code = [line for line in text.split('"""', 2)[2].splitlines() if line.strip()]
    assert len(code) <= 45
    assert "voicekiosk" not in "\n".join(code)
