"""One reply at a time goes out here: chunks at their pace, words in a burst, the end (S20-S26)."""

from __future__ import annotations

import binascii
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from voicekiosk.simulator import frames
from voicekiosk.simulator.agenda import Agenda
from voicekiosk.simulator.codec import PCM, Encoding
from voicekiosk.simulator.scenario import Scenario, draw

Samples = NDArray[np.int16]
RATE_HZ = 24000


class Channel(Protocol):
    """What a conversation may do to the outside."""

    @property
    def now_s(self) -> float:
        """The present time, in the simulator's seconds."""

    def send(self, frame: frames.Frame) -> None:
        """Send an event."""

    def send_audio(self, reply_id: str, data: bytes, pcm: bytes) -> None:
        """Send one chunk of a reply: its base64, and the same at 24 kHz for the record."""

    def violate(self, rule: int, text: str) -> None:
        """Note that the client broke a rule of 12.1."""

    def note(self, kind: str, **facts: Any) -> None:
        """Note something that is no violation."""

    def mark(self) -> int:
        """Set a mark behind what was sent until now; `reached` tells when the client has read so far."""

    def reached(self, mark: int) -> bool:
        """Whether the client has read everything before a mark."""

    def log(self, kind: str, facts: dict[str, Any]) -> None:
        """Add to the record's turns, replies or tool results; the facts may be completed later."""

    def now_t_s(self) -> float:
        """Return real seconds since the connection was opened."""


@dataclass(slots=True, eq=False)
class Reply:
    """One reply, from `reply.started` to `reply.done`."""

    reply_id: str
    item_id: str
    kind: str
    facts: dict[str, Any]
    text: str = ""
    spaced: bool = True  # LLM words come with a space, greeting words without
    encoding: Encoding = PCM
    native_8k: bool = False  # repeats what came as G.711: goes out as it came
    audio: bytes = b""
    pcm: Samples = field(default_factory=lambda: np.zeros(0, np.int16))
    lead: int = 0  # chunks of silence at the beginning
    total: int = 0
    sent: int = 0
    begun: bool = False  # the first chunks have gone out, at start_s
    start_s: float = 0.0
    period_s: float = 0.0
    burst: int = 0
    stale: int | None = None  # chunks that still go out although interrupted
    words_out: bool = False
    transcript_out: bool = False
    status: str = ""
    voiced: bool = True  # False: tool replies and silent failures, which have no words
    odd: bool = False  # reported as interrupted, yet completed (3.4)

    @property
    def open(self) -> bool:
        """Whether `reply.done` is still to come."""
        return not self.status

    def due(self, now_s: float) -> int:
        """Return how many chunks should be out by now."""
        if self.period_s <= 0.0:
            return self.total
        paced = int((now_s - self.start_s) / self.period_s + 1e-6)
        return min(self.total, self.burst + paced)

    def due_s(self, chunk: int) -> float:
        """Return when the chunk of this number, from 0, is to go out."""
        return self.start_s + max(0, chunk + 1 - self.burst) * self.period_s

    def spoken(self) -> str:
        """Return the words that have gone out as sound."""
        words = self.text.split()
        part = (self.sent - self.lead) / max(1, self.total - self.lead)
        return " ".join(words[: int(len(words) * max(0.0, part))])


