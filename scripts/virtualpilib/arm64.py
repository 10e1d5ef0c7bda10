"""`virtual-pi arm64`: does it install on a Pi? An arm64 Debian under qemu's user emulation.

Nothing of a kernel is tried here, and nothing is timed: install, import of every dependency, unit tests.
"""

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from virtualpilib.host import (
    PROJECT,
    VirtualPiError,
    cached,
    fingerprint,
    need,
    need_root,
    run,
    say,
    scratch,
)
from virtualpilib.rootfs import bootstrap
from virtualpilib.wheels import VERSION, python

QEMU = "/usr/bin/qemu-aarch64-static"
BINFMT = Path("/proc/sys/fs/binfmt_misc")
# The first bytes of an ELF file for that machine, and which of them count.
_MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
_MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
PACKAGES = (
    "alsa-utils", "ca-certificates", "gcc", "libasound2-dev", "libc6-dev", "openssl", "pkg-config", "procps",
    "python3", "python3-dev", "python3-systemd", "python3-venv", "systemd", "udev",
)  # fmt: skip
# Not needed to run tests, and large.
_LEFT_OUT = {"librt", "mypy", "mypy-extensions", "ruff", "systemd-python"}
_SOURCES = {"pyalsaaudio"}
_SCRIPT = """\
set -eu
mount -t proc proc "$1/proc"
mount --bind /dev "$1/dev"
mount -t tmpfs tmpfs "$1/tmp"
path=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
exec chroot "$1" /usr/bin/env -i PATH=$path HOME=/root LC_ALL=C.UTF-8 OPENBLAS_NUM_THREADS=1 /bin/bash -c "$2"
"""


