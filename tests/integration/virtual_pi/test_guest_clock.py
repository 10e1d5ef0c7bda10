"""The virtual Pi's clock, preloaded into a program that does with it what the guest's kernel does."""

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from virtualpilib.kernel import preload

GUEST = """
import ctypes, json, os, signal, sys, time

libc = ctypes.CDLL(None)
timer = ctypes.c_void_p()
assert libc.timer_create(time.CLOCK_MONOTONIC, None, ctypes.byref(timer)) == 0
signal.signal(signal.SIGALRM, lambda *_: None)
signal.signal(signal.SIGUSR1, lambda *_: None)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])


def ring_in(seconds):
    whole = int(seconds)
    times = (ctypes.c_long * 4)(0, 0, whole, int((seconds - whole) * 1e9))
    assert libc.timer_settime(timer, 0, times, None) == 0


def sleep():
    libc.sigsuspend((ctypes.c_ulong * 16)())


def tell(**what):
    print(json.dumps(what), flush=True)


began_s, really_began_s = time.monotonic(), time.time()
{body}
tell(guest_s=time.monotonic() - began_s, real_s=time.time() - really_began_s)
"""

STORM = r"""
#include <signal.h>
#include <stdio.h>
#include <time.h>

static volatile long long latest;
static volatile int rung, went_back;
static long long due;
static timer_t timer;

static long long look(void)
{
	struct timespec time;
	long long before = latest;

	clock_gettime(CLOCK_MONOTONIC, &time);
	long long now = time.tv_sec * 1000000000LL + time.tv_nsec;
	went_back += now < before;
	if (now > latest)
		latest = now;
	return now;
}

static void ring(int signal)
{
	long long now = look();

	if (now >= due) {
		rung++;
		due = now + 1000 + rung % 7919;
	}
	struct itimerspec once = {.it_value = {.tv_nsec = due - now}};
	timer_settime(timer, 0, &once, NULL);
}

int main(void)
{
	sigset_t none;

	sigemptyset(&none);
	signal(SIGALRM, ring);
	timer_create(CLOCK_MONOTONIC, NULL, &timer);
	ring(SIGALRM);
	while (rung < 5000) {
		for (int i = 0; i < 100; i++)
			look();
		sigsuspend(&none);
	}
	printf("%d %d\n", rung, went_back);
}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if platform.machine() != "x86_64" or not (shutil.which("gcc") and Path("/usr/include/stdlib.h").exists()):
        pytest.skip("no virtual Pi here, or no gcc to compile its clock with")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield preload()


def start(library: Path, body: str, speed: int = 1, price: int = 1) -> "subprocess.Popen[str]":
    environment = {
        **os.environ,
        "LD_PRELOAD": str(library),
        "VIRTUAL_PI_IDLE_SPEED": str(speed),
        "VIRTUAL_PI_WORK_PRICE": str(price),
    }
    return subprocess.Popen(
        [sys.executable, "-c", GUEST.replace("{body}", body)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def told(child: "subprocess.Popen[str]") -> dict[str, float]:
    output, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    times: dict[str, float] = json.loads(output)
    return times


def test_a_time_without_a_processor_does_not_pass_in_the_guest(library: Path) -> None:
    child = start(library, "ring_in(0.01); os.kill(os.getpid(), signal.SIGSTOP)")
    os.waitpid(child.pid, os.WUNTRACED)
    time.sleep(0.5)
    child.send_signal(signal.SIGCONT)
    times = told(child)
    assert times["real_s"] >= 0.5
    assert times["guest_s"] <= 0.02


def test_a_sleep_in_which_it_had_none_is_as_long_as_it_was_to_be(library: Path) -> None:
    child = start(library, "ring_in(0.2); tell(sleeping=True); sleep()", speed=2)
    assert child.stdout
    assert json.loads(child.stdout.readline()) == {"sleeping": True}
    child.send_signal(signal.SIGSTOP)
    time.sleep(0.5)
    child.send_signal(signal.SIGCONT)
    times = told(child)
    assert times["real_s"] >= 0.5
    assert 0.2 <= times["guest_s"] <= 0.21


def test_who_sleeps_gets_through_his_sleep_faster(library: Path) -> None:
    times = told(start(library, "ring_in(100.0); sleep()", speed=200))
    assert times["real_s"] < 50.0
    assert 100.0 <= times["guest_s"] <= 100.01


def test_who_works_has_the_time_of_everybody(library: Path) -> None:
    work = "ring_in(1.0)\nuntil = time.process_time() + 0.2\nwhile time.process_time() < until: pass"
    times = told(start(library, work, speed=200))
    assert 0.2 <= times["guest_s"] <= times["real_s"] + 0.01


def test_who_works_pays_for_each_second(library: Path) -> None:
    work = "ring_in(1.0)\nuntil = time.process_time() + 0.8\nwhile time.process_time() < until: pass"
    times = told(start(library, work, price=4))
    assert times["real_s"] >= 0.8
    assert times["real_s"] / 4 - 0.01 <= times["guest_s"] <= times["real_s"] / 4 + 0.01


def test_a_timer_rings_on_time_at_work_and_in_a_sleep_after_it(library: Path) -> None:
    at_work = """
rung_s = []
signal.signal(signal.SIGALRM, lambda *_: rung_s.append(time.monotonic() - began_s))
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
ring_in(0.1)
while not rung_s: pass
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
ring_in(0.2)
while time.monotonic() - began_s < 0.2: pass
sleep()
tell(first_s=rung_s[0], second_s=rung_s[1])
"""
    output, _ = start(library, at_work, speed=4, price=4).communicate(timeout=60)
    rung, times = map(json.loads, output.splitlines())
    assert 0.1 <= rung["first_s"] <= 0.11
    assert 0.3 <= rung["second_s"] <= 0.31
    assert times["real_s"] >= 0.8


def test_its_time_never_goes_back_though_its_timer_interrupts_each_look(
    library: Path, tmp_path: Path
) -> None:
    storm = tmp_path / "storm"
    (tmp_path / "storm.c").write_text(STORM)
    subprocess.run(["gcc", "-O1", "-o", storm, tmp_path / "storm.c"], check=True)
    environment = {**os.environ, "LD_PRELOAD": str(library), "VIRTUAL_PI_IDLE_SPEED": "4"}
    environment["VIRTUAL_PI_WORK_PRICE"] = "3"
    done = subprocess.run([storm], env=environment, timeout=60, check=True, capture_output=True, text=True)
    rung, went_back = map(int, done.stdout.split())
    assert rung >= 5000
    assert went_back == 0


def test_a_timer_rings_on_time_though_something_else_woke_the_guest_before(library: Path) -> None:
    child = start(library, "ring_in(2.0); tell(sleeping=True); sleep(); tell(woken=True); sleep()", speed=2)
    assert child.stdout
    assert json.loads(child.stdout.readline()) == {"sleeping": True}
    time.sleep(0.1)
    child.send_signal(signal.SIGUSR1)
    assert json.loads(child.stdout.readline()) == {"woken": True}
    assert 2.0 <= told(child)["guest_s"] <= 2.01