class Speaker:
    """Sends replies; tells of each `reply.done`, and of the end of stale audio."""

    def __init__(
        self,
        channel: Channel,
        agenda: Agenda,
        scenario: Scenario,
        rng: random.Random,
        *,
        on_done: Callable[[Reply, float], None],
        on_stale_out: Callable[[Reply, float], None],
    ) -> None:
        self.reply: Reply | None = None
        self.down_samples = 0
        self._channel, self._agenda, self._rng = channel, agenda, rng
        self._scenario = scenario
        self._ids = frames.Ids(rng)
        self._on_done, self._on_stale_out = on_done, on_stale_out

    @property
    def busy(self) -> bool:
        """Whether a reply is open."""
        return self.reply is not None and self.reply.open

    def begin(self, kind: str, turn: int) -> Reply:
        """Send `reply.started`."""
        reply_id, item_id = self._ids.reply(), self._ids.item()
        facts = {"reply_id": reply_id, "kind": kind, "turn": turn, "t_s": self._channel.now_t_s()}
        self.reply = Reply(reply_id, item_id, kind, facts, spaced=kind != "greeting")
        self._channel.log("replies", facts)
        self._channel.send(frames.reply_started(reply_id, item_id))
        return self.reply

    def play(
        self, reply: Reply, samples: Samples, encoding: Encoding, now_s: float, *, lead: bool = True
    ) -> None:
        """Stream the samples (24 kHz) as this reply; the first chunk goes out after the usual while."""
        if not reply.open:
            return
        reply.encoding = encoding
        chunk = round(encoding.chunk_s * RATE_HZ)
        settings = self._scenario.reply
        lead_ms = draw(self._rng, settings.lead_in_ms) if lead else 0.0
        reply.lead = math.ceil(lead_ms / 1000 / encoding.chunk_s - 1e-6)
        length = -(-samples.size // chunk)
        pcm = np.zeros((reply.lead + length) * chunk, np.int16)
        pcm[reply.lead * chunk : reply.lead * chunk + samples.size] = samples
        reply.pcm, reply.audio = pcm, encoding.encode(pcm, native_8k=reply.native_8k)
        reply.total, reply.sent = reply.lead + length, 0
        reply.burst = settings.burst_chunks
        reply.period_s = encoding.chunk_s / settings.pace if settings.pace > 0 else 0.0
        reply.start_s = now_s + draw(self._rng, settings.first_audio_ms) / 1000
        reply.facts |= {
            "down_start": None,
            "lead_samples": reply.lead * chunk,
            "samples": int(samples.size),
            "text": reply.text,
        }
        at = self._agenda.at
        at(reply.start_s, lambda t: self._pump(reply, t), reply)
        if reply.voiced:
            end_s = reply.due_s(reply.total - 1)
            words_s = reply.start_s + draw(self._rng, settings.words_ms) / 1000
            at(min(words_s, end_s), lambda _: self._words(reply), reply)
            transcript_s = end_s - draw(self._rng, settings.transcript_ms) / 1000
            at(max(reply.start_s, transcript_s), lambda _: self._transcript(reply), reply)

    def stop(self, reply: Reply) -> None:
        """Send nothing more of this reply by itself; it stays open."""
        self._agenda.cancel(reply)

    def finish(self, reply: Reply, now_s: float, status: str = "completed") -> None:
        """Send what is missing and `reply.done`; does nothing to a reply that is done."""
        if not reply.open:
            return
        self._agenda.cancel(reply)
        if status == "completed" and reply.voiced:
            self._words(reply)
            self._transcript(reply)
        reply.status = status
        reply.facts |= {"status": status, "done_t_s": self._channel.now_t_s()}
        self._channel.send(frames.reply_done(reply.reply_id, status))
        self._on_done(reply, now_s)

    def interrupt(self, reply: Reply, now_s: float, *, twice: bool = False) -> None:
        """End the reply as interrupted, its text cut to what was spoken."""
        if not reply.open:
            return
        self._agenda.cancel(reply)
        if reply.voiced:
            text = reply.spoken()
            if twice:
                shorter = " ".join(text.split()[:-1])
                self._send_text(reply, shorter, interrupted=False)
            self._send_text(reply, text, interrupted=True)
        self.finish(reply, now_s, "interrupted")

    def _pump(self, reply: Reply, now_s: float) -> None:
        if not reply.begun:
            reply.begun, reply.start_s = True, now_s
        due = reply.due(now_s)
        if reply.stale is not None:
            due = min(due, reply.sent + reply.stale)
            reply.stale -= due - reply.sent
        self._send_chunks(reply, due)
        if reply.sent == reply.total and reply.stale is None:
            self.finish(reply, now_s)
        elif reply.stale is not None and (reply.stale == 0 or reply.sent == reply.total):
            reply.stale = 0
            self._on_stale_out(reply, now_s)
        else:
            self._agenda.at(reply.due_s(reply.sent), lambda t: self._pump(reply, t), reply)

    def _send_chunks(self, reply: Reply, due: int) -> None:
        if reply.sent == 0 and due > 0:
            reply.facts["down_start"] = self.down_samples
        size = reply.encoding.chunk_bytes
        samples = round(reply.encoding.chunk_s * RATE_HZ)
        for number in range(reply.sent, due):
            data = binascii.b2a_base64(reply.audio[number * size : (number + 1) * size], newline=False)
            pcm = reply.pcm[number * samples : (number + 1) * samples].tobytes()
            self._channel.send_audio(reply.reply_id, data, pcm)
        self.down_samples += samples * max(0, due - reply.sent)
        reply.sent = max(reply.sent, due)

    def _words(self, reply: Reply) -> None:
        if reply.words_out:
            return
        reply.words_out = True
        start_ms = 1000.0 * reply.lead * reply.encoding.chunk_s
        words = reply.text.split()
        each_ms = 1000.0 * (reply.total - reply.lead) * reply.encoding.chunk_s / max(1, len(words))
        for number, word in enumerate(words):
            timed = self._rng.random() > 0.2
            begin_ms = int(start_ms + number * each_ms)
            # Inconsistent on purpose: now and then the space is missing (gotcha 20).
            space = " " if reply.spaced and number and self._rng.random() > 0.15 else ""
            end_ms = int(begin_ms + each_ms)
            self._channel.send(
                frames.agent_delta(
                    reply.reply_id,
                    reply.item_id,
                    space + word,
                    begin_ms if timed else None,
                    end_ms if timed else None,
                )
            )

    def _transcript(self, reply: Reply) -> None:
        if not reply.transcript_out:
            self._words(reply)
            self._send_text(reply, reply.text, interrupted=reply.odd)

    def _send_text(self, reply: Reply, text: str, *, interrupted: bool) -> None:
        reply.transcript_out = True
        self._channel.send(frames.agent_text(reply.reply_id, reply.item_id, text, interrupted=interrupted))
