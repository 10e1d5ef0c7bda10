"""The unit under systemd: READY, watchdog, restart, reload, stop, sandbox, limits, key."""

import contextlib
import os
import re
import shutil
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest
from pirig import words
from pirig.freeze import frozen, thread_named, threads
from pirig.kiosk import CONFIG, KEY, SOCKET, UNIT, systemctl
from pirig.pi import Pi
from pirig.pins import CONFIG as GPIO_CONFIG
from pirig.wait import RigError, until

STATE, RUNTIME = Path("/var/lib/voicekiosk"), Path("/run/voicekiosk")


def _restarts(pi: Pi) -> int:
    return int(pi.kiosk.show("NRestarts"))


def test_systemd_is_told_when_it_is_ready_and_what_it_does(pi: Pi) -> None:
    pi.boot()
    assert pi.kiosk.show("ActiveState") == "active"
    assert pi.kiosk.show("Type") == "notify"
    assert pi.kiosk.show("StatusText").startswith("idle")
    pi.finger.press()
    pi.kiosk.wait_state("listening")
    until("the status text", lambda: pi.kiosk.show("StatusText").startswith("listening"))


def test_it_runs_as_its_own_user_with_no_privilege(pi: Pi) -> None:
    pi.boot()
    status = Path(f"/proc/{pi.kiosk.pid}/status").read_text()
    facts = dict(re.findall(r"^(\w+):\s*(.*)$", status, re.MULTILINE))
    assert facts["Uid"].split()[0] != "0"
    assert facts["NoNewPrivs"] == "1"
    assert facts["Seccomp"] == "2"
    assert all(int(facts[name], 16) == 0 for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb"))


@pytest.mark.parametrize("part", ["event loop", "capture", "playback"])
def test_the_watchdog_restarts_it_when_one_part_is_frozen(pi: Pi, part: str) -> None:
    pi.errors_expected = True
    pi.boot()
    pi.converse()
    # Each part has something to do: the microphone is open, and an answer is being played.
    pi.ask(words.two_recordings())
    pi.wait_loud()
    pid, before = pi.kiosk.pid, _restarts(pi)
    with frozen(pid if part == "event loop" else thread_named(pid, part)):
        until("the restart", lambda: _restarts(pi) == before + 1, timeout_s=60, pause_s=0.5)
    pi.kiosk.wait_state("idle", timeout_s=30)
    assert pi.kiosk.pid != pid
    assert "Watchdog timeout" in pi.kiosk.journal()
    pi.converse()


@pytest.mark.parametrize("state", ["idle", "listening", "speaking"])
def test_it_is_back_after_being_killed(pi: Pi, state: str) -> None:
    pi.boot()
    if state != "idle":
        pi.finger.press()
        pi.kiosk.wait_state("listening")
        pi.mouth.say(words.question())
        time.sleep(1.0)
    if state == "speaking":
        pi.mouth.wait()
        pi.finger.release()
        pi.wait_loud()
    pid = pi.kiosk.pid
    pi.kiosk.kill(signal.SIGKILL)
    pi.finger.release()
    pi.kiosk.wait("a new process", lambda status: status["process"]["pid"] != pid, timeout_s=30)
    pi.kiosk.wait_state("idle")
    pi.converse()


def test_a_stop_in_the_middle_of_an_answer_ends_the_session_within_three_seconds(pi: Pi) -> None:
    pi.boot()
    pi.ask(words.two_recordings())
    pi.wait_loud()
    assert pi.kiosk.stop() < 3.0
    assert pi.kiosk.show("Result") == "success"
    assert pi.service.events("session.end") == 1
    assert not pi.eye.lit
    assert pi.ear.level() < 2


def test_a_stop_without_a_network_takes_no_longer(pi: Pi) -> None:
    pi.boot()
    pi.converse()
    pi.network.blackhole()
    assert pi.kiosk.stop() < 3.0
    assert pi.kiosk.show("Result") == "success"


def test_a_good_configuration_is_taken_with_a_reload(pi: Pi) -> None:
    pi.boot()
    pid = pi.kiosk.pid
    pi.kiosk.configure({"audio.playback": {"device": "Speaker", "volume": 35}})
    systemctl("reload", UNIT)
    pi.kiosk.wait("the volume", lambda status: status["loudspeaker"]["volume"] == 35)
    assert pi.kiosk.pid == pid
    pi.converse()


def test_a_broken_configuration_changes_nothing_and_is_named(pi: Pi) -> None:
    pi.boot()
    CONFIG.write_text(CONFIG.read_text() + "\n[audio.playback\nvolume = \n")
    systemctl("reload", UNIT, check=False)
    pi.kiosk.wait("the problem", lambda status: status["config"]["problems"])
    assert pi.kiosk.show("ActiveState") == "active"
    pi.converse()
    pi.kiosk.configure({})
    systemctl("reload", UNIT)
    pi.kiosk.wait("no problem", lambda status: not status["config"]["problems"])


def test_a_reload_in_the_middle_of_an_answer_does_not_disturb_it(pi: Pi) -> None:
    pi.boot()
    pi.ask(words.long_question())
    pi.kiosk.wait_state("speaking")
    begun_s = pi.wait_loud()
    speaker = {"device": "Speaker", "volume": 100, "period_ms": 20}
    pi.kiosk.configure({"agent": {"system_prompt": "Be brief."}, "audio.playback": speaker})
    systemctl("reload", UNIT)
    pi.kiosk.wait_state("idle", timeout_s=30)
    assert time.monotonic() - begun_s > 3, "it spoke on to its end"
    assert "period 20 ms" not in pi.kiosk.journal().partition("speaking")[2].partition("idle")[0]
    pi.converse()


def test_a_start_with_a_broken_configuration_takes_the_last_good_one(pi: Pi) -> None:
    pi.boot({"audio.playback": {"device": "Speaker", "volume": 35}})
    pi.kiosk.stop()
    CONFIG.write_text("[audio.capture]\ndevice = 7\n")
    systemctl("start", UNIT)
    status = pi.kiosk.wait_state("idle")
    assert status["loudspeaker"]["volume"] == 35
    assert "audio.capture.device" in str(status["config"]["problems"])
    assert "audio.capture.device" in pi.kiosk.journal()


def test_a_broken_configuration_without_a_good_one_is_refused_once(pi: Pi) -> None:
    for path in STATE.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    CONFIG.write_text("[audio.capture]\ndevice = 7\n")
    systemctl("start", UNIT, check=False)
    until("the end", lambda: pi.kiosk.show("ActiveState") == "failed")
    assert pi.kiosk.show("ExecMainStatus") == "2"
    # Longer than RestartSec.
    time.sleep(3)
    assert (pi.kiosk.show("ActiveState"), _restarts(pi)) == ("failed", 0)
    assert "audio.capture.device" in pi.kiosk.journal()


def test_without_a_key_it_starts_and_says_what_is_missing(pi: Pi) -> None:
    KEY.unlink()
    pi.kiosk.start()
    status = pi.kiosk.wait_state("fault")
    assert "voicekiosk key set" in status["reason"]
    assert status["key"] == "none"


def test_a_key_that_is_set_while_it_runs_is_used_at_once(pi: Pi) -> None:
    KEY.unlink()
    pi.listen()
    pi.kiosk.start()
    pi.kiosk.wait_state("fault")
    done = subprocess.run(
        ["voicekiosk", "key", "set"],
        input="sim-key\n", capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    pi.kiosk.wait_state("idle")
    pi.converse()
    assert stat.S_IMODE(KEY.stat().st_mode) == 0o600


def test_the_key_is_nowhere_to_be_read(pi: Pi) -> None:
    secret = "sk-0123456789abcdef-virtual-pi"
    KEY.write_text(secret)
    pi.boot({"log": {"level": "debug"}})
    pid = pi.kiosk.pid
    pi.ask(wait_for_state=False)
    pi.kiosk.wait("the refusal", lambda status: status["state"] == "fault", timeout_s=20)
    assert secret not in pi.kiosk.journal("-o", "json")
    assert secret not in Path(f"/proc/{pid}/cmdline").read_text()
    assert secret not in Path(f"/proc/{pid}/environ").read_text()
    assert secret not in str(pi.kiosk.status())
    for folder in (STATE, RUNTIME):
        for path in folder.rglob("*"):
            if path.is_file():
                assert secret.encode() not in path.read_bytes(), path


def test_only_root_and_its_group_may_steer_it(pi: Pi) -> None:
    pi.boot()
    facts = SOCKET.stat()
    assert stat.S_IMODE(facts.st_mode) == 0o660
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/local/bin/voicekiosk", "status"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "permitted" in done.stderr


def test_the_sandbox_scores_as_promised(pi: Pi) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", "--threshold=15", UNIT],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-300:]


def test_the_sandbox_keeps_it_from_every_device_but_its_own(pi: Pi) -> None:
    # Its own rights, tried from inside: a shell in its place, under the same unit.
    pi.kiosk.drop_in(
        "[Service]\nType=oneshot\nRestart=no\nWatchdogSec=0\nExecStart=\nExecStart=/bin/sh -c '"
        "for f in /dev/mem /dev/kmsg /dev/ubda /dev/tty0; do head -c 1 $$f >/dev/null 2>&1 && echo OPENED $$f; done; "
        "head -c 0 </dev/snd/controlC0 && echo SOUND; head -c 0 </dev/gpiochip0 && echo GPIO; "
        "for d in / /etc /etc/voicekiosk /usr /usr/local /opt /opt/voicekiosk /home /root /srv /var /var/log /run; do "
        "touch $$d/x 2>/dev/null && echo WROTE $$d; done; touch /run/voicekiosk/x && echo RUNTIME; "
        "true'\n"
    )
    systemctl("start", UNIT)
    journal = pi.kiosk.journal("-o", "cat")
    assert "OPENED" not in journal
    assert "WROTE" not in journal
    assert {"SOUND", "GPIO", "RUNTIME"} <= set(journal.split())


def test_it_writes_nowhere_but_in_its_directories(pi: Pi) -> None:
    pi.kiosk.configure({})
    pi.listen()
    mark = Path("/var/tmp/mark")
    mark.touch()
    time.sleep(1.1)
    systemctl("start", UNIT)
    pi.kiosk.wait_state("idle")
    pi.converse()
    find = ["find", "/", "-xdev", "-newer", str(mark), "-type", "f", "-not", "-path", "/var/log/*"]
    written = subprocess.run(find, capture_output=True, text=True, timeout=60, check=False).stdout.split()
    strangers = [
        path for path in written if not path.startswith(("/var/lib/voicekiosk/", "/var/lib/private/"))
    ]
    assert not [path for path in strangers if "systemd" not in path], strangers


def test_it_works_with_a_root_file_system_that_is_read_only(pi: Pi) -> None:
    pi.kiosk.configure({})
    pi.listen()
    systemctl("stop", "systemd-journald.socket", "systemd-journald-dev-log.socket", check=False)
    _remount_read_only()
    try:
        systemctl("start", UNIT)
        pi.kiosk.wait_state("idle")
        pi.converse()
    finally:
        subprocess.run(["mount", "-o", "remount,rw", "/"], check=True, timeout=20)
        systemctl(
            "start", "systemd-journald.socket", "systemd-journald-dev-log.socket", "systemd-journald.service"
        )


def _remount_read_only() -> None:
    """Make the disk read-only as soon as nobody writes there."""

    def tried() -> bool:
        done = subprocess.run(
            ["mount", "-o", "remount,ro", "/"], capture_output=True, timeout=20, check=False
        )
        return done.returncode == 0

    try:
        until("nobody to write", tried, timeout_s=20, pause_s=0.5)
    except AssertionError as error:
        raise RigError(f"the disk cannot be made read-only; open for writing: {_writers()}") from error


def _writers() -> list[str]:
    """Return who has which file of the disk open for writing, or one that is deleted."""
    disk, found = Path("/").stat().st_dev, []
    for path in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            facts, target = path.stat(), str(path.readlink())
            flags = int(
                re.search(r"flags:\s*(\d+)", (path.parents[1] / "fdinfo" / path.name).read_text())[1], 8
            )
            if facts.st_dev == disk and (flags & os.O_ACCMODE or "(deleted)" in target):
                found.append(f"{(path.parents[1] / 'comm').read_text().strip()} {target}")
    return found


def test_a_long_conversation_stays_within_the_memory_of_a_small_pi(pi: Pi, figure) -> None:
    pi.boot()
    group = Path("/sys/fs/cgroup/system.slice") / UNIT
    assert (group / "memory.max").read_text().strip() == str(192 << 20)
    for _ in range(3):
        pi.converse(words.three_recordings(), timeout_s=40)
    used = int((group / "memory.current").read_text())
    resident = int(re.search(r"VmRSS:\s*(\d+)", Path(f"/proc/{pi.kiosk.pid}/status").read_text())[1]) * 1024
    figure("memory_mb", {"resident": round(resident / 2**20, 1), "cgroup": round(used / 2**20, 1)})
    assert used < 128 << 20
    assert int(pi.kiosk.show("TasksCurrent")) <= 8


def test_who_takes_too_much_memory_is_killed_and_the_kiosk_is_back(pi: Pi) -> None:
    # Without the slowing down that comes before the limit and takes minutes.
    pi.kiosk.drop_in("[Service]\nMemoryHigh=infinity\n")
    pi.boot()
    pid, group = pi.kiosk.pid, Path("/sys/fs/cgroup/system.slice") / UNIT / "cgroup.procs"
    # In the unit's place, and then asking for twice what it may have.
    hog = (
        f"import os, mmap; open('{group}', 'w').write(str(os.getpid())); "
        "mmap.mmap(-1, 384 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE)"
    )
    done = subprocess.run(["/usr/bin/python3", "-c", hog], capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    pi.kiosk.wait("a new process", lambda status: status["process"]["pid"] != pid, timeout_s=30)
    assert "oom" in pi.kiosk.journal()
    pi.kiosk.wait_state("idle")
    pi.converse()


def test_a_key_that_is_encrypted_to_this_machine_is_taken(pi: Pi) -> None:
    KEY.unlink()
    sealed = KEY.with_suffix(".cred")
    encrypt = ["systemd-creds", "encrypt", "--name=api-key", "-", str(sealed)]
    subprocess.run(encrypt, input=b"sim-key\n", capture_output=True, timeout=60, check=True)
    try:
        assert b"sim-key" not in sealed.read_bytes()
        pi.kiosk.drop_in(f"[Service]\nLoadCredential=\nLoadCredentialEncrypted=api-key:{sealed}\n")
        pi.boot()
        assert pi.kiosk.status()["key"] == "credential"
        pi.converse()
    finally:
        sealed.unlink()


def test_an_idle_kiosk_sleeps(pi: Pi, figure) -> None:
    pi.boot()
    time.sleep(2.0)

    def switches() -> int:
        total = 0
        for thread in threads(pi.kiosk.pid):
            text = Path(f"/proc/{pi.kiosk.pid}/task/{thread}/status").read_text()
            total += sum(map(int, re.findall(r"voluntary_ctxt_switches:\s*(\d+)", text)))
        return total

    before = switches()
    time.sleep(10.0)
    per_second = (switches() - before) / 10
    figure("idle_wakeups_per_s", per_second)
    assert per_second < 2


def test_it_starts_without_a_gpio_chip_and_takes_it_when_it_comes(pi: Pi) -> None:
    live = GPIO_CONFIG / "live"
    pi.eye.close()
    live.write_text("0")
    try:
        pi.listen()
        pi.kiosk.start()
        status = pi.kiosk.wait_state("fault")
        assert "GPIO" in status["reason"]
    finally:
        live.write_text("1")
        chip = Path("/sys/devices/platform") / (GPIO_CONFIG / "dev_name").read_text().strip()
        chip /= (GPIO_CONFIG / "bank0" / "chip_name").read_text().strip()
        Path("/run/virtual-pi-gpio").unlink()
        Path("/run/virtual-pi-gpio").symlink_to(chip)
        pi.look_again()
    pi.kiosk.wait_state("idle", timeout_s=40)
    pi.converse()


def test_a_crash_loop_comes_to_an_end_and_a_reset_begins_again(pi: Pi) -> None:
    pi.kiosk.drop_in("[Unit]\nStartLimitBurst=3\n[Service]\nRestartSec=0.2\nExecStartPre=/bin/false\n")
    systemctl("start", UNIT, check=False)
    until("it to give up", lambda: pi.kiosk.show("Result") in ("start-limit-hit", "exit-code"), 30)
    until("it to stay down", lambda: pi.kiosk.show("ActiveState") == "failed", 30)
    pi.kiosk.reset()
    pi.boot()
    pi.converse()


def test_a_second_daemon_is_refused_the_socket(pi: Pi) -> None:
    pi.boot()
    done = subprocess.run(
        ["voicekiosk", "run", "--config", str(CONFIG)],
        env={**os.environ, "VOICEKIOSK_SOCKET": str(SOCKET)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    pi.converse()


def test_the_command_line_shows_the_status_to_a_person(pi: Pi) -> None:
    pi.boot()
    pi.converse()
    command = ["voicekiosk", "status"]
    text = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    assert text.startswith("state        idle")
    assert "10.9.0.2" in text
    assert "hw:CARD=Mic" in text
