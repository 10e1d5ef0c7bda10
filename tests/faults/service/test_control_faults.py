import asyncio
import json
import logging
import socket
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.rigs.control import WAIT_S, RawClient, control_server, until

from voicekiosk.errors import KioskError, NotRunningError
from voicekiosk.service.client import ControlClient
from voicekiosk.service.protocol import Topic
from voicekiosk.service.requests import REQUESTS

BIG_EVENT = {"kind": "x", "text": "y" * 10_000}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "control.sock"


async def subscriber(path):
    client = await RawClient.connect(path)
    # Small buffers in the kernel, so that not reading is felt soon.
    client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.writer.transport.pause_reading()
    await client.send({"v": 1, "id": 1, "command": "subscribe", "args": {"topics": ["events"]}})
    return client


async def test_a_slow_reader_is_told_how_many_events_it_missed(path):
    async with control_server(path, event_bytes=50_000) as (server, _):
        client = await subscriber(path)
        await until(lambda: server.listeners(Topic.EVENTS))
        for _ in range(200):
            server.publish(Topic.EVENTS, BIG_EVENT)
        assert server.statistics().missed > 0
        client.writer.transport.resume_reading()
        assert (await client.receive())["ok"]
        seen = 0
        while "missed" not in (message := await client.receive()):
            seen += 1
        assert message["topic"] == "events"
        assert seen + message["missed"] == 200
        server.publish(Topic.EVENTS, {"kind": "after"})
        assert (await client.receive())["event"] == {"kind": "after"}
        client.close()


async def test_a_slow_reader_takes_nothing_from_the_others(path):
    async with control_server(path, event_bytes=50_000) as (server, _):
        slow = await subscriber(path)
        quick = await RawClient.connect(path)
        await quick.ask("subscribe", topics=["events"])
        await until(lambda: server.listeners(Topic.EVENTS) == 2)
        for number in range(100):
            server.publish(Topic.EVENTS, BIG_EVENT | {"number": number})
            assert (await quick.receive())["event"]["number"] == number
        assert server.statistics().missed > 0
        slow.close()
        quick.close()


async def test_what_a_slow_reader_holds_is_bounded(path):
    async with control_server(path, event_bytes=50_000) as (server, _):
        client = await subscriber(path)
        await until(lambda: server.listeners(Topic.EVENTS))
        for _ in range(500):
            server.publish(Topic.EVENTS, BIG_EVENT)
        [held] = [one.unread_bytes() for one in server._clients.values()]
        assert held < 50_000 + 2 * len(json.dumps(BIG_EVENT))
        client.close()


async def test_who_does_not_read_at_all_is_dropped(path, caplog):
    async with control_server(path, event_bytes=50_000, unread_s=0.1) as (server, _):
        client = await subscriber(path)
        await until(lambda: server.listeners(Topic.EVENTS))
        with caplog.at_level(logging.WARNING):
            for _ in range(200):
                server.publish(Topic.EVENTS, BIG_EVENT)
            await until(lambda: server.statistics().clients == 0)
        assert server.statistics().dropped == 1
        assert "does not read" in caplog.text
        client.close()


async def test_who_asks_without_reading_the_answers_is_dropped(path):
    async with control_server(path, event_bytes=10_000, unread_s=0.1) as (server, kiosk):

        async def handle(request, peer):
            return "x" * 100_000

        kiosk.handle = handle
        client = await subscriber(path)
        await client.send(b'{"v":1,"id":1,"command":"status"}\n' * 20)
        await until(lambda: server.statistics().dropped == 1)
        client.close()


async def test_a_request_that_is_too_large_is_answered_and_ends_the_connection(path):
    async with control_server(path, request_bytes=1000) as (_, kiosk):
        client = await RawClient.connect(path)
        await client.send(b"x" * 5000)
        assert (await client.receive())["error"]["code"] == "too_large"
        assert await client.receive() is None
        assert kiosk.asked == []


async def test_a_client_too_many_is_told_so(path):
    async with control_server(path, clients=2) as (server, _):
        first, second = await RawClient.connect(path), await RawClient.connect(path)
        await first.ask("press")
        await second.ask("press")
        third = await RawClient.connect(path)
        assert (await third.receive())["error"]["code"] == "busy"
        assert await third.receive() is None
        first.close()
        await until(lambda: server.statistics().clients == 1)
        fourth = await RawClient.connect(path)
        assert (await fourth.ask("press"))["ok"]
        assert server.statistics().turned_away == 1
        second.close()
        fourth.close()


async def test_a_connection_that_says_nothing_is_closed_and_a_subscriber_is_not(path):
    async with control_server(path, idle_s=0.1) as (server, _):
        idle, watching = await RawClient.connect(path), await RawClient.connect(path)
        await watching.ask("subscribe", topics=["events"])
        assert await idle.receive() is None
        server.publish(Topic.EVENTS, {"kind": "x"})
        assert (await watching.receive())["event"] == {"kind": "x"}
        watching.close()


async def test_a_fault_of_the_kiosk_is_an_answer_and_stands_in_the_journal(path, caplog):
    async with control_server(path) as (_, kiosk):
        client = await RawClient.connect(path)
        kiosk.failure = ZeroDivisionError("boom")
        answer = await client.ask("press")
        assert answer["error"]["code"] == "internal"
        assert "boom" not in answer["error"]["message"]
        assert "ZeroDivisionError" in caplog.text
        kiosk.failure = None
        assert (await client.ask("press"))["ok"]
        client.close()


