"""The kernel: User Mode Linux with ALSA, a simulated GPIO chip and network faults."""

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from virtualpilib.host import UnsuitableError, VirtualPiError, cache, cached, fingerprint, need, run, say

PREBUILT = "VOICEKIOSK_UML_DIR"
FRAGMENT = Path(__file__).with_name("uml.config")
PRELOADS = tuple(Path(__file__).with_name(name) for name in ("preload.c", "clock.c"))
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
    preload: Path | None = None
    """A library that the program needs before its own."""


def kernel(*, at_hand: bool = False) -> Kernel:
    """Return the prebuilt kernel that the environment names, if it is whole, else build one.

    Raises UnsuitableError when it has to be `at_hand`, and would have to be built first.
    """
    folder = os.environ.get(PREBUILT)
    made = None
    if folder:
        try:
            made = _unpacked(Path(folder))
        except VirtualPiError as error:
            say(f"{PREBUILT}={folder} is of no use: {error}. Building a kernel instead")
    made = made or _built(at_hand=at_hand)
    return Kernel(made / "linux", made / "modules", made.name, preload())


def preload() -> Path:
    """Return what stands between the kernel and the C library: two mended faults, and the guest's clock."""

    def make(into: Path) -> None:
        need({"gcc": "gcc", "/usr/include/stdlib.h": "libc6-dev"})
        options = ["-O2", "-mcx16", "-shared", "-fPIC", "-o", into / "preload.so"]
        run(["gcc", *options, *PRELOADS, "-ldl"], what="building what is preloaded into the kernel")

    return cached("preload", fingerprint(*PRELOADS), make) / "preload.so"


def parse_sums(text: str) -> dict[str, str]:
    """Return for each file that a SHA256SUMS names its sum; lines that are none are passed over."""
    pairs = [line.split(maxsplit=1) for line in text.splitlines()]
    return {pair[1].strip().lstrip("*"): pair[0].lower() for pair in pairs if len(pair) == 2}


def _unpacked(folder: Path) -> Path:
    need({"xz": "xz-utils"})
    sums = parse_sums(_read(folder / "SHA256SUMS").decode(errors="replace"))
    for name in PACKED:
        if sums.get(name) != hashlib.sha256(_read(folder / name)).hexdigest():
            raise VirtualPiError(f"{name} is not what SHA256SUMS says; fetch both again")

    def unpack(into: Path) -> None:
        say(f"unpacking the prebuilt kernel of {folder}")
        shutil.copy(folder / PACKED[0], into / "linux.xz")
        run(["xz", "-d", into / "linux.xz"], what="unpacking the kernel")
        (into / "linux").chmod(0o755)
        (into / "modules").mkdir()
        run(["tar", "-xJf", folder / PACKED[1], "-C", into / "modules"], what="unpacking the modules")

    return cached("kernel", fingerprint(*(sums[name] for name in PACKED)), unpack)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise VirtualPiError(f"cannot read {path.name} there: {error.strerror}") from error


def _built(*, at_hand: bool) -> Path:
    if at_hand and not (SOURCE.exists() and (cache() / f"kernel-{_key()}").is_dir()):
        raise UnsuitableError(
            f"no kernel is at hand, and building one takes a quarter of an hour: let {PREBUILT} name "
            "a folder with a prebuilt one, or build it once with scripts/virtual-pi build"
        )
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
    return cached("kernel", _key(), _build)


def _key() -> str:
    facts = SOURCE.stat()
    return fingerprint(FRAGMENT, f"{facts.st_size} {int(facts.st_mtime)}")


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
