"""Who may use the devices, and who has them."""

import grp
import os
import pwd
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from voicekiosk.doctor.verdict import Verdict, failure, ok, skipped

SERVICE_USER = "voicekiosk"
NEEDED = ("audio", "gpio")
SOUND_SERVERS = {"pulseaudio", "pipewire", "wireplumber"}


@dataclass(frozen=True, slots=True)
class Node:
    """A device file."""

    path: str
    mode: int
    user: str
    group: str


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has a sound card open."""

    # "pcmC0D0c": card 0, device 0, capture.
    device: str
    pid: int
    program: str


def judge_groups(user: str, groups: Collection[str], *, gpio_wanted: bool) -> Verdict:
    """Judge whether the user who runs the kiosk is in the groups that own the devices."""
    if user == "root":
        return ok("groups", "root may use everything")
    wanted = [name for name in NEEDED if name != "gpio" or gpio_wanted]
    if missing := [name for name in wanted if name not in groups]:
        return failure(
            "groups",
            f"{user} is not in {' and '.join(missing)}",
            f"sudo usermod -aG {','.join(missing)} {user}, then restart the service (a person: log in again)",
        )
    return ok("groups", f"{user} is in {', '.join(wanted)}")


def judge_nodes(nodes: Iterable[Node], user: str, groups: Collection[str]) -> Verdict:
    """Judge whether the device files let that user in."""
    shut = [
        node
        for node in nodes
        if user != "root"
        and node.mode & 0o006 != 0o006
        and not (node.group in groups and node.mode & 0o060 == 0o060)
        and not (node.user == user and node.mode & 0o600 == 0o600)
    ]
    if not shut:
        return ok("permissions", "the device files are open to the kiosk's user")
    first = shut[0]
    return failure(
        "permissions",
        f"{first.path} ({first.mode & 0o777:04o} {first.user}:{first.group}) is closed to {user}"
        + (f", and {len(shut) - 1} more" if len(shut) > 1 else ""),
        "scripts/install puts a udev rule for GPIO; for sound: sudo udevadm trigger --subsystem-match=sound",
    )


def judge_holders(holders: Collection[Holder], used: Collection[str], daemon_pid: int | None) -> Verdict:
    """Judge who has the PCMs that the kiosk uses (`used`, as "pcmC0D0c"); others' cards are theirs."""
    if not used:
        return skipped("holders", "there is no sound card that the kiosk would use")
    ours = [holder for holder in holders if holder.device in used]
    strangers = [holder for holder in ours if holder.pid != daemon_pid]
    if not strangers:
        return ok(
            "holders", "the kiosk has its sound card to itself" if ours else "nobody has the sound card open"
        )
    who = ", ".join(sorted({f"{holder.program} (pid {holder.pid})" for holder in strangers}))
    if SOUND_SERVERS & {holder.program for holder in strangers}:
        fix = (
            "keep the desktop's sound server off it: sudo scripts/install --reserve-cards, then log in again"
        )
    else:
        fix = "end that program; what starts it says: systemctl status PID"
    return failure("holders", f"the kiosk's sound card is held by {who}", fix)


def service_user() -> tuple[str, set[str]]:
    """Return the user that the kiosk runs as, and its groups: the service's, else our own."""
    try:
        user = pwd.getpwnam(SERVICE_USER)
    except KeyError:
        user = pwd.getpwuid(os.geteuid())
        numbers: Collection[int] = {*os.getgroups(), user.pw_gid}
    else:
        numbers = os.getgrouplist(user.pw_name, user.pw_gid)
    groups = set()
    for number in numbers:
        with suppress(KeyError):
            groups.add(grp.getgrgid(number).gr_name)
    return user.pw_name, groups


def find_nodes(dev: Path = Path("/dev"), *, gpio_wanted: bool = True) -> list[Node]:
    """Return the device files of sound cards, and of GPIO chips where the kiosk has something to do there."""
    nodes = []
    gpio = dev.glob("gpiochip*") if gpio_wanted else ()
    for path in [*dev.glob("snd/pcm*"), *dev.glob("snd/control*"), *gpio]:
        with suppress(OSError):
            facts = path.stat()
            nodes.append(Node(str(path), facts.st_mode, _user(facts.st_uid), _group(facts.st_gid)))
    return nodes


def find_holders(proc: Path = Path("/proc")) -> list[Holder]:
    """Return who has which PCM open, as the sound system tells it: no root needed."""
    holders = set()
    for status in proc.glob("asound/card*/pcm*[cp]/sub*/status"):
        try:
            lines = status.read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() == "owner_pid" and value.strip().isdigit():
                pid, program = _process_of(proc, int(value))
                card, pcm = status.parts[-4], status.parts[-3]
                device = f"pcmC{card.removeprefix('card')}D{pcm[3:-1]}{pcm[-1]}"
                holders.add(Holder(device, pid, program))
    return sorted(holders, key=lambda holder: (holder.device, holder.pid))


def _process_of(proc: Path, thread: int) -> tuple[int, str]:
    """Return the process that a thread belongs to, and its program."""
    pid = thread
    with suppress(OSError):
        for line in (proc / str(thread) / "status").read_text().splitlines():
            if line.startswith("Tgid:"):
                pid = int(line.split()[1])
    program = "a program that is gone"
    with suppress(OSError):
        program = (proc / str(pid) / "comm").read_text().strip()
    return pid, program


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
