"""`virtual-pi test`: guests run the tests, this side prints what they tell and keeps the results."""

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, unquote

from virtualpilib import guest, stock
from virtualpilib.host import VirtualPiError, say, scratch
from virtualpilib.kernel import kernel
from virtualpilib.rootfs import image

TIMEOUT_S = 35 * 60.0
PROMISED_S = 20 * 60.0
"""How long all of it takes at most on two idle processors of today; longer is told, and no failure."""
LONG_TIMEOUT_S = 4 * 3600.0
LOOK_S = 0.25


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a guest may give no sign of life before its kernel is held to hang.

    User Mode Linux 6.1 with virtually mapped stacks can: a timer's signal while the page of a kernel stack is
    being mapped faults for ever. The test that it was in has no verdict, and is run once more by the next
    guest; one that loses two guests has failed.
    """

    boot_s: float
    """From power-on, or from the way into a reboot, to the first sign."""
    run_s: float
    """From one sign to the next; they come every 3 s."""

    def is_over(self, silent_s: float, *, booted: bool) -> bool:
        """Tell whether `silent_s` without a sign is too long."""
        return silent_s > (self.run_s if booted else self.boot_s)


PATIENCE = Patience(boot_s=150.0, run_s=20.0)
STOCK_PATIENCE = Patience(boot_s=900.0, run_s=300.0)
MOST_LOST = 6
UNJUDGED = 75
"""The exit code where nothing failed and some tests have no verdict: sysexits' "try again later"."""
MOST_GUESTS = 2
"""Each has one processor; with more at once than this machine has, none would be on time."""
BOOTING = "booting"
Boot = Callable[[Path, int, Path, int], guest.Guest | stock.StockGuest]
_MARKS = {"passed": "ok", "failed": "FAILED", "skipped": "skipped", "unjudged": "unjudged"}


class Results:
    """What all guests have told so far."""

    def __init__(self) -> None:
        self.tests: list[dict[str, Any]] = []
        self.figures: dict[str, Any] = {}
        self.lost: list[str] = []
        """For each guest that was lost, the test that it was in, or that it was booting."""

    def take(self, told: dict[str, Any]) -> bool:
        """Take one fact; return whether it is the last of its guest."""
        match told.pop("kind"):
            case "test":
                self.tests.append(told)
                say(f"{_MARKS[told['outcome']]:8}{told['seconds']:6.1f} s  {told['name']}")
                if told["outcome"] != "passed":
                    print(told["why"], flush=True)
            case "figure":
                self.figures[told["name"]] = told["value"]
            case "end":
                return True
        return False

    def lose(self, doing: str) -> bool:
        """Note that a guest was lost; return whether another one may go on.

        A test that loses a second guest has failed; a second one that never came up is the end.
        """
        self.lost.append(doing)
        again = self.lost.count(doing) > 1
        if again and doing != BOOTING and doing not in self.done:
            why = "two guests stood still in this test"
            self.take({"kind": "test", "name": doing, "outcome": "failed", "seconds": 0.0, "why": why})
        return len(self.lost) <= MOST_LOST and not (again and doing == BOOTING)

    @property
    def done(self) -> list[str]:
        """The names of the tests that have a verdict."""
        return [test["name"] for test in self.tests]

    def count(self, outcome: str) -> int:
        """Return how many tests ended so."""
        return Counter(test["outcome"] for test in self.tests)[outcome]

    @property
    def exit_code(self) -> int:
        """0 when all passed, `UNJUDGED` when nothing failed and some have no verdict, else 1."""
        if not self.tests or self.count("failed"):
            return 1
        return UNJUDGED if self.count("unjudged") else 0

    def last_line(self, seconds: float) -> str:
        """Return what it came to, in a line."""
        parts = [f"{self.count('passed')} passed", f"{self.count('failed')} failed"]
        if skipped := self.count("skipped"):
            parts.append(f"{skipped} skipped")
        if unjudged := self.count("unjudged"):
            parts.append(f"{unjudged} unjudged as the machine was too busy")
        if self.lost:
            parts.append(f"{len(self.lost)} guests lost and replaced")
        return f"{', '.join(parts)} in {seconds:.0f} s"

    def data(self, *, complete: bool, **times_s: float | None) -> dict[str, Any]:
        """Return everything as data."""
        return {
            **{name: None if value is None else round(value, 1) for name, value in times_s.items()},
            "passed": self.count("passed"),
            "failed": self.count("failed"),
            "skipped": self.count("skipped"),
            "unjudged": self.count("unjudged"),
            "complete": complete,
            "guests_lost_in": self.lost,
            "figures": self.figures,
            "tests": self.tests,
        }


