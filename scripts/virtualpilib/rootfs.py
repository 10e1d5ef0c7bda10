"""The disk: Debian 12 with what `scripts/install` needs, and the environment that the tests run in."""

import shutil
from pathlib import Path

from virtualpilib.host import PROJECT, cached, fingerprint, need, need_root, run, say
from virtualpilib.kernel import Kernel
from virtualpilib.wheels import RIG, wheels

SUITE = "bookworm"
PACKAGES = (
    "alsa-utils", "ca-certificates", "dbus", "iproute2", "iputils-ping", "kmod", "libasound2",
    "libasound2-plugins", "libsystemd0", "openssl", "procps", "python3", "python3-venv", "systemd",
    "systemd-sysv", "udev",
)  # fmt: skip
# Nothing here runs by itself while somebody measures.
MASKED = (
    "alsa-restore.service", "alsa-state.service", "apt-daily-upgrade.timer", "apt-daily.timer",
    "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer",
    "getty@tty1.service", "serial-getty@ttyS0.service", "systemd-binfmt.service",
    "systemd-journal-flush.service", "systemd-timesyncd.service",
)  # fmt: skip
LEFT_OUT = ("doc", "man", "locale", "info")
IMAGE_MB = 1600
GUEST = Path(__file__).with_name("guest")


def bootstrap(into: Path, *, architecture: str | None = None, packages: tuple[str, ...] = PACKAGES) -> None:
    """Make a Debian as the tar archive `into`, from this machine's own apt sources if they have it."""
    need({"mmdebstrap": "mmdebstrap"})
    command: list[object] = [
        "mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(packages)}",
        '--aptopt=Acquire::Languages "none"', '--aptopt=APT::Install-Recommends "false"',
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in LEFT_OUT),
    ]  # fmt: skip
    if architecture is not None:
        command.append(f"--architectures={architecture}")
    run([*command, SUITE, into, *_sources()], what="making the root file system", timeout_s=3600)


def image(kernel: Kernel) -> Path:
    """Return the disk image for `kernel`, made if it is not in the cache."""
    need_root()
    need({"mke2fs": "e2fsprogs", "tar": "tar"})
    base = cached("debian", fingerprint(SUITE, *PACKAGES, *LEFT_OUT), _make_base)
    packed = wheels()
    units = sorted(GUEST.glob("image/*"))
    key = fingerprint(base.name, kernel.key, packed.name, *RIG, *MASKED, *units, Path(__file__))
    made = cached("disk", key, lambda into: _make_image(into, base / "root.tar", kernel, packed))
    return made / "disk.ext4"


def _make_base(into: Path) -> None:
    say(f"making a Debian {SUITE} (once; a few minutes)")
    bootstrap(into / "root.tar")


def _sources() -> list[Path]:
    """Return the machine's own apt sources, if they have the suite: its mirror is near and allowed."""
    candidates = [Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list")]
    return [path for path in candidates if path.exists() and SUITE in path.read_text()][:1]


def _make_image(into: Path, base: Path, kernel: Kernel, packed: Path) -> None:
    say("making the disk")
    root = into / "root"
    root.mkdir()
    run(["tar", "-xf", base, "--numeric-owner", "-C", root], what="unpacking the root file system")
    shutil.rmtree(root / "usr" / "lib" / "modules", ignore_errors=True)
    shutil.copytree(kernel.modules / "lib" / "modules", root / "usr" / "lib" / "modules", symlinks=True)
    shutil.copytree(packed, root / "wheels")
    run(["chroot", root, "python3", "-m", "venv", "/opt/rig"], what="making the tests' environment")
    install = ["/opt/rig/bin/pip", "install", "--quiet", "--no-index", "--find-links", "/wheels", *RIG]
    run(["chroot", root, *install], what="making the tests' environment")
    shutil.rmtree(root / "wheels")
    system = root / "etc" / "systemd" / "system"
    for unit, target in (("virtual-pi", "multi-user"), ("virtual-pi-hardware", "sysinit")):
        shutil.copy(GUEST / "image" / f"{unit}.service", system)
        wants = system / f"{target}.target.wants"
        wants.mkdir(parents=True, exist_ok=True)
        (wants / f"{unit}.service").symlink_to(f"../{unit}.service")
    for unit in MASKED:
        (system / unit).unlink(missing_ok=True)
        (system / unit).symlink_to("/dev/null")
    entry = root / "usr" / "local" / "sbin" / "virtual-pi"
    shutil.copy(GUEST / "image" / "virtual-pi", entry)
    entry.chmod(0o755)
    (root / "etc" / "hostname").write_text("virtual-pi\n")
    (root / "etc" / "hosts").write_text("127.0.0.1 localhost virtual-pi\n::1 localhost\n")
    (root / "etc" / "machine-id").write_text("")
    run(["passwd", "--root", root, "--delete", "root"], what="opening root's account")
    disk = into / "disk.ext4"
    make = ["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", root, "-F", disk, f"{IMAGE_MB}M"]
    run(make, what="making the disk image")
    shutil.rmtree(root)


__all__ = ["PROJECT", "bootstrap", "image"]
