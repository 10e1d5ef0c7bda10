from voicekiosk.agent.memory import Said
from voicekiosk.agent.snapshot import Left, Snapshot

SNAPSHOT = Snapshot("host", "sess", "token", (Said(None, "hello", cut=False),))


def test_what_was_left_is_taken_up_once():
    left = Left()
    assert left.take(0.0)[0] is None
    left.put(SNAPSHOT, dropped_s=90.0, until_s=float("inf"))
    assert left.take(1000.0) == (SNAPSHOT, 90.0)
    assert left.take(1000.0)[0] is None


def test_what_was_left_too_long_ago_is_another_visitors():
    left = Left()
    left.put(SNAPSHOT, until_s=145.0)
    assert left.take(145.1)[0] is None
    left.put(SNAPSHOT, until_s=145.0)
    snapshot, dropped_s = left.take(145.0)
    assert snapshot is SNAPSHOT
    assert dropped_s == float("-inf"), "its session is not resumed"
