"""One WebSocket to the service, on the Sans-I/O core of `websockets`, with a watchdog of its own.

Frames are handed on inside `data_received`: no task, queue or future for a frame in either direction.
The asyncio layer of `websockets` is not used because its heartbeat waits in the same drain as the
data, and so cannot see a link that died while audio went up.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import WebSocketURI

from voicekiosk import __version__
from voicekiosk.agent import wire
from voicekiosk.agent.dial import LinkError, http_status
from voicekiosk.agent.events import Cause
from voicekiosk.agent.failures import Failure, Remedy, of_status
from voicekiosk.agent.window import Window

LARGEST_MESSAGE_BYTES = 16 * 1024 * 1024
PING_INTERVAL_S = 0.5
# While speech goes up each frame of 100 ms takes a ping along, which is no wake-up of its own; this is for a
# frame that is late.
PING_INTERVAL_SPEAKING_S = 0.14
CLOSE_TIMEOUT_S = 1.0
# Half a second of audio in base64 in JSON.
FULL_BUFFER_BYTES = 32 * 1024
# A watchdog that itself wakes so late has slept with the rest of the process, and cannot judge.
LATE_S = 0.5

# At debug level `websockets` would write out all headers, the key among them.
_silent = logging.getLogger("voicekiosk.agent.websockets")
_silent.setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class Closed:
    """How a socket ended; `code` is None when no close frame came."""

    code: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class _Ping:
    payload: bytes
    sent_s: float
    samples: int
    frames: int


def host_of(uri: WebSocketURI) -> str:
    """Return the host's name, with the port if it is not the usual one."""
    usual = 443 if uri.secure else 80
    return uri.host if uri.port == usual else f"{uri.host}:{uri.port}"


