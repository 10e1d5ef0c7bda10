"""The GPIO panel on gpiozero's mock pins and on our own pin factory."""

import errno
import sys
import threading
import time
import types

import msgspec
import pytest
from gpiozero.pins.mock import MockFactory, MockPin

from voicekiosk.config import schema
from voicekiosk.panel import gpio, lines, uapi
from voicekiosk.panel.driver import make_panel
from voicekiosk.panel.gestures import Gestures, Pressed, Released
from voicekiosk.panel.gpio import GpioPanel
from voicekiosk.panel.lamp import Sign

TALK, MUTE, LAMP = 17, 27, 18


def settings(lamp: dict | None = None, **button) -> schema.Panel:
    return msgspec.convert({"button": button, "lamp": lamp or {}}, schema.Panel)


class House:
    """Stands in for the conductor."""

    def __init__(self):
        self.edges: list[tuple[str, bool]] = []
        self.times: list[float] = []
        self.threads: set[int] = set()

    def on_edge(self, button, pressed, t_s):
        self.edges.append((button, pressed))
        self.times.append(t_s)
        self.threads.add(threading.get_ident())


@pytest.fixture
def house():
    return House()


@pytest.fixture
def start(loop, house):
    panels = []

    def start(configured: schema.Panel | None = None, on_faults=lambda: None) -> GpioPanel:
        panel = make_panel(configured or settings())
        panels.append(panel)
        panel.start(loop, house.on_edge, on_faults)
        return panel

    yield start
    for panel in panels:
        panel.close()


# --- on gpiozero's mock pins ---


def test_a_mock_factory_that_was_set_is_used(mock_pins, start):
    panel = start()
    assert panel.facts().device == "pin factory MockFactory"
    assert panel.facts().faults == ()


def test_a_factory_named_in_the_environment_is_used(monkeypatch, start):
    import gpiozero

    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "mock")
    try:
        assert start().facts().device == "pin factory MockFactory"
    finally:
        gpiozero.Device.pin_factory.reset()
        gpiozero.Device.pin_factory = None


def test_press_and_release_reach_the_house(mock_pins, start, house):
    start()
    mock_pins.pin(TALK).drive_low()
    mock_pins.pin(TALK).drive_high()
    assert house.edges == [("talk", True), ("talk", False)]
    assert all(abs(t_s - time.monotonic()) < 60 for t_s in house.times)


def test_a_button_to_3_3_volts_is_pressed_when_high(mock_pins, start, house):
    start(settings(active_low=False))
    mock_pins.pin(TALK).drive_high()
    assert house.edges == [("talk", True)]


def test_the_mute_button_is_told_apart(mock_pins, start, house):
    start(settings(mute_gpio=MUTE))
    mock_pins.pin(MUTE).drive_low()
    assert house.edges == [("mute", True)]


EXTRAS = {
    "volume": {"up_gpio": 5, "down_gpio": 6, "a_gpio": 12, "b_gpio": 13},
    "persona": {"positions": {"guide": 20, "clock": 21}},
}


def test_buttons_encoder_and_switch_are_told_apart(mock_pins, start, house):
    start(msgspec.convert(EXTRAS, schema.Panel))
    house.edges.clear()
    for pin in (5, 6, 12, 13, 20, 21):
        mock_pins.pin(pin).drive_low()
    names = ["louder", "quieter", "encoder_a", "encoder_b", "persona guide", "persona clock"]
    assert house.edges == [(name, True) for name in names]


def test_what_a_switch_or_an_encoder_is_at_the_start_is_told_and_nothing_of_the_end(mock_pins, start, house):
    pin = mock_pins.pin(21)
    pin._set_pull = lambda value: setattr(pin, "_pull", value) or pin._change_state(False)
    panel = start(msgspec.convert(EXTRAS, schema.Panel))
    levels = [("encoder_a", False), ("encoder_b", False), ("persona guide", False), ("persona clock", True)]
    assert house.edges == levels
    assert panel.facts().notes == ()
    panel.close()
    assert house.edges == levels


def test_a_volume_button_that_cannot_be_had_is_named(mock_pins, start):
    settings = msgspec.convert({"volume": {"up_gpio": TALK, "down_gpio": 6}}, schema.Panel)
    assert start(settings).facts().faults[0].startswith("louder button: ")


def test_a_position_and_a_contact_that_cannot_be_had_are_named(mock_pins, start):
    tables = {"volume": {"a_gpio": TALK, "b_gpio": 6}, "persona": {"positions": {"guide": TALK}}}
    first, second = start(msgspec.convert(tables, schema.Panel)).facts().faults
    assert first.startswith("encoder a: ")
    assert second.startswith("position guide of the persona switch: ")


