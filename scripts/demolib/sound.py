"""The visitor's voice, and ears at the microphone and the loudspeaker, on the rig of the tests.

All of it is PulseAudio's own tools, so that nothing of voicekiosk takes part in what judges it.
"""

import subprocess
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 48000
BLOCK_S = 0.01
"""PulseAudio hands sound over in blocks of this length: what a time on its recordings is worth."""


class Ear(Protocol):
    """A recording that knows when (CLOCK_MONOTONIC) each of its samples was heard."""

    @property
    def samples(self) -> NDArray[np.int16]:
        """Everything heard so far, at 48 kHz."""
        ...

    def index_at(self, t_s: float) -> int:
        """Return the sample that was heard at a time."""
        ...

    def time_of(self, index: int) -> float:
        """Return when a sample was heard."""
        ...


class Mouth:
    """Speaks WAV files into the microphone of a rig."""

    def __init__(self, environment: dict[str, str]) -> None:
        """Speak to the PulseAudio server that `environment` names."""
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def speak(self, path: Path) -> None:
        """Begin to speak a file; returns at once."""
        self._process = subprocess.Popen(
            # Half a second of buffer: a busy machine must not make the visitor stammer.
            ["paplay", "--device=sink", "--latency-msec=500", "--volume=65536", str(path)],
            env=self._environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def wait(self, timeout_s: float) -> None:
        """Wait until everything has been said. Raises subprocess.TimeoutExpired."""
        if self._process is not None:
            self._process.wait(timeout_s)

    def stop(self) -> None:
        """Fall silent."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(5)
