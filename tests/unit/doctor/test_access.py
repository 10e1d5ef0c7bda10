from pathlib import Path

import pytest

from voicekiosk.doctor.access import (
    Holder,
    Node,
    find_holders,
    find_nodes,
    judge_groups,
    judge_holders,
    judge_nodes,
)
from voicekiosk.doctor.verdict import Level

CARD = {"pcmC1D0c", "pcmC1D0p"}


def test_who_is_in_both_groups_may_use_both():
    assert judge_groups("voicekiosk", {"audio", "gpio"}, gpio_wanted=True).level is Level.OK


def test_a_missing_group_is_named_with_the_command():
    verdict = judge_groups("voicekiosk", {"audio"}, gpio_wanted=True)
    assert verdict.level is Level.FAILURE
    assert "usermod -aG gpio voicekiosk" in verdict.fix


def test_the_group_gpio_is_not_asked_for_without_pins():
    assert judge_groups("voicekiosk", {"audio"}, gpio_wanted=False).level is Level.OK


@pytest.mark.parametrize(
    ("node", "level"),
    [
        (Node("/dev/gpiochip0", 0o20660, "root", "gpio"), Level.OK),
        (Node("/dev/gpiochip0", 0o20600, "root", "root"), Level.FAILURE),
        (Node("/dev/gpiochip0", 0o20640, "root", "gpio"), Level.FAILURE),
        (Node("/dev/gpiochip0", 0o20666, "root", "root"), Level.OK),
        (Node("/dev/gpiochip0", 0o20600, "voicekiosk", "root"), Level.OK),
    ],
)
def test_a_device_file_must_let_the_user_read_and_write(node, level):
    assert judge_nodes([node], "voicekiosk", {"audio", "gpio"}).level is level


def test_a_card_that_nobody_holds_is_well():
    assert judge_holders([], CARD, None).level is Level.OK


def test_a_card_that_the_daemon_holds_is_well():
    assert judge_holders([Holder("pcmC1D0c", 7, "voicekiosk")], CARD, 7).level is Level.OK


def test_a_stranger_on_the_kiosks_card_is_named():
    verdict = judge_holders([Holder("pcmC1D0c", 99, "arecord")], CARD, 7)
    assert verdict.level is Level.FAILURE
    assert "arecord (pid 99)" in verdict.text


def test_a_stranger_on_another_card_is_nobodys_business():
    assert judge_holders([Holder("pcmC0D0p", 99, "aplay")], CARD, 7).level is Level.OK


def test_a_sound_server_has_a_fix_of_its_own():
    verdict = judge_holders([Holder("pcmC1D0p", 99, "pipewire")], CARD, None)
    assert "--reserve-cards" in verdict.fix


def test_finds_the_process_behind_the_thread_that_opened_a_card(tmp_path):
    status = tmp_path / "asound/card1/pcm0c/sub0/status"
    status.parent.mkdir(parents=True)
    status.write_text("state: RUNNING\nowner_pid   : 4711\n")
    closed = tmp_path / "asound/card1/pcm0p/sub0/status"
    closed.parent.mkdir(parents=True)
    closed.write_text("closed\n")
    for pid, text in {"4711": "Name:\tcapture\nTgid:\t4700\n", "4700": "Tgid:\t4700\n"}.items():
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "status").write_text(text)
    (tmp_path / "4700" / "comm").write_text("pulseaudio\n")
    assert find_holders(tmp_path) == [Holder("pcmC1D0c", 4700, "pulseaudio")]


def test_gpio_chips_are_looked_at_only_where_the_panel_uses_them(tmp_path):
    (tmp_path / "snd").mkdir()
    for name in ("snd/pcmC0D0c", "gpiochip0"):
        (tmp_path / name).touch()
    assert {Path(node.path).name for node in find_nodes(tmp_path)} == {"pcmC0D0c", "gpiochip0"}
    assert [Path(node.path).name for node in find_nodes(tmp_path, gpio_wanted=False)] == ["pcmC0D0c"]
