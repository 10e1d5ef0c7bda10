"""From the microphone's ring to the service: resampled, paced, proven, and closed with silence.

Belongs to the event loop's thread. It is pumped when the ring wakes the loop or a frame falls due;
in between it costs nothing. Decisions (when an utterance begins and ends) are the state machine's.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from voicekiosk.audio.resample import Resampler
from voicekiosk.audio.ring import Reader, Ring
from voicekiosk.kiosk.utterance import RATE_HZ, SAMPLE_BYTES, Pacer, Utterance

FRAME_SAMPLES = RATE_HZ * 100 // 1000
SHORT_FRAME_SAMPLES = RATE_HZ * 80 // 1000
"""What goes at once where the pace has no room for a whole frame, which a card with a fast clock uses up."""
FIRST_FRAME_SAMPLES = RATE_HZ * 10 // 1000
"""What the first frame has at least: one period of 20 ms, less what the filter holds back of it."""
PERIOD_S = 0.02
SILENCE = bytes(FRAME_SAMPLES * SAMPLE_BYTES)
LEAST_SILENCE_SAMPLES = RATE_HZ * 32 // 100
"""Silence that follows every question, even one whose turn is already closed (protocol §6.5)."""
MOST_SILENCE_SAMPLES = 6 * RATE_HZ
"""The slowest end of turn on record is 3.3 s after the last sound."""
LATE_S = 0.5
"""A microphone that has not delivered the end of a question by then is not going to."""
RETRY_S = 0.05
"""When to look again at a socket that does not drain."""
OFFLINE_WAKE_S = 0.5
"""While nothing may be sent, the microphone's audio is taken out of the ring this often."""


class Stream(Protocol):
    """What the uplink needs to know of an open microphone."""

    @property
    def ring(self) -> Ring:
        """Mono frames at the device's rate."""
        ...

    @property
    def rate_hz(self) -> int:
        """That rate."""
        ...


class Watcher(Protocol):
    """Who is told of what goes by, as it goes by."""

    def captured(self, block: NDArray[np.int16], rate_hz: int, now_s: float) -> None:
        """Take what came from the microphone."""

    def sent(self, now_s: float) -> None:
        """Note that a piece of the question has gone."""

    def proven(self, now_s: float, *, whole: bool) -> None:
        """Note that some of the question, or the `whole`, has certainly arrived."""


