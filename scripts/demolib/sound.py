"""What stands around the kiosk's sound card: a mouth at the microphone, an ear at either side.

All through PulseAudio's own tools, so that nothing of voicekiosk takes part in what judges it.
"""

import os
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 48000


class Ear:
    """Records a source of PulseAudio, and knows when each sample was heard (CLOCK_MONOTONIC).

    PulseAudio hands samples over in blocks, as soon as there are some; a sample's time is when it
    would have come alone. All ears on one machine and a daemon that captures the same source agree
    within one block (10 ms).
    """

    def __init__(self, source: str, environment: dict[str, str]) -> None:
        """Begin to record `source`; `environment` says where PulseAudio is."""
        self._process = subprocess.Popen(
            ["parec", "--raw", f"--device={source}", f"--rate={RATE_HZ}", "--channels=1", "--format=s16le",
             "--latency-msec=10"],
            stdout=subprocess.PIPE, env=environment, bufsize=0,
        )  # fmt: skip
        self._blocks: list[bytes] = []
        self._arrivals: list[tuple[float, int]] = []
        self._thread = threading.Thread(target=self._listen, daemon=True, name=f"ear-{source}")
        self._thread.start()

    def wait(self, timeout_s: float = 10.0) -> None:
        """Wait until it hears something, be it silence. Raises TimeoutError."""
        deadline_s = time.monotonic() + timeout_s
        while len(self._arrivals) < 3:
            if time.monotonic() > deadline_s or self._process.poll() is not None:
                raise TimeoutError("PulseAudio delivers no sound to record; the rig did not start")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop recording; what was heard stays."""
        self._process.terminate()
        self._process.wait(5)
        self._thread.join(5)

    @property
    def samples(self) -> NDArray[np.int16]:
        """Everything heard so far, at 48 kHz."""
        data = b"".join(self._blocks)
        return np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.int16)

    def latest(self, count: int) -> NDArray[np.int16]:
        """Return the newest samples, at most `count`."""
        data = b"".join(self._blocks[-max(1, count // 100) :])
        return np.frombuffer(data[len(data) % 2 :], "<i2").astype(np.int16)[-count:]

    def time_of(self, index: float) -> float:
        """Return when a sample was heard."""
        return index / RATE_HZ + self._offset_s()

    def index_at(self, t_s: float) -> int:
        """Return the sample that was heard at a time."""
        return round((t_s - self._offset_s()) * RATE_HZ)

    def jitter_s(self) -> float:
        """Return how late the latest one in twenty blocks came: what a time is worth."""
        times, counts = np.array(self._arrivals[1:]).T
        late = times - counts / RATE_HZ
        return float(np.percentile(late - late.min(), 95))

    def _offset_s(self) -> float:
        # The block that waited least tells the true time; the others were late. The first is not full.
        times, counts = np.array(self._arrivals[1:]).T
        return float((times - counts / RATE_HZ).min())

    def _listen(self) -> None:
        assert self._process.stdout is not None
        total = 0
        while data := os.read(self._process.stdout.fileno(), 1 << 16):
            self._blocks.append(data)
            total += len(data)
            self._arrivals.append((time.monotonic(), total // 2))


class Mouth:
    """Speaks a WAV file into the microphone."""

    def __init__(self, sink: str, environment: dict[str, str]) -> None:
        self._sink = sink
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def speak(self, path: Path) -> None:
        """Begin to speak a file; returns at once."""
        self._process = subprocess.Popen(
            # Half a second of buffer: a busy machine must not make the visitor stammer.
            ["paplay", f"--device={self._sink}", "--latency-msec=500", "--volume=65536", str(path)],
            env=self._environment,
        )

    def wait(self, timeout_s: float = 60.0) -> None:
        """Wait until everything has been said. Raises subprocess.TimeoutExpired."""
        if self._process is not None:
            self._process.wait(timeout_s)

    def stop(self) -> None:
        """Fall silent."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(5)
