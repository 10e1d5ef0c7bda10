"""The watchdog, in a process of its own: fed only while every part does what it should."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.rigs.daemon_process import DaemonProcess
from tests.rigs.live_audio import CARDS

# An address where nobody listens: session and devices are wanted all the time, and no service is needed.
TEXT = CARDS.replace("[audio.capture]", "[audio.capture]\nwarm = true") + (
    "[agent]\nurl = 'ws://127.0.0.1:1/v1/ws'\n[conversation]\nconnect = 'on_boot'\n"
)
INTERVAL_S = 0.1
# What counts as stuck after 4 s shows in this many seconds, also where the machine is busy.
LONG_S = 10.0


@pytest.fixture
def kiosk(tmp_path: Path) -> Iterator[DaemonProcess]:
    config = tmp_path / "config.toml"
    config.write_text(TEXT)
    program = ("-m", "tests.rigs.frozen_daemon")
    with DaemonProcess(
        tmp_path, config, program=program, WATCHDOG_USEC=str(int(2e6 * INTERVAL_S))
    ) as process:
        process.until(lambda: process.status()["microphone"]["open"], "an open microphone")
        process.until(lambda: process.status()["loudspeaker"]["open"], "an open loudspeaker")
        yield process


def starved(kiosk: DaemonProcess) -> bool:
    """Whether there comes a whole second in which the watchdog is not fed."""
    return any(kiosk.fed(1.0) == 0 for _ in range(20))


def test_a_kiosk_whose_parts_all_move_feeds_the_watchdog(kiosk: DaemonProcess):
    assert kiosk.fed(3.0) >= 5


def test_a_frozen_event_loop_starves_it(kiosk: DaemonProcess):
    kiosk.tell("loop")
    assert starved(kiosk)


def test_a_microphone_whose_driver_hangs_starves_it(kiosk: DaemonProcess):
    kiosk.tell("capture")
    assert starved(kiosk)
    assert "capture makes no progress" in kiosk.journal
    # The loop still turns: only systemd can help, and people can see why.
    assert kiosk.status()["state"]


def test_a_loudspeaker_whose_driver_hangs_starves_it(kiosk: DaemonProcess):
    kiosk.tell("playback")
    # Nothing moves while nothing is played, which is no fault; a sign at a press is.
    assert kiosk.fed(1.0) > 0
    kiosk.until(lambda: kiosk.status()["state"] == "offline", "being offline")
    kiosk.ask("press")
    assert starved(kiosk)
    assert "playback makes no progress" in kiosk.journal


def test_a_microphone_that_gives_the_same_sample_for_ever_is_a_fault_and_never_starves_it(
    kiosk: DaemonProcess,
):
    kiosk.tell("constant")
    assert all(kiosk.fed(1.0) for _ in range(int(LONG_S)))
