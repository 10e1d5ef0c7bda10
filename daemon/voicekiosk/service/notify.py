"""What systemd is told: ready, status, reloading, stopping, alive (sd_notify(3))."""

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping

logger = logging.getLogger(__name__)

SEND_TIMEOUT_S = 0.1
"""How long the event loop may be held up by a systemd that does not read: it queues only a few datagrams."""


class Notifier:
    """Tell the service manager how the daemon is; silent where there is none.

    Any thread. Never raises: a daemon that cannot be heard by systemd can still talk to its visitor.
    """

    def __init__(
        self,
        send: Callable[[str], object] | None,
        watchdog_interval_s: float | None = None,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Make a notifier that hands each datagram's text to `send`; None for silence."""
        self._send = send
        self._monotonic_ns = monotonic_ns
        # What systemd is to show, and what it was last told; they differ after a datagram was lost.
        self._status = self._told = ""
        self.watchdog_interval_s = watchdog_interval_s
        """How often to feed the watchdog: half of what it waits. None without a watchdog."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Notifier":
        """Make a notifier as `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` say."""
        address = environ.get("NOTIFY_SOCKET", "")
        if not address:
            return cls(None)
        return cls(datagram_sender(address), watchdog_interval_s(environ, os.getpid()))

    def ready(self, status: str = "") -> None:
        """Say that a press will be answered: after start, and after each `reloading`."""
        self._tell("READY=1", status)

    def status(self, status: str) -> None:
        """Set the line that `systemctl status` shows; one that stands there already is not sent again.

        One that got lost goes along with whatever is sent next, at the latest with the watchdog's feed.
        """
        self._tell("", status)

    def reloading(self) -> None:
        """Say that the configuration is being read again; `ready` ends it.

        The time stamp is what Type=notify-reload (systemd 253) needs and older ones ignore.
        """
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={self._monotonic_ns() // 1000}")

    def stopping(self, status: str = "") -> None:
        """Say that the daemon is on its way out."""
        self._tell("STOPPING=1", status)

    def watchdog(self) -> None:
        """Feed the watchdog."""
        self._tell("WATCHDOG=1")

    def _tell(self, state: str, status: str = "") -> None:
        if self._send is None:
            return
        lines = [state] if state else []
        self._status = " ".join(status.split()) or self._status
        if self._status != self._told:
            lines.append(f"STATUS={self._status}")
        if not lines:
            return
        try:
            self._send("\n".join(lines))
            self._told = self._status
        except OSError as error:
            logger.debug("systemd could not be notified: %s", error)


def watchdog_interval_s(environ: Mapping[str, str], pid: int) -> float | None:
    """Return half of what the watchdog waits, or None if there is none for this process."""
    try:
        limit_us = int(environ.get("WATCHDOG_USEC", "0"))
        owner = int(environ.get("WATCHDOG_PID") or pid)
    except ValueError:
        return None
    return limit_us / 2e6 if limit_us > 0 and owner == pid else None


def datagram_sender(address: str) -> Callable[[str], object] | None:
    """Return what sends a text to systemd, waiting for at most `SEND_TIMEOUT_S`.

    python3-systemd's `notify` waits for as long as systemd does not read, and the event loop with it.
    `address` is an absolute path, or a name in the abstract namespace that starts with "@".
    """
    match address[:1]:
        case "@":
            target = "\0" + address[1:]
        case "/":
            target = address
        case _:
            logger.warning("NOTIFY_SOCKET=%s: expected a path or @name; systemd is told nothing", address)
            return None

    def send(text: str) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as endpoint:
            endpoint.settimeout(SEND_TIMEOUT_S)
            endpoint.sendto(text.encode(), target)

    return send
