"""The hand at the service: starts `pirig.service` in its network and steers it."""

import base64
import contextlib
import json
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pirig.wait import RigError

SOCKET = "/run/virtual-pi-service.sock"
RECORD = Path("/run/virtual-pi-record")
LOG = Path("/run/virtual-pi-service.log")
PYTHON = "/opt/voicekiosk/current/bin/python"

QUICK = {
    "turn.end_ms": 500.0,
    "turn.onset_ms": 200.0,
    "reply.first_audio_ms": 60.0,
    "reply.lead_in_ms": 0.0,
    "ready.updated_ms": 60.0,
    "ready.ready_ms": 5.0,
}
"""A service with little to wait for; the rules are the same."""


class ServiceHand:
    """Steers the one service of a test run."""

    def __init__(self) -> None:
        """Start it, and wait until it can be steered."""
        self._log = LOG.open("ab")
        project = Path(__file__).resolve().parents[3]
        path = f"{project}/tests/virtual_pi"
        self._process = subprocess.Popen(
            ["ip", "netns", "exec", "service", PYTHON, "-m", "pirig.service", SOCKET],
            env={**os.environ, "PYTHONPATH": path}, stderr=self._log, stdout=self._log,
        )  # fmt: skip
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(15)
        deadline_s = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError):
                self._socket.connect(SOCKET)
                break
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                raise RigError(f"the service did not start: {LOG.read_text()[-2000:]}")
            time.sleep(0.1)
        self._lines = self._socket.makefile("rb")
        self._count = 0

    def close(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait(10)

    def begin(self, changes: dict[str, Any] | None = None) -> Path:
        """Be a fresh service, quick but for `changes` to its scenario; return where it keeps its record."""
        self._count += 1
        record = RECORD / str(self._count)
        self._do("begin", scenario={**QUICK, **(changes or {})}, record=str(record))
        return record

    def end(self) -> None:
        """Stop serving; this completes the record."""
        self._do("end")

    def scenario(self, changes: dict[str, Any]) -> None:
        """Behave otherwise from the next connection on."""
        self._do("scenario", scenario={**QUICK, **changes})

    def stats(self) -> dict[str, Any]:
        """Return what `GET /stats` of the simulator says."""
        facts: dict[str, Any] = self._do("stats")
        return facts

    @property
    def connections(self) -> list[dict[str, Any]]:
        """The facts of each connection, in order."""
        found: list[dict[str, Any]] = self.stats()["connections"]
        return sorted(found, key=lambda one: one["connection"])

    def events(self, kind: str) -> int:
        """Return how many messages of a type have come, over all connections."""
        return sum(one["events"].get(kind, 0) for one in self.connections)

    def received(self) -> list[NDArray[np.int16]]:
        """Return the audio that each connection brought, at 24 kHz."""
        return [np.frombuffer(base64.b64decode(text), "<i2") for text in self._do("received")]

    def drop(self, code: int = 1006) -> int:
        """Cut every connection."""
        return int(self._do("drop", code=code))

    def fault(self, kind: str, **more: Any) -> int:
        """Let something go wrong now; see the simulator's list of faults."""
        return int(self._do("fault", fault=kind, **more))

    def call(self, tool: str) -> None:
        """Let the agent call a tool, without arguments."""
        self._do("call", tool=tool)

    def say(self, text: str) -> None:
        """Let the agent say something."""
        self._do("say", text=text)

    def door(self, *, is_open: bool) -> None:
        """Accept connections, or refuse them."""
        self._do("door", open=is_open)

    def names(self, mode: str = "answer", address: str = "10.9.0.2") -> int:
        """Let the name server "answer", "fail" or be "silent"; return how often it was asked."""
        return int(self._do("names", mode=mode, address=address))

    def _do(self, what: str, **request: Any) -> Any:
        self._socket.sendall(json.dumps({"do": what, **request}).encode() + b"\n")
        answer = json.loads(self._lines.readline() or b'{"error": "it has ended"}')
        if "error" in answer:
            raise RigError(f"the service cannot {what}: {answer['error']}; {LOG.read_text()[-1000:]}")
        return answer["ok"]
