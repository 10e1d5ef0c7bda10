"""The watch over this machine, as the process that it is."""

import signal
import time

from demolib.stalls import Stalls


def test_a_moment_in_which_nothing_runs_is_seen():
    with Stalls() as stalls:
        time.sleep(0.5)  # until it watches
        began_s = time.monotonic()
        stalls._process.send_signal(signal.SIGSTOP)
        time.sleep(0.2)
        stalls._process.send_signal(signal.SIGCONT)
        ended_s = time.monotonic()
        time.sleep(0.1)
    assert stalls.within(began_s, ended_s) > 0.15
    assert stalls.longest_s > 0.15


def test_a_key_that_ends_the_demo_leaves_it_to_say_what_it_saw():
    with Stalls() as stalls:
        time.sleep(0.5)
        stalls._process.send_signal(signal.SIGINT)
    assert stalls._process.returncode == 0
