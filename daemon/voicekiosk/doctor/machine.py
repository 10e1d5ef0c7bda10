"""The machine itself: system, power, clock, disk."""

import os
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from voicekiosk.doctor.verdict import Verdict, failure, ok, skipped, warning

TESTED = {("debian", "12"), ("debian", "13"), ("raspbian", "12"), ("raspbian", "13")}
# Nothing of this program is older than this: 22 November 2025.
WRITTEN_S = 1_763_769_600.0
LITTLE_SPACE_MB, NO_SPACE_MB = 200, 20
WARM_C, HOT_C = 75.0, 80.0

_UNDERVOLTAGE, _THROTTLED = 1 << 0, 1 << 2
_UNDERVOLTAGE_BEFORE, _THROTTLED_BEFORE = 1 << 16, 1 << 18


def examine(root: Path = Path("/")) -> list[Verdict]:
    """Look at the machine whose file system is at `root`."""
    return [
        judge_system(_os_release(root), os.uname().machine, _text(root / "proc/device-tree/model")),
        judge_power(_throttled(root), _undervolted(root)),
        judge_heat(_temperature_c(root)),
        judge_clock(time.time(), synchronised=_synchronised(root)),
        judge_disk(_disk(root / "var/lib")),
    ]


def judge_system(release: Mapping[str, str], machine: str, board: str) -> Verdict:
    """Judge the operating system; `release` is os-release."""
    name = release.get("PRETTY_NAME", "unknown system")
    text = f"{name}, {machine}" + (f", {board}" if board else "")
    if machine == "armv6l":
        return warning(
            "system", text, "this board has one slow core: a Pi Zero 2 W or better is what is tested"
        )
    if (release.get("ID", ""), release.get("VERSION_ID", "")) not in TESTED:
        return warning("system", text, "tested are Debian and Raspberry Pi OS 12 and 13")
    return ok("system", text)


def judge_power(throttled: int | None, undervolted: bool | None) -> Verdict:
    """Judge the power supply by the firmware's flags, or by the kernel's voltage sensor."""
    fix = "use the board's own power supply and a short, thick cable; take other USB devices off"
    if throttled is None and undervolted is None:
        return skipped("power", "this board does not tell")
    if undervolted or (throttled or 0) & (_UNDERVOLTAGE | _THROTTLED):
        return failure("power", "the voltage is too low now: sound and Wi-Fi break down first", fix)
    if (throttled or 0) & (_UNDERVOLTAGE_BEFORE | _THROTTLED_BEFORE):
        return warning("power", "the voltage was too low at some time since the boot", fix)
    return ok("power", "no undervoltage since the boot" if throttled is not None else "no undervoltage now")


def judge_heat(celsius: float | None) -> Verdict:
    """Judge the processor's temperature; a Pi slows down from 80 °C on."""
    if celsius is None:
        return skipped("temperature", "this board does not tell")
    text = f"{celsius:.0f} °C"
    if celsius >= HOT_C:
        return failure("temperature", f"{text}: the processor is slowed down", "give it air, or a heat sink")
    if celsius >= WARM_C:
        return warning("temperature", text, "it slows down at 80 °C: give it air, or a heat sink")
    return ok("temperature", text)


def judge_clock(now_s: float, *, synchronised: bool | None) -> Verdict:
    """Judge the clock: with a wrong one every certificate looks invalid."""
    text = datetime.fromtimestamp(now_s).astimezone().strftime("%Y-%m-%d %H:%M %Z")
    if now_s < WRITTEN_S:
        return failure(
            "clock",
            f"{text} cannot be: no TLS certificate is valid then",
            "connect the network and wait for systemd-timesyncd (timedatectl), or: sudo date --set",
        )
    if synchronised is False:
        return warning(
            "clock", f"{text}, not synchronised", "see timedatectl; on a closed network, name an NTP server"
        )
    return ok("clock", text + (", synchronised" if synchronised else ""))


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system that the state lies on."""

    free_mb: int
    read_only: bool


def judge_disk(disk: Disk) -> Verdict:
    """Judge the room for state and journal."""
    if disk.read_only:
        return failure(
            "disk",
            "the file system is read-only: usually an SD card that is dying",
            "look at: journalctl -k | grep -i -e mmc -e ext4; back it up and replace the card",
        )
    text = f"{disk.free_mb} MB free"
    fix = "find what fills it: sudo du -xh / | sort -h | tail; old journals: journalctl --vacuum-size=50M"
    if disk.free_mb < NO_SPACE_MB:
        return failure("disk", text, fix)
    if disk.free_mb < LITTLE_SPACE_MB:
        return warning("disk", text, fix)
    return ok("disk", text)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return ""


def _os_release(root: Path) -> dict[str, str]:
    pairs = (line.partition("=") for line in _text(root / "etc/os-release").splitlines())
    return {name: value.strip().strip("\"'") for name, _, value in pairs}


def _throttled(root: Path) -> int | None:
    """Ask the Pi's firmware: by the kernel's file, else by vcgencmd."""
    for path in root.glob("sys/devices/platform/soc/soc:firmware/get_throttled"):
        with suppress(ValueError):
            return int(_text(path), 16)
    if root != Path("/"):
        return None
    try:
        answer = subprocess.run(
            ["vcgencmd", "get_throttled"], capture_output=True, text=True, timeout=5, check=True
        )
        return int(answer.stdout.partition("=")[2], 16)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def _undervolted(root: Path) -> bool | None:
    for sensor in root.glob("sys/class/hwmon/hwmon*"):
        if _text(sensor / "name") == "rpi_volt":
            return _text(sensor / "in0_lcrit_alarm") == "1"
    return None


def _temperature_c(root: Path) -> float | None:
    text = _text(root / "sys/class/thermal/thermal_zone0/temp")
    return int(text) / 1000 if text.lstrip("-").isdigit() else None


def _synchronised(root: Path) -> bool | None:
    """Tell whether the clock was set by the network; None where nobody says."""
    if (root / "run/systemd/timesync/synchronized").exists():
        return True
    if root != Path("/"):
        return None
    try:
        answer = subprocess.run(
            ["timedatectl", "show", "--property=NTPSynchronized", "--value"],
            capture_output=True, text=True, timeout=5, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return {"yes": True, "no": False}.get(answer.stdout.strip())


def _disk(path: Path) -> Disk:
    found = os.statvfs(path if path.exists() else "/")
    return Disk(found.f_bavail * found.f_frsize // 1_000_000, bool(found.f_flag & os.ST_RDONLY))
