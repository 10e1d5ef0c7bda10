"""The wire between the kiosk and the service, and what can happen to it."""

import subprocess
import time

from pirig.wait import TooBusyError

KIOSK, SERVICE = "kiosk0", "service0"
SERVICE_TC = ("ip", "netns", "exec", "service", "tc", "qdisc")


def _run(*words: str, check: bool = True) -> None:
    subprocess.run(words, check=check, capture_output=True, text=True, timeout=20)


class Network:
    """A cable of two ends; netem at either end works on what leaves it."""

    def __init__(self) -> None:
        self._touched = False

    def netem(self, *words: str) -> None:
        """Do to both directions what netem is told: "delay", "100ms", "loss", "5%"."""
        self.up(*words)
        self.down(*words)

    def up(self, *words: str) -> None:
        """Do it to what the kiosk sends."""
        self._touched = True
        _run("tc", "qdisc", "replace", "dev", KIOSK, "root", "netem", *words)

    def down(self, *words: str) -> None:
        """Do it to what the service sends."""
        self._touched = True
        _run(*SERVICE_TC, "replace", "dev", SERVICE, "root", "netem", *words)

    def cut(self) -> None:
        """Pull the cable out of the kiosk: it sees that."""
        self._touched = True
        _run("ip", "link", "set", KIOSK, "down")

    def mend(self) -> None:
        """Put it in again; the route has to come back, as from DHCP."""
        _run("ip", "link", "set", KIOSK, "up")
        _run("ip", "route", "replace", "default", "via", "10.9.0.2")

    def blackhole(self) -> None:
        """Lose everything in both directions, without a sign of it: half open."""
        self.netem("loss", "100%")

    def stall(self, stall_s: float, *, most_s: float) -> None:
        """Lose everything in both directions for a moment. Raises TooBusyError if it became longer than `most_s`."""
        self._touched = True
        # Both tools wait for their orders already: on a slow machine starting one takes as long as a short stall.
        up = subprocess.Popen(["tc", "-batch", "-"], stdin=subprocess.PIPE, text=True)
        down = subprocess.Popen(["tc", "-n", "service", "-batch", "-"], stdin=subprocess.PIPE, text=True)
        ends = ((up, KIOSK), (down, SERVICE))
        try:
            time.sleep(0.5)
            began_s = time.monotonic()
            self._order(ends, "loss 100%")
            time.sleep(max(0.0, began_s + stall_s - time.monotonic()))
            self._order(ends, "delay 0ms")
            for tool, _ in ends:
                tool.communicate(timeout=20)
            lasted_s = time.monotonic() - began_s
        finally:
            for tool, _ in ends:
                tool.kill()
                tool.wait()
        assert (up.returncode, down.returncode) == (0, 0), "tc did not do as told"
        if lasted_s > most_s:
            raise TooBusyError(
                f"a stall of {stall_s:g} s took {lasted_s:.2f} s: the machine is too busy to judge"
            )

    @staticmethod
    def _order(ends: tuple[tuple[subprocess.Popen[str], str], ...], words: str) -> None:
        for tool, device in ends:
            assert tool.stdin is not None
            tool.stdin.write(f"qdisc replace dev {device} root netem {words}\n")
            tool.stdin.flush()

    def address(self, old: str, new: str) -> None:
        """Give the kiosk another address, as a new lease does."""
        self._touched = True
        _run("ip", "addr", "add", f"{new}/24", "dev", KIOSK)
        _run("ip", "addr", "del", f"{old}/24", "dev", KIOSK)
        _run("ip", "route", "replace", "default", "via", "10.9.0.2")

    def reset(self) -> None:
        """Be a plain cable again."""
        if not self._touched:
            return
        self._touched = False
        _run("tc", "qdisc", "del", "dev", KIOSK, "root", check=False)
        _run(*SERVICE_TC, "del", "dev", SERVICE, "root", check=False)
        _run("ip", "link", "set", KIOSK, "up")
        _run("ip", "addr", "flush", "dev", KIOSK)
        _run("ip", "addr", "add", "10.9.0.1/24", "dev", KIOSK)
        _run("ip", "route", "replace", "default", "via", "10.9.0.2")
