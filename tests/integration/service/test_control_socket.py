import asyncio
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.rigs.control import WAIT_S, RawClient, control_server, until

from voicekiosk.errors import ConfigError, KioskError, NotRunningError, RefusedError
from voicekiosk.service.client import ControlClient
from voicekiosk.service.control import ControlServer
from voicekiosk.service.protocol import Topic, socket_path
from voicekiosk.service.requests import Press, Say, SetKey, Volume


@pytest.fixture
def path(tmp_path):
    return tmp_path / "control.sock"


def ask(path, command, **args):
    with ControlClient(path, timeout_s=WAIT_S) as client:
        return client.request(command, **args)


async def test_a_request_reaches_the_kiosk_and_its_result_comes_back(path):
    async with control_server(path) as (_, kiosk):
        assert await asyncio.to_thread(ask, path, "press") == {"state": "listening", "message": ""}
        assert await asyncio.to_thread(ask, path, "volume", percent=60) == {"volume": 60}
        assert kiosk.requests == [Press(), Volume(percent=60)]


async def test_the_kiosk_knows_who_asks(path):
    async with control_server(path) as (_, kiosk):
        await asyncio.to_thread(ask, path, "press")
        [(_, peer)] = kiosk.asked
        assert (peer.pid, peer.uid, peer.gid) == (os.getpid(), os.getuid(), os.getgid())


async def test_only_owner_and_group_may_connect(path):
    async with control_server(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660


async def test_answers_carry_the_id_of_their_request_and_keep_their_order(path):
    async with control_server(path):
        client = await RawClient.connect(path)
        for request_id in ("a", 2, None):
            await client.send({"v": 1, "id": request_id, "command": "volume"})
        assert [(await client.receive())["id"] for _ in range(3)] == ["a", 2, None]
        client.close()


async def test_a_request_that_comes_in_pieces_is_one_request(path):
    async with control_server(path) as (_, kiosk):
        client = await RawClient.connect(path)
        await client.send(b'{"v":1,"id":1,"comm')
        await asyncio.sleep(0)
        await client.send(b'and":"say","args":{"text":"gr\xc3')
        await asyncio.sleep(0)
        await client.send(b'\xbc\xc3\x9fe"}}\n')
        assert (await client.receive())["ok"]
        assert kiosk.requests == [Say(text="grüße")]
        client.close()


async def test_a_refusal_is_raised_at_the_client_with_its_reason(path):
    async with control_server(path):
        await asyncio.to_thread(ask, path, "mute")
        with pytest.raises(RefusedError, match="muted: unmute it first"):
            await asyncio.to_thread(ask, path, "press")
        with pytest.raises(ConfigError, match=r"config\.toml:4:1"):
            await asyncio.to_thread(ask, path, "reload")
        with pytest.raises(ConfigError, match="unknown command"):
            await asyncio.to_thread(ask, path, "dance")


async def test_after_an_error_the_connection_goes_on(path):
    async with control_server(path):
        client = await RawClient.connect(path)
        await client.send(b"not json\n")
        assert (await client.receive())["error"]["code"] == "bad_request"
        assert (await client.ask("press"))["ok"]
        client.close()


async def test_a_subscriber_gets_the_events_of_its_topics_only(path):
    async with control_server(path) as (server, _):
        client = await RawClient.connect(path)
        assert (await client.ask("subscribe", topics=["events"]))["result"] == {"topics": ["events"]}
        server.publish(Topic.TRANSCRIPT, {"text": "not for you"})
        server.publish(Topic.EVENTS, {"kind": "press"})
        assert await client.receive() == {
            "v": 1,
            "topic": "events",
            "time": 1763812345.0,
            "event": {"kind": "press"},
        }
        client.close()


async def test_knows_whether_anybody_listens(path):
    async with control_server(path) as (server, _):
        client = await RawClient.connect(path)
        await client.ask("subscribe", topics=["status", "events"])
        assert server.listeners(Topic.STATUS) == 1
        assert server.listeners(Topic.TRANSCRIPT) == 0
        client.close()
        await until(lambda: server.listeners(Topic.STATUS) == 0)


async def test_an_unknown_topic_is_refused(path):
    async with control_server(path):
        client = await RawClient.connect(path)
        answer = await client.ask("subscribe", topics=["secrets"])
        assert answer["error"]["code"] == "bad_request"
        assert "transcript" in answer["error"]["message"]
        client.close()


async def test_events_that_come_before_an_answer_are_not_lost(path):
    async with control_server(path) as (server, kiosk):

        def watch():
            with ControlClient(path, timeout_s=WAIT_S) as client:
                client.subscribe(Topic.STATUS)
                status = client.request("status")
                return status["state"], next(client.events())["event"]

        async def handle(request, peer):
            server.publish(Topic.STATUS, {"state": "thinking"})
            return {"state": "listening"}

        kiosk.handle = handle
        assert await asyncio.to_thread(watch) == ("listening", {"state": "thinking"})


async def test_the_key_is_taken_from_root_and_the_daemon_s_own_user_only(path, monkeypatch):
    async with control_server(path) as (_, kiosk):
        assert await asyncio.to_thread(ask, path, "set-key", key="abc") is None
        assert kiosk.requests == [SetKey(key="abc")]


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be somebody else")
async def test_the_key_is_refused_from_anybody_else(tmp_path):
    directory = Path("/tmp") / f"voicekiosk-test-{os.getpid()}"
    directory.mkdir(mode=0o755)
    path = directory / "control.sock"
    try:
        async with control_server(path) as (_, kiosk):
            path.chmod(0o666)
            program = (
                "import os, socket, sys; os.setgid(65534); os.setuid(65534);"
                "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
                """s.sendall(b'{"v":1,"id":1,"command":"set-key","args":{"key":"abc"}}\\n');"""
                "print(s.recv(4096).decode())"
            )
            done = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-c", program, str(path)],
                capture_output=True,
                text=True,
                timeout=WAIT_S,
                check=True,
            )
            assert '"code":"forbidden"' in done.stdout
            assert kiosk.asked == []
    finally:
        directory.rmdir()