def test_edges_from_a_foreign_thread_arrive_in_the_loops_thread(mock_pins, start, house, loop):
    start()
    worker = threading.Thread(target=mock_pins.pin(TALK).drive_low)
    worker.start()
    worker.join(10)
    assert house.edges == []
    loop.turn()
    assert house.edges == [("talk", True)]
    assert house.threads == {threading.get_ident()}


def test_a_button_that_is_down_at_start_gives_nothing_until_it_was_released(mock_pins, start, house):
    mock_pins.pin(TALK)._pull = "up"
    stuck = mock_pins.pin(TALK)
    stuck._set_pull = lambda value: setattr(stuck, "_pull", value) or stuck._change_state(False)
    panel = start()
    assert house.edges == []
    assert "down since the start" in panel.facts().notes[0]
    gestures = Gestures(30)
    mock_pins.pin(TALK).drive_high()
    assert house.edges == [("talk", False)]
    assert gestures.edge(False, 1.0) == ()
    assert panel.facts().notes == ()
    mock_pins.pin(TALK).drive_low()
    assert house.edges[-1] == ("talk", True)


def test_a_handler_that_raises_does_not_end_the_edges(mock_pins, loop, caplog):
    heard = []

    def on_edge(button, pressed, t_s):
        heard.append(pressed)
        raise RuntimeError("the house is on fire")

    panel = GpioPanel(settings())
    panel.start(loop, on_edge)
    mock_pins.pin(TALK).drive_low()
    mock_pins.pin(TALK).drive_high()
    mock_pins.pin(TALK).drive_low()
    assert heard == [True, False, True]
    assert "the house is on fire" in caplog.text
    panel.close()


def test_closing_lets_go_of_a_button_that_is_down(mock_pins, start, house):
    panel = start()
    mock_pins.pin(TALK).drive_low()
    panel.close()
    panel.close()
    assert house.edges == [("talk", True), ("talk", False)]


def test_nothing_comes_after_closing(mock_pins, start, house):
    start().close()
    mock_pins.pin(TALK).drive_low()
    assert house.edges == []


def test_a_panel_can_be_closed_without_having_been_started(mock_pins):
    GpioPanel(settings()).close()


def test_the_lamp_shows_its_sign_in_its_rhythm(mock_pins, start, loop):
    panel = start()
    pin = mock_pins.pin(LAMP)
    pin.clear_states()
    panel.show(Sign.OFFLINE)
    loop.pass_time(0.6)
    pin.assert_states([False, True, False, True, False])


def test_a_lamp_that_lights_when_low_is_dark_when_high(mock_pins, start):
    panel = start(settings({"active_high": False}))
    assert mock_pins.pin(LAMP).state == 1
    panel.show(Sign.MICROPHONE_LIVE)
    assert mock_pins.pin(LAMP).state == 0
    panel.close()


def test_a_pwm_lamp_is_dimmed_as_the_eye_sees_it(mock_pins, start):
    panel = start(settings({"kind": "pwm", "brightness": 50}))
    panel.show(Sign.MICROPHONE_LIVE)
    assert mock_pins.pin(LAMP).state == pytest.approx(0.25)
    assert panel.facts().notes == ()


def test_an_rgb_lamp_shows_the_colour(mock_pins, start):
    panel = start(settings({"kind": "rgb"}))
    panel.show(Sign.MICROPHONE_LIVE)
    assert [mock_pins.pin(n).state for n in (22, 23, 24)] == [0.0, pytest.approx(0.45), 1.0]


@pytest.mark.parametrize("kind", ["pwm", "rgb"])
def test_where_there_is_no_pwm_a_lamp_shows_on_and_off_and_says_so(mock_pins, start, kind):
    mock_pins.pin_class = MockPin
    panel = start(settings({"kind": kind}))
    panel.show(Sign.MICROPHONE_LIVE)
    assert mock_pins.pin(24 if kind == "rgb" else LAMP).state == 1
    assert "docs/wiring.md" in panel.facts().notes[0]


def test_a_kiosk_without_a_lamp_has_no_fault(mock_pins, start):
    panel = start(settings({"kind": "none"}))
    panel.show(Sign.FAULT)
    panel.acknowledge()
    assert panel.facts().faults == ()
    assert panel.facts().sign is Sign.FAULT


def test_a_sign_shown_before_the_lamp_is_there_is_shown_when_it_is(mock_pins, loop, house):
    panel = GpioPanel(settings())
    panel.show(Sign.MICROPHONE_LIVE)
    panel.start(loop, house.on_edge)
    assert mock_pins.pin(LAMP).state == 1
    panel.close()


