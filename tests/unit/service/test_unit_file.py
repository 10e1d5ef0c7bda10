import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
UNIT = ROOT / "systemd" / "voicekiosk.service"
OPERATIONS = ROOT / "docs" / "operations.md"


def settings(section):
    text = re.search(rf"^\[{section}\]$(.*?)(?=^\[|\Z)", UNIT.read_text(), re.MULTILINE | re.DOTALL)[1]
    found = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def sandbox():
    text = UNIT.read_text()
    block = text[text.index("# Devices:") : text.index("[Install]")]
    return {line.partition("=")[0] for line in block.splitlines() if "=" in line and not line.startswith("#")}


def test_it_starts_without_network_and_without_a_sound_card():
    unit = settings("Unit")
    assert not {"Requires", "BindsTo", "Requisite"} & set(unit)
    assert "network-online.target" not in str(unit)


def test_a_missing_key_file_does_not_stop_it():
    service = settings("Service")
    assert service["LoadCredential"] == ["api-key:/etc/voicekiosk/api-key"]
    assert service["SetCredential"] == ["api-key:none"]


def test_it_is_of_a_type_that_systemd_252_knows():
    assert settings("Service")["Type"] == ["notify"]


def test_the_runtime_directory_is_where_it_works_and_outlives_a_crash():
    service = settings("Service")
    assert service["WorkingDirectory"] == ["/run/" + service["RuntimeDirectory"][0]]
    assert service["RuntimeDirectoryPreserve"] == ["restart"]


def test_only_sound_cards_and_gpio_chips_may_be_used():
    assert settings("Service")["DeviceAllow"] == ["char-alsa rw", "char-gpiochip rw"]
    assert settings("Service")["DevicePolicy"] == ["closed"]


def test_every_option_of_the_sandbox_is_explained():
    text = OPERATIONS.read_text()
    assert [option for option in sorted(sandbox()) if f"`{option}=" not in text] == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_finds_nothing_wrong_with_it(tmp_path):
    unit = tmp_path / "voicekiosk.service"
    unit.write_text(UNIT.read_text().replace("/opt/voicekiosk/bin/voicekiosk", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60, check=False
    )
    ours = [line for line in done.stderr.splitlines() if "voicekiosk" in line]
    assert (done.returncode, ours) == (0, [])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_its_exposure_is_what_the_documentation_says_and_at_most_1_5(tmp_path):
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", UNIT],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    exposure = re.search(r"Overall exposure level.*?: ([\d.]+)", done.stdout)
    if exposure is None:
        pytest.skip("this systemd-analyze cannot judge a file")
    assert float(exposure[1]) <= 1.5
    assert f"**{exposure[1]}**" in OPERATIONS.read_text()
