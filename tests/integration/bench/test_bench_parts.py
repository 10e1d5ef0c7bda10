"""Every part of a conversation that the bench measures is there, and does its work."""

from benchlib import parts


def test_every_part_takes_time_and_all_together_less_than_a_second_has() -> None:
    found = parts.measure(50)
    assert list(found)[:8] == [
        "capture", "ring", "resample", "encode", "socket", "decode", "playback", "idle loop",
    ]  # fmt: skip
    assert all(ms > 0 for ms in found.values())
    assert sum(found.values()) < 1000