class Tester:
    """A guest that takes one test after the other from the queue, and whoever replaces it."""

    def __init__(self, wanted: "Wanted", boot: Boot, results: Results, queue: Path, number: int) -> None:
        """Boot it by `boot(its share, a descriptor for its console, queue, number)`.

        `queue` is a folder that the guests have in common: each has a folder made in there for a test that
        it takes, which only one of them can.
        """
        self._wanted = wanted
        self._start = boot
        self._results = results
        self._queue = queue
        self._number = number
        self._arguments = [*wanted.arguments, *(["--long"] if wanted.long else [])]
        self._patience = STOCK_PATIENCE if wanted.stock else PATIENCE
        self._losses = 0
        self.ended = False
        self._boot()

    def _boot(self) -> None:
        self._stack = ExitStack()
        self.folder = self._stack.enter_context(guest.share())
        (self.folder / "pytest-arguments").write_text("".join(f"{word}\n" for word in self._arguments))
        self._sign, self._signed_s = 0, time.monotonic()
        self._read = 0
        console: BinaryIO = self._stack.enter_context((self.folder / "console.log").open("wb"))
        self._guest = self._start(self.folder, console.fileno(), self._queue, self._number)
        self._stack.callback(self._guest.end)

    @property
    def running(self) -> bool:
        """Whether its guest is still on."""
        return self._guest.process.poll() is None

    def look(self) -> None:
        """Take what the guest has told since; boot another one if it stands still."""
        self._take()
        if not self.running or not self._stands_still():
            return
        self._guest.end()
        # Only now: it may have come to life again.
        self._take()
        if self.ended:
            return
        doing = _read(self.folder / "test-now") or BOOTING
        say(f"a guest stood still, in {doing}: its plug is pulled")
        self._losses += 1
        self.keep(f"{self._number}-lost-{self._losses}")
        print(self.last_words("its last words", 8), flush=True)
        if self._results.lose(doing):
            say("booting another one for the rest")
            taken = {doing, *_read(self.folder / "tests-later").splitlines()}
            put_back(self._queue, taken.difference(self._results.done))
            self.close()
            self._boot()

    def _stands_still(self) -> bool:
        # Only that it changes counts: the clocks of a guest and its host may differ.
        try:
            sign = (self.folder / "heartbeat").stat().st_mtime_ns
        except OSError:
            sign = 0
        now_s = time.monotonic()
        if sign != self._sign:
            self._sign, self._signed_s = sign, now_s
        return self._patience.is_over(now_s - self._signed_s, booted=sign != 0)

    def _take(self) -> None:
        try:
            data = (self.folder / "results.jsonl").read_bytes()[self._read :]
        except OSError:
            return
        whole = data.rfind(b"\n") + 1
        self._read += whole
        for line in data[:whole].splitlines():
            self.ended |= self._results.take(json.loads(line))

    def close(self) -> None:
        """Switch its guest off."""
        self._stack.close()

    def keep(self, name: str) -> None:
        """Copy its logs, if somebody wants them."""
        if self._wanted.keep is None:
            return
        folder = self._wanted.keep / name
        folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.iterdir():
            if path.is_file():
                shutil.copy(path, folder)

    def last_words(self, why: str, lines: int = 30) -> str:
        """Return why its guest may have ended too soon."""
        words = [why]
        for name in ("console.log", "install.log", "pytest.log"):
            if text := _read(self.folder / name):
                words += [f"--- {name}", *text.splitlines()[-lines:]]
        return "\n".join(words)


