import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_gpio import FakeGpio
from gpiozero import Device
from gpiozero.pins.mock import MockFactory, MockPWMPin

from voicekiosk.panel import lines, uapi


@pytest.fixture
def fake_gpio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGpio:
    dev = tmp_path / "dev"
    dev.mkdir()
    fake = FakeGpio(dev)
    monkeypatch.setattr(uapi.fcntl, "ioctl", fake.ioctl)
    return fake


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


class StillLoop(asyncio.SelectorEventLoop):
    """Real descriptors, invented time."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1000.0

    def time(self) -> float:
        return self.now_s

    def turn(self) -> None:
        """Carry out what is ready now."""
        self.call_soon(self.stop)
        self.run_forever()

    def pass_time(self, seconds: float) -> None:
        """Let `seconds` pass, stopping at every timer on the way."""
        end_s = self.now_s + seconds
        while self._scheduled and (pending := [t for t in self._scheduled if not t.cancelled()]):
            when_s = min(timer.when() for timer in pending)
            if when_s > end_s:
                break
            self.now_s = max(self.now_s, when_s)
            self.turn()
        self.now_s = end_s
        self.turn()