class Link(asyncio.Protocol):
    """A WebSocket connection. Everything is called in the event loop and nothing blocks."""

    def __init__(
        self,
        uri: WebSocketURI,
        credential: str,
        *,
        on_text: Callable[[bytes], None],
        on_binary: Callable[[], None],
        on_proven: Callable[[int], None],
        dead_after_s: float,
        on_read: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare; `open_link` connects. The callbacks must not raise.

        `on_read` is called when everything that one read of the socket gave was handed on.
        """
        self._loop = asyncio.get_running_loop()
        self._host = host_of(uri)
        self._credential = credential
        self._on_text = on_text
        self._on_binary = on_binary
        self._on_proven = on_proven
        self._on_read = on_read
        self._dead_after_s = dead_after_s
        self._websocket = ClientProtocol(uri, max_size=LARGEST_MESSAGE_BYTES, logger=_silent)
        self._transport: asyncio.Transport | None = None
        self._opening = b""
        self._switching = False
        # Messages that came with the handshake's answer, before anybody could take them: a refused
        # credential is answered so (protocol §1.4).
        self._early: list[tuple[bool, bytes]] | None = []
        self._fragments: list[bytes] = []
        self._fragments_are_text = False
        self._window = Window()
        self._pings: deque[_Ping] = deque()
        self._ping_count = 0
        self._ping_interval_s = min(PING_INTERVAL_S, dead_after_s / 4)
        self._last_ping_s = 0.0
        self._heard_s = self._ponged_s = 0.0
        # The link is not blamed for what this process slept through before.
        self._awake_s = 0.0
        self._beat_due_s = 0.0
        self._beat_timer: asyncio.TimerHandle | None = None
        self._close_timer: asyncio.TimerHandle | None = None
        self._rest_timer: asyncio.TimerHandle | None = None
        self._end_reason = ""
        self.opened: asyncio.Future[None] = self._loop.create_future()
        """Done when the handshake is; raises LinkError when it failed."""
        self.closed: asyncio.Future[Closed] = self._loop.create_future()
        """Done when the socket is gone, however that came."""
        self.audio_sent_samples = 0
        self.audio_proven_samples = 0
        self.unproven: deque[bytes] = deque()
        """The frames other than audio that no pong has proven, the oldest first."""
        self._frames_sent = 0
        self.round_trip_s: float | None = None

    # What the owner does

    def listen(self) -> None:
        """Hand over messages from now on, and first those that have come already."""
        early, self._early = self._early, None
        for is_text, message in early or ():
            self._message(is_text, message)
        self._on_read()

    def send(self, frame: bytes) -> bool:
        """Put a text frame on its way; False when the connection is not open any more."""
        self._frames_sent += 1
        self.unproven.append(frame)
        if self._websocket.state is not State.OPEN:
            return False
        self._websocket.send_text(frame)
        # What is sent so rarely is known to have arrived, or not, a round trip later.
        self._ping(self._loop.time())
        self._schedule_beat()
        return True

    def send_audio(self, pcm: bytes) -> bool:
        """Put 24 kHz mono s16le on its way; False, with nothing sent, when the link does not drain."""
        transport = self._transport
        if transport is None or self._websocket.state is not State.OPEN:
            return False
        if transport.get_write_buffer_size() > FULL_BUFFER_BYTES:
            return False
        # Unproven audio may be in kernels and routers, where no buffer size shows it.
        unproven = self.audio_sent_samples + len(pcm) // 2 - self.audio_proven_samples
        if unproven > max(self._window.samples(self._ping_interval_s), len(pcm) // 2):
            return False
        self._websocket.send_text(wire.encode_audio(pcm))
        self.audio_sent_samples += len(pcm) // 2
        if self._ping_interval_s < PING_INTERVAL_S:
            self._ping(self._loop.time())
            self._schedule_beat()
        else:
            self._flush()
        if self._rest_timer is not None:
            # Awake as we are: what has come meanwhile costs no wake-up of its own.
            self._rest_timer.cancel()
            self._read_on()
        return True

    def speech_going_up(self, speaking: bool) -> None:
        """Ping more often while speech goes up, so that less of it is unproven at a drop."""
        interval_s = PING_INTERVAL_SPEAKING_S if speaking else PING_INTERVAL_S
        interval_s = min(interval_s, self._dead_after_s / 4)
        if interval_s != self._ping_interval_s:
            self._ping_interval_s = interval_s
            self._schedule_beat()

    def rest(self, seconds: float) -> None:
        """Leave the socket unread for a moment; what comes meanwhile is read in one go."""
        # Not for long while pongs are waited for: they say what has arrived of the visitor's speech.
        seconds = min(seconds, self._ping_interval_s * 3 / 4)
        if seconds > 0 and self._transport is not None and self._rest_timer is None:
            self._transport.pause_reading()
            self._rest_timer = self._loop.call_later(seconds, self._read_on)

    def _read_on(self) -> None:
        self._rest_timer = None
        if self._transport is not None:
            self._transport.resume_reading()

    def close(self) -> None:
        """Close politely, for a link that answers; it is gone within a second either way."""
        if self._websocket.state is State.OPEN:
            self._websocket.send_close(1000)
            self._flush()
        elif self._websocket.state is State.CONNECTING:
            self.abort("given up")

    def abort(self, reason: str) -> None:
        """Drop the connection without a word: politeness to a dead link waits for ever."""
        self._end_reason = self._end_reason or reason
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the handshake request."""
        self._transport = cast("asyncio.Transport", transport)
        request = self._websocket.connect()
        request.headers["Authorization"] = f"Bearer {self._credential}"
        request.headers["User-Agent"] = f"voicekiosk/{__version__}"
        self._credential = ""
        self._websocket.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Take bytes from the socket; anything that comes proves the link alive."""
        self._heard_s = self._loop.time()
        if self._websocket.state is State.CONNECTING and not self._switches(data):
            return
        self._websocket.receive_data(data)
        for event in self._websocket.events_received():
            if isinstance(event, Frame):
                self._frame(event)
            else:
                self._handshake_done()
        self._on_read()
        self._flush()

    def eof_received(self) -> None:
        """Let the transport close; `connection_lost` follows."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Say how it ended."""
        for timer in (self._beat_timer, self._close_timer, self._rest_timer):
            if timer is not None:
                timer.cancel()
        self._beat_timer = self._close_timer = self._rest_timer = None
        self._transport = None
        self._websocket.receive_eof()
        received = self._websocket.close_rcvd
        if received is not None:
            closed = Closed(received.code, received.reason)
        else:
            broken = self._websocket.parser_exc
            told = self._end_reason or str(exc or "") or ("" if broken is None else str(broken))
            closed = Closed(None, told)
        if not self.opened.done():
            detail = f"{self._host} hung up during the handshake"
            self._fail_opening(Failure(Cause.NETWORK, Remedy.AGAIN, "handshake", detail))
        if not self.closed.done():
            self.closed.set_result(closed)

    # Inside

    def _switches(self, data: bytes) -> bool:
        """Judge an answer by its first line, since a web page in place of 101 may never end."""
        if self._switching:
            return True
        self._opening += data[:1024]
        line, ended, _ = self._opening.partition(b"\r\n")
        if not ended and len(line) < 1024 and line[:5] == b"HTTP/"[: len(line)]:
            return True
        status = http_status(line)
        if status == 101:
            self._switching = True
            return True
        if status is None:
            detail = f"{self._host} does not speak HTTP"
            self._fail_opening(Failure(Cause.SERVER, Remedy.AGAIN, "not_http", detail))
        else:
            self._fail_opening(of_status(status))
        self.abort("the handshake failed")
        return False

    def _handshake_done(self) -> None:
        error = self._websocket.handshake_exc
        if error is not None:
            detail = f"{self._host} answers, but not as a WebSocket server: {error}"
            self._fail_opening(Failure(Cause.SERVER, Remedy.LATER, "handshake", detail))
            self.abort("the handshake failed")
            return
        if not self.opened.done():
            self.opened.set_result(None)
        self._ping(self._heard_s)
        self._schedule_beat()

    def _fail_opening(self, failure: Failure) -> None:
        if not self.opened.done():
            self.opened.set_exception(LinkError(failure))
            self.opened.exception()  # the one who waited may have given up

    def _frame(self, frame: Frame) -> None:
        match frame.opcode:
            case Opcode.TEXT | Opcode.BINARY if frame.fin:
                self._message(frame.opcode is Opcode.TEXT, bytes(frame.data))
            case Opcode.TEXT | Opcode.BINARY:
                self._fragments = [bytes(frame.data)]
                self._fragments_are_text = frame.opcode is Opcode.TEXT
            case Opcode.CONT:
                self._fragments.append(bytes(frame.data))
                if frame.fin:
                    message, self._fragments = b"".join(self._fragments), []
                    self._message(self._fragments_are_text, message)
            case Opcode.PONG:
                self._pong(bytes(frame.data))

    def _message(self, is_text: bool, message: bytes) -> None:
        if self._early is not None:
            self._early.append((is_text, message))
        elif is_text:
            self._on_text(message)
        else:
            self._on_binary()

    def _flush(self) -> None:
        transport = self._transport
        if transport is None:
            return
        data = self._websocket.data_to_send()
        if data:
            # In one go: a frame and its ping would be two system calls, and two packets.
            transport.write(b"".join(data))
            if not data[-1]:
                transport.close()
        if self._close_timer is None and self._websocket.close_expected():
            self._close_timer = self._loop.call_later(CLOSE_TIMEOUT_S, self.abort, "no answer to the close")

    def _pong(self, payload: bytes) -> None:
        """Take the answer to a ping: all that was sent before that ping has arrived."""
        answered = next((ping for ping in self._pings if ping.payload == payload), None)
        if answered is None:
            return
        while self._pings.popleft() is not answered:
            pass
        self._ponged_s = self._heard_s
        self.round_trip_s = self._heard_s - answered.sent_s
        self._window.pong(self.round_trip_s)
        while len(self.unproven) > self._frames_sent - answered.frames:
            self.unproven.popleft()
        if answered.samples > self.audio_proven_samples:
            self.audio_proven_samples = answered.samples
            self._on_proven(answered.samples)

    def _ping(self, now_s: float) -> None:
        self._ping_count += 1
        payload = b"%d" % self._ping_count
        self._pings.append(_Ping(payload, now_s, self.audio_sent_samples, self._frames_sent))
        self._last_ping_s = now_s
        self._websocket.send_ping(payload)
        self._flush()

    def _beat(self) -> None:
        """Ping, or find the link dead."""
        now_s = self._loop.time()
        self._beat_timer = None
        if self._websocket.state is not State.OPEN:
            return
        if now_s - self._beat_due_s > LATE_S:
            self._awake_s = now_s - self._dead_after_s + LATE_S
        if self._pings and now_s >= self._dead_s():
            speaks = now_s < self._heard_s + self._dead_after_s
            what = "no ping answered" if speaks else "nothing heard"
            self.abort(f"{what} for {self._dead_after_s:g} s")
            return
        if now_s - self._last_ping_s >= self._ping_interval_s - 0.001:
            self._ping(now_s)
        self._schedule_beat()

    def _dead_s(self) -> float:
        """Return when the link is dead: nothing comes, or what comes is a reply over a dead way up."""
        # The oldest ping may only be slow, as long as older ones are being answered.
        unanswered_s = max(self._pings[0].sent_s, self._ponged_s, self._awake_s)
        # A pong may stand in line behind a reply; but speech that goes nowhere has to be sent again soon.
        patience = 2 if self.audio_sent_samples == self.audio_proven_samples else 1
        return min(
            max(unanswered_s, self._heard_s) + self._dead_after_s,
            unanswered_s + patience * self._dead_after_s,
        )

    def _schedule_beat(self) -> None:
        if self._beat_timer is not None:
            self._beat_timer.cancel()
        due_s = self._last_ping_s + self._ping_interval_s
        if self._pings:
            due_s = min(due_s, self._dead_s())
        self._beat_due_s = max(due_s, self._loop.time())
        self._beat_timer = self._loop.call_at(self._beat_due_s, self._beat)
