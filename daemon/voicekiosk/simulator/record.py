"""What happened on one connection: counts and violations in memory (bounded), frames and audio on disk."""

from __future__ import annotations

import contextlib
import logging
import struct
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec

log = logging.getLogger(__name__)
Side = Literal["client", "server"]
RATE_HZ = 24000
KEPT = 2000
"""Entries of any list kept in memory."""
KEPT_BYTES = 1 << 20
"""Size of all messages kept in memory, as JSON."""


class Violation(msgspec.Struct, frozen=True):
    """A rule of 12.1 that the client broke."""

    rule: int
    text: str
    t_s: float


class WavWriter:
    """A mono 16-bit WAV whose header is true after every flush: a killed process leaves a usable file."""

    def __init__(self, path: Path, rate_hz: int = RATE_HZ) -> None:
        self._file: BinaryIO = path.open("wb")
        self._rate_hz = rate_hz
        self._bytes = 0
        self._header()

    def write(self, pcm: bytes) -> None:
        """Append samples."""
        self._file.write(pcm)
        self._bytes += len(pcm)

    def flush(self) -> None:
        """Bring file and header up to date."""
        self._file.seek(0)
        self._header()
        self._file.seek(0, 2)
        self._file.flush()

    def close(self) -> None:
        """Finish the file."""
        self.flush()
        self._file.close()

    def _header(self) -> None:
        size = min(self._bytes, 0xFFFFFFFF - 36)
        self._file.write(
            struct.pack(
                "<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, 1,
                self._rate_hz, 2 * self._rate_hz, 2, 16, b"data", size,
            )
        )  # fmt: skip


class Files:
    """The files of one connection."""

    def __init__(self, folder: Path, number: int) -> None:
        self.lines: BinaryIO = (folder / f"{number}.jsonl").open("wb")
        self.up = WavWriter(folder / f"{number}-up.wav")
        self.down = WavWriter(folder / f"{number}-down.wav")
        self._summary = folder / f"{number}.json"

    def flush(self) -> None:
        """Bring all up to date."""
        self.lines.flush()
        self.up.flush()
        self.down.flush()

    def close(self, facts: dict[str, Any]) -> None:
        """Finish all, with the facts beside them."""
        self.lines.close()
        self.up.close()
        self.down.close()
        self._summary.write_bytes(msgspec.json.format(msgspec.json.encode(facts), indent=1) + b"\n")


class Record:
    """The record of one connection. `t_s` is in real seconds since the connection was opened."""

    def __init__(self, number: int, folder: Path | None, kept_audio_s: float) -> None:
        self.number = number
        self.counts: dict[Side, Counter[str]] = {"client": Counter(), "server": Counter()}
        self.messages: deque[tuple[float, Side, dict[str, Any]]] = deque()
        """Every message but audio, the newest ones."""
        self._sizes: deque[int] = deque()
        self._kept_size = 0
        self.violations: list[Violation] = []
        self.violation_count = 0
        self.notes: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self.turns: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self.replies: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self.tool_results: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self.received_samples = 0
        self.dropped_samples = 0
        self.sent_samples = 0
        self.up = bytearray()
        """The newest audio received, if any is kept in memory."""
        self.down = bytearray()
        self._kept_bytes = int(kept_audio_s * RATE_HZ) * 2
        self._files: Files | None = None
        if folder is not None:
            with self._or_without():
                self._files = Files(folder, number)

    def message(
        self, t_s: float, side: Side, kind: str, payload: bytes, frame: dict[str, Any] | None
    ) -> None:
        """Note one message: its type, its text as sent, and its content unless it is audio."""
        counts = self.counts[side]
        counts[kind if kind in counts or len(counts) < 100 else "(others)"] += 1
        if frame is not None and len(payload) <= KEPT_BYTES:
            self._keep_message((t_s, side, frame), len(payload))
        if self._files is not None:
            with self._or_without():
                line = b'{"t_s":%.6f,"from":"%s","frame":%s}\n' % (t_s, side.encode(), payload)
                self._files.lines.write(line)

    def received(self, pcm: bytes) -> None:
        """Note audio that was decoded."""
        self.received_samples += len(pcm) // 2
        self._keep(self.up, pcm)
        if self._files is not None:
            with self._or_without():
                self._files.up.write(pcm)

    def sent(self, pcm: bytes) -> None:
        """Note audio that was sent, as 24 kHz samples."""
        self.sent_samples += len(pcm) // 2
        self._keep(self.down, pcm)
        if self._files is not None:
            with self._or_without():
                self._files.down.write(pcm)

    def violate(self, rule: int, text: str, t_s: float) -> None:
        """Note that the client broke a rule of 12.1."""
        self.violation_count += 1
        if len(self.violations) < KEPT:
            self.violations.append(Violation(rule, text, round(t_s, 6)))

    def flush(self) -> None:
        """Bring the files up to date."""
        if self._files is not None:
            with self._or_without():
                self._files.flush()

    def close(self, facts: dict[str, Any]) -> None:
        """Finish the files and write the facts beside them."""
        files, self._files = self._files, None
        if files is not None:
            with self._or_without():
                files.close(facts)

    @contextlib.contextmanager
    def _or_without(self) -> Iterator[None]:
        """Go on without files when they cannot be written: a full disk is no reason to stop serving."""
        try:
            yield
        except OSError as error:
            self._files = None
            log.warning("connection %d is no longer recorded: %s", self.number, error)

    def shrink(self) -> None:
        """Let go of messages and audio in memory."""
        self.messages.clear()
        self._sizes.clear()
        self.up, self.down = bytearray(), bytearray()

    def facts(self) -> dict[str, Any]:
        """Return what `/stats` says of this connection."""
        return {
            "samples": self.received_samples,
            "samples_dropped": self.dropped_samples,
            "samples_sent": self.sent_samples,
            "events": dict(self.counts["client"]),
            "events_sent": dict(self.counts["server"]),
            "turns": list(self.turns),
            "replies": list(self.replies),
            "tool_results": list(self.tool_results),
            "notes": list(self.notes),
            "violations": [
                {"rule": broken.rule, "text": broken.text, "t_s": broken.t_s} for broken in self.violations
            ],
            "violation_count": self.violation_count,
        }

    def _keep_message(self, message: tuple[float, Side, dict[str, Any]], size: int) -> None:
        self.messages.append(message)
        self._sizes.append(size)
        self._kept_size += size
        while self._kept_size > KEPT_BYTES or len(self.messages) > KEPT:
            self.messages.popleft()
            self._kept_size -= self._sizes.popleft()

    def _keep(self, tape: bytearray, pcm: bytes) -> None:
        if self._kept_bytes:
            tape += pcm
            if len(tape) > self._kept_bytes:
                del tape[: len(tape) - self._kept_bytes]
