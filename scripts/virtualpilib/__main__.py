"""The command line of `scripts/virtual-pi`."""

import argparse
import platform
import shutil
import signal
import sys
from pathlib import Path

from virtualpilib import arm64, guest, host, tier
from virtualpilib.kernel import kernel
from virtualpilib.rootfs import image

PLAYED_WITH = """\
[agent]
url = "ws://10.9.0.2:8770/v1/ws"

[audio.capture]
device = "Mic"

[audio.playback]
device = "Speaker"
"""
"""The configuration of `run` without one: the simulator is at this address in there."""


def main() -> int:
    """Do what was asked for and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/virtual-pi",
        description="The kiosk on a real kernel, without a Pi. See docs/virtual-pi.md.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="make the kernel and the disk, if they are not in the cache")
    commands.add_parser("boot", help="boot, and give a shell inside")
    test = commands.add_parser("test", help="run the tests of tests/virtual_pi inside")
    test.add_argument("-k", metavar="PATTERN", help="only tests whose name has this, as in pytest")
    test.add_argument("--json", metavar="FILE", type=Path, help="write results and figures as data, too")
    test.add_argument("--long", action="store_true", help="and the tests that take very long")
    test.add_argument("--stock", action="store_true", help="on Debian's own kernel, under qemu; slow")
    test.add_argument("--keep", metavar="DIR", type=Path, help="keep logs of the guest in DIR")
    test.add_argument(
        "--guests", metavar="N", type=_positive, help="so many at once; each takes a part of the tests"
    )
    test.add_argument(
        "--kernel-at-hand", action="store_true", help="exit 77 where a kernel would have to be built first"
    )
    play = commands.add_parser("run", help="boot a kiosk to play with")
    play.add_argument("config", nargs="?", type=Path, help="its configuration file")
    pi = commands.add_parser(
        "arm64", help="install and run the unit tests as on a Pi, under qemu's user emulation"
    )
    pi.add_argument("tests", nargs="*", help="what pytest is given instead of tests/unit")
    args = parser.parse_args()
    # What was started is ended on the way out, however that comes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        _check(args)
        match args.command:
            case "build":
                print(image(kernel()))
                return 0
            case "boot":
                return _interactive("shell", None)
            case "run":
                return _interactive("kiosk", args.config)
            case "arm64":
                return arm64.arm64(args.tests)
            case _:
                wanted = tier.Wanted(
                    arguments=("-k", args.k) if args.k else (),
                    json_file=args.json,
                    keep=args.keep,
                    guests=args.guests,
                    long=args.long,
                    stock=args.stock,
                    kernel_at_hand=args.kernel_at_hand,
                )
                return tier.test(wanted)
    except (host.VirtualPiError, OSError) as error:
        return host.fail(error)
    except KeyboardInterrupt:
        return 130


def _positive(text: str) -> int:
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 on")
    return int(text)


def _check(args: argparse.Namespace) -> None:
    """Refuse at once what would fail after minutes of building."""
    if args.command != "arm64" and platform.machine() != "x86_64":
        raise host.UnsuitableError(
            f"the guest's kernel runs on x86_64 only, and this machine is {platform.machine()}"
        )
    host.need_root()
    if args.command == "test":
        if args.json is not None:
            args.json.open("a").close()
        if args.keep is not None:
            args.keep.mkdir(parents=True, exist_ok=True)
        if not args.stock:
            guest.need_memory()


def _text(config: Path) -> str:
    try:
        return config.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise host.VirtualPiError(
            f"{config} is no text in UTF-8: {error.reason} at byte {error.start}"
        ) from error


def _interactive(mode: str, config: Path | None) -> int:
    text = _text(config) if config else PLAYED_WITH
    machine = kernel()
    disk = image(machine)
    with guest.share() as folder:
        (folder / "config.toml").write_text(text)
        host.say("booting; 'exit' powers it off")
        running = guest.Guest(machine, disk, folder, mode)
        try:
            running.wait()
        finally:
            running.end()
            guest.restore_terminal()
            for heard in sorted(folder.glob("heard/*.wav")):
                shutil.copy(heard, Path.cwd())
                host.say(f"the loudspeaker is in {heard.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
