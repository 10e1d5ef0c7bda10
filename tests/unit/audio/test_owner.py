"""What an owner sleeps on, and how long it waits between attempts."""

import os
import threading

from voicekiosk.audio.owner import Backoff, EventBell


def test_a_ring_before_the_sleep_ends_it_at_once() -> None:
    bell = EventBell()
    bell.ring()
    bell.ring()
    assert bell.wait(None) == []


def test_a_ring_from_another_thread_ends_the_sleep() -> None:
    bell = EventBell()
    thread = threading.Thread(target=bell.ring)
    thread.start()
    assert bell.wait(20.0) == []
    thread.join()


def test_rings_are_spent_by_one_sleep() -> None:
    bell = EventBell()
    bell.ring()
    bell.wait(None)
    assert bell.wait(0.0) == []


def test_descriptors_that_are_ready_are_returned_and_the_bell_is_not() -> None:
    bell = EventBell()
    end, other_end = os.pipe()
    try:
        os.write(other_end, b"x")
        bell.ring()
        assert bell.wait(None, [(end, 1)]) == [(end, 1)]
        # The ring was heard as well: only the pipe is left.
        assert bell.wait(0.0) == []
        assert bell.wait(None, [(end, 1)]) == [(end, 1)]
    finally:
        os.close(end)
        os.close(other_end)


def test_another_card_s_descriptors_replace_those_of_the_last() -> None:
    bell = EventBell()
    first, second = os.eventfd(1), os.eventfd(1)
    try:
        assert bell.wait(None, [(first, 1)]) == [(first, 1)]
        assert bell.wait(None, [(second, 1)]) == [(second, 1)]
    finally:
        os.close(first)
        os.close(second)


def test_waits_double_up_to_five_seconds_and_begin_anew_after_success() -> None:
    backoff = Backoff()
    assert [backoff.take() for _ in range(7)] == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    backoff.reset()
    assert backoff.take() == 0.25
