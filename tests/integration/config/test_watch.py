"""The watcher sees every way in which editors and accidents change a file, on a real file system."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from voicekiosk.config import watch
from voicekiosk.config.watch import Lookups, Watcher, lookups

PATIENCE_S = 20.0


class Watched:
    """A watched file, and what a kiosk would read at each call."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.calls = 0
        self.content: str | None = None
        self._news = asyncio.Event()
        self.watcher = Watcher(path, self._changed, quiet_s=0.05, patience_s=0.3)

    def _changed(self) -> None:
        self.calls += 1
        try:
            self.content = self.path.read_text()
        except OSError:
            self.content = None
        self._news.set()

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not reached():
                self._news.clear()
                await self._news.wait()

    async def until_content(self, content: str | None) -> None:
        await self.until(lambda: self.calls > 0 and self.content == content)

    async def quiet(self) -> None:
        """Wait until every event that is on its way has been dealt with."""
        await asyncio.sleep(0.5)


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    directory = tmp_path / "etc" / "voicekiosk"
    directory.mkdir(parents=True)
    path = directory / "config.toml"
    path.write_text("a = 0\n")
    watched = Watched(path)
    watched.watcher.start(asyncio.get_running_loop())
    yield watched
    watched.watcher.close()


async def run(*command: str | Path, stdin: str | None = None) -> None:
    """Run a real editor to its end, beside the event loop."""
    done = await asyncio.to_thread(
        subprocess.run,
        [str(word) for word in command],
        input=stdin,
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def needs(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


async def test_truncate_and_write_is_seen(watched: Watched) -> None:
    watched.path.write_text("a = 1\n")
    await watched.until_content("a = 1\n")


async def test_a_rename_over_the_file_is_seen_again_and_again(watched: Watched) -> None:
    for number in range(1, 4):
        new = watched.path.with_suffix(".new")
        new.write_text(f"a = {number}\n")
        new.replace(watched.path)
        await watched.until_content(f"a = {number}\n")


async def test_sed_in_place_is_seen(watched: Watched) -> None:
    await run("sed", "-i", "s/0/7/", watched.path)
    await watched.until_content("a = 7\n")


@pytest.mark.parametrize("backupcopy", ["yes", "no", "auto"])
async def test_vim_is_seen(watched: Watched, backupcopy: str) -> None:
    vim = needs("vim")
    settings = f"set backup writebackup backupcopy={backupcopy}"
    await run(vim, "-u", "NONE", "-es", "-c", settings, "-c", "%s/0/8/", "-c", "wq", watched.path, stdin="")
    await watched.until_content("a = 8\n")


async def test_an_editor_that_moves_the_old_file_away_first_is_seen(watched: Watched) -> None:
    watched.path.rename(watched.path.with_name("config.toml~"))
    watched.path.write_text("a = 2\n")
    await watched.until_content("a = 2\n")


async def test_an_editor_that_keeps_a_backup_and_writes_in_place_is_seen(watched: Watched) -> None:
    shutil.copy2(watched.path, watched.path.with_name("config.toml~"))
    with watched.path.open("r+") as file:
        file.truncate()
        file.write("a = 3\n")
        os.fsync(file.fileno())
    await watched.until_content("a = 3\n")


async def test_a_hidden_temporary_file_renamed_over_the_file_is_seen(watched: Watched) -> None:
    # rsync's and sftp's way.
    hidden = watched.path.with_name(".config.toml.Xy12Ab")
    hidden.write_text("a = 4\n")
    shutil.copymode(watched.path, hidden)
    hidden.replace(watched.path)
    await watched.until_content("a = 4\n")


async def test_rsync_is_seen(watched: Watched, tmp_path: Path) -> None:
    rsync = needs("rsync")
    source = tmp_path / "source.toml"
    source.write_text("a = 5\n")
    await run(rsync, "--checksum", source, watched.path)
    await watched.until_content("a = 5\n")


async def test_cp_and_tee_are_seen(watched: Watched, tmp_path: Path) -> None:
    source = tmp_path / "source.toml"
    source.write_text("a = 6\n")
    await run("cp", source, watched.path)
    await watched.until_content("a = 6\n")
    await run("tee", watched.path, stdin="a = 9\n")
    await watched.until_content("a = 9\n")


async def test_a_half_written_file_is_looked_at_again_when_it_is_complete(watched: Watched) -> None:
    watched.path.write_text("a = [1,\n")
    await watched.until_content("a = [1,\n")
    with watched.path.open("a") as file:
        file.write("2]\n")
    await watched.until_content("a = [1,\n2]\n")


async def test_a_writer_that_is_still_at_it_is_not_interrupted(watched: Watched) -> None:
    with watched.path.open("w") as file:
        file.write("a = ")
        file.flush()
        await watched.quiet()
        assert watched.calls == 0
        file.write("5\n")
    await watched.until_content("a = 5\n")


async def test_a_program_that_never_stops_touching_the_file_cannot_delay_for_ever(watched: Watched) -> None:
    async def touch() -> None:
        while True:
            watched.path.write_text("a = 1\n")
            await asyncio.sleep(0.01)

    task = asyncio.create_task(touch())
    try:
        await watched.until(lambda: watched.calls >= 2)
    finally:
        task.cancel()


async def test_deletion_and_return_are_seen(watched: Watched) -> None:
    watched.path.unlink()
    await watched.until_content(None)
    watched.path.write_text("a = 1\n")
    await watched.until_content("a = 1\n")


async def test_the_directory_may_go_and_come_back(watched: Watched) -> None:
    directory = watched.path.parent
    shutil.rmtree(directory.parent)
    await watched.until_content(None)
    directory.mkdir(parents=True)
    watched.path.write_text("a = 1\n")
    await watched.until_content("a = 1\n")
    watched.path.write_text("a = 2\n")
    await watched.until_content("a = 2\n")


async def test_the_directory_may_be_swapped_for_another(watched: Watched) -> None:
    directory = watched.path.parent
    other = directory.with_name("new")
    other.mkdir()
    (other / "config.toml").write_text("a = 1\n")
    directory.rename(directory.with_name("old"))
    other.rename(directory)
    await watched.until_content("a = 1\n")
    watched.path.write_text("a = 2\n")
    await watched.until_content("a = 2\n")


async def test_a_directory_above_may_be_renamed(watched: Watched) -> None:
    above = watched.path.parent.parent
    above.rename(above.with_name("gone"))
    await watched.until_content(None)
    above.with_name("gone").rename(above)
    await watched.until_content("a = 0\n")


async def test_lost_and_regained_permissions_are_seen(watched: Watched) -> None:
    watched.path.chmod(0)
    await watched.until(lambda: watched.calls == 1)
    watched.path.chmod(0o644)
    await watched.until(lambda: watched.calls == 2)


async def test_changed_permissions_of_the_directory_are_seen(watched: Watched) -> None:
    watched.path.parent.chmod(0o700)
    await watched.until(lambda: watched.calls == 1)
    watched.path.parent.chmod(0o755)
    await watched.until(lambda: watched.calls == 2)


async def test_other_files_in_the_directory_wake_nobody(watched: Watched) -> None:
    for name in (".config.toml.swp", "4913", "config.toml~", "other.toml"):
        other = watched.path.with_name(name)
        other.write_text("x")
        other.unlink()
    await watched.quiet()
    assert watched.calls == 0


async def test_reading_the_file_wakes_nobody(watched: Watched) -> None:
    watched.path.read_text()
    await watched.quiet()
    assert watched.calls == 0


async def test_a_burst_of_edits_is_one_call(watched: Watched) -> None:
    for number in range(50):
        watched.path.write_text(f"a = {number}\n")
    await watched.until_content("a = 49\n")
    await watched.quiet()
    assert watched.calls == 1


@pytest.fixture
async def linked(tmp_path: Path) -> AsyncIterator[Watched]:
    target = tmp_path / "srv" / "kiosk.toml"
    target.parent.mkdir()
    target.write_text("a = 0\n")
    path = tmp_path / "etc" / "config.toml"
    path.parent.mkdir()
    path.symlink_to("../srv/kiosk.toml")
    watched = Watched(path)
    watched.watcher.start(asyncio.get_running_loop())
    yield watched
    watched.watcher.close()


async def test_the_target_of_a_symlink_is_watched(linked: Watched) -> None:
    target = linked.path.resolve()
    target.write_text("a = 1\n")
    await linked.until_content("a = 1\n")
    new = target.with_suffix(".new")
    new.write_text("a = 2\n")
    new.replace(target)
    await linked.until_content("a = 2\n")


async def test_a_symlink_may_be_pointed_elsewhere(linked: Watched, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text("a = 3\n")
    new = linked.path.with_name("new")
    new.symlink_to(other)
    new.replace(linked.path)
    await linked.until_content("a = 3\n")
    other.write_text("a = 4\n")
    await linked.until_content("a = 4\n")


async def test_a_directory_that_is_a_symlink_may_be_pointed_elsewhere(tmp_path: Path) -> None:
    # How releases and container volumes are switched.
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.toml").write_text(f"a = '{name}'\n")
    (tmp_path / "current").symlink_to("one")
    watched = Watched(tmp_path / "current" / "config.toml")
    watched.watcher.start(asyncio.get_running_loop())
    try:
        (tmp_path / "next").symlink_to("two")
        (tmp_path / "next").replace(tmp_path / "current")
        await watched.until_content("a = 'two'\n")
        (tmp_path / "two" / "config.toml").write_text("a = 3\n")
        await watched.until_content("a = 3\n")
    finally:
        watched.watcher.close()


async def test_a_file_that_does_not_exist_yet_is_waited_for(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "a" / "b" / "config.toml")
    watched.watcher.start(asyncio.get_running_loop())
    try:
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "a" / "b" / "config.toml").write_text("a = 1\n")
        await watched.until_content("a = 1\n")
    finally:
        watched.watcher.close()


async def test_a_symlink_that_points_at_itself_is_survived(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.symlink_to("config.toml")
    watched = Watched(path)
    watched.watcher.start(asyncio.get_running_loop())
    try:
        path.unlink()
        path.write_text("a = 1\n")
        await watched.until_content("a = 1\n")
    finally:
        watched.watcher.close()


async def test_after_close_nothing_is_called_and_nothing_stays_open(watched: Watched) -> None:
    before = open_files()
    watched.path.write_text("a = 1\n")
    await asyncio.sleep(0)
    watched.watcher.close()
    watched.watcher.close()
    await watched.quiet()
    assert watched.calls == 0
    assert open_files() < before


def test_only_the_directories_where_a_step_could_change_are_listed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    found = lookups(tmp_path / "link" / ".." / "link" / "config.toml")
    assert found.names == {
        tmp_path: frozenset({"link"}),
        tmp_path / "real": frozenset({"config.toml"}),
    }
    assert tmp_path.parent in found.passed


async def test_a_deleted_directory_leaves_no_watch_behind(watched: Watched) -> None:
    def watches() -> int:
        inotify = watched.watcher._inotify
        assert inotify is not None
        return Path(f"/proc/self/fdinfo/{inotify.fileno()}").read_text().count("inotify wd:")

    before = watches()
    for number in range(3):
        shutil.rmtree(watched.path.parent.parent)
        await watched.until_content(None)
        watched.path.parent.mkdir(parents=True)
        watched.path.write_text(f"a = {number}\n")
        await watched.until_content(f"a = {number}\n")
    await watched.quiet()
    assert watches() == before


async def test_a_path_that_changes_while_the_watches_are_set_is_looked_at_again(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # As if a directory on the way had been swapped between following the path and watching it.
    gone = Lookups({tmp_path / "gone": frozenset({"config.toml"})}, frozenset({tmp_path}))
    answers = iter([gone])
    monkeypatch.setattr(watch, "lookups", lambda path: next(answers, lookups(path)))
    watched.path.write_text("a = 1\n")
    await watched.until(lambda: watched.calls >= 2)
    watched.path.write_text("a = 2\n")
    await watched.until_content("a = 2\n")


def test_a_directory_that_may_not_be_entered_is_where_the_path_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    monkeypatch.setattr("os.access", lambda path, mode: path != closed)
    found = lookups(closed / "config.toml")
    assert found.names == {tmp_path: frozenset({"closed"})}
