"""What of the locks a .deb for another machine is made of."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def split(tmp_path):
    def of(machine, version="3.11"):
        """Split the locks; return the names in each part."""
        command = [sys.executable, "scripts/lib/target_lock.py", machine, version, str(tmp_path)]
        subprocess.run(command, cwd=ROOT, check=True, timeout=60)
        texts = [(tmp_path / f"{part}.lock").read_text() for part in ("wheels", "sources", "build")]
        for text in texts:
            assert ";" not in text, "a marker would be judged for the machine that builds"
            assert text.count("==") <= text.count("--hash=sha256:")
        return [set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE)) for text in texts]

    return of


def test_on_a_pc_everything_with_a_wheel_is_taken_as_it_is(split):
    wheels, sources, build = split("x86_64")
    assert {"numpy", "msgspec", "websockets"} <= wheels
    assert sources == {"pyalsaaudio", "systemd-python"}
    assert build == {"setuptools"}


def test_a_64_bit_pi_has_systemd_python_from_apt(split):
    wheels, sources, build = split("aarch64", "3.13")
    assert {"numpy", "msgspec", "adafruit-lgpio"} <= wheels
    assert sources == {"pyalsaaudio"}
    assert build == {"setuptools"}


def test_a_32_bit_pi_has_numpy_from_apt_and_msgspec_is_built_with_what_that_needs(split):
    wheels, sources, build = split("armv7l")
    assert "websockets" in wheels
    assert not {"numpy", "msgspec"} & wheels
    assert sources == {"pyalsaaudio", "msgspec"}
    assert {"setuptools", "setuptools-scm"} < build
