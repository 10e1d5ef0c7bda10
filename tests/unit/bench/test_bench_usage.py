"""What the bench makes of the kernel's counts."""

import pytest

from benchlib.usage import Thread, between


def test_usage_is_per_second_and_threads_of_one_name_count_together() -> None:
    before = {1: Thread("python", 1.0, 10), 2: Thread("capture", 0.5, 100)}
    after = {1: Thread("python", 1.2, 30), 2: Thread("capture", 0.6, 200), 3: Thread("capture", 0.1, 50)}
    usage = between(before, after, 2.0)
    assert usage.threads["python"] == (pytest.approx(100), 10)
    assert usage.threads["capture"] == (pytest.approx(100), 75)
    assert usage.cpu_ms_per_s == pytest.approx(200)
    assert usage.wakeups_per_s == 85
