"""The kernel: User Mode Linux with ALSA, a simulated GPIO chip and network faults."""

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from virtualpilib.host import VirtualPiError, cached, fingerprint, need, run, say

PREBUILT = "VOICEKIOSK_UML_DIR"
FRAGMENT = Path(__file__).with_name("uml.config")
SOURCE = Path("/usr/src/linux-source-6.1.tar.xz")
PACKED = ("linux.uml.xz", "modules.tar.xz")


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel that is a program, and its modules."""

    program: Path
    modules: Path
    """A folder with lib/modules/VERSION in it."""
    key: str
    """Changes when the kernel does."""


def kernel() -> Kernel:
    """Return a prebuilt kernel, or build one."""
    folder = os.environ.get(PREBUILT)
    made = _unpacked(Path(folder)) if folder else _built()
    return Kernel(made / "linux", made / "modules", made.name)


def _unpacked(folder: Path) -> Path:
    sums = _sums(folder)
    need({"xz": "xz-utils"})
    for name in PACKED:
        try:
            found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        except OSError as error:
            raise VirtualPiError(
                f"{PREBUILT}={folder}: cannot read {name}: {error.strerror}; unset it to build a kernel"
            ) from error
        if sums.get(name) != found:
            raise VirtualPiError(
                f"{PREBUILT}={folder}: {name} is not what SHA256SUMS says; fetch it again, "
                "or unset the variable to build a kernel"
            )

    def unpack(into: Path) -> None:
        say(f"unpacking the prebuilt kernel of {folder}")
        shutil.copy(folder / PACKED[0], into / "linux.xz")
        run(["xz", "-d", into / "linux.xz"], what="unpacking the kernel")
        (into / "linux").chmod(0o755)
        (into / "modules").mkdir()
        run(["tar", "-xJf", folder / PACKED[1], "-C", into / "modules"], what="unpacking the modules")

    return cached("kernel", fingerprint(*(sums[name] for name in PACKED)), unpack)


def _sums(folder: Path) -> dict[str, str]:
    try:
        lines = (folder / "SHA256SUMS").read_text().splitlines()
    except OSError as error:
        raise VirtualPiError(
            f"{PREBUILT}={folder}: cannot read SHA256SUMS there: {error.strerror}; unset it to build a kernel"
        ) from error
    return {name.lstrip("*"): digest for digest, name in (line.split(maxsplit=1) for line in lines if line)}


def _built() -> Path:
    need(
        {
            str(SOURCE): "linux-source-6.1",
            "flex": "flex",
            "bison": "bison",
            "bc": "bc",
            "gcc": "gcc",
            "make": "make",
            "depmod": "kmod",
            "xz": "xz-utils",
        }
    )
    facts = SOURCE.stat()
    return cached("kernel", fingerprint(FRAGMENT, f"{facts.st_size} {int(facts.st_mtime)}"), _build)


def _build(into: Path) -> None:
    jobs = os.cpu_count() or 1
    say(f"building the kernel from {SOURCE} (once; about 17 minutes of processor time, {jobs} at once)")
    source = into / "source"
    source.mkdir()
    run(["tar", "-xJf", SOURCE, "--strip-components=1", "-C", source], what="unpacking the kernel's source")
    # The one line that keeps ALSA away from this architecture.
    kconfig = source / "sound" / "Kconfig"
    kconfig.write_text(kconfig.read_text().replace("\nif !UML\n", "\nif y\n"))
    um = ["make", "-s", "ARCH=um"]
    run([*um, "defconfig"], what="configuring the kernel", cwd=source)
    run(
        ["scripts/kconfig/merge_config.sh", "-m", ".config", FRAGMENT],
        what="configuring the kernel",
        cwd=source,
    )
    run([*um, "olddefconfig"], what="configuring the kernel", cwd=source)
    run([*um, f"-j{jobs}", "linux", "modules"], what="building the kernel", timeout_s=7200, cwd=source)
    install = [*um, f"INSTALL_MOD_PATH={into / 'modules'}", "modules_install"]
    run(install, what="installing the kernel's modules", cwd=source)
    shutil.copy(source / "linux", into / "linux")
    run(["strip", "-g", into / "linux"], what="stripping the kernel")
    shutil.rmtree(source)