def test_no_thread_is_started(mock_pins, start, loop):
    before = threading.active_count()
    panel = start(settings({"kind": "pwm"}, mute_gpio=MUTE))
    panel.show(Sign.THINKING)
    loop.pass_time(3)
    assert threading.active_count() == before


# --- on our own pin factory ---


def test_our_own_factory_is_the_first_choice(chip, start):
    assert start().facts().device == f"{chip} (pinctrl-bcm2711), line events"


def test_edges_carry_the_kernels_time(chip, start, house, fake_gpio, loop):
    start()
    t_s = round(time.monotonic() - 0.5, 6)
    fake_gpio.edge(TALK, high=False, t_s=t_s)
    loop.turn()
    assert house.times == [pytest.approx(t_s)]


def test_a_time_from_another_clock_is_replaced(chip, start, house, fake_gpio, loop):
    start()
    fake_gpio.edge(TALK, high=False, t_s=1_700_000_000.0)
    loop.turn()
    assert house.times == [pytest.approx(time.monotonic(), abs=60)]


def test_a_bouncing_press_through_the_kernel_is_one_press_and_one_release(chip, fake_gpio, loop):
    gestures, heard = Gestures(30), []
    panel = GpioPanel(settings())
    panel.start(loop, lambda button, pressed, t_s: heard.extend(gestures.edge(pressed, t_s)))
    t_s = time.monotonic() - 1
    for at_ms, high in [(0, 0), (2, 1), (3, 0), (9, 1), (11, 0), (500, 1), (504, 0), (515, 1)]:
        fake_gpio.edge(TALK, high=bool(high), t_s=t_s + at_ms / 1000)
    loop.turn()
    assert [type(g) for g in heard] == [Pressed, Released]
    panel.close()


def test_idle_costs_no_wake_up(chip, start, loop):
    panel = start()
    panel.show(Sign.IDLE)
    loop.turn()
    assert not [timer for timer in loop._scheduled if not timer.cancelled()]
    assert loop._selector.select(0) == []
    assert panel.facts().lamp_wakeups == 0


# --- faults ---


@pytest.fixture
def pwm_error(chip, monkeypatch):
    """Makes opening a PWM channel fail with the error that is put here."""
    error: list[OSError] = []

    def open_pwm(factory, number, frequency_hz):
        if error:
            raise error[0]
        return FakeChannel()

    monkeypatch.setattr(lines.LineFactory, "open_pwm", open_pwm)
    return error


class FakeChannel:
    duty = 0.0

    def set_duty(self, duty):
        self.duty = duty

    def close(self):
        pass


def test_a_pwm_channel_that_udev_has_not_handed_over_yet_is_tried_again(start, loop, pwm_error):
    pwm_error.append(PermissionError(errno.EACCES, "Permission denied"))
    panel = start(settings({"kind": "pwm"}))
    assert "not permitted" in panel.facts().faults[0]
    pwm_error.clear()
    loop.pass_time(gpio.RETRY_S[0])
    assert panel.facts().faults == ()
    assert panel.facts().notes == ()


@pytest.mark.parametrize(
    "error",
    [PermissionError(errno.EACCES, "Permission denied"), OSError(errno.EROFS, "Read-only file system")],
)
def test_a_pwm_channel_that_stays_forbidden_leaves_a_lamp_that_shows_on_and_off(
    start, loop, fake_gpio, pwm_error, error
):
    pwm_error.append(error)
    panel = start(settings({"kind": "pwm"}))
    loop.pass_time(sum(gpio.RETRY_S))
    assert panel.facts().faults == ()
    assert error.strerror in panel.facts().notes[0]
    panel.show(Sign.MICROPHONE_LIVE)
    assert fake_gpio.by_offset[LAMP].high


def test_a_busy_button_leaves_the_lamp_working_and_is_had_when_it_is_free(
    chip, start, house, fake_gpio, loop
):
    fake_gpio.busy[TALK] = "w1-gpio"
    panel = start()
    (fault,) = panel.facts().faults
    assert fault.startswith('talk button: GPIO17 is held by "w1-gpio"')
    panel.show(Sign.MICROPHONE_LIVE)
    assert fake_gpio.by_offset[LAMP].high
    del fake_gpio.busy[TALK]
    loop.pass_time(gpio.RETRY_S[0])
    assert panel.facts().faults == ()
    fake_gpio.edge(TALK, high=False, t_s=time.monotonic())
    loop.turn()
    assert house.edges == [("talk", True)]