def arm64(arguments: list[str]) -> int:
    """Install, import everything, run the unit tests (or what `arguments` name); 0 when all is well."""
    need_root()
    need(
        {
            QEMU: "qemu-user-static",
            "arch-test": "arch-test",
            "mmdebstrap": "mmdebstrap",
            "unshare": "util-linux",
        }
    )
    _emulate()
    locks = [PROJECT / name for name in ("requirements-build.lock", "requirements-dev.lock")]
    base = cached("debian-arm64", fingerprint(*PACKAGES), _make_base)
    packages = cached("packages-arm64", fingerprint(VERSION, *locks), _fetch)
    with scratch(base.parent) as folder:
        root = folder / "root"
        root.mkdir()
        say("unpacking")
        run(["tar", "-xf", base / "root.tar", "--numeric-owner", "-C", root], what="unpacking")
        shutil.copytree(packages, root / "packages")
        project = root / "project"
        for name in ("daemon", "config", "docs", "scripts", "systemd", "tests"):
            shutil.copytree(PROJECT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
        for path in PROJECT.iterdir():
            if path.is_file():
                shutil.copy(path, project)
        pip = "-q --no-deps --no-build-isolation --no-index -f /packages"
        build = f"python3 -m venv /tmp/build && /tmp/build/bin/pip install -U {pip} setuptools"
        # Debian's setuptools, which a venv begins with, cannot make wheels.
        build += f" && /tmp/build/bin/pip wheel --use-pep517 {pip} -w /packages {' '.join(_SOURCES)}"
        build += " && cd /packages && sha256sum *.whl >SHA256SUMS"
        _step(root, "the machine", "uname -m; python3 --version")
        _step(root, "what has no wheel is compiled", build)
        # systemd does not run in there; its systemctl knows, and enables what it cannot start.
        install = "SYSTEMD_OFFLINE=1 scripts/install --yes --no-key --no-start --offline /packages"
        _step(root, "scripts/install", f"mkdir -p /run/systemd/system; cd /project && {install}")
        _step(root, "imports", f"/opt/voicekiosk/current/bin/python -c '{_IMPORTS}'")
        _step(root, "command", "voicekiosk --version; voicekiosk --help | head -3")
        # The lines of the lock files without their continuations; which are for this machine, pip knows.
        wanted = "sed 's/ *\\\\$//' /packages/wanted >/tmp/wanted"
        more = f"{wanted} && /opt/voicekiosk/current/bin/python -m pip install {pip} -r /tmp/wanted"
        _step(root, "what the tests need", more)
        what = " ".join(arguments or ["tests/unit", "-n", str(os.cpu_count() or 1)])
        tests = f"cd /project && /opt/voicekiosk/current/bin/python -m pytest -q -p no:cacheprovider {what}"
        return _show(root, "unit tests", tests)


_IMPORTS = """
import importlib, pkgutil, platform
import alsaaudio, gpiozero, inotify_simple, lgpio, msgspec, numpy, tomli, voicekiosk, websockets
import systemd.daemon, systemd.journal
found = [module.name for module in pkgutil.walk_packages(voicekiosk.__path__, "voicekiosk.")]
names = [name for name in found if "__main__" not in name]
for name in names: importlib.import_module(name)
print(platform.machine(), "python", platform.python_version(), "numpy", numpy.__version__, "msgspec",
      msgspec.__version__, "websockets", websockets.__version__, "-", len(names), "modules of voicekiosk")
"""


def _emulate() -> None:
    """Have this kernel run programs for arm64."""
    if platform.machine() == "aarch64":
        return
    if not (BINFMT / "register").exists():
        run(["mount", "-t", "binfmt_misc", "none", BINFMT], what="teaching the kernel to run arm64 programs")
    if not (BINFMT / "qemu-aarch64").exists():
        try:
            # F: the emulator is opened now, so that it is found from inside another root.
            (BINFMT / "register").write_text(f":qemu-aarch64:M::{_MAGIC}:{_MASK}:{QEMU}:F")
        except OSError as error:
            raise VirtualPiError(f"this kernel cannot be taught to run arm64 programs: {error}") from error


def _make_base(into: Path) -> None:
    say("making an arm64 Debian (once; a few minutes)")
    bootstrap(into / "root.tar", architecture="arm64", packages=PACKAGES)


def _fetch(into: Path) -> None:
    say("fetching Python packages for arm64 (once)")
    pip = [python(), "-m", "pip", "download", "--quiet", "--no-deps", "--dest", into]
    for name in ("requirements-build.lock", "requirements-dev.lock"):
        blocks = re.split(r"^(?=[a-z])", (PROJECT / name).read_text(), flags=re.MULTILINE)[1:]
        wanted = [block for block in blocks if _here(block)]
        sources = [block for block in wanted if re.split(r"[= ]", block)[0] in _SOURCES]
        lock = into / name
        lock.write_text("".join(block for block in wanted if block not in sources))
        target = ["--platform", "manylinux_2_34_aarch64", "--platform", "manylinux_2_28_aarch64"]
        target += ["--platform", "manylinux2014_aarch64", "--platform", "manylinux_2_17_aarch64"]
        target += ["--python-version", VERSION, "--only-binary", ":all:", "--require-hashes"]
        run([*pip, *target, "-r", lock], what="fetching wheels for arm64")
        if sources:
            lock.write_text("".join(sources))
            more = ["--no-binary", ":all:", "--require-hashes", "--no-build-isolation"]
            run([*pip, *more, "-r", lock], what="fetching sources")
        with (into / "wanted").open("a") as file:
            file.write("".join(block.splitlines()[0] + "\n" for block in wanted))
        lock.unlink()


def _here(block: str) -> bool:
    """Whether a block of a lock file is for this Python on arm64."""
    first = block.splitlines()[0]
    if re.split(r"[= ]", first)[0] in _LEFT_OUT:
        return False
    _, _, marker = first.partition(" ; ")
    other = ("python_full_version >= '3.12'", "python_full_version >= '3.13'", "platform_machine == 'x86_64'")
    return not any(text in marker for text in (*other, "sys_platform == 'win32'"))


def _step(root: Path, name: str, command: str) -> None:
    say(name)
    print(run(_inside(root, command), what=name, timeout_s=3600.0).strip(), flush=True)


def _show(root: Path, name: str, command: str) -> int:
    """Run what takes long with its output as it comes, and return its exit code."""
    say(name)
    return subprocess.run(_inside(root, command), check=False).returncode


def _inside(root: Path, command: str) -> list[str]:
    inside = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _SCRIPT, "sh"]
    return [*inside, str(root), command]
