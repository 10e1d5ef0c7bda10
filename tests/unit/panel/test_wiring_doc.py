"""The wiring guide says what the code does."""

import re
from pathlib import Path

import pytest
import tomli
from gpiozero.pins.pi import PiBoardInfo

from voicekiosk.config import schema
from voicekiosk.panel import lamp_table

DOCS = Path(__file__).parents[3] / "docs"
GUIDE = (DOCS / "wiring.md").read_text(encoding="utf-8")
PICTURE = (DOCS / "wiring.svg").read_text(encoding="utf-8")
HEADER = PiBoardInfo.from_revision(0xA02082).headers["J8"].pins


def position(gpio: int) -> int:
    """Where on the header a GPIO is."""
    return next(number for number, pin in HEADER.items() if pin.name == f"GPIO{gpio}")


def test_the_table_of_signs_is_the_one_made_from_the_patterns():
    assert lamp_table.markdown() in GUIDE, "run python -m voicekiosk.panel.lamp_table"


@pytest.mark.parametrize("gpio", [schema.Button().gpio, schema.Lamp().gpio])
def test_guide_and_picture_show_the_default_pins_where_they_are(gpio: int):
    assert f"pin {position(gpio)} (GPIO{gpio})" in GUIDE
    assert f"pin {position(gpio)}: GPIO{gpio}" in PICTURE


def test_the_ground_pins_are_ground():
    grounds = re.findall(r"pin (\d+) \(ground\)", GUIDE) + re.findall(r"pin (\d+): ground", PICTURE)
    assert grounds
    assert all(HEADER[int(number)].name == "GND" for number in grounds)


def test_every_pin_named_in_a_comment_of_the_configuration_is_there():
    named = re.findall(r"gpio = (\d+)\s+# pin (\d+)", GUIDE)
    assert len(named) == 5
    assert all(position(int(gpio)) == int(pin) for gpio, pin in named)


def test_every_pin_named_in_a_table_is_there():
    named = re.findall(r"GPIO(\d+) \(pin (\d+)\)", GUIDE)
    assert len(named) == 4
    assert all(position(int(gpio)) == int(pin) for gpio, pin in named)


def test_the_configuration_that_is_shown_first_is_the_default():
    shown = tomli.loads(re.search(r"```toml\n(.*?)```", GUIDE, re.DOTALL).group(1))["panel"]
    assert shown == {
        "driver": schema.Panel().driver,
        "button": {"gpio": schema.Button().gpio},
        "lamp": {"kind": schema.Lamp().kind, "gpio": schema.Lamp().gpio},
    }