async def test_stopping_removes_the_socket_and_ends_the_connections(path):
    async with control_server(path) as (server, _):
        client = await RawClient.connect(path)
        await client.ask("subscribe", topics=["events"])
        await server.close()
        assert not path.exists()
        assert await client.receive() is None


async def test_stopping_leaves_a_socket_alone_that_is_no_longer_its_own(path):
    async with control_server(path) as (server, _):
        path.unlink()
        other = socket.socket(socket.AF_UNIX)
        other.bind(str(path))
        await server.close()
        assert path.exists()
        other.close()


async def test_counts_what_it_does(path):
    async with control_server(path) as (server, _):
        client = await RawClient.connect(path)
        await client.ask("press")
        await client.ask("dance")
        statistics = server.statistics()
        assert (statistics.clients, statistics.requests, statistics.errors) == (1, 2, 1)
        client.close()


async def test_a_socket_of_a_dead_daemon_is_replaced(path):
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.listen()
    dead.close()
    async with control_server(path):
        assert (await asyncio.to_thread(ask, path, "press"))["state"] == "listening"


async def test_the_socket_of_a_living_daemon_is_left_to_it(path):
    async with control_server(path):
        second = ControlServer(None, path)
        with pytest.raises(KioskError, match="another voicekiosk is running"):
            await second.start()
        await second.close()
        assert (await asyncio.to_thread(ask, path, "press"))["state"] == "listening"


async def test_something_else_at_the_socket_s_place_is_not_removed(path):
    path.write_text("precious")
    with pytest.raises(KioskError, match="not a socket"):
        await ControlServer(None, path).start()
    assert path.read_text() == "precious"


@pytest.mark.parametrize("place", ["missing/control.sock", "x" * 200])
async def test_a_place_where_no_socket_can_be_is_said_with_what_to_do(tmp_path, place):
    with pytest.raises(KioskError, match="VOICEKIOSK_SOCKET"):
        await ControlServer(None, tmp_path / place).start()


def test_without_a_daemon_the_client_says_how_to_start_one(path):
    with pytest.raises(NotRunningError, match="systemctl start voicekiosk") as caught:
        ControlClient(path)
    assert caught.value.exit_code == 3


def test_the_environment_says_where_the_socket_is(monkeypatch):
    monkeypatch.setenv("VOICEKIOSK_SOCKET", "/tmp/mine.sock")
    assert socket_path() == Path("/tmp/mine.sock")
    monkeypatch.setenv("VOICEKIOSK_SOCKET", "")
    assert socket_path() == Path("/run/voicekiosk/control.sock")


def test_the_client_starts_without_what_only_the_daemon_needs():
    program = "import sys, voicekiosk.service.client, voicekiosk.service.render; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert not {"asyncio", "msgspec", "numpy", "ssl", "websockets"} & set(done.stdout.split())
