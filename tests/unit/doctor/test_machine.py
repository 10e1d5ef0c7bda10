import pytest

from voicekiosk.doctor import machine
from voicekiosk.doctor.machine import Disk
from voicekiosk.doctor.verdict import Level

NOW_S = machine.WRITTEN_S + 86400


def by_link(verdicts):
    return {verdict.link: verdict for verdict in verdicts}


@pytest.fixture
def root(tmp_path):
    """A Raspberry Pi that is well, as far as its files tell."""
    for path, text in {
        "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n',
        "proc/device-tree/model": "Raspberry Pi Zero 2 W Rev 1.0\0",
        "sys/devices/platform/soc/soc:firmware/get_throttled": "0\n",
        "sys/class/thermal/thermal_zone0/temp": "45123\n",
        "run/systemd/timesync/synchronized": "",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def test_a_healthy_pi_gets_no_complaint(root):
    verdicts = by_link(machine.examine(root))
    assert {link: verdict.level for link, verdict in verdicts.items() if link != "disk"} == {
        "system": Level.OK,
        "power": Level.OK,
        "temperature": Level.OK,
        "clock": Level.OK,
    }
    assert "Raspberry Pi Zero 2 W" in verdicts["system"].text


def test_a_machine_that_tells_nothing_is_not_called_ill(tmp_path):
    verdicts = by_link(machine.examine(tmp_path))
    assert verdicts["power"].level is Level.SKIPPED
    assert verdicts["temperature"].level is Level.SKIPPED


def test_undervoltage_now_is_a_failure(root):
    (root / "sys/devices/platform/soc/soc:firmware/get_throttled").write_text("50005\n")
    assert by_link(machine.examine(root))["power"].level is Level.FAILURE


def test_undervoltage_since_the_boot_is_a_warning(root):
    (root / "sys/devices/platform/soc/soc:firmware/get_throttled").write_text("50000\n")
    assert by_link(machine.examine(root))["power"].level is Level.WARNING


def test_the_kernels_voltage_sensor_counts_where_the_firmware_is_silent(root):
    (root / "sys/devices/platform/soc/soc:firmware/get_throttled").unlink()
    sensor = root / "sys/class/hwmon/hwmon1"
    sensor.mkdir(parents=True)
    (sensor / "name").write_text("rpi_volt\n")
    (sensor / "in0_lcrit_alarm").write_text("1\n")
    assert by_link(machine.examine(root))["power"].level is Level.FAILURE


@pytest.mark.parametrize(("celsius", "level"), [(45, Level.OK), (76, Level.WARNING), (81, Level.FAILURE)])
def test_heat_is_judged_by_where_the_pi_slows_down(celsius, level):
    assert machine.judge_heat(celsius).level is level


def test_a_clock_of_before_this_program_is_a_failure():
    verdict = machine.judge_clock(86400.0, synchronised=False)
    assert verdict.level is Level.FAILURE
    assert "certificate" in verdict.text


def test_a_clock_that_nobody_set_is_a_warning():
    assert machine.judge_clock(NOW_S, synchronised=False).level is Level.WARNING


def test_a_clock_of_which_nothing_is_known_is_taken_as_right():
    assert machine.judge_clock(NOW_S, synchronised=None).level is Level.OK


@pytest.mark.parametrize(
    ("disk", "level"),
    [
        (Disk(5000, read_only=False), Level.OK),
        (Disk(100, read_only=False), Level.WARNING),
        (Disk(5, read_only=False), Level.FAILURE),
        (Disk(5000, read_only=True), Level.FAILURE),
    ],
)
def test_a_disk_is_judged_by_its_room_and_by_being_writable(disk, level):
    assert machine.judge_disk(disk).level is level


def test_another_distribution_is_a_warning():
    release = {"ID": "ubuntu", "VERSION_ID": "24.04", "PRETTY_NAME": "Ubuntu 24.04"}
    assert machine.judge_system(release, "aarch64", "").level is Level.WARNING


def test_the_first_pi_zero_is_a_warning():
    release = {"ID": "raspbian", "VERSION_ID": "12"}
    assert machine.judge_system(release, "armv6l", "Raspberry Pi Zero W").level is Level.WARNING
