"""The simulator as a process, and what its record says afterwards."""

import base64
import json
import subprocess
import sys
import time
import urllib.request
import wave
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]

KEY = "sim-key"


class Server:
    """A running `voicekiosk simulate`."""

    def __init__(self, record: Path, log: Path) -> None:
        """Start it; it listens when this returns. Raises RuntimeError with its words when it does not."""
        self.record = record
        self._log = log.open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "voicekiosk", "simulate", "--port", "0", "--record", str(record)],
            stdout=subprocess.PIPE, stderr=self._log, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line.startswith("listening on "):
            self.stop()
            raise RuntimeError(f"the simulator did not start: {line or log.read_text()[-2000:]}")
        self.url = line.removeprefix("listening on ")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stats(self) -> dict[str, Any]:
        """Return what `GET /stats` says."""
        address = self.url.replace("ws://", "http://").replace("/v1/ws", "/stats")
        with urllib.request.urlopen(address, timeout=10) as answer:
            result: dict[str, Any] = json.load(answer)
        return result

    def stop(self) -> None:
        """Stop it, which brings its record up to date."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        self._log.close()


@dataclass(frozen=True, slots=True)
class Frame:
    """One message of the record."""

    t_s: float
    """When, on CLOCK_MONOTONIC."""
    sender: str
    content: dict[str, Any]

    @property
    def type(self) -> str:
        return str(self.content.get("type", ""))


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply as the server sent it."""

    id: str
    began_s: float
    """When its first audio was sent."""
    ended_s: float
    samples: Samples
    interrupted: bool


@dataclass(frozen=True)
class Connection:
    """The record of one connection."""

    number: int
    frames: tuple[Frame, ...]
    up: Samples

    def audio_between(self, start_s: float, stop_s: float) -> list[Frame]:
        """Return the client's audio messages that arrived between two times."""
        return [f for f in self.frames if f.type == "input.audio" and start_s <= f.t_s < stop_s]

    @cached_property
    def replies(self) -> tuple[Reply, ...]:
        """Every reply that had audio, in order."""
        pieces: dict[str, list[Frame]] = {}
        interrupted: set[str] = set()
        for frame in self.frames:
            reply_id = str(frame.content.get("reply_id", ""))
            if frame.type == "reply.audio":
                pieces.setdefault(reply_id, []).append(frame)
            elif frame.type == "reply.done" and frame.content.get("status") == "interrupted":
                interrupted.add(reply_id)
        return tuple(
            Reply(
                reply_id,
                frames[0].t_s,
                frames[-1].t_s,
                _pcm(b"".join(base64.b64decode(f.content["data"]) for f in frames)),
                reply_id in interrupted,
            )
            for reply_id, frames in pieces.items()
        )

    def first(self, kind: str, after_s: float = float("-inf")) -> Frame | None:
        """Return the first message of a type after a time."""
        return next((f for f in self.frames if f.type == kind and f.t_s >= after_s), None)


def read(record: Path) -> list[Connection]:
    """Read the records that a simulator left, checking that its WAVs and its frames say the same.

    Raises ValueError where they do not.
    """
    connections = []
    for path in sorted(record.glob("*.jsonl"), key=lambda path: int(path.stem)):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        opened_s = _opened_s(lines)
        frames = tuple(
            Frame(line["t_s"] + opened_s, line["from"], line["frame"])
            for line in lines
            if isinstance(line["frame"], dict)
        )
        up = _pcm(b"".join(base64.b64decode(f.content["audio"]) for f in frames if f.type == "input.audio"))
        kept = _read_wav(path.with_name(f"{path.stem}-up.wav"))
        if not np.array_equal(up, kept):
            raise ValueError(
                f"{path.stem}-up.wav has {len(kept)} samples, and the audio in {path.name} another {len(up)}"
            )
        connections.append(Connection(int(path.stem), frames, kept))
    return connections


def _opened_s(lines: list[dict[str, Any]]) -> float:
    """Return when the connection was opened, on CLOCK_MONOTONIC: the server's stamps are in Unix time."""
    stamps = [
        float(line["frame"]["timestamp"]) - line["t_s"]
        for line in lines
        if line["from"] == "server" and isinstance(line["frame"].get("timestamp"), int | float)
    ]
    if not stamps:
        return 0.0
    return float(median(stamps)) - (time.time() - time.monotonic())


def _pcm(data: bytes) -> Samples:
    return np.frombuffer(data, "<i2").astype(np.int16)


def _read_wav(path: Path) -> Samples:
    with wave.open(str(path)) as file:
        return _pcm(file.readframes(file.getnframes()))
