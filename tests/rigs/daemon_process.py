"""The daemon as a process of its own, with systemd's end of the notify socket in the test."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from voicekiosk.errors import KioskError
from voicekiosk.service.client import ControlClient

ROOT = Path(__file__).parents[2]
PATIENCE_S = 30.0
RUN = ("-m", "voicekiosk", "run", "--config")


class DaemonProcess:
    """`with DaemonProcess(folder, config) as kiosk`: it is READY when this is entered."""

    def __init__(
        self,
        folder: Path,
        config: Path,
        *,
        program: Sequence[str] = RUN,
        wrapper: Sequence[str] = (),
        **environment: str,
    ) -> None:
        self.folder, self.config = folder, config
        self._program = program
        self._wrapper = wrapper
        self._environment = {"ASSEMBLYAI_API_KEY": "sim-key-0123456789", **environment}
        self.log_path = folder / "journal"
        self.told: list[str] = []
        """What systemd was told so far."""

    def __enter__(self) -> Self:
        self._systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = self.folder / "notify"
        address.unlink(missing_ok=True)
        self._systemd.bind(str(address))
        address.chmod(0o777)
        environ = {
            name: value
            for name, value in os.environ.items()
            if name not in ("WATCHDOG_PID", "WATCHDOG_USEC", "JOURNAL_STREAM", "STATE_DIRECTORY")
        }
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._wrapper, sys.executable, *self._program, str(self.config)],
                env={
                    **environ,
                    "PYTHONPATH": os.pathsep.join([str(ROOT / "daemon"), str(ROOT)]),
                    "PYTHONDONTWRITEBYTECODE": "1",
                    "NOTIFY_SOCKET": str(address),
                    "VOICEKIOSK_SOCKET": str(self.folder / "control.sock"),
                    **self._environment,
                },
                stdin=subprocess.PIPE,
                stderr=log,
                stdout=log,
                text=True,
                cwd=self.folder,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.wait_told("READY=1")
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        self._systemd.shutdown(socket.SHUT_RDWR)
        self._reader.join()
        self._systemd.close()

    @property
    def journal(self) -> str:
        return self.log_path.read_text(errors="replace")

    def status(self) -> Any:
        return self.ask("status")

    def ask(self, command: str, **args: object) -> Any:
        with ControlClient(self.folder / "control.sock", timeout_s=PATIENCE_S) as client:
            return client.request(command, **args)

    def tell(self, line: str) -> None:
        """Write to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def stop(self) -> tuple[int, float]:
        """Stop it as systemd does; return its exit code and how long it took."""
        began_s = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE_S)
        return code, time.monotonic() - began_s

    def _read(self) -> None:
        # All the time, as systemd does: its queue takes only a few.
        while datagram := self._systemd.recv(4096):
            self.told.append(datagram.decode())

    def wait_told(self, text: str) -> None:
        """Wait until systemd has been told something."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not any(text in line for line in self.told):
            ended = self.process.poll() is not None
            assert not ended, f"it ended with {self.process.returncode}:\n{self.journal[-3000:]}"
            assert time.monotonic() < deadline_s, f"systemd was never told {text}\n{self.journal[-3000:]}"
            time.sleep(0.01)

    def fed(self, seconds: float) -> int:
        """Return how often the watchdog is fed from now on for so long."""
        before = self.told.count("WATCHDOG=1")
        time.sleep(seconds)
        return self.told.count("WATCHDOG=1") - before

    def until(self, condition: Callable[[], Any], what: str) -> None:
        """Wait until the condition holds."""
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                if condition():
                    return
            except KioskError:
                assert self.process.poll() is None, f"it ended:\n{self.journal[-3000:]}"
            assert time.monotonic() < deadline_s, f"never happened: {what}\n{self.journal[-3000:]}"
            time.sleep(0.05)

    def in_force(self, name: str) -> None:
        """Wait until the configuration with this kiosk.name is in force."""
        self.until(lambda: self.status()["name"] == name, f"{name} is in force")

    def not_taken(self) -> None:
        """Wait until status says that the file is not in force."""
        self.until(lambda: self.status()["config"]["problems"], "a problem in status")
