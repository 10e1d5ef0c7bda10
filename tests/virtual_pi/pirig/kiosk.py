"""The kiosk as its owner sees it: a unit of systemd, a configuration file, a control socket, a journal."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pirig.wait import until
from voicekiosk.errors import KioskError
from voicekiosk.service.client import ControlClient

UNIT = "voicekiosk.service"
CONFIG = Path("/etc/voicekiosk/config.toml")
KEY = Path("/etc/voicekiosk/api-key")
SOCKET = Path("/run/voicekiosk/control.sock")
DROP_INS = Path("/run/systemd/system") / f"{UNIT}.d"

Settings = dict[str, dict[str, Any]]

BASE: Settings = {
    "agent": {"url": "ws://10.9.0.2:8770/v1/ws"},
    "audio.capture": {"device": "Mic"},
    "audio.playback": {"device": "Speaker", "volume": 100},
}


def merged(*tables: Settings) -> Settings:
    """Return settings in which later ones win, key by key."""
    result: Settings = {}
    for settings in tables:
        for table, keys in settings.items():
            result[table] = {**result.get(table, {}), **keys}
    return result


def toml(settings: Settings) -> str:
    """Write settings as a configuration file."""
    # JSON's texts, numbers, lists and booleans are TOML's.
    return "\n".join(
        f"[{table}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
        for table, keys in settings.items()
    )


def systemctl(*words: str, check: bool = True, timeout_s: float = 60.0) -> str:
    """Run systemctl and return what it printed."""
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, timeout=timeout_s)
    assert done.returncode == 0 or not check, f"systemctl {' '.join(words)}: {done.stderr}{done.stdout}"
    return done.stdout.strip()


class Kiosk:
    """The installed kiosk. One for the whole run; each test starts and stops it."""

    def __init__(self) -> None:
        self._cursor = ""

    def configure(self, settings: Settings) -> None:
        """Write its configuration file, in place."""
        CONFIG.write_text(toml(merged(BASE, settings)))

    def start(self, settings: Settings | None = None) -> float:
        """Start it with settings that differ from the rig's; it is READY when this returns (how long after)."""
        self.configure(settings or {})
        began_s = time.monotonic()
        systemctl("start", UNIT)
        return time.monotonic() - began_s

    def stop(self) -> float:
        """Stop it as systemd does, and return how long that took."""
        began_s = time.monotonic()
        systemctl("stop", UNIT)
        return time.monotonic() - began_s

    def reset(self) -> None:
        """Be as after the installation: stopped, no drop-ins, no failures counted, a key."""
        systemctl("kill", "--signal=KILL", UNIT, check=False)
        systemctl("stop", UNIT, check=False)
        if DROP_INS.exists():
            for path in DROP_INS.iterdir():
                path.unlink()
            DROP_INS.rmdir()
            systemctl("daemon-reload")
        systemctl("reset-failed", UNIT, check=False)
        KEY.write_text("sim-key\n")
        KEY.chmod(0o600)

    def drop_in(self, text: str) -> None:
        """Change the unit for this test."""
        DROP_INS.mkdir(parents=True, exist_ok=True)
        (DROP_INS / "test.conf").write_text(text)
        systemctl("daemon-reload")

    # --- what it says of itself

    def show(self, name: str) -> str:
        """Return a property of the unit."""
        return systemctl("show", UNIT, f"--property={name}", "--value")

    @property
    def pid(self) -> int:
        """Its process; 0 while there is none."""
        return int(self.show("MainPID"))

    def kill(self, number: signal.Signals) -> None:
        """Send its process a signal."""
        os.kill(self.pid, number)

    def request(self, command: str, **args: object) -> Any:
        """Ask over the control socket."""
        with ControlClient(SOCKET, timeout_s=10) as client:
            return client.request(command, **args)

    def status(self) -> dict[str, Any]:
        """Return its status."""
        result: dict[str, Any] = self.request("status")
        return result

    @property
    def state(self) -> str:
        """The one name of what it is doing; "" while nobody answers."""
        try:
            return str(self.status()["state"])
        except KioskError:
            return ""

    def wait(self, what: str, true: Callable[[dict[str, Any]], object], timeout_s: float = 15.0) -> dict[str, Any]:
        """Wait until its status is as wanted, and return it."""
        seen: dict[str, Any] = {}

        def fits() -> bool:
            nonlocal seen
            try:
                seen = self.status()
            except KioskError:
                return False
            return bool(true(seen))

        try:
            until(what, fits, timeout_s, pause_s=0.04)
        except AssertionError as error:
            brief = {name: seen.get(name) for name in ("state", "reason", "lamp", "link", "microphone", "loudspeaker")}
            raise AssertionError(f"{error}; its status: {brief}") from None
        return seen

    def wait_state(self, *names: str, timeout_s: float = 15.0) -> dict[str, Any]:
        """Wait until it is in one of these states."""
        return self.wait(f"state {' or '.join(names)}", lambda status: status["state"] in names, timeout_s)

    # --- journal

    def mark(self) -> None:
        """Begin a new piece of the journal."""
        command = ["journalctl", "-n", "0", "--show-cursor", "-q"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        self._cursor = done.stdout.strip().removeprefix("-- cursor: ")

    def journal(self, *words: str) -> str:
        """Return what it wrote to the journal since `mark`."""
        command = ["journalctl", "-u", UNIT, "--no-pager", "-o", "short-monotonic", "-q"]
        if self._cursor:
            command.append(f"--after-cursor={self._cursor}")
        return subprocess.run([*command, *words], capture_output=True, text=True, timeout=20).stdout
