"""Where conversations are measured: stand-in sound cards, a microphone that hears something, simulators."""

import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, Self

import numpy as np
from tests.rigs.pulse import PulseRig

KEY = "sim-key"
MICROPHONE, LOUDSPEAKER = "rig_mic", "rig_spk"
START_S = 30.0


class Service:
    """A running `voicekiosk simulate`; its own processor time counts nowhere."""

    def __init__(
        self, *changes: str, tls: bool = False, speed: float = 1.0, record: Path | None = None
    ) -> None:
        """Start it with single keys of its scenario changed, such as "turn.end_ms=600"."""
        sets = [part for change in changes for part in ("--set", change)]
        command = [sys.executable, "-m", "voicekiosk", "simulate", "--port", "0", "--key", KEY, *sets]
        command += ["--speed", str(speed), *(["--record", str(record)] if record else [])]
        # A session of its own: Ctrl-C is for the bench, which then ends this as well.
        self._process = subprocess.Popen(
            [*command, *(["--tls"] if tls else [])],
            stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        self.url = self._line("listening on ")
        self.authority = self._line("trust ") if tls else ""

    def _line(self, begin: str) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line.startswith(begin):
            self.stop()
            raise RuntimeError(f"the simulator did not start; it says: {line}")
        return line.removeprefix(begin)

    def stats(self) -> dict[str, Any]:
        """Return what `GET /stats` says."""
        address = self.url.replace("ws", "http", 1).replace("/v1/ws", "/stats")
        context = ssl.create_default_context(cafile=self.authority) if self.authority else None
        with urllib.request.urlopen(address, timeout=10, context=context) as answer:
            result: dict[str, Any] = json.load(answer)
        return result

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        """Stop it."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)


class Stage:
    """Sound cards and a folder; a microphone that hears noise for as long as it is entered."""

    def __init__(self, *, cards: bool = True, noise: bool = True) -> None:
        """Prepare; without `cards` there is only the folder."""
        self.folder = Path(tempfile.mkdtemp(prefix="voicekiosk-bench-"))
        self._cards = cards
        self.rig = PulseRig()
        self._noise = noise
        self._feeder: subprocess.Popen[bytes] | None = None
        self._services: list[Service] = []

    def __enter__(self) -> Self:
        try:
            if self._cards:
                self.rig.start()
            if self._cards and self._noise:
                self._feed()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for service in self._services:
            service.stop()
        if self._feeder is not None:
            self._feeder.kill()
            self._feeder.wait(10)
        self.rig.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def environment(self) -> dict[str, str]:
        """For the process that is measured."""
        return {**os.environ, **self.rig.environment, "ASSEMBLYAI_API_KEY": KEY, "OPENBLAS_NUM_THREADS": "1"}

    def service(
        self, *changes: str, tls: bool = False, speed: float = 1.0, record: Path | None = None
    ) -> Service:
        """Start a simulator that ends with the stage."""
        service = Service(*changes, tls=tls, speed=speed, record=record)
        self._services.append(service)
        return service

    def _feed(self) -> None:
        """Let the microphone hear ten minutes of noise, loud enough to pass for speech."""
        noise = np.random.default_rng(0).integers(-6000, 6000, 10 * 48000).astype("<i2").tobytes()
        path = self.folder / "noise.raw"
        path.write_bytes(noise * 60)
        self._feeder = subprocess.Popen(
            ["pacat", "--playback", "--device=sink", "--rate=48000", "--channels=1", "--format=s16le",
             "--raw", "--latency-msec=1000", str(path)],
            env=self.rig.microphone.environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(0.5)
