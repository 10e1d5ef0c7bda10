"""Hardware PWM through a directory that looks like the kernel's."""

import gpiozero
import pytest

from voicekiosk.panel import pwm
from voicekiosk.panel.lines import LineFactory


@pytest.fixture
def sysfs(tmp_path):
    """/sys/class/pwm of a Pi 5: the fan's block first, then the header's."""
    root = tmp_path / "pwm"
    for number, device in ((0, "1f0009c000.pwm"), (1, "1f00098000.pwm")):
        platform = tmp_path / "devices" / device
        platform.mkdir(parents=True)
        chip = root / f"pwmchip{number}"
        chip.mkdir(parents=True)
        (chip / "device").symlink_to(platform)
        (chip / "export").touch()
        (chip / "unexport").touch()
        for channel in range(4):
            (chip / f"pwm{channel}").mkdir()
            for name in ("duty_cycle", "period", "enable"):
                (chip / f"pwm{channel}" / name).write_text("0")
    return root


def read(path):
    return int(path.read_text().split()[0])


def test_the_channel_is_found_by_the_blocks_address_so_that_the_fan_is_left_alone(sysfs):
    assert pwm.find(18, sysfs) == (sysfs / "pwmchip1", 2)


def test_a_pin_without_pwm_has_no_channel(sysfs):
    assert pwm.find(17, sysfs) is None


def test_a_machine_without_pwm_has_no_channel(tmp_path):
    assert pwm.find(18, tmp_path / "nothing") is None


def test_the_lamp_is_dimmed_by_the_duty_cycle_and_the_line_is_left_to_the_pwm(sysfs, chip, loop, fake_gpio):
    channel = sysfs / "pwmchip1" / "pwm2"
    with LineFactory(chip, loop, pwm_root=sysfs) as factory:
        led = gpiozero.PWMLED("GPIO18", frequency=500, pin_factory=factory)
        assert (read(channel / "period"), read(channel / "enable")) == (2_000_000, 1)
        led.value = 0.25
        assert led.value == 0.25
        assert read(channel / "duty_cycle") == 500_000
        led.value = 1
        assert read(channel / "duty_cycle") == 2_000_000
        assert fake_gpio.requests == []
        led.value = 0
        led.close()
        assert read(channel / "enable") == 0
        assert read(sysfs / "pwmchip1" / "unexport") == 2


def test_a_channel_is_exported_when_it_is_not_there_yet(sysfs):
    chip = sysfs / "pwmchip1"
    for file in (chip / "pwm3").iterdir():
        file.unlink()
    (chip / "pwm3").rmdir()
    with pytest.raises(FileNotFoundError):  # nobody makes the directory here
        pwm.Channel(chip, 3, 500)
    assert read(chip / "export") == 3


def test_a_lamp_that_is_dark_when_high_stays_dark_when_it_is_closed(sysfs, chip, loop):
    channel = sysfs / "pwmchip1" / "pwm2"
    with LineFactory(chip, loop, pwm_root=sysfs) as factory:
        led = gpiozero.PWMLED("GPIO18", active_high=False, pin_factory=factory)
        led.close()
    assert read(channel / "enable") == 1