def test_a_lasting_fault_is_logged_once_and_tried_ever_more_rarely(chip, start, fake_gpio, loop, caplog):
    fake_gpio.busy[TALK] = "w1-gpio"
    start()
    before = fake_gpio.refused
    loop.pass_time(3600)
    assert caplog.text.count("w1-gpio") == 1
    assert fake_gpio.refused - before == pytest.approx(3600 / gpio.RETRY_S[-1], abs=3)


def test_a_busy_lamp_leaves_the_button_working(chip, start, house, fake_gpio, loop):
    fake_gpio.busy[LAMP] = "audio-amp"
    panel = start()
    panel.show(Sign.FAULT)
    panel.acknowledge()
    assert 'lamp: GPIO18 is held by "audio-amp"' in panel.facts().faults[0]
    fake_gpio.edge(TALK, high=False, t_s=time.monotonic())
    loop.turn()
    assert house.edges == [("talk", True)]


def test_without_any_chip_the_kiosk_goes_on_and_says_so(fake_gpio, chip, start, loop):
    chip.unlink()
    told = []
    panel = start(on_faults=lambda: told.append(panel.facts().faults))
    panel.show(Sign.IDLE)
    assert "no GPIO chip" in panel.facts().faults[0]
    loop.pass_time(gpio.RETRY_S[0])
    assert told == [], "nothing new"
    chip.touch()
    loop.pass_time(gpio.RETRY_S[1])
    assert panel.facts().faults == ()
    assert told == [()]


def test_one_pin_for_two_things_is_a_sentence(chip, start):
    panel = start(settings({"gpio": TALK}))
    assert "give every button and lamp a pin of its own" in panel.facts().faults[0]


def test_a_pin_off_the_header_is_a_sentence(chip, start):
    panel = start(settings(gpio=40))
    assert "0 to 27" in panel.facts().faults[0]


def test_a_chip_that_goes_away_releases_the_button_and_is_taken_again(start, house, fake_gpio, loop, chip):
    told = []
    panel = start(on_faults=lambda: told.append(panel.facts().faults))
    panel.show(Sign.MICROPHONE_LIVE)
    fake_gpio.edge(TALK, high=False, t_s=time.monotonic())
    loop.turn()
    fake_gpio.unplug(TALK)
    loop.turn()
    assert house.edges == [("talk", True), ("talk", False)]
    assert "GPIO17 is lost" in panel.facts().faults[0]
    loop.pass_time(gpio.RETRY_S[0])
    assert panel.facts().faults == ()
    assert [len(faults) for faults in told] == [1, 0]
    assert fake_gpio.by_offset[LAMP].high
    fake_gpio.edge(TALK, high=False, t_s=time.monotonic())
    loop.turn()
    assert house.edges[-1] == ("talk", True)


def test_a_lamp_that_cannot_be_set_any_more_is_a_fault_and_taken_again(chip, start, fake_gpio, loop):
    panel = start()
    fake_gpio.errors[uapi.SET_VALUES] = errno.ENODEV
    panel.show(Sign.MICROPHONE_LIVE)
    loop.turn()
    assert any("No such device" in fault for fault in panel.facts().faults)
    fake_gpio.errors.clear()
    loop.pass_time(gpio.RETRY_S[0])
    assert panel.facts().faults == ()
    assert fake_gpio.by_offset[LAMP].high


# lgpio itself stays out of the tests: importing it starts a thread and leaves a pipe in the directory.


def test_an_old_kernel_falls_back_to_lgpio_and_says_what_that_costs(chip, start, fake_gpio, monkeypatch):
    fake_gpio.errors[uapi.GET_LINE_INFO] = errno.EINVAL
    chips = []

    def factory(chip):
        chips.append(chip)
        return MockFactory()

    monkeypatch.setitem(sys.modules, "gpiozero.pins.lgpio", types.SimpleNamespace(LGPIOFactory=factory))
    panel = start()
    assert chips == [0]
    assert "keeps the processor awake" in panel.facts().device


def test_when_lgpio_fails_too_both_reasons_are_told(chip, start, fake_gpio, monkeypatch):
    fake_gpio.errors[uapi.GET_LINE_INFO] = errno.EINVAL

    def factory(chip):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", ".lgd-nfy-3")

    monkeypatch.setitem(sys.modules, "gpiozero.pins.lgpio", types.SimpleNamespace(LGPIOFactory=factory))
    fault = start().facts().faults[0]
    assert "before 5.10" in fault
    assert ".lgd-nfy-3" in fault
