"""`virtual-pi test`: guests run the tests, this side prints what they tell and keeps the results."""

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from virtualpilib import guest, stock
from virtualpilib.host import VirtualPiError, say
from virtualpilib.kernel import Kernel, kernel
from virtualpilib.rootfs import image

TIMEOUT_S = 25 * 60.0
LONG_TIMEOUT_S = 4 * 3600.0
LOOK_S = 0.25
SILENT_S = 45.0
"""A guest that gives no sign of life for so long has a kernel that hangs. User Mode Linux 6.1 with virtually
mapped stacks can: a timer's signal while the page of a kernel stack is being mapped faults for ever. The
test that it was in has no verdict, and is run by the next guest."""
MOST_LOST = 6
MOST_GUESTS = 2
"""Each has one processor; with more at once than this machine has, none would be on time."""
Start = Callable[[Kernel, Path, Path, str, int], guest.Guest | stock.StockGuest]
_MARKS = {"passed": "ok", "failed": "FAILED", "skipped": "skipped"}


class Results:
    """What all guests have told so far."""

    def __init__(self) -> None:
        self.tests: list[dict[str, Any]] = []
        self.figures: dict[str, Any] = {}

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

    def count(self, outcome: str) -> int:
        """Return how many tests ended so."""
        return Counter(test["outcome"] for test in self.tests)[outcome]

    def data(self, seconds: float, lost: list[str], *, complete: bool) -> dict[str, Any]:
        """Return everything as data."""
        return {
            "seconds": round(seconds, 1),
            "passed": self.count("passed"),
            "failed": self.count("failed"),
            "skipped": self.count("skipped"),
            "complete": complete,
            "guests_lost_in": lost,
            "figures": self.figures,
            "tests": self.tests,
        }


class Tester:
    """A part of the tests, and the guest that runs them."""

    def __init__(self, start: Start, machine: Kernel, arguments: list[str], results: Results) -> None:
        self._start = start
        self._machine = machine
        self._arguments = arguments
        self._results = results
        self._read = 0
        self.ended = False
        self.lost: list[str] = []
        """For each guest that was lost, what it was doing."""
        self._boot()

    def _boot(self) -> None:
        self._stack = ExitStack()
        self.folder = self._stack.enter_context(guest.share())
        (self.folder / "pytest-arguments").write_text("".join(f"{word}\n" for word in self._arguments))
        (self.folder / "tests-done").write_text("".join(f"{test['name']}\n" for test in self._results.tests))
        self._heartbeat = self.folder / "heartbeat"
        self._heartbeat.touch()
        self._read = 0
        console: BinaryIO = self._stack.enter_context((self.folder / "console.log").open("wb"))
        disk = image(self._machine)
        self._guest = self._start(self._machine, disk, self.folder, "test", console.fileno())
        self._stack.callback(self._guest.end)

    @property
    def running(self) -> bool:
        """Whether its guest is still on."""
        return self._guest.process.poll() is None

    def look(self) -> None:
        """Take what the guest has told since; boot another one if it stands still."""
        self._take()
        if self.running and time.time() - self._heartbeat.stat().st_mtime > SILENT_S:
            doing = (
                (self.folder / "test-now").read_text() if (self.folder / "test-now").exists() else "booting"
            )
            say(f"a guest stands still, in {doing}: pulling its plug, and booting another for the rest")
            self.lost.append(doing)
            if len(self.lost) > MOST_LOST:
                self._guest.end()
            else:
                self.close()
                self._boot()

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

    def keep(self, folder: Path) -> None:
        """Copy its logs."""
        folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.iterdir():
            if path.is_file():
                shutil.copy(path, folder)

    def last_words(self) -> str:
        """Return why its guest may have ended too soon."""
        words = ["a guest ended before its tests did"]
        for name in ("console.log", "install.log", "pytest.log"):
            path = self.folder / name
            if path.exists():
                words += [f"--- {name}", *path.read_text(errors="replace").splitlines()[-30:]]
        return "\n".join(words)


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


def test(wanted: Wanted) -> int:
    """Run the tests; return 0 when all passed. Raises VirtualPiError when a guest did not get to the end."""
    began_s = time.monotonic()
    machine = stock.kernel() if wanted.stock else kernel()
    image(machine)
    start: Start = stock.StockGuest if wanted.stock else guest.Guest
    # The emulator of the stock kernel has a second processor to itself.
    count = wanted.guests or (1 if wanted.stock else min(MOST_GUESTS, os.cpu_count() or 1))
    timeout_s = LONG_TIMEOUT_S if wanted.long or wanted.stock else TIMEOUT_S
    options = ["--long"] if wanted.long else []
    results = Results()
    with ExitStack() as stack:
        say(f"booting {count} guest{'s' if count > 1 else ''}")
        testers = []
        for number in range(count):
            words = [*wanted.arguments, f"--part={number}/{count}", *options]
            testers.append(Tester(start, machine, words, results))
            stack.callback(testers[-1].close)
        _follow(testers, began_s + timeout_s)
        if wanted.keep is not None:
            for number, tester in enumerate(testers):
                tester.keep(wanted.keep / str(number))
        problems = [tester.last_words() for tester in testers if not tester.ended]
    seconds = time.monotonic() - began_s
    if wanted.json_file is not None:
        lost = [doing for tester in testers for doing in tester.lost]
        data = results.data(seconds, lost, complete=not problems)
        wanted.json_file.write_text(json.dumps(data, indent=1) + "\n")
    if problems:
        raise VirtualPiError("\n".join(problems))
    for one in results.tests:
        if one["outcome"] == "failed":
            print(f"FAILED {one['name']}")
    skipped = f", {results.count('skipped')} skipped" if results.count("skipped") else ""
    failed = results.count("failed")
    print(f"{results.count('passed')} passed, {failed} failed{skipped} in {seconds:.0f} s")
    return 1 if failed or not results.tests else 0


def _follow(testers: list[Tester], deadline_s: float) -> None:
    while any(tester.running for tester in testers):
        if time.monotonic() > deadline_s:
            say("that took too long; pulling the plug")
            break
        time.sleep(LOOK_S)
        for tester in testers:
            tester.look()
    for tester in testers:
        tester.look()
