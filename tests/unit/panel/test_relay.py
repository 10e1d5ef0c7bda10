"""Outputs for relays: on for their time, and off whatever happens."""

import asyncio

import gpiozero
import pytest
from gpiozero.pins.mock import MockFactory

from voicekiosk.errors import DeviceError
from voicekiosk.panel.relay import Relays


@pytest.fixture
def pins(monkeypatch):
    factory = MockFactory()
    monkeypatch.setattr(gpiozero.Device, "pin_factory", factory)
    yield factory
    factory.close()


async def test_an_output_is_on_for_its_time_and_off_before_and_after(pins):
    relays = Relays("auto")
    task = asyncio.create_task(relays.pulse(5, 0.05, active_high=True))
    await asyncio.sleep(0.01)
    assert pins.pin(5).state == 1
    await task
    assert pins.pin(5).state == 0
    assert pins.pin(5).function == "output"
    relays.close()


async def test_a_relay_that_switches_at_low_is_high_when_off(pins):
    relays = Relays("auto")
    await relays.pulse(5, 0.0, active_high=False)
    assert pins.pin(5).state == 1
    relays.close()


async def test_a_cancelled_pulse_switches_off(pins):
    relays = Relays("auto")
    task = asyncio.create_task(relays.pulse(5, 60.0, active_high=True))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pins.pin(5).state == 0
    relays.close()


async def test_two_pulses_of_one_output_follow_each_other(pins):
    relays = Relays("auto")
    first = asyncio.create_task(relays.pulse(5, 0.03, active_high=True))
    second = asyncio.create_task(relays.pulse(5, 0.03, active_high=True))
    await first
    assert not second.done()
    await second
    assert pins.pin(5).state == 0
    relays.close()


async def test_a_pin_that_is_taken_is_said(pins):
    led = gpiozero.LED(5, pin_factory=pins)
    relays = Relays("auto")
    with pytest.raises(DeviceError, match="the output on GPIO 5 cannot be had"):
        await relays.pulse(5, 0.01, active_high=True)
    led.close()
    await relays.pulse(5, 0.01, active_high=True)
    relays.close()
