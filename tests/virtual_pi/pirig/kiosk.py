"""The kiosk as its owner sees it: a unit of systemd, a configuration file, a control socket, a journal."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from voicekiosk.errors import KioskError
from voicekiosk.service.client import ControlClient

UNIT = "voicekiosk.service"
CONFIG = Path("/etc/voicekiosk/config.toml")
KEY = Path("/etc/voicekiosk/api-key")
SOCKET = Path("/run/voicekiosk/control.sock")
DROP_INS = Path("/run/systemd/system") / f"{UNIT}.d"

LOOK_S, LOOK_AT_STATE_S = 0.25, 3.0
"""How often the status is asked for where nothing is told; of each change of the state it is told, and whoever waits
for that does not keep the kiosk from its work."""

Settings = dict[str, dict[str, Any] | list[dict[str, Any]]]
"""Tables, and lists of tables such as `tools`."""

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
            result[table] = keys if isinstance(keys, list) else {**result.get(table, {}), **keys}
    return result


def toml(settings: Settings) -> str:
    """Write settings as a configuration file."""
    # JSON's texts, numbers, lists and booleans are TOML's.
    blocks = [
        block
        for table, keys in settings.items()
        for block in (
            [(f"[[{table}]]", one) for one in keys] if isinstance(keys, list) else [(f"[{table}]", keys)]
        )
    ]
    return "\n".join(
        f"{head}\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
        for head, keys in blocks
    )


def systemctl(*words: str, check: bool = True, timeout_s: float = 60.0) -> str:
    """Run systemctl and return what it printed."""
    done = subprocess.run(
        ["systemctl", *words], capture_output=True, text=True, timeout=timeout_s, check=False
    )
    assert done.returncode == 0 or not check, f"systemctl {' '.join(words)}: {done.stderr}{done.stdout}"
    return done.stdout.strip()


class _Watch:
    """A connection to the control socket that is told of each change of the status."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(10)
        self._socket.connect(str(SOCKET))
        self._unread = b""
        self._told: list[dict[str, Any]] = []
        self._ask("subscribe", topics=["status"])
        self._told.append(self.ask())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def status(self, timeout_s: float) -> dict[str, Any] | None:
        """Return the next status that it was told; None when there is none for a while."""
        deadline_s = time.monotonic() + timeout_s
        while not self._told:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or not select.select([self._socket], [], [], left_s)[0]:
                return None
            self._read()
        return self._told.pop(0)

    def ask(self) -> dict[str, Any]:
        """Return the status now: not every fact in it is told of by itself."""
        result: dict[str, Any] = self._ask("status")
        return result

    def _ask(self, command: str, **args: object) -> Any:
        request = {"v": 1, "id": command, "command": command, "args": args}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        while (answer := self._read()) is None:
            pass
        return answer["result"]

    def _read(self) -> dict[str, Any] | None:
        """Read one message; a status that was told is put aside, an answer returned."""
        while b"\n" not in self._unread:
            data = self._socket.recv(1 << 16)
            if not data:
                raise EOFError
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        if message.get("topic") == "status" and "event" in message:
            self._told.append(message["event"])
        return message if "id" in message else None


class Kiosk:
    """The installed kiosk. One for the whole run; each test starts and stops it."""

    def __init__(self) -> None:
        self._since = f"@{time.time():.6f}"

    def forget_journal(self) -> None:
        """Begin a new piece of the journal."""
        self._since = f"@{time.time():.6f}"

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
        """Be as after the installation: no drop-ins, no failures counted, a key. It has to be stopped."""
        systemctl("reset-failed", UNIT, check=False)
        if DROP_INS.exists():
            for path in DROP_INS.iterdir():
                path.unlink()
            DROP_INS.rmdir()
            systemctl("daemon-reload")
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

    def wait(
        self,
        what: str,
        true: Callable[[dict[str, Any]], object],
        timeout_s: float = 15.0,
        look_s: float = LOOK_S,
    ) -> dict[str, Any]:
        """Wait until its status is as wanted, and return that. Goes on over restarts."""
        deadline_s = time.monotonic() + timeout_s
        seen: dict[str, Any] = {}
        while time.monotonic() < deadline_s:
            with contextlib.suppress(OSError, EOFError), _Watch() as watch:
                while time.monotonic() < deadline_s:
                    seen = watch.status(look_s) or watch.ask()
                    if true(seen):
                        return seen
            time.sleep(0.05)
        wanted = ("state", "reason", "lamp", "link", "microphone", "loudspeaker", "panel")
        brief = {name: seen.get(name) for name in wanted}
        raise AssertionError(f"waited {timeout_s:g} s for {what}; its status: {brief}")

    def wait_state(self, *names: str, timeout_s: float = 15.0) -> dict[str, Any]:
        """Wait until it is in one of these states."""
        what = f"state {' or '.join(names)}"
        return self.wait(what, lambda status: status["state"] in names, timeout_s, LOOK_AT_STATE_S)

    # --- journal

    def journal(self, *words: str) -> str:
        """Return what it, and systemd about it, wrote to the journal since `forget_journal`."""
        command = ["journalctl", "-u", UNIT, "--no-pager", "-o", "short-monotonic", "-q"]
        command.append(f"--since={self._since}")
        done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=20, check=False)
        return done.stdout
