"""Our gpiozero pin factory on a chip that obeys the kernel's rules."""

import errno
import time
from pathlib import Path

import gpiozero
import pytest
from gpiozero.exc import PinFixedPull, PinPWMUnsupported, PinSetInput

from voicekiosk.errors import DeviceError
from voicekiosk.panel import lines, uapi
from voicekiosk.panel.lines import LineFactory, UnsupportedKernelError, find_chip


@pytest.fixture
def factory(chip: Path, loop, tmp_path):
    with LineFactory(chip, loop, pwm_root=tmp_path) as factory:
        yield factory


class Handler:
    """Keeps what it was told; the pin holds it only weakly."""

    def __init__(self):
        self.heard = []

    def changed(self, ticks, state):
        self.heard.append((ticks, state))


# --- finding the chip ---


def test_the_header_is_found_by_its_label_not_its_number(fake_gpio):
    fake_gpio.add_chip("gpiochip0", "raspberrypi-exp-gpio", 8)
    fake_gpio.add_chip("gpiochip4", "pinctrl-rp1")
    fake_gpio.add_chip("gpiochip10", "gpio-brcmstb@107d508500", 32)
    assert find_chip("auto", fake_gpio.dev) == fake_gpio.dev / "gpiochip4"


def test_a_real_header_is_preferred_to_a_simulated_one(fake_gpio):
    fake_gpio.add_chip("gpiochip0", "gpio-sim.0-node0", 32)
    fake_gpio.add_chip("gpiochip1", "pinctrl-bcm2835")
    assert find_chip("auto", fake_gpio.dev) == fake_gpio.dev / "gpiochip1"


def test_a_simulated_chip_is_taken_where_there_is_nothing_else(fake_gpio):
    fake_gpio.add_chip("gpiochip0", "gpio-sim.0-node0", 32)
    assert find_chip("auto", fake_gpio.dev) == fake_gpio.dev / "gpiochip0"


def test_a_named_chip_is_taken_without_looking(fake_gpio):
    assert find_chip("/dev/gpiochip7", fake_gpio.dev) == Path("/dev/gpiochip7")


def test_lines_of_a_laptop_are_left_alone(fake_gpio):
    fake_gpio.add_chip("gpiochip0", "INT34C5:00", 360)
    with pytest.raises(DeviceError, match=r"INT34C5:00.*panel\.chip"):
        find_chip("auto", fake_gpio.dev)


# --- pins ---


def test_a_button_is_requested_once_with_its_pull_and_both_edges(factory, fake_gpio):
    with gpiozero.DigitalInputDevice("GPIO17", pull_up=True, pin_factory=factory) as button:
        assert button.value == 0
        assert fake_gpio.requests == [
            (17, uapi.FLAG_INPUT | uapi.FLAG_PULL_UP | uapi.FLAG_EDGE_RISING | uapi.FLAG_EDGE_FALLING)
        ]
        assert fake_gpio.by_offset[17].events == uapi.EVENT_BUFFER


def test_a_button_to_3_3_volts_gets_a_pull_down(factory, fake_gpio):
    with gpiozero.DigitalInputDevice("GPIO17", pull_up=False, pin_factory=factory):
        assert fake_gpio.requests[0][1] & uapi.FLAG_PULL_DOWN


def test_a_pin_with_a_resistor_on_the_board_is_left_to_it(factory, fake_gpio):
    with gpiozero.DigitalInputDevice("GPIO3", pull_up=True, pin_factory=factory):
        assert not fake_gpio.requests[0][1] & (uapi.FLAG_PULL_UP | uapi.FLAG_PULL_DOWN)
    with pytest.raises(PinFixedPull):
        gpiozero.DigitalInputDevice("GPIO3", pull_up=False, pin_factory=factory)


def test_edges_come_with_the_kernels_time_in_the_loops_thread(factory, fake_gpio, loop):
    handler = Handler()
    with gpiozero.DigitalInputDevice("GPIO17", pull_up=True, pin_factory=factory) as button:
        button.pin.when_changed = handler.changed
        fake_gpio.edge(17, high=False, t_s=1.25)
        fake_gpio.edge(17, high=True, t_s=1.5)
        assert handler.heard == []
        loop.turn()
    assert handler.heard == [(1.25, False), (1.5, True)]


def test_an_idle_button_does_not_wake_the_loop(factory, fake_gpio, loop):
    with gpiozero.DigitalInputDevice("GPIO17", pull_up=True, pin_factory=factory):
        loop.turn()
        assert loop._selector.select(0) == []
        assert not loop._scheduled


def test_gpiozeros_own_callbacks_work_too(factory, fake_gpio, loop):
    with gpiozero.DigitalInputDevice("GPIO17", pull_up=True, pin_factory=factory) as button:
        heard = []
        button.when_activated = lambda: heard.append("down")
        button.when_deactivated = lambda: heard.append("up")
        fake_gpio.edge(17, high=False, t_s=1.0)
        fake_gpio.edge(17, high=True, t_s=2.0)
        loop.turn()
    assert heard == ["down", "up"]


