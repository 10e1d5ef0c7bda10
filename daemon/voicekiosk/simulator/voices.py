"""How text becomes sound: tones that need nothing, or espeak-ng where it is installed."""

from __future__ import annotations

import asyncio
import contextlib
import io
import shutil
import wave
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from voicekiosk.errors import ConfigError

Samples = NDArray[np.int16]
Heard = Callable[[Samples], None]
RATE_HZ = 24000


class Voice(Protocol):
    """Renders text; calls back at once or later, in the same thread."""

    def render(self, text: str, done: Heard) -> None:
        """Render the text to samples at 24 kHz."""


class Tones:
    """One soft tone a word, its pitch from the letters: no speech, but unmistakable and always the same."""

    def render(self, text: str, done: Heard) -> None:
        """Render the text at once."""
        parts = [_tone(word) for word in text.split()[:200]]
        done(np.concatenate(parts) if parts else np.zeros(0, np.int16))


def _tone(word: str) -> Samples:
    length = int(RATE_HZ * min(0.12 + 0.03 * len(word), 0.45))
    at = np.arange(length) / RATE_HZ
    pitch = 180.0 + 20.0 * (sum(map(ord, word)) % 16)
    envelope = np.minimum(1.0, np.minimum(at, at[::-1]) / 0.02)
    sound = 6000.0 * envelope * (np.sin(2 * np.pi * pitch * at) + 0.3 * np.sin(4 * np.pi * pitch * at))
    word_and_pause = np.zeros(length + int(0.08 * RATE_HZ), np.int16)
    word_and_pause[:length] = sound
    return word_and_pause


class Espeak:
    """espeak-ng in a process of its own; falls back to tones when it fails."""

    TIMEOUT_S = 10.0

    def __init__(self, language: str) -> None:
        found = shutil.which("espeak-ng")
        if found is None:
            raise ConfigError(
                "espeak-ng is not installed: `sudo apt-get install espeak-ng`, or --voice tones"
            )
        self._program = found
        self._language = language
        self._known: OrderedDict[str, Samples] = OrderedDict()
        self._running: set[asyncio.Task[None]] = set()

    def render(self, text: str, done: Heard) -> None:
        """Render the text; calls back from the event loop when espeak-ng has spoken."""
        text = text[:2000]
        if text in self._known:
            done(self._known[text])
            return
        task = asyncio.get_running_loop().create_task(self._speak(text, done))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _speak(self, text: str, done: Heard) -> None:
        process = None
        try:
            async with asyncio.timeout(self.TIMEOUT_S):
                process = await asyncio.create_subprocess_exec(
                    self._program, "--stdin", "--stdout", "-v", self._language,
                    stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.DEVNULL,
                )  # fmt: skip
                spoken, _ = await process.communicate(text.encode())
            samples = _from_wav(spoken)
        except (OSError, TimeoutError, EOFError, ValueError, wave.Error):
            Tones().render(text, done)
            return
        finally:
            if process is not None and process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        self._known[text] = samples
        while len(self._known) > 50:
            self._known.popitem(last=False)
        done(samples)


def _from_wav(data: bytes) -> Samples:
    """Read espeak's WAV (whose length field is a lie) and bring it to 24 kHz."""
    with wave.open(io.BytesIO(data)) as file:
        rate_hz = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    if not samples.size:
        raise ValueError("a WAV without a sample")
    at = np.arange(int(samples.size * RATE_HZ / rate_hz)) * (rate_hz / RATE_HZ)
    out = np.empty(at.size, np.int16)
    out[:] = np.interp(at, np.arange(samples.size), samples)
    return out


def make_voice(kind: str, language: str) -> Voice:
    """Return the voice of a scenario; raises ConfigError when espeak-ng is asked for and missing."""
    return Espeak(language) if kind == "espeak" else Tones()
