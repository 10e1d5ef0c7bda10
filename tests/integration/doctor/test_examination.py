"""The whole examination, on PulseAudio's cards, with and without a daemon."""

import pytest
from tests.rigs import pulse

from voicekiosk.doctor import examination
from voicekiosk.doctor.examination import Wishes, examine
from voicekiosk.doctor.verdict import Level
from voicekiosk.errors import DeviceError
from voicekiosk.simulator import Settings, Simulator

ORDER = [
    "system",
    "power",
    "temperature",
    "clock",
    "disk",
    "configuration",
    "service",
    "daemon",
    "groups",
    "permissions",
    "holders",
    "microphone",
]
BUSY = {
    "state": "listening",
    "versions": {},
    "process": {"pid": 1},
    "microphone": {"open": True},
    "loudspeaker": {"open": False},
    "panel": {"driver": "gpio", "device": "/dev/gpiochip0", "fault": "", "edges": 4},
    "link": {"state": "ready", "host": "agents.example"},
    "key": "credential",
}


@pytest.fixture(autouse=True)
def nobody(tmp_path, monkeypatch):
    """No daemon, no key, no sound."""
    monkeypatch.setenv("VOICEKIOSK_SOCKET", str(tmp_path / "none.sock"))
    monkeypatch.delenv("ASSEMBLYAI_API_KEY", raising=False)
    monkeypatch.setattr(examination, "KEY_FILE", tmp_path / "api-key")


@pytest.fixture
def wishes(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text('[panel]\ndriver = "none"\n')
    return Wishes(path, chirp=False, call=False)


@pytest.fixture
def rig(monkeypatch):
    if packages := pulse.missing():
        pytest.skip(f"needs: apt install {' '.join(packages)}")
    with pulse.PulseRig() as rig:
        for name, value in rig.environment.items():
            monkeypatch.setenv(name, value)
        yield rig


def by_link(verdicts):
    return {verdict.link: verdict for verdict in verdicts}


@pytest.mark.audio
def test_every_link_is_looked_at_in_the_order_of_the_chain(rig, wishes):
    links = [verdict.link for verdict in examine(wishes)]
    assert links[: len(ORDER)] == ORDER
    assert {"microphone level", "loudspeaker to microphone", "button and lamp", "API key"} <= set(links)


@pytest.mark.audio
def test_a_microphone_that_hears_nothing_is_found(rig, wishes):
    assert by_link(examine(wishes))["microphone level"].level is Level.FAILURE


def test_a_device_in_use_is_left_alone_and_the_daemon_asked(wishes, monkeypatch):
    def must_not(*_args, **_kwargs):
        raise AssertionError("opened a device that somebody uses")

    monkeypatch.setattr(examination, "ask_daemon", lambda: BUSY)
    for name in ("survey", "record", "play_and_record", "make_panel"):
        monkeypatch.setattr(examination, name, must_not)
    verdicts = by_link(examine(wishes))
    assert verdicts["microphone level"].level is Level.SKIPPED
    assert "4 edges" in verdicts["button"].text
    assert "credential" in verdicts["API key"].text


def test_a_wrong_configuration_is_a_verdict_and_the_rest_is_looked_at(wishes):
    wishes.config_file.write_text("[panel]\ndriver = 17\n")
    verdicts = by_link(examine(wishes))
    assert verdicts["configuration"].level is Level.FAILURE
    assert "API key" in verdicts


def test_a_part_that_breaks_does_not_end_the_examination(wishes, monkeypatch):
    def broken(*_args):
        raise DeviceError("the mixer is on fire")

    monkeypatch.setattr(examination, "list_cards", broken)
    verdicts = list(examine(wishes))
    assert any("on fire" in verdict.text for verdict in verdicts)
    assert verdicts[-1].link in ("handshake", "API key")


def test_a_key_in_the_file_is_found_and_not_shown(wishes, tmp_path):
    (tmp_path / "api-key").write_text("secret-key-0123456789\n")
    verdicts = list(examine(wishes))
    assert by_link(verdicts)["API key"].level is Level.OK
    assert not any("secret-key" in f"{verdict}" for verdict in verdicts)


def test_a_key_that_is_none_says_what_is_wrong_with_it(wishes, tmp_path):
    (tmp_path / "api-key").write_text('"quoted"\n')
    verdict = by_link(examine(wishes))["API key"]
    assert verdict.level is Level.FAILURE
    assert "quotes" in verdict.text


async def test_the_service_is_called_and_no_session_opened(wishes, tmp_path):
    import asyncio

    (tmp_path / "api-key").write_text("good\n")
    async with Simulator(Settings(key="good")) as service:
        wishes.config_file.write_text(f'[agent]\nurl = "{service.url}"\n[panel]\ndriver = "none"\n')
        calling = Wishes(wishes.config_file, chirp=False, call=True)
        verdicts = by_link(await asyncio.to_thread(lambda: list(examine(calling))))
        sessions = [m for _, side, m in service.connections[0].record.messages if side == "client"]
    assert verdicts["handshake"].level is Level.OK
    assert sessions == []
