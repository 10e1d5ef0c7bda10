"""The GPIO panel on a simulated chip of a real kernel (gpio-sim).

Debian's kernels have no gpio-sim; User Mode Linux does, and there these tests run.
"""

import asyncio
import contextlib
import os
import resource
import time
from pathlib import Path

import pytest

from voicekiosk.config import schema
from voicekiosk.panel.gestures import Gestures, Pressed, Released
from voicekiosk.panel.gpio import RETRY_S, GpioPanel
from voicekiosk.panel.lamp import Sign

CONFIG = Path("/sys/kernel/config/gpio-sim")
TALK, LAMP = 17, 18

pytestmark = pytest.mark.skipif(
    not (CONFIG.is_dir() and os.access(CONFIG, os.W_OK)), reason="needs root and a kernel with gpio-sim"
)


class Chip:
    """A chip of 32 lines; its buttons are pressed by pulling lines, its lamps are read back."""

    def __init__(self) -> None:
        self._config = CONFIG / "voicekiosk"
        (self._config / "bank0").mkdir(parents=True)
        (self._config / "bank0" / "num_lines").write_text("32")
        self.plug()

    def plug(self) -> None:
        (self._config / "live").write_text("1")
        device = (self._config / "dev_name").read_text().strip()
        chip = (self._config / "bank0" / "chip_name").read_text().strip()
        self._lines = Path("/sys/devices/platform") / device / chip

    def unplug(self) -> None:
        (self._config / "live").write_text("0")

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            self.unplug()
        (self._config / "bank0").rmdir()
        self._config.rmdir()

    def press(self, number: int, down: bool) -> None:
        (self._lines / f"sim_gpio{number}" / "pull").write_text("pull-down" if down else "pull-up")

    def lit(self, number: int) -> bool:
        return (self._lines / f"sim_gpio{number}" / "value").read_text().strip() == "1"


class House:
    def __init__(self) -> None:
        self.edges: list[tuple[str, bool, float]] = []
        self.changed = asyncio.Event()

    def on_edge(self, button, pressed, t_s):
        self.edges.append((button, pressed, t_s))
        self.changed.set()

    async def have(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.edges) < count:
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
def chip(monkeypatch):
    monkeypatch.delenv("GPIOZERO_PIN_FACTORY", raising=False)
    chip = Chip()
    yield chip
    chip.remove()


@pytest.fixture
def house():
    return House()


@pytest.fixture
async def panel(chip, house):
    panel = GpioPanel(schema.Panel())
    panel.start(asyncio.get_running_loop(), house.on_edge)
    yield panel
    panel.close()


async def test_the_simulated_header_is_found(panel):
    assert "line events" in panel.facts().device
    assert panel.facts().faults == ()


async def test_every_press_and_release_arrives_with_the_kernels_time(panel, chip, house):
    for n in range(20):
        for down in (True, False):
            before_s = time.monotonic()
            chip.press(TALK, down)
            await house.have(len(house.edges) + 1)
            button, pressed, t_s = house.edges[-1]
            assert (button, pressed) == ("talk", down), n
            assert before_s <= t_s <= time.monotonic()


async def test_the_lamp_follows_the_sign(panel, chip):
    panel.show(Sign.MICROPHONE_LIVE)
    assert chip.lit(LAMP)
    panel.show(Sign.IDLE)
    assert not chip.lit(LAMP)


async def test_a_bouncing_press_is_one_press_and_one_release(panel, chip, house):
    for _ in range(6):
        chip.press(TALK, down=True)
        await asyncio.sleep(0.001)
        chip.press(TALK, down=False)
        await asyncio.sleep(0.001)
    chip.press(TALK, down=True)
    await asyncio.sleep(0.5)
    chip.press(TALK, down=False)
    await asyncio.sleep(0.5)
    gestures = Gestures(200)
    heard = [g for _, pressed, t_s in house.edges for g in gestures.edge(pressed, t_s)]
    assert [type(g) for g in heard] == [Pressed, Released]


async def test_an_idle_panel_sleeps(panel):
    panel.show(Sign.IDLE)
    await asyncio.sleep(0.5)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
    await asyncio.sleep(5)
    # One for our own sleep; a panel that polled would make hundreds.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - before < 10


async def test_a_line_that_is_held_is_named_and_taken_when_it_is_free(panel, house):
    other = GpioPanel(schema.Panel())
    loop = asyncio.get_running_loop()
    other.start(loop, house.on_edge)
    assert 'GPIO17 is held by "voicekiosk"' in other.facts().faults[0]
    panel.close()
    await asyncio.sleep(RETRY_S[0] + 0.5)
    assert other.facts().faults == ()
    other.close()


async def test_closing_lets_go_of_a_button_that_is_down(panel, chip, house):
    chip.press(TALK, down=True)
    await house.have(1)
    panel.close()
    assert [pressed for _, pressed, _ in house.edges] == [True, False]


async def test_a_chip_that_comes_back_is_taken_again_at_the_next_sign(panel, chip, house):
    chip.press(TALK, down=True)
    await house.have(1)
    chip.unplug()
    panel.show(Sign.MICROPHONE_LIVE)
    await house.have(2)
    assert [pressed for _, pressed, _ in house.edges] == [True, False]
    assert panel.facts().faults
    chip.plug()
    await asyncio.sleep(sum(RETRY_S[:2]) + 1)
    assert panel.facts().faults == ()
    assert chip.lit(LAMP)
