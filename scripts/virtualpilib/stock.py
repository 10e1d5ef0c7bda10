"""`virtual-pi test --stock`: the same disk and tests on Debian's own kernel, in qemu without KVM.

A second opinion, and a slow one: an emulator runs Python 12 to 25 times slower than outside. So the
guest's clock counts its instructions instead: each takes a nanosecond, as on a core of a small Pi, and
waiting takes no time at all. In there everything is on time, however slow or busy this machine is. Only
gpio-sim is not Debian's: no kernel of theirs has it, so it is built as a module.
"""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

from virtualpilib.host import cached, fingerprint, need, run, say, scratch
from virtualpilib.kernel import SOURCE, Kernel

# What the initial RAM disk loads to reach the disk and the share.
_EARLY = ("virtio_pci", "virtio_blk", "ext4", "crc32c_generic", "9p", "9pnet_virtio")
_UNNEEDED = (
    "gpu", "hwmon", "iio", "infiniband", "isdn", "media", "mtd", "net/ethernet", "net/wireless", "net/wwan",
    "nfc", "scsi", "staging",
)  # fmt: skip
_WORDS = (
    "console=tty0 console=ttyS0 quiet loglevel=3 panic=-1 systemd.show_status=0 "
    "virtual_pi.share=host virtual_pi.queue=queue"
)
_INIT = """\
#!/bin/busybox sh
B=/bin/busybox
$B mount -t proc proc /proc; $B mount -t sysfs sys /sys; $B mount -t devtmpfs dev /dev
while read m; do $B insmod /mods/$m; done < /mods/order
for i in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/vda ] && break; $B sleep 0.2; done
$B mount -t ext4 /dev/vda /newroot || exec $B sh
for d in proc sys dev; do $B mount --move /$d /newroot/$d; done
exec $B switch_root /newroot /lib/systemd/systemd
"""


def kernel() -> Kernel:
    """Return Debian's kernel with its modules and gpio-sim; `program` is the bzImage beside its initrd."""
    need(
        {
            str(SOURCE): "linux-source-6.1",
            "qemu-system-x86_64": "qemu-system-x86",
            "/bin/busybox": "busybox-static",
            "cpio": "cpio",
            "gcc": "gcc",
            "make": "make",
            "depmod": "kmod",
            "dpkg-deb": "dpkg",
        }
    )
    depends = run(["apt-cache", "depends", "linux-image-amd64"], what="looking for Debian's kernel")
    found = re.search(r"Depends: linux-image-(\S+)", depends)
    version = found[1] if found else ""
    made = cached("stock", fingerprint(version, Path(__file__)), lambda into: _make(into, version))
    return Kernel(made / "vmlinuz", made / "modules", made.name)


def _make(into: Path, version: str) -> None:
    say(f"fetching Debian's kernel {version}, and building gpio-sim for it (once)")
    headers = f"linux-headers-{version}"
    need({f"/usr/src/{headers}/Makefile": headers})
    with scratch(into.parent) as folder:
        # apt drops its rights for a download, and has to write here.
        folder.chmod(0o777)
        run(["apt-get", "download", f"linux-image-{version}"], what="fetching the kernel", cwd=folder)
        (package,) = folder.glob("*.deb")
        run(["dpkg-deb", "-x", package, folder / "kernel"], what="unpacking the kernel")
        shutil.copy(folder / "kernel" / "boot" / f"vmlinuz-{version}", into / "vmlinuz")
        modules = into / "modules" / "lib" / "modules"
        modules.mkdir(parents=True)
        shutil.move(folder / "kernel" / "lib" / "modules" / version, modules / version)
        for name in _UNNEEDED:
            shutil.rmtree(modules / version / "kernel" / "drivers" / name, ignore_errors=True)
        _build_gpio_sim(folder / "gpio-sim", headers, modules / version / "extra")
        run(["depmod", "-b", into / "modules", version], what="listing the modules")
        _make_initrd(folder / "initrd", into, version)


def _build_gpio_sim(work: Path, headers: str, into: Path) -> None:
    work.mkdir()
    files = ("drivers/gpio/gpio-sim.c", "drivers/gpio/gpiolib.h", "kernel/irq/irq_sim.c")
    top = "linux-source-6.1"
    run(
        ["tar", "-xJf", SOURCE, "--strip-components=3", "-C", work, *(f"{top}/{name}" for name in files)],
        what="unpacking gpio-sim",
    )
    # Debian leaves IRQ_SIM out, too: it is linked in, with a way to irq_to_desc that modules may go.
    irq_sim = work / "irq_sim.c"
    text = irq_sim.read_text().replace("irq_to_desc(irqnum)", "irq_data_to_desc(irq_get_irq_data(irqnum))")
    irq_sim.write_text(
        text.replace("#include <linux/irq.h>", "#include <linux/irq.h>\n#include <linux/irqdesc.h>")
    )
    (work / "Makefile").write_text("obj-m := gpio-sim-rig.o\ngpio-sim-rig-y := gpio-sim.o irq_sim.o\n")
    run(["make", "-s", "-C", f"/usr/src/{headers}", f"M={work}", "modules"], what="building gpio-sim")
    into.mkdir()
    shutil.copy(work / "gpio-sim-rig.ko", into)


def _make_initrd(work: Path, into: Path, version: str) -> None:
    for name in ("bin", "proc", "sys", "dev", "newroot", "mods"):
        (work / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", work / "bin")
    order: list[str] = []
    for name in _EARLY:
        command = ["modprobe", "-d", into / "modules", "-S", version, "--show-depends", name]
        for line in run(command, what=f"looking for the module {name}").splitlines():
            path = Path(line.split()[1]) if line.startswith("insmod") else None
            if path is not None and path.name not in order:
                order.append(path.name)
                shutil.copy(path, work / "mods")
    (work / "mods" / "order").write_text("".join(f"{name}\n" for name in order))
    (work / "init").write_text(_INIT)
    (work / "init").chmod(0o755)
    run(["sh", "-c", f"find . | cpio -o -H newc --quiet >{into}/initrd"], what="making the initrd", cwd=work)


class StockGuest:
    """A guest of qemu, from its power-on to its power-off."""

    def __init__(
        self, kernel: Kernel, disk: Path, folder: Path, mode: str, console: int, *, queue: Path
    ) -> None:
        command = [
            "setpriv", "--pdeathsig", "KILL",
            "qemu-system-x86_64", "-accel", "tcg,thread=single,tb-size=512", "-cpu", "max", "-smp", "1",
            "-icount", "shift=0,align=off,sleep=off", "-rtc", "clock=vm", "-m", "1024",
            "-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio",
            "-kernel", str(kernel.program), "-initrd", str(kernel.program.with_name("initrd")),
            "-drive", f"file={disk},format=raw,if=none,id=r,snapshot=on", "-device", "virtio-blk-pci,drive=r",
            "-fsdev", f"local,id=h,path={folder},security_model=none",
            "-device", "virtio-9p-pci,fsdev=h,mount_tag=host",
            "-fsdev", f"local,id=q,path={queue},security_model=none",
            "-device", "virtio-9p-pci,fsdev=q,mount_tag=queue",
            "-append", f"{_WORDS} virtual_pi.mode={mode}",
        ]  # fmt: skip
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True
        )

    def end(self) -> None:
        """Pull the plug, if it is still on."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