@pytest.mark.parametrize(("active_high", "first"), [(True, False), (False, True)])
def test_an_output_has_its_level_from_its_first_moment(factory, fake_gpio, active_high, first):
    with gpiozero.LED("GPIO18", active_high=active_high, pin_factory=factory) as led:
        assert fake_gpio.requests == [(18, uapi.FLAG_OUTPUT)]
        led.on()
        led.off()
        assert led.value == 0
        assert fake_gpio.by_offset[18].history == [first, not first, first]


def test_an_input_cannot_be_set(factory):
    with gpiozero.DigitalInputDevice("GPIO17", pin_factory=factory) as button, pytest.raises(PinSetInput):
        button.pin.state = 1


def test_a_pin_can_be_used_again_after_it_was_closed(factory, fake_gpio, loop):
    gpiozero.LED("GPIO17", pin_factory=factory).close()
    handler = Handler()
    with gpiozero.DigitalInputDevice("GPIO17", pull_up=True, pin_factory=factory) as button:
        button.pin.when_changed = handler.changed
        fake_gpio.edge(17, high=False, t_s=1.0)
        loop.turn()
    assert handler.heard == [(1.0, False)]


def test_closing_gives_every_descriptor_back(chip, loop, fake_gpio):
    before = set(Path("/proc/self/fd").iterdir())
    factory = LineFactory(chip, loop)
    gpiozero.DigitalInputDevice("GPIO17", pin_factory=factory)
    gpiozero.LED("GPIO18", pin_factory=factory)
    factory.close()
    factory.close()
    ours = {Path(f"/proc/self/fd/{line.event_fd}") for line in fake_gpio.by_offset.values()}
    assert set(Path("/proc/self/fd").iterdir()) - ours <= before
    assert not loop._selector.get_map() or len(loop._selector.get_map()) == 1


def test_without_hardware_pwm_a_pin_says_so(factory):
    with pytest.raises(PinPWMUnsupported):
        gpiozero.PWMLED("GPIO18", pin_factory=factory)


def test_ticks_are_the_clock_that_edges_are_stamped_with(factory):
    assert factory.ticks_diff(factory.ticks(), time.monotonic()) == pytest.approx(0, abs=60)


# --- what can go wrong ---


def test_a_machine_without_gpio_is_told_what_to_set(tmp_path):
    with pytest.raises(DeviceError, match=r'no GPIO chip.*panel\.driver to "keyboard"'):
        find_chip("auto", tmp_path)


def test_a_user_without_permission_is_told_the_group(fake_gpio, monkeypatch):
    fake_gpio.add_chip("gpiochip0", "pinctrl-bcm2711")

    def denied(path, flags):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(lines.os, "open", denied)
    with pytest.raises(DeviceError, match="group gpio"):
        find_chip("auto", fake_gpio.dev)


def test_a_chip_of_the_wrong_name_is_named(loop, tmp_path):
    with pytest.raises(DeviceError, match=r"gpiochip9: No such file.*panel\.chip"):
        LineFactory(tmp_path / "gpiochip9", loop)


def test_a_file_that_is_no_chip_is_refused(loop, fake_gpio, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UnsupportedKernelError, match="not a GPIO chip"):
        LineFactory(tmp_path / "file", loop)


def test_an_old_kernel_is_told_apart(chip, loop, fake_gpio):
    fake_gpio.errors[uapi.GET_LINE_INFO] = errno.EINVAL
    with pytest.raises(UnsupportedKernelError, match=r"before 5\.10"):
        LineFactory(chip, loop)


@pytest.mark.parametrize(("holder", "named"), [("spi0 CS0", '"spi0 CS0"'), ("", "another program")])
def test_a_busy_line_names_who_holds_it(factory, fake_gpio, holder, named):
    fake_gpio.busy[17] = holder
    with pytest.raises(DeviceError, match=rf"GPIO17 is held by {named}.*another pin"):
        gpiozero.DigitalInputDevice("GPIO17", pin_factory=factory)


def test_a_pin_that_the_chip_does_not_have_is_out_of_range(fake_gpio, loop):
    small = fake_gpio.add_chip("gpiochip3", "gpio-sim", 8)
    with (
        LineFactory(small, loop) as factory,
        pytest.raises(
            DeviceError, match=r"GPIO17 is out of range: .*gpiochip3 \(gpio-sim\) has lines 0 to 7"
        ),
    ):
        gpiozero.LED("GPIO17", pin_factory=factory)


def test_a_chip_that_goes_away_is_reported_once_and_does_not_keep_the_loop_turning(factory, fake_gpio, loop):
    lost = []
    factory.on_lost = lost.append
    button = gpiozero.DigitalInputDevice("GPIO17", pin_factory=factory)
    fake_gpio.unplug(17)
    for _ in range(3):
        loop.turn()
    assert lost == ["GPIO17 is lost: No such device"]
    button.close()
