"""The wire between the kiosk and the service, and what can happen to it."""

import subprocess

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
