"""The command line of `scripts/virtual-pi`."""

import argparse
import sys
from pathlib import Path

from virtualpilib import guest, host, tier
from virtualpilib.kernel import kernel
from virtualpilib.rootfs import image


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
    test.add_argument("--keep", metavar="DIR", type=Path, help="keep logs of the guest in DIR")
    play = commands.add_parser("run", help="boot a kiosk to play with")
    play.add_argument("config", nargs="?", type=Path, help="its configuration; the shipped one otherwise")
    args = parser.parse_args()
    try:
        match args.command:
            case "build":
                print(image(kernel()))
                return 0
            case "boot":
                return _interactive("shell", None)
            case "run":
                return _interactive("kiosk", args.config)
            case _:
                chosen = ["-k", args.k] if args.k else []
                return tier.test(chosen, json_file=args.json, long=args.long, keep=args.keep)
    except (host.VirtualPiError, OSError) as error:
        return host.fail(error)
    except KeyboardInterrupt:
        return 130


def _interactive(mode: str, config: Path | None) -> int:
    machine = kernel()
    disk = image(machine)
    with guest.share() as folder:
        source = config or host.PROJECT / "config" / "config.toml"
        (folder / "config.toml").write_bytes(source.read_bytes())
        host.say("booting; 'exit' powers it off")
        running = guest.start(machine, disk, folder, mode)
        try:
            running.wait()
        finally:
            running.end()
            guest.restore_terminal()
    return 0


if __name__ == "__main__":
    sys.exit(main())