async def test_a_result_that_cannot_be_written_is_an_answer_too(path):
    async with control_server(path) as (_, kiosk):

        async def handle(request, peer):
            return object()

        kiosk.handle = handle
        client = await RawClient.connect(path)
        assert (await client.ask("status"))["error"]["code"] == "internal"
        client.close()


async def test_a_command_that_hangs_is_given_up(path):
    async with control_server(path, answer_within_s=0.05) as (_, kiosk):
        kiosk.hang = True
        client = await RawClient.connect(path)
        assert (await client.ask("press"))["error"]["code"] == "timeout"
        kiosk.hang = False
        assert (await client.ask("press"))["ok"]
        client.close()


async def test_stopping_does_not_wait_for_a_command_that_hangs(path):
    async with control_server(path) as (server, kiosk):
        kiosk.hang = True
        client = await RawClient.connect(path)
        await client.send({"v": 1, "id": 1, "command": "press"})
        await until(lambda: kiosk.asked)
        async with asyncio.timeout(WAIT_S / 2):
            await server.close()
        client.close()


async def test_clients_that_vanish_in_the_middle_leave_nothing_behind(path):
    async with control_server(path) as (server, kiosk):
        kiosk.hang = True
        for data in (b"", b'{"v":1,', b'{"v":1,"id":1,"command":"press"}\n'):
            client = await RawClient.connect(path)
            await client.send(data)
            client.close()
        watching = await subscriber(path)
        await until(lambda: server.listeners(Topic.EVENTS))
        watching.close()
        server.publish(Topic.EVENTS, BIG_EVENT)
        kiosk.hang = False
        other = await RawClient.connect(path)
        assert (await other.ask("volume"))["ok"]
        other.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(
        st.binary(max_size=200)
        | st.fixed_dictionaries(
            {"v": st.sampled_from([1, 2, None])},
            optional={
                "id": st.integers() | st.text(max_size=80) | st.none(),
                "command": st.sampled_from([*REQUESTS, "subscribe", "x"]),
                "args": st.dictionaries(
                    st.sampled_from(["text", "percent", "topics", "key", "x"]),
                    st.integers() | st.text(max_size=8) | st.lists(st.sampled_from(["events", "x"])),
                ),
            },
        ).map(lambda message: json.dumps(message).encode()),
        max_size=12,
    )
)
def test_whatever_is_sent_each_line_has_one_answer_and_the_daemon_goes_on(tmp_path_factory, lines):
    async def talk(path):
        async with control_server(path, answer_within_s=WAIT_S) as (_, kiosk):
            client = await RawClient.connect(path)
            sent = b"".join(line + b"\n" for line in lines)
            await client.send(sent)
            for _ in range(sent.count(b"\n")):
                answer = await client.receive()
                assert answer["v"] == 1
                assert answer["ok"] is True or answer["error"]["code"] != "internal"
            kiosk.state = "idle"
            assert (await client.ask("press", request_id="last"))["id"] == "last"
            client.close()

    asyncio.run(talk(tmp_path_factory.mktemp("fuzz") / "s"))


def impostor(path, reply):
    """Listen like a daemon that answers one request with `reply` and hangs up."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve():
        connection, _ = listener.accept()
        with connection, listener:
            connection.recv(4096)
            connection.sendall(reply)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (b"", NotRunningError),
        (b'{"v":1,"id":1,"ok"', NotRunningError),
        (b"HTTP/1.1 400 Bad Request\r\n", KioskError),
        (b"[]\n", KioskError),
        (b"\xff\n", KioskError),
        (b'{"v":1,"id":1}\n', KioskError),
        (b'{"v":1,"id":1,"ok":false,"error":"no"}\n', KioskError),
        (b'{"v":1,"id":[],"ok":true}\n', NotRunningError),
    ],
)
def test_whatever_answers_in_the_daemon_s_place_the_client_ends_with_a_sentence(path, reply, error):
    thread = impostor(path, reply)
    with ControlClient(path, timeout_s=WAIT_S) as client, pytest.raises(error) as caught:
        client.request("status")
    assert str(caught.value)
    thread.join(timeout=WAIT_S)


def test_a_daemon_that_does_not_answer_is_given_up(path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with (
            ControlClient(path, timeout_s=0.05) as client,
            pytest.raises(KioskError, match="does not answer"),
        ):
            client.request("status")


@pytest.mark.parametrize("place", ["x" * 200, "a/control.sock"])
def test_a_place_where_no_daemon_can_be_is_said_as_not_running(path, place):
    path.with_name("a").write_text("not a directory")
    with pytest.raises(NotRunningError) as caught:
        ControlClient(path.parent / place)
    assert caught.value.exit_code == 3


def test_who_may_not_use_the_socket_is_told_the_group_to_join(path, monkeypatch):
    def refuse(self, address):
        raise PermissionError(13, "Permission denied")

    class Guarded(socket.socket):
        connect = refuse

    monkeypatch.setattr(socket, "socket", Guarded)
    with pytest.raises(NotRunningError, match="usermod -aG voicekiosk"):
        ControlClient(path)


def test_a_daemon_that_hangs_up_before_it_is_asked_is_not_running(path):
    thread = impostor(path, b"")
    with ControlClient(path, timeout_s=WAIT_S) as client:
        with pytest.raises(NotRunningError):
            client.request("status")
        thread.join(timeout=WAIT_S)
        with pytest.raises(NotRunningError):
            client.request("status")
