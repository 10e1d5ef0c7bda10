"""What the work of a second of two-way conversation costs, part by part, without waiting for anything.

Each part is the daemon's own code, called as often and with as much as in a second of conversation: periods
of 20 ms from the card, frames of 100 ms up, messages of 10 ms down that are read ten at a time, periods of
10 ms to the card. What a conversation costs beyond their sum is waking up: threads, locks, the kernel and
PulseAudio's plug-in.
"""

import asyncio
import base64
import json
import math
import socket
import time
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from voicekiosk.agent import wire
from voicekiosk.agent.link import Link
from voicekiosk.agent.outputs import Attempt
from voicekiosk.agent.session import Session
from voicekiosk.audio.devices import Direction
from voicekiosk.audio.frames import DeviceFacts, FromMono, ToMono
from voicekiosk.audio.levels import ConstantSignal
from voicekiosk.audio.reply import ReplyQueue, Speech, faded, gain_of
from voicekiosk.audio.resample import Resampler
from voicekiosk.audio.ring import Ring
from voicekiosk.config.schema import Config

CARD_HZ, WIRE_HZ = 48_000, 24_000
CAPTURE_PERIOD, PLAYBACK_PERIOD = CARD_HZ // 50, CARD_HZ // 100
UP_FRAMES, DOWN_SAMPLES = CARD_HZ // 10, WIRE_HZ // 100
MESSAGES_A_READ = 10
# So that it has a whole number of everything.
SECONDS = 2
ROUNDS = 15

VOLUME = "volume of 80 %"

Part = Callable[[], object]
"""Does `SECONDS` of a conversation's work."""

_noise = np.random.default_rng(0).integers(-6000, 6000, CARD_HZ).astype("<i2")


