"""What every test of the panel may ask for."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory, MockPWMPin
from tests.rigs.fake_gpio import FakeGpio
from tests.rigs.still_loop import StillLoop

from voicekiosk.panel import lines, uapi


@pytest.fixture
def fake_gpio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGpio]:
    dev = tmp_path / "dev"
    dev.mkdir()
    fake = FakeGpio(dev)
    monkeypatch.setattr(uapi.fcntl, "ioctl", fake.ioctl)
    monkeypatch.setattr(uapi.os, "read", fake.read)
    yield fake
    fake.reset()


@pytest.fixture
def chip(fake_gpio: FakeGpio, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One chip with a Pi's header, found by "auto"."""
    path = fake_gpio.add_chip("gpiochip0", "pinctrl-bcm2711")
    monkeypatch.setattr(lines, "find_chip", lambda chip, find=lines.find_chip: find(chip, fake_gpio.dev))
    monkeypatch.delenv("GPIOZERO_PIN_FACTORY", raising=False)
    return path


@pytest.fixture
def mock_pins() -> Iterator[MockFactory]:
    factory = Device.pin_factory = MockFactory(pin_class=MockPWMPin)
    yield factory
    factory.reset()
    Device.pin_factory = None


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop whose clock stands still until a test moves it."""
    loop = StillLoop()
    asyncio.set_event_loop(loop)
    yield loop
    asyncio.set_event_loop(None)
    loop.close()
