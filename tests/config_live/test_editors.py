"""Each way in which people change the file, by name, under a daemon that runs.

After a good save the new configuration is in force; after anything else the last good one is, and status
says what is wrong. The daemon is the real one, started as `voicekiosk run`.
"""

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.config_live.conftest import text, tiny_disk
from tests.rigs.daemon_process import PATIENCE_S, DaemonProcess


def run(*command: str | Path, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        **more,
    )  # type: ignore[call-overload, no-any-return]


def needs(*programs: str) -> str:
    """Return the first of these programs that is here."""
    found = next(filter(None, map(shutil.which, programs)), None)
    if found is None:
        missing = f"{programs[0]} is not installed; scripts/setup --dev does that"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    return found


def vim(file: Path, *commands: str) -> None:
    options = [option for command in commands for option in ("-c", command)]
    done = run(
        needs("vim", "vim.tiny"),
        "-u",
        "NONE",
        "-N",
        "-es",
        *options,
        "-c",
        "wq",
        file,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{done.stderr}{done.stdout}{done}"


# --- good saves --------------------------------------------------------------------------------


def test_vim_as_it_comes(kiosk: DaemonProcess, file: Path):
    vim(file, "%s/before/after/")
    kiosk.in_force("after")


@pytest.mark.parametrize("backupcopy", ["yes", "no", "auto"])
def test_vim_with_a_backup_and_each_way_of_writing(kiosk: DaemonProcess, file: Path, backupcopy: str):
    vim(file, "set backup writebackup backupskip=", f"set backupcopy={backupcopy}", "%s/before/after/")
    kiosk.in_force("after")
    assert file.with_name("config.toml~").exists()


def test_nano(kiosk: DaemonProcess, file: Path):
    nano = needs("nano")
    child, terminal = pty.fork()
    if child == 0:
        os.environ["TERM"] = "xterm"
        os.execv(nano, ["nano", "--ignorercfiles", str(file)])
    try:
        # Replace: what, by what, everywhere; write, under this name; leave.
        for keys in (b"\x1c", b"before\r", b"after\r", b"a", b"\x0f", b"\r", b"\x18"):
            time.sleep(0.5)
            os.read(terminal, 65536)
            os.write(terminal, keys)
        kiosk.in_force("after")
    finally:
        os.close(terminal)
        os.waitpid(child, 0)


def test_sed_in_place(kiosk: DaemonProcess, file: Path):
    assert run("sed", "-i", "s/before/after/", file).returncode == 0
    kiosk.in_force("after")


def test_sed_in_place_with_a_backup(kiosk: DaemonProcess, file: Path):
    assert run("sed", "-i.bak", "s/before/after/", file).returncode == 0
    kiosk.in_force("after")


def test_scp_which_truncates_and_writes_piece_by_piece(kiosk: DaemonProcess, file: Path):
    content = text("after", "# " + "x" * 70 + "\n").encode()
    with file.open("wb", buffering=0) as remote:
        for start in range(0, len(content), 16):
            remote.write(content[start : start + 16])
            time.sleep(0.02)
    kiosk.in_force("after")


def test_scp_itself_between_two_names_of_this_machine(kiosk: DaemonProcess, file: Path, folder: Path):
    (folder / "new").write_text(text("after"))
    assert run(needs("scp"), folder / "new", file).returncode == 0
    kiosk.in_force("after")


@pytest.mark.parametrize("option", ["--whole-file", "--inplace", "--delay-updates"])
def test_rsync(kiosk: DaemonProcess, file: Path, folder: Path, option: str):
    (folder / "new").write_text(text("after"))
    assert run(needs("rsync"), option, folder / "new", file).returncode == 0
    kiosk.in_force("after")


def test_cp_and_mv(kiosk: DaemonProcess, file: Path, folder: Path):
    (folder / "new").write_text(text("copied"))
    run("cp", folder / "new", file)
    kiosk.in_force("copied")
    (folder / "new").write_text(text("moved"))
    run("mv", folder / "new", file)
    kiosk.in_force("moved")


def test_tee_and_shell_redirection(kiosk: DaemonProcess, file: Path):
    run("tee", file, input=text("teed"))
    kiosk.in_force("teed")
    run("sh", "-c", 'printf %s "$1" > "$2"', "sh", text("redirected"), file)
    kiosk.in_force("redirected")


def test_a_symlink_that_is_turned_to_another_file(kiosk: DaemonProcess, file: Path, folder: Path):
    for name in ("one", "two"):
        (folder / name).write_text(text(name))
        run("ln", "-sfn", folder / name, file)
        kiosk.in_force(name)
    (folder / "two").write_text(text("behind the link"))
    kiosk.in_force("behind the link")


def test_the_whole_folder_exchanged(kiosk: DaemonProcess, file: Path, folder: Path):
    (folder / "new").mkdir()
    (folder / "new" / "config.toml").write_text(text("after"))
    file.parent.rename(folder / "old")
    (folder / "new").rename(file.parent)
    kiosk.in_force("after")


# --- accidents ---------------------------------------------------------------------------------


def test_a_mistake_and_its_repair(kiosk: DaemonProcess, file: Path):
    file.write_text(text("after").replace("driver", "drivr"))
    kiosk.not_taken()
    status = kiosk.status()
    # Where there is no sound card the lamp has something graver to show.
    assert (status["name"], status["lamp"] in ("idle_config", "fault")) == ("before", True)
    assert "drivr" in status["config"]["problems"][0]
    assert "drivr" in kiosk.journal
    file.write_text(text("after"))
    kiosk.in_force("after")
    assert kiosk.status()["config"]["problems"] == []


def test_a_file_written_half(kiosk: DaemonProcess, file: Path):
    file.write_text(text("after")[: text("after").index("none")])
    kiosk.not_taken()
    assert kiosk.status()["name"] == "before"


def test_a_copy_that_dies_at_the_end_of_a_line_and_is_made_again(kiosk: DaemonProcess, file: Path):
    whole = text("before", "[audio.playback]\nvolume = 40\n")
    file.write_text(whole)
    kiosk.until(lambda: kiosk.status()["loudspeaker"]["volume"] == 40, "the volume")
    file.write_text(text("before"))
    kiosk.until(lambda: "only the beginning" in kiosk.journal, "the warning")
    time.sleep(2)
    assert kiosk.status()["loudspeaker"]["volume"] == 40
    file.write_text(whole.replace("before", "after"))
    kiosk.in_force("after")
    assert kiosk.status()["loudspeaker"]["volume"] == 40


def test_the_end_of_the_file_removed_on_purpose(kiosk: DaemonProcess, file: Path):
    file.write_text(text("before", "[audio.playback]\nvolume = 40\n"))
    kiosk.until(lambda: kiosk.status()["loudspeaker"]["volume"] == 40, "the volume")
    file.write_text(text("before"))
    kiosk.until(lambda: kiosk.status()["loudspeaker"]["volume"] != 40, "the default, after a while")


def test_the_end_of_the_file_removed_and_a_reload(kiosk: DaemonProcess, file: Path):
    file.write_text(text("before", "[audio.playback]\nvolume = 40\n"))
    kiosk.until(lambda: kiosk.status()["loudspeaker"]["volume"] == 40, "the volume")
    file.write_text(text("before"))
    kiosk.until(lambda: "only the beginning" in kiosk.journal, "the warning")
    kiosk.ask("reload")
    assert kiosk.status()["loudspeaker"]["volume"] != 40


def test_a_writer_that_stops_in_the_middle_and_goes_on(kiosk: DaemonProcess, file: Path):
    content = text("after")
    with file.open("w") as slow:
        slow.write(content[:-5])
        slow.flush()
        time.sleep(2)
        assert kiosk.status()["name"] == "before"
        slow.write(content[-5:])
    kiosk.in_force("after")


def test_an_editor_killed_while_it_writes(kiosk: DaemonProcess, file: Path):
    program = (
        "import os, sys; f = open(sys.argv[1], 'w'); f.write('[kio'); f.flush(); os.kill(os.getpid(), 9)"
    )
    run(sys.executable, "-c", program, file)
    kiosk.not_taken()
    assert kiosk.status()["name"] == "before"


def test_deletion_and_return(kiosk: DaemonProcess, file: Path):
    file.unlink()
    kiosk.not_taken()
    assert kiosk.status()["name"] == "before"
    assert "none there" in kiosk.status()["config"]["problems"][0]
    file.write_text(text("after"))
    kiosk.in_force("after")


def test_deletion_of_the_whole_folder_and_return(kiosk: DaemonProcess, file: Path):
    shutil.rmtree(file.parent)
    kiosk.not_taken()
    file.parent.mkdir(mode=0o755)
    file.write_text(text("after"))
    kiosk.in_force("after")


def test_a_full_disk(file: Path, folder: Path):
    with tiny_disk(file.parent):
        file.write_text(text("before"))
        with DaemonProcess(folder, file) as kiosk:
            ballast = file.parent / "ballast"
            assert run("dd", "if=/dev/zero", f"of={ballast}", "bs=4k").returncode != 0
            longer = text("after", f"[agent]\nsystem_prompt = '{'x' * 8000}'\n")
            assert run("sh", "-c", 'cat > "$1"', "sh", file, input=longer).returncode != 0
            kiosk.not_taken()
            assert kiosk.status()["name"] == "before"
            ballast.unlink()
            file.write_text(text("after"))
            kiosk.in_force("after")


def test_a_disk_quota_which_leaves_an_empty_file(kiosk: DaemonProcess, file: Path):
    run("sh", "-c", 'trap "" XFSZ; ulimit -f 0; printf "[kiosk]" > "$1"', "sh", file)
    assert file.read_bytes() == b""
    kiosk.not_taken()
    assert kiosk.status()["name"] == "before"


def test_permissions_lost_and_given_back(kiosk: DaemonProcess, file: Path):
    file.chmod(0)
    kiosk.not_taken()
    status = kiosk.status()
    assert (status["name"], "may not be read" in status["config"]["problems"][0]) == ("before", True)
    file.chmod(0o644)
    kiosk.until(lambda: kiosk.status()["config"]["problems"] == [], "the file in force again")
    file.write_text(text("after"))
    kiosk.in_force("after")


def test_a_folder_that_may_not_be_entered_and_may_again(kiosk: DaemonProcess, file: Path):
    file.parent.chmod(0)
    kiosk.not_taken()
    assert kiosk.status()["name"] == "before"
    file.write_text(text("after"))
    file.parent.chmod(0o755)
    kiosk.in_force("after")


@pytest.mark.parametrize(
    "content",
    [
        b"\0" * 4096,
        b"\xff\xfe[\0k\0",
        b"\x7fELF\x01\x01",
        b"[kiosk]\n" * 2,
        b"x = " + b"[" * 100_000,
        b"# " * 600_000,
    ],
    ids=["zeros", "utf-16", "a program", "a table twice", "very deep", "very large"],
)
def test_a_file_that_is_none(kiosk: DaemonProcess, file: Path, content: bytes):
    file.write_bytes(content)
    kiosk.not_taken()
    assert kiosk.status()["name"] == "before"


@pytest.mark.parametrize("kind", ["directory", "pipe", "device"])
def test_something_else_in_the_place_of_the_file(kiosk: DaemonProcess, file: Path, kind: str):
    file.unlink()
    match kind:
        case "directory":
            file.mkdir()
        case "pipe":
            os.mkfifo(file)
        case "device":
            file.symlink_to("/dev/zero")
    kiosk.not_taken()
    assert kiosk.status()["name"] == "before"


# --- by hand -----------------------------------------------------------------------------------


def test_a_hang_up_signal_is_a_reload_that_systemd_hears_begin_and_end(kiosk: DaemonProcess, file: Path):
    for content in (text("after"), "[kiosk\n"):
        file.write_text(content)
        before = len(kiosk.told)
        kiosk.process.send_signal(signal.SIGHUP)
        kiosk.until(lambda start=before: any("READY=1" in line for line in kiosk.told[start:]), "the end")  # type: ignore[misc]
        told = "\n".join(kiosk.told[before:])
        assert re.search(r"RELOADING=1\nMONOTONIC_USEC=\d+\n(.*\n)*READY=1", told)
        assert kiosk.status()["name"] == "after"


# --- over a restart ----------------------------------------------------------------------------


def test_a_restart_with_a_broken_file_begins_with_the_last_good_one(folder: Path, file: Path):
    state = str(folder / "state")
    with DaemonProcess(folder, file, STATE_DIRECTORY=state) as kiosk:
        file.write_text(text("good"))
        kiosk.in_force("good")
        kiosk.until(lambda: "good" in (folder / "state" / "config.toml").read_text(), "the copy")
        file.write_text("[kiosk\n")
        kiosk.not_taken()
        assert kiosk.stop()[0] == 0
    with DaemonProcess(folder, file, STATE_DIRECTORY=state) as kiosk:
        status = kiosk.status()
        assert status["name"] == "good"
        assert status["config"]["problems"]
        assert any("configuration file is not in force" in line for line in kiosk.told)
    file.unlink()
    with DaemonProcess(folder, file, STATE_DIRECTORY=state) as kiosk:
        assert kiosk.status()["name"] == "good"
        file.write_text(text("after"))
        kiosk.in_force("after")


@pytest.mark.parametrize("content", ["[kiosk\nname = 1\n", None], ids=["broken", "missing"])
def test_a_first_start_without_a_good_file_says_why_and_does_not_try_again(
    folder: Path, file: Path, content: str | None
):
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    environ = {**os.environ, "STATE_DIRECTORY": str(folder / "state")}
    done = run(sys.executable, "-m", "voicekiosk", "run", "--config", file, env=environ)
    # The unit says RestartPreventExitStatus=2.
    assert done.returncode == 2
    assert str(file) in done.stderr
    assert "Traceback" not in done.stderr
