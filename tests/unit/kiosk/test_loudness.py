"""The loudness that somebody has set survives a restart."""

import asyncio

import pytest
from tests.rigs.parts import FakeFactory
from tests.rigs.still_loop import StillLoop

from voicekiosk.config.schema import Audio, Config, Playback
from voicekiosk.kiosk.conductor import Conductor
from voicekiosk.kiosk.loudness import SETTLED_S, Loudness
from voicekiosk.service.statefile import StateFile


def start(path, volume=80, volume_max=100):
    loop = StillLoop()
    asyncio.set_event_loop(loop)
    config = Config(audio=Audio(playback=Playback(volume=volume, volume_max=volume_max)))
    conductor = Conductor(config, FakeFactory(), clock=loop.time)
    loudness = Loudness(conductor, StateFile(path))
    loudness.start(loop)
    return loop, conductor, loudness


def set_to(path, percent):
    loop, conductor, loudness = start(path)
    conductor.set_volume(percent)
    loudness.look()
    loop.run_until_complete(loudness.close())


def test_a_loudness_that_was_set_is_there_after_a_restart(tmp_path):
    set_to(tmp_path / "v", 35)
    assert start(tmp_path / "v")[1].volume == 35


def test_another_loudness_in_the_configuration_wins(tmp_path):
    set_to(tmp_path / "v", 35)
    assert start(tmp_path / "v", volume=60)[1].volume == 60


def test_a_lower_limit_holds_for_what_was_kept(tmp_path):
    set_to(tmp_path / "v", 95)
    assert start(tmp_path / "v", volume_max=90)[1].volume == 90


def test_steps_that_follow_each_other_are_written_once(tmp_path):
    loop, conductor, loudness = start(tmp_path / "v")
    for percent in (70, 60, 50):
        conductor.set_volume(percent)
        loudness.look()
        loop.pass_time(1)
    assert not (tmp_path / "v").exists()
    loop.pass_time(SETTLED_S)
    loop.run_until_complete(loop.shutdown_default_executor())
    assert b"50" in (tmp_path / "v").read_bytes()


def test_nothing_is_written_where_nothing_was_set(tmp_path):
    loop, _, loudness = start(tmp_path / "v")
    loudness.look()
    loop.run_until_complete(loudness.close())
    assert not (tmp_path / "v").exists()


@pytest.mark.parametrize("content", [b"", b"{}", b'{"volume": 900, "configured": 80}', b"\xff"])
def test_a_spoiled_file_leaves_the_configured_loudness(tmp_path, content):
    (tmp_path / "v").write_bytes(content)
    assert start(tmp_path / "v")[1].volume == 80
