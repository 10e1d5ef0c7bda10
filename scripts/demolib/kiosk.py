"""The kiosk under test as a process of its own, and the hand at its button."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from voicekiosk.errors import KioskError
from voicekiosk.service.client import ControlClient
from voicekiosk.service.protocol import Topic

BUTTON_PIN = 17
START_TIMEOUT_S = 30.0

Watcher = Callable[[float, dict[str, Any]], None]
"""Told of each message of the control socket and each change of a pin, with its time (monotonic)."""


class Kiosk:
    """A daemon with mock pins; `watch` is called from threads, for everything it tells of itself."""

    def __init__(self, config: Path, folder: Path, environment: dict[str, str], watch: Watcher) -> None:
        """Start it; a press is answered when this returns. Raises RuntimeError with its log otherwise."""
        self._watch = watch
        self._name = config.stem
        self._socket = folder / "control.sock"
        self._log_path = folder / f"{config.stem}.log"
        self._log = self._log_path.open("wb")
        self._changed = threading.Condition()
        self._status: dict[str, Any] = {}
        self._down_s = self._up_s = 0.0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "demolib.mockpins", "run", "--config", str(config)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, bufsize=1,
            env={**os.environ, **environment, "VOICEKIOSK_SOCKET": str(self._socket)},
            cwd=folder,
        )  # fmt: skip
        threading.Thread(target=self._read_pins, daemon=True, name="pins").start()
        self._listener, self._asker = self._connect(), self._connect()
        self._asking = threading.Lock()
        threading.Thread(target=self._read_events, daemon=True, name="events").start()
        self.wait_for("it to be ready for a press", lambda status: status.get("state") == "idle")

    @property
    def pid(self) -> int:
        """The daemon's process."""
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has written to its journal."""
        return self._log_path.read_text(errors="replace")

    def press(self) -> float:
        """Press the button and return when the pin changed."""
        return self._move("down")

    def release(self) -> float:
        """Release the button and return when the pin changed."""
        return self._move("up")

    def wait_for(self, what: str, true: Callable[[dict[str, Any]], bool], timeout_s: float = 20.0) -> float:
        """Wait until its status is as wanted, and return when. Raises TimeoutError that names `what`."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            with self._changed:
                if self._changed.wait_for(lambda: bool(self._status) and true(self._status), 0.5):
                    return time.monotonic()
            self._ask_status()
        raise TimeoutError(
            f"waited {timeout_s:g} s for {what}; the kiosk is {self._status.get('state', 'silent')}."
            f" Its journal ends with:\n{self.log[-1500:]}"
        )

    def counted(self) -> str:
        """Say what it has counted of its devices' troubles. Nothing is judged by it."""
        microphone, speaker = self._status.get("microphone", {}), self._status.get("loudspeaker", {})
        return (
            f"{self._name}: {microphone.get('overruns', '?')} capture overruns,"
            f" {speaker.get('underruns', '?')} playback underruns,"
            f" {speaker.get('starved', '?')} times too little from the network"
        )

    def stop(self, timeout_s: float = 10.0) -> int:
        """Ask it to stop, as systemd would, and return its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(5)
        self._log.close()
        return self._process.returncode

    def _move(self, direction: str) -> float:
        assert self._process.stdin is not None
        with self._changed:
            before = self._down_s, self._up_s
            self._process.stdin.write(f"{BUTTON_PIN} {direction}\n")
            self._process.stdin.flush()
            if not self._changed.wait_for(lambda: (self._down_s, self._up_s) != before, 5.0):
                raise RuntimeError(f"the button did not go {direction}; its journal:\n{self.log[-1500:]}")
            return self._down_s if direction == "down" else self._up_s

    def _connect(self) -> ControlClient:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while True:
            if self._process.poll() is not None:
                raise RuntimeError(
                    f"the kiosk ended with exit code {self._process.returncode}:\n{self.log[-2000:]}"
                )
            try:
                return ControlClient(self._socket, timeout_s=10)
            except KioskError:
                if time.monotonic() > deadline_s:
                    raise RuntimeError(f"the kiosk did not start:\n{self.log[-2000:]}") from None
                time.sleep(0.05)

    def _read_pins(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                told = json.loads(line)
            except ValueError:
                continue
            if told["pin"] == f"GPIO{BUTTON_PIN}":
                with self._changed:
                    if told["level"]:
                        self._up_s = told["t_s"]
                    else:
                        self._down_s = told["t_s"]
                    self._changed.notify_all()
            self._watch(told["t_s"], told)

    def _read_events(self) -> None:
        try:
            self._ask_status()
            self._listener.subscribe(Topic.STATUS, Topic.EVENTS, Topic.TRANSCRIPT)
            for message in self._listener.events():
                t_s = message.get("time", time.time()) - (time.time() - time.monotonic())
                self._watch(t_s, message)
                # Not every change of a part is a change of state, so each event is worth a look.
                self._ask_status()
        except (KioskError, OSError):
            return

    def _ask_status(self) -> None:
        with self._asking, contextlib.suppress(KioskError):
            status = self._asker.request("status")
            self._watch(time.monotonic(), {"status": status})
            self._take_status(status)

    def _take_status(self, status: dict[str, Any]) -> None:
        with self._changed:
            self._status = status
            self._changed.notify_all()