def _facts(direction: Direction, channels: int, period_frames: int) -> DeviceFacts:
    return DeviceFacts(direction, "none", "bench", CARD_HZ, channels, "S16_LE", period_frames, CARD_HZ // 10)


def _capture() -> Part:
    """Take a card's bytes for frames, and look whether the microphone is alive."""
    to_mono = ToMono(_facts(Direction.CAPTURE, 1, CAPTURE_PERIOD), 0)
    signal = ConstantSignal(5 * CARD_HZ)
    data = _noise[:CAPTURE_PERIOD].tobytes()

    def part() -> None:
        for _ in range(SECONDS * CARD_HZ // CAPTURE_PERIOD):
            signal.feed(to_mono(data))

    return part


def _ring() -> Part:
    """Write periods, and read them in frames."""
    ring = Ring(2 * CARD_HZ)
    reader = ring.reader()
    block = _noise[:CAPTURE_PERIOD]

    def part() -> None:
        for number in range(SECONDS * CARD_HZ // CAPTURE_PERIOD):
            ring.write(block)
            if number % 5 == 4:
                reader.read()
                reader.wake_at(reader.position + UP_FRAMES)

    return part


def _resample() -> Part:
    """Bring frames from the card's rate to the service's."""
    resampler = Resampler(CARD_HZ, WIRE_HZ)
    block = _noise[:UP_FRAMES]

    def part() -> None:
        for _ in range(SECONDS * CARD_HZ // UP_FRAMES):
            resampler.process(block).astype("<i2", copy=False).tobytes()

    return part


def _encode() -> Part:
    """Write frames as messages."""
    pcm = _noise[: UP_FRAMES // 2].tobytes()

    def part() -> None:
        for _ in range(SECONDS * CARD_HZ // UP_FRAMES):
            wire.encode_audio(pcm)

    return part


def _reply_audio() -> bytes:
    data = base64.b64encode(_noise[:DOWN_SAMPLES].tobytes()).decode()
    return json.dumps({"type": "reply.audio", "reply_id": "r", "data": data}).encode()


def _decode() -> Part:
    """Understand messages of a reply, and let the session judge them."""
    session = Session(Config())
    session.begin()
    session.connected(Attempt(resuming=False), 0.0)
    for kind in ({"type": "session.ready", "session_id": "s"}, {"type": "reply.started", "reply_id": "r"}):
        session.received(json.dumps(kind).encode(), 0.0)
    frame = _reply_audio()

    def part() -> None:
        for _ in range(SECONDS * WIRE_HZ // DOWN_SAMPLES):
            session.received(frame, 1.0)

    return part


def _playback() -> Part:
    """Queue a reply, bring it to the card's rate, and lay it out for two channels."""
    queue, speech = ReplyQueue(), Speech(CARD_HZ)
    from_mono = FromMono(_facts(Direction.PLAYBACK, 2, PLAYBACK_PERIOD))
    block = _noise[:DOWN_SAMPLES].astype(np.int16)

    def part() -> None:
        for _ in range(SECONDS * CARD_HZ // PLAYBACK_PERIOD):
            queue.put(block)
            queue.collect(0.0)
            from_mono(speech.take(queue.replies[0], PLAYBACK_PERIOD, 1.0))

    return part


def _volume() -> Part:
    """Make it as loud as it is to be; at 100 %, as in the bench's conversations, there is nothing to do."""
    block, gain = _noise[:PLAYBACK_PERIOD].astype(np.int16), gain_of(80)

    def part() -> None:
        for _ in range(SECONDS * CARD_HZ // PLAYBACK_PERIOD):
            faded(block, gain, gain)

    return part


class _Wire:
    """A transport that writes into a socket: the kernel's part is in it, the loop's is not."""

    def __init__(self, ours: socket.socket) -> None:
        self._ours = ours

    def write(self, data: bytes) -> None:
        self._ours.send(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Take every other call, and do nothing for it."""
        return lambda *_: None


class _Peer:
    """A link and, at the other end of a pair of sockets, a server that answers what it must."""

    def __init__(self) -> None:
        self.ours, self._theirs = socket.socketpair()
        self.server = ServerProtocol()
        self.link = Link(
            parse_uri("ws://127.0.0.1:1/v1/ws"), "none",
            on_text=lambda _: None, on_binary=lambda: None, on_proven=lambda _: None, dead_after_s=2.4,
        )  # fmt: skip
        self.link.connection_made(cast("asyncio.BaseTransport", _Wire(self.ours)))
        self.exchange()
        self.link.listen()
        self.link.speech_going_up(True)

    def close(self) -> None:
        self.link.connection_lost(None)
        self.ours.close()
        self._theirs.close()

    def exchange(self) -> None:
        """Hand over what either side has written, the answers to pings among it."""
        self._theirs.setblocking(False)
        try:
            self.server.receive_data(self._theirs.recv(1 << 20))
        except BlockingIOError:
            return
        for event in self.server.events_received():
            if isinstance(event, Request):
                self.server.send_response(self.server.accept(event))
        self.give()

    def give(self) -> None:
        """Put what the server has to say into the socket, and let the link read it."""
        if data := b"".join(self.server.data_to_send()):
            self.put(data)
            self.read()

    def put(self, data: bytes) -> None:
        self._theirs.sendall(data)

    def read(self) -> None:
        self.link.data_received(self.ours.recv(1 << 20))


def _socket_ms(peer: _Peer) -> float:
    """Return the processor time for a second: messages up with their pings, and messages down."""
    pcm, message = _noise[: UP_FRAMES // 2].tobytes(), _reply_audio()
    encode_s = send_s = receive_s = 0.0
    for _ in range(SECONDS * CARD_HZ // UP_FRAMES):
        began_s = time.thread_time()
        wire.encode_audio(pcm)
        encoded_s = time.thread_time()
        sent = peer.link.send_audio(pcm)
        encode_s += encoded_s - began_s
        send_s += time.thread_time() - encoded_s
        if not sent:
            raise RuntimeError("the link took no audio, though everything was answered")
        peer.exchange()
    for _ in range(SECONDS * WIRE_HZ // DOWN_SAMPLES // MESSAGES_A_READ):
        for _ in range(MESSAGES_A_READ):
            peer.server.send_text(message)
        data = b"".join(peer.server.data_to_send())
        peer.put(data)
        began_s = time.thread_time()
        peer.read()
        receive_s += time.thread_time() - began_s
    # What `send_audio` does before is another part.
    return 1e3 * (send_s - encode_s + receive_s) / SECONDS


async def _socket() -> float:
    peer = _Peer()
    try:
        return min(_socket_ms(peer) for _ in range(ROUNDS))
    finally:
        peer.close()


async def _idle_loop(wakeups_per_s: float) -> float:
    """Return what a loop costs that wakes so often for nothing, on this thread."""
    loop = asyncio.get_running_loop()
    over = loop.create_future()
    seconds, due_s = 1.5, loop.time()
    ends_s = due_s + seconds

    def wake() -> None:
        nonlocal due_s
        due_s += 1 / wakeups_per_s
        if due_s < ends_s:
            loop.call_at(due_s, wake)
        else:
            over.set_result(None)

    began_s = time.thread_time()
    wake()
    await over
    return 1e3 * (time.thread_time() - began_s) / seconds


PARTS: dict[str, Callable[[], Part]] = {
    "capture": _capture,
    "ring": _ring,
    "resample": _resample,
    "encode": _encode,
    "decode": _decode,
    "playback": _playback,
    VOLUME: _volume,
}


def _best_ms(part: Part) -> float:
    best_s = math.inf
    for _ in range(ROUNDS):
        began_s = time.thread_time()
        part()
        best_s = min(best_s, time.thread_time() - began_s)
    return 1e3 * best_s / SECONDS


def measure(wakeups_per_s: float) -> dict[str, float]:
    """Return milliseconds of processor time per second of conversation, by part.

    `wakeups_per_s` is how often the event loop wakes in a conversation.
    """
    found: dict[str, Any] = {name: _best_ms(make()) for name, make in PARTS.items()}
    found["socket"] = asyncio.run(_socket())
    found["idle loop"] = asyncio.run(_idle_loop(wakeups_per_s))
    order = ("capture", "ring", "resample", "encode", "socket", "decode", "playback", "idle loop", VOLUME)
    return {name: found[name] for name in order}
