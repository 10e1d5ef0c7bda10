"""`virtual-pi test`: the guest runs the tests, this side prints what it tells and keeps the results."""

import json
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

from virtualpilib import guest
from virtualpilib.host import VirtualPiError, say
from virtualpilib.kernel import kernel
from virtualpilib.rootfs import image

TIMEOUT_S = 25 * 60.0
LONG_TIMEOUT_S = 4 * 3600.0
LOOK_S = 0.25


class Results:
    """What the guest has told so far."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read = 0
        self.tests: list[dict[str, Any]] = []
        self.figures: dict[str, Any] = {}
        self.ended = False

    def look(self) -> None:
        """Take what is new."""
        try:
            data = self._file.read_bytes()[self._read :]
        except OSError:
            return
        whole = data.rfind(b"\n") + 1
        self._read += whole
        for line in data[:whole].splitlines():
            self._take(json.loads(line))

    def _take(self, told: dict[str, Any]) -> None:
        match told.pop("kind"):
            case "test":
                self.tests.append(told)
                mark = {"passed": "ok", "failed": "FAILED", "skipped": "skipped"}[told["outcome"]]
                say(f"{mark:8}{told['seconds']:6.1f} s  {told['name']}")
                if told["outcome"] != "passed":
                    print(told["why"], flush=True)
            case "figure":
                self.figures[told["name"]] = told["value"]
            case "say":
                say(told["text"])
            case "end":
                self.ended = True

    def count(self, outcome: str) -> int:
        """Return how many tests ended so."""
        return Counter(test["outcome"] for test in self.tests)[outcome]


def test(arguments: list[str], *, json_file: Path | None, long: bool, keep: Path | None) -> int:
    """Run the tests in a guest; return 0 when all passed."""
    began_s = time.monotonic()
    machine = kernel()
    disk = image(machine)
    with guest.share() as folder:
        (folder / "pytest-arguments").write_text("\n".join([*arguments, *(["--long"] if long else [])]))
        results = Results(folder / "results.jsonl")
        say("booting")
        with (folder / "console.log").open("wb") as console:
            running = guest.start(machine, disk, folder, "test", console=console.fileno())
            try:
                _follow(running, results, LONG_TIMEOUT_S if long else TIMEOUT_S)
            finally:
                running.end()
                if keep is not None:
                    _keep(folder, keep)
        problem = None if results.ended else _last_words(folder)
    seconds = time.monotonic() - began_s
    if json_file is not None:
        told = {
            "seconds": round(seconds, 1),
            "passed": results.count("passed"),
            "failed": results.count("failed"),
            "skipped": results.count("skipped"),
            "complete": results.ended,
            "figures": results.figures,
            "tests": results.tests,
        }
        json_file.write_text(json.dumps(told, indent=1) + "\n")
    if problem is not None:
        raise VirtualPiError(problem)
    for test_ in results.tests:
        if test_["outcome"] == "failed":
            print(f"FAILED {test_['name']}")
    skipped = f", {results.count('skipped')} skipped" if results.count("skipped") else ""
    failed = results.count("failed")
    print(f"{results.count('passed')} passed, {failed} failed{skipped} in {seconds:.0f} s")
    return 1 if failed or not results.tests else 0


def _follow(running: guest.Guest, results: Results, timeout_s: float) -> None:
    deadline_s = time.monotonic() + timeout_s
    over = False
    while not over:
        try:
            running.wait(LOOK_S)
            over = True
        except subprocess.TimeoutExpired:
            over = time.monotonic() > deadline_s
            if over:
                say(f"the guest is still running after {timeout_s:.0f} s; ending it")
        results.look()


def _keep(folder: Path, keep: Path) -> None:
    keep.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.is_file():
            shutil.copy(path, keep)
    if (folder / "kept").is_dir():
        shutil.copytree(folder / "kept", keep / "kept", dirs_exist_ok=True)


def _last_words(folder: Path) -> str:
    words = ["the guest ended before its tests did"]
    for name in ("console.log", "install.log", "pytest.log"):
        path = folder / name
        if path.exists():
            words += [f"--- {name}", *path.read_text(errors="replace").splitlines()[-30:]]
    return "\n".join(words)
