"""Watching and deciding together: a kiosk that runs while its file is edited, broken and repaired."""

import asyncio
import random
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from voicekiosk.config.live import Accepted, LiveConfig, Rejected, Unchanged
from voicekiosk.config.schema import Config
from voicekiosk.config.watch import Watcher


class Running:
    """The part of a kiosk that keeps its configuration."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.live = LiveConfig(path)
        # Each look at the file: what came of it, and what was in force before and after.
        self.looks: list[tuple[Accepted | Rejected | Unchanged, Config, Config]] = []
        self._news = asyncio.Event()
        self.watcher = Watcher(path, self._changed, quiet_s=0.03, patience_s=0.2)

    def _changed(self) -> None:
        before = self.live.last_good
        self.looks.append((self.live.reload(), before, self.live.last_good))
        self._news.set()

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not reached():
                self._news.clear()
                await self._news.wait()


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    path = tmp_path / "config.toml"
    path.write_text("[kiosk]\nname = 'one'\n")
    running = Running(path)
    running.watcher.start(asyncio.get_running_loop())
    yield running
    running.watcher.close()


async def test_a_saved_change_is_in_force(running: Running) -> None:
    running.path.write_text("[kiosk]\nname = 'two'\n")
    await running.until(lambda: running.live.last_good.kiosk.name == "two")


async def test_a_bad_save_is_told_and_the_repair_is_in_force(running: Running) -> None:
    running.path.write_text("[kiosk]\nname = two\n")
    await running.until(lambda: bool(running.live.problems))
    assert running.live.last_good.kiosk.name == "one"
    assert running.live.problems[0].line == 2
    running.path.write_text("[kiosk]\nname = 'two'\n")
    await running.until(lambda: running.live.last_good.kiosk.name == "two")
    assert running.live.problems == ()


async def test_a_full_disk_leaves_an_empty_file_and_the_last_good_configuration(running: Running) -> None:
    # No byte may be written: the shell truncates the file and then fails, as on a full disk.
    command = ["sh", "-c", 'trap "" XFSZ; ulimit -f 0; printf "[kiosk]" > "$1"', "sh", str(running.path)]
    await asyncio.to_thread(subprocess.run, command, check=False, capture_output=True, timeout=30)
    assert running.path.read_bytes() == b""
    await running.until(lambda: bool(running.live.problems))
    assert "disk full" in str(running.live.problems[0])
    assert running.live.last_good.kiosk.name == "one"


async def test_deletion_is_told_and_return_is_in_force(running: Running) -> None:
    running.path.unlink()
    await running.until(lambda: bool(running.live.problems))
    assert running.live.last_good.kiosk.name == "one"
    running.path.write_text("[kiosk]\nname = 'two'\n")
    await running.until(lambda: running.live.last_good.kiosk.name == "two")


async def test_random_edits_always_leave_the_last_good_configuration_in_force(running: Running) -> None:
    rng = random.Random(7)
    for number in range(60):
        good = f"[kiosk]\nname = 'n{number}'\n[audio.playback]\nvolume = {rng.randrange(101)}\n"
        text = (
            good
            if rng.random() < 0.5
            else good[: rng.randrange(1, len(good))] + rng.choice(["", "=", "'", "[", "\0"])
        )
        match rng.randrange(3):
            case 0:
                running.path.write_text(text)
            case 1:
                new = running.path.with_suffix(".new")
                new.write_text(text)
                new.replace(running.path)
            case _:
                running.path.unlink()
                running.path.write_text(text)
        if rng.random() < 0.3:
            await asyncio.sleep(rng.random() * 0.1)
    final = "[kiosk]\nname = 'final'\n"
    running.path.write_text(final)
    await running.until(lambda: running.live.last_good.kiosk.name == "final")
    assert running.live.problems == ()
    assert len(running.looks) > 1
    for outcome, before, after in running.looks:
        assert isinstance(outcome, Accepted) or after is before
