import logging
import os
import socket
from contextlib import suppress

import pytest

from voicekiosk.service.notify import Notifier, datagram_sender, watchdog_interval_s


class Heard(list[str]):
    """A fake of systemd's end that records datagrams, and can be broken."""

    broken = False

    def __call__(self, text: str) -> None:
        if self.broken:
            raise ConnectionRefusedError
        self.append(text)


@pytest.fixture
def systemd(tmp_path):
    endpoint = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    endpoint.bind(str(tmp_path / "notify"))
    endpoint.settimeout(5)
    yield endpoint
    endpoint.close()


def test_says_ready_with_its_status_in_one_datagram():
    heard = Heard()
    Notifier(heard).ready("idle")
    assert heard == ["READY=1\nSTATUS=idle"]


def test_sends_a_status_once_while_it_stays_the_same():
    heard = Heard()
    notifier = Notifier(heard)
    notifier.status("idle")
    notifier.status("idle")
    notifier.status("listening")
    assert heard == ["STATUS=idle", "STATUS=listening"]


def test_a_status_cannot_smuggle_in_a_second_line():
    heard = Heard()
    Notifier(heard).status("fault: x\nREADY=1")
    assert heard == ["STATUS=fault: x READY=1"]


def test_reloading_carries_the_monotonic_clock_in_microseconds():
    heard = Heard()
    Notifier(heard, monotonic_ns=lambda: 12_345_678_999).reloading()
    assert heard == ["RELOADING=1\nMONOTONIC_USEC=12345678"]


def test_says_stopping_and_feeds_the_watchdog():
    heard = Heard()
    notifier = Notifier(heard)
    notifier.watchdog()
    notifier.stopping("stopping")
    assert heard == ["WATCHDOG=1", "STOPPING=1\nSTATUS=stopping"]


def test_is_silent_without_a_service_manager():
    notifier = Notifier.from_environment({"WATCHDOG_USEC": "10000000"})
    notifier.ready("idle")
    notifier.watchdog()
    assert notifier.watchdog_interval_s is None


def test_goes_on_when_systemd_cannot_be_reached():
    heard = Heard()
    heard.broken = True
    notifier = Notifier(heard)
    notifier.ready("idle")
    heard.broken = False
    notifier.watchdog()
    notifier.watchdog()
    assert heard == ["WATCHDOG=1\nSTATUS=idle", "WATCHDOG=1"]


def test_a_status_that_was_lost_is_sent_again_and_only_the_newest():
    heard = Heard()
    notifier = Notifier(heard)
    notifier.status("idle")
    heard.broken = True
    notifier.status("listening")
    notifier.status("offline")
    heard.broken = False
    notifier.status("offline")
    notifier.status("offline")
    assert heard == ["STATUS=idle", "STATUS=offline"]


@pytest.mark.parametrize(
    ("environ", "interval_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "10000000"}, 5.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "7"}, 5.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "me"}, None),
    ],
)
def test_feeds_at_half_of_the_watchdog_if_it_watches_this_process(environ, interval_s):
    assert watchdog_interval_s(environ, pid=7) == interval_s


def test_its_own_datagrams_reach_a_path(systemd, tmp_path):
    send = datagram_sender(str(tmp_path / "notify"))
    send("READY=1")
    assert systemd.recv(4096) == b"READY=1"


def test_its_own_datagrams_reach_the_abstract_namespace():
    name = f"voicekiosk-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as endpoint:
        endpoint.bind("\0" + name)
        endpoint.settimeout(5)
        datagram_sender("@" + name)("WATCHDOG=1")
        assert endpoint.recv(4096) == b"WATCHDOG=1"


def test_an_address_of_another_kind_is_told_once_and_left_alone(caplog):
    with caplog.at_level(logging.WARNING):
        assert datagram_sender("vsock:2:1234") is None
    assert "vsock:2:1234" in caplog.text


def test_a_systemd_that_does_not_read_holds_up_nobody(systemd, tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    notifier = Notifier.from_environment()
    sent = 0
    systemd.setblocking(False)
    # Far more than its queue takes: whoever waits for room would wait here for ever.
    monkeypatch.setattr("voicekiosk.service.notify.SEND_TIMEOUT_S", 0.001)
    for _ in range(500):
        notifier.watchdog()
    with suppress(BlockingIOError):
        while systemd.recv(4096):
            sent += 1
    assert 0 < sent < 500


def test_tells_systemd_as_its_environment_says(systemd, tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "10000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    notifier = Notifier.from_environment()
    notifier.ready("idle")
    assert systemd.recv(4096) == b"READY=1\nSTATUS=idle"
    assert notifier.watchdog_interval_s == 5.0