def taken_from(queue: Path) -> set[str]:
    """Return the tests that guests have taken."""
    return {unquote(path.name) for path in queue.iterdir()}


def put_back(queue: Path, names: Iterable[str]) -> None:
    """Let another guest take these tests."""
    for name in names:
        with suppress(FileNotFoundError):
            (queue / quote(name, safe="")).rmdir()


def _read(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What `test` is asked for."""

    arguments: tuple[str, ...] = ()
    """For pytest."""
    json_file: Path | None = None
    keep: Path | None = None
    guests: int | None = None
    long: bool = False
    stock: bool = False
    kernel_at_hand: bool = False
    """Rather not run than build a kernel first."""


def test(wanted: Wanted) -> int:
    """Run the tests; return `exit_code`. Raises VirtualPiError when a guest did not get to the end."""
    began_s = time.monotonic()
    results = Results()
    tests_s: float | None = None
    problems: list[str] | None = None
    first_s: list[float] = []
    try:
        machine = stock.kernel() if wanted.stock else kernel(at_hand=wanted.kernel_at_hand)
        disk = image(machine)

        def boot(folder: Path, console: int, queue: Path, number: int) -> guest.Guest | stock.StockGuest:
            if wanted.stock:
                return stock.StockGuest(machine, disk, folder, "test", console, queue=queue)
            return guest.Guest(machine, disk, folder, "test", console, queue=queue, number=number)

        tests_s = time.monotonic()
        problems = _run(wanted, boot, results, first_s)
    finally:
        now_s = time.monotonic()
        seconds = now_s - (tests_s or now_s)
        if wanted.json_file is not None:
            data = results.data(
                complete=problems == [],
                seconds=seconds,
                build_seconds=(tests_s or now_s) - began_s,
                first_test_s=first_s[0] - began_s if first_s else None,
            )
            wanted.json_file.write_text(json.dumps(data, indent=1) + "\n")
    if problems:
        raise VirtualPiError("\n".join(problems))
    for one in results.tests:
        if one["outcome"] in ("failed", "unjudged"):
            print(f"{one['outcome'].upper()} {one['name']}")
    print(results.last_line(seconds))
    if seconds > PROMISED_S and not (wanted.long or wanted.stock):
        print(f"that took more than {PROMISED_S / 60:g} minutes: is the machine slow, or busy otherwise?")
    return results.exit_code


def _run(wanted: Wanted, boot: Boot, results: Results, first_s: list[float]) -> list[str]:
    """Run the tests in guests, and return why those ended that did not come to their end.

    When the first test begins, `first_s` is given that time.
    """
    count = wanted.guests or min(MOST_GUESTS, len(os.sched_getaffinity(0)))
    deadline_s = time.monotonic() + (LONG_TIMEOUT_S if wanted.long or wanted.stock else TIMEOUT_S)
    with ExitStack() as stack:
        say(f"booting {count} guest{'s' if count > 1 else ''}")
        queue = stack.enter_context(scratch())
        testers = []
        for number in range(count):
            testers.append(Tester(wanted, boot, results, queue, number))
            stack.callback(testers[-1].close)
        while any(tester.running for tester in testers):
            if time.monotonic() > deadline_s:
                say("that took too long; pulling the plug")
                break
            time.sleep(LOOK_S)
            for tester in testers:
                tester.look()
            if not first_s and any((tester.folder / "test-now").exists() for tester in testers):
                first_s.append(time.monotonic())
        for number, tester in enumerate(testers):
            tester.look()
            tester.keep(str(number))
        ended = "a guest ended before its tests did"
        problems = [tester.last_words(ended) for tester in testers if not tester.ended]
        if not problems and (lost := taken_from(queue).difference(results.done)):
            problems.append(f"taken by a guest and without a verdict: {', '.join(sorted(lost))}")
        if not problems and not results.tests:
            problems.append(
                testers[0].last_words("no test was run: none is called so, or pytest says why", 15)
            )
        return problems
