"""The way out of a session: events are stamped, bent as the scenario wants, recorded and sent."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from voicekiosk.simulator import frames
from voicekiosk.simulator.distort import Distortion
from voicekiosk.simulator.judge import Judge
from voicekiosk.simulator.outage import Outage
from voicekiosk.simulator.record import Record
from voicekiosk.simulator.scenario import Events

Frame = dict[str, Any]


class Wire(Protocol):
    """What a session needs of its connection."""

    outage: Outage
    """When this end held the connection back."""

    def send_text(self, payload: bytes) -> None:
        """Send one text frame."""

    def ping(self, payload: bytes) -> None:
        """Send a ping."""

    def close(self, code: int, reason: str = "") -> None:
        """Close politely."""

    def abort(self) -> None:
        """Cut the connection."""


class Outlet:
    """Sends events over the connection that is attached; implements `speaker.Channel`."""

    def __init__(
        self, events: Events, rng: random.Random, wire: Wire, record: Record, now_s: float,
        *, unix_s: float, speed: float,
    ) -> None:  # fmt: skip
        self.on_event: Callable[[str], None] = lambda _kind: None
        """Called with the type of each event, sent or received."""
        self.speed = speed
        self._unix_s = unix_s - now_s / speed
        self._distortion = Distortion(events, rng)
        self._marks = 0
        self._reached: set[int] = set()
        Outlet.attach(self, wire, record, now_s)

    def attach(self, wire: Wire, record: Record, now_s: float) -> None:
        """Send over this connection from now on."""
        self._wire, self.record, self.now_s = wire, record, now_s
        self.attached_s = now_s
        self.judge = Judge(record.violate, self.now_t_s)

    def now_t_s(self) -> float:
        """Return real seconds since the connection was opened."""
        return round((self.now_s - self.attached_s) / self.speed, 6)

    def timestamp(self) -> float:
        """Return the time in the form of `timestamp`: Unix seconds."""
        return self._unix_s + self.now_s / self.speed

    def send(self, frame: Frame) -> None:
        """Send an event."""
        kind = frame["type"]
        for out in self._distortion.apply(frame, self.timestamp()):
            self._put(kind, msgspec.json.encode(out), out)
        self.sent(kind)
        self.on_event(kind)

    def send_audio(self, reply_id: str, data: bytes, pcm: bytes) -> None:
        """Send one chunk of a reply: its base64, and the same at 24 kHz for the record."""
        self.record.sent(pcm)
        if self._distortion.plain:
            payload = b'{"type":"reply.audio","reply_id":"%s","data":"%s","timestamp":%.6f}' % (
                reply_id.encode(), data, self.timestamp(),
            )  # fmt: skip
            self._put("reply.audio", payload, None)
            self.on_event("reply.audio")
        else:
            self.send({"type": "reply.audio", "reply_id": reply_id, "data": data.decode()})

    def send_raw(self, payload: bytes) -> None:
        """Send a text frame as it is, for faults."""
        self._put("(fault)", payload, None)

    def send_error(
        self, code: str, message: str, param: str | None, session_id: str | None, *, bare: bool
    ) -> None:
        """Send `session.error`; `bare` leaves out what protocol-level errors omit."""
        self.send(frames.session_error(code, message, param=param, session_id=session_id, bare=bare))

    def sent(self, kind: str) -> None:
        """Take note of an event that was sent."""

    def violate(self, rule: int, text: str) -> None:
        """Note that the client broke a rule of 12.1."""
        self.judge.violate(rule, text)

    def note(self, kind: str, **facts: Any) -> None:
        """Note something that is no violation."""
        self.record.notes.append({"note": kind, **facts})

    def mark(self) -> int:
        """Set a mark behind what was sent until now; `reached` tells when the client has read so far."""
        self._marks += 1
        self._wire.ping(b"mark %d" % self._marks)
        return self._marks

    def reached(self, mark: int) -> bool:
        """Whether the client has read everything before a mark."""
        return mark in self._reached

    def ponged(self, payload: bytes) -> None:
        """Take the client's answer to a ping."""
        name, _, number = payload.partition(b" ")
        if name == b"mark" and number.isdigit():
            self._reached.add(int(number))

    def log(self, kind: str, facts: Frame) -> None:
        """Add to the record's turns, replies or tool results."""
        getattr(self.record, kind).append(facts)

    def _put(self, kind: str, payload: bytes, frame: Frame | None) -> None:
        self.record.message(self.now_t_s(), "server", kind, payload, frame)
        self._wire.send_text(payload)