class Uplink:
    """The way up. `send` hands 24 kHz PCM to the link and says whether it took it."""

    def __init__(self, send: Callable[[bytes], bool], sent: Callable[[bool], None]) -> None:
        """Send through `send`; call `sent(loud)` when a whole question has gone."""
        self._send = send
        self._sent = sent
        self.watcher: Watcher | None = None
        self._pacer = Pacer()
        self.utterance = Utterance()
        self._stream: Stream | None = None
        self._reader: Reader | None = None
        self._resampler: Resampler | None = None
        self._skip_samples = 0
        self._listening = False
        self._end_frame: int | None = None
        self._end_by_s = 0.0
        # The question is over, and `sent` has not been told yet.
        self._closing = False
        # How much silence has followed it; None when no silence is owed.
        self._silence: int | None = None
        self._turn_closed = False
        self._online = False
        self.missed_frames = 0

    @property
    def busy(self) -> bool:
        """Whether there is something to send, now or soon."""
        return self._listening or self._closing or self._silence is not None

    @property
    def listening(self) -> bool:
        """Whether the microphone's sound is wanted as it comes."""
        return self._listening

    def begin(self, stream: Stream | None, start_frame: int) -> None:
        """Begin a question at `start_frame` of the microphone's ring; with no stream, when it opens."""
        if self.utterance.waiting == 0:
            self.utterance.clear()
        self._silence = None
        self._closing = self._turn_closed = False
        self._listening = True
        self._end_frame = None
        self._detach()
        if stream is not None:
            self._attach(stream, start_frame)

    def microphone_opened(self, stream: Stream, first_frame: int) -> None:
        """Go on with a microphone that has just been opened, from its `first_frame`."""
        if self._listening and (self._stream is None or self._stream.ring is not stream.ring):
            self._finish_stream()
            self._detach()
            self._attach(stream, first_frame)

    def end(self, end_frame: int, now_s: float) -> None:
        """End the question at `end_frame`; what was captured until then still goes."""
        if self._listening:
            self._end_frame = end_frame
            self._end_by_s = now_s + LATE_S

    def cancel(self) -> None:
        """Send nothing more."""
        self._listening = self._closing = False
        self._silence = None
        self._detach()
        self.utterance.clear()

    def forget(self) -> None:
        """Keep nothing of what was said, now that the conversation is over."""
        if not self.busy:
            self.utterance.clear()

    def turn_opened(self) -> None:
        """Go on with the silence: the service waits for the end of something it hears."""
        self._turn_closed = False
        if not (self._listening or self._closing) and self._silence is None:
            self._silence = 0

    def turn_closed(self) -> None:
        """Stop the silence as soon as there was enough of it."""
        self._turn_closed = True

    def connected(self) -> None:
        """Count from zero: this is a new connection, and nothing has gone on it."""
        self._online = True
        self._pacer = Pacer()
        self.utterance.connected()

    def resend(self, *, whole: bool) -> None:
        """Send again everything that is not proven, or the `whole` question from its start."""
        self.utterance.rewind(whole=whole)
        # The service has to find the end of what it is sent again.
        self._turn_closed = False
        if not self._listening:
            self._closing = True
            self._silence = None

    def prove(self, sent_on_connection: int, now_s: float) -> None:
        """Take a pong's word that the first so many samples of this connection arrived."""
        utterance = self.utterance
        before = utterance.proven
        utterance.prove(sent_on_connection)
        if self.watcher is not None and utterance.proven > before:
            over = not (self._listening or self._closing)
            self.watcher.proven(now_s, whole=over and utterance.proven == utterance.taken)

    def lost(self) -> None:
        """Keep everything until there is a connection again."""
        self._online = False

    def pump(self, now_s: float) -> float:
        """Take what the microphone has, send what may go; give the time to be pumped again."""
        self._take(now_s)
        if not self._online:
            self._wake_after(OFFLINE_WAKE_S)
            return self._end_by_s if self._listening and self._end_frame is not None else float("inf")
        due_s = self._send_speech(now_s)
        if due_s is not None:
            self._wake_after(OFFLINE_WAKE_S)
        else:
            there_s = (self._least_samples - self.utterance.waiting) / RATE_HZ
            pace_s = self._pacer.due_s(min(self._least_samples, SHORT_FRAME_SAMPLES), now_s) - now_s
            # Who began late is a little behind the pace for good: not woken once when a frame is there, and
            # again when it may go. What is in the ring is up to a period old.
            self._wake_after(pace_s + PERIOD_S if pace_s > there_s else there_s)
            due_s = float("inf") if self._listening else self._send_silence(now_s)
        if self._listening and self._end_frame is not None:
            due_s = min(due_s, max(self._end_by_s, now_s))
        return due_s

    # --- from the ring -------------------------------------------------------------------------

    def _attach(self, stream: Stream, start_frame: int) -> None:
        """Read from `start_frame` on, with the filter as if it had been running before."""
        resampler = Resampler(stream.rate_hz, RATE_HZ)
        delay_samples = round(resampler.delay_s * RATE_HZ)
        primed_s = 4 * resampler.delay_s
        # A whole number of the filter's steps, so that output sample 0 falls on `start_frame`.
        step = stream.rate_hz // np.gcd(stream.rate_hz, RATE_HZ)
        primed = int(-(-primed_s * stream.rate_hz // step) * step)
        primed = min(primed, start_frame // step * step)
        self._stream = stream
        self._resampler = resampler
        self._reader = stream.ring.reader(start_frame - primed)
        self._skip_samples = primed * RATE_HZ // stream.rate_hz + delay_samples
        self._wake_after(PERIOD_S, start_frame)

    def _detach(self) -> None:
        if self._reader is not None:
            self._reader.wake_at(None)
        self._stream = self._reader = self._resampler = None

    def _take(self, now_s: float) -> None:
        if not self._listening:
            return
        ended = False
        if self._reader is not None:
            self._read(self._reader, now_s)
            ended = self._end_frame is not None and self._reader.position >= self._end_frame
        if ended or (self._end_frame is not None and now_s >= self._end_by_s):
            self._finish_stream()
            self._listening = False
            self._closing = True
            self._detach()

    def _read(self, reader: Reader, now_s: float) -> None:
        frames = None if self._end_frame is None else max(0, self._end_frame - reader.position)
        missed, block = reader.read(frames)
        if missed:
            self.missed_frames += missed
            self._resample(np.zeros(missed, np.int16))
        if self.watcher is not None and self._stream is not None:
            self.watcher.captured(block, self._stream.rate_hz, now_s)
        self._resample(block)

    def _resample(self, block: NDArray[np.int16]) -> None:
        if self._resampler is not None and len(block):
            self._append(self._resampler.process(block))

    def _append(self, samples: NDArray[np.int16]) -> None:
        skipped = min(self._skip_samples, len(samples))
        self._skip_samples -= skipped
        if len(samples) > skipped:
            self.utterance.append(samples[skipped:].astype("<i2", copy=False).tobytes())

    def _finish_stream(self) -> None:
        """Take what the filter still holds; it is given silence for what it would have heard next."""
        if self._resampler is not None:
            self._append(self._resampler.flush())

    def _wake_after(self, seconds: float, position: int | None = None) -> None:
        if self._reader is None or self._stream is None:
            return
        frames = max(1, round(seconds * self._stream.rate_hz))
        target = (self._reader.position if position is None else position) + frames
        self._reader.wake_at(target if self._end_frame is None else min(target, self._end_frame))

    # --- to the service ------------------------------------------------------------------------

    @property
    def _least_samples(self) -> int:
        """How much there has to be before a frame leaves that is not the last."""
        return FRAME_SAMPLES if self.utterance.sent else FIRST_FRAME_SAMPLES

    def _send_speech(self, now_s: float) -> float | None:
        """Send the frames that may go; give when the next may, None when there is none."""
        utterance = self.utterance
        while utterance.waiting:
            if self._listening and utterance.waiting < self._least_samples:
                return None
            most = min(FRAME_SAMPLES, utterance.waiting)
            room = self._pacer.room_samples(now_s)
            if room < min(most, SHORT_FRAME_SAMPLES):
                return self._pacer.due_s(most, now_s)
            frame = utterance.frame(min(most, room))
            samples = len(frame) // SAMPLE_BYTES
            if not self._send(frame):
                return now_s + RETRY_S
            self._pacer.take(samples)
            utterance.frame_sent(frame)
            if self.watcher is not None:
                self.watcher.sent(now_s)
        if self._closing:
            self._closing = False
            self._silence = 0
            self._sent(utterance.loud)
        return None

    def _send_silence(self, now_s: float) -> float:
        """Close the turn: the protocol has no other way to say that the button was released."""
        while self._silence is not None:
            enough = self._turn_closed and self._silence >= LEAST_SILENCE_SAMPLES
            if enough or self._silence >= MOST_SILENCE_SAMPLES:
                self._silence = None
                break
            due_s = self._pacer.due_s(FRAME_SAMPLES, now_s)
            if due_s > now_s:
                return due_s
            if not self._send(SILENCE):
                return now_s + RETRY_S
            self._pacer.take(FRAME_SAMPLES)
            self.utterance.silence_sent(FRAME_SAMPLES)
            self._silence += FRAME_SAMPLES
        return float("inf")
