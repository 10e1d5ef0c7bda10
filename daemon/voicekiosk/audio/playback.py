"""The loudspeaker: a thread that keeps a short queue in the card filled while there is something to say.

Parked between replies. Silence is quick because little is queued (`queue_ms`): a flush writes a fade of
5 ms behind that, and only if the card does not get it out in time is the card stopped, with a click.

The thread waits for the time at which the queue will have run down by a period, not for the card to poll
writable. A card with more buffer than we queue polls writable all the time, and PulseAudio's plug-in does
so whenever a single frame fits: measured there, 2,000 to 390,000 wake-ups a second instead of 100.
"""

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import alsaaudio
import numpy as np
from numpy.typing import NDArray

from voicekiosk.audio.card_queue import CardQueue
from voicekiosk.audio.devices import SYSFS
from voicekiosk.audio.events import (
    SpeakerClosed,
    SpeakerDrained,
    SpeakerEvent,
    SpeakerFlushed,
    SpeakerLost,
    SpeakerOpened,
    SpeakerStarted,
    SpeakerUnderrun,
)
from voicekiosk.audio.owner import STALLED_AFTER_S, Bell, DeviceOwner
from voicekiosk.audio.pcm import OpenPcm, open_pcm
from voicekiosk.audio.reply import RATE_HZ, Reply, ReplyQueue, Speech, faded, gain_of
from voicekiosk.audio.statistics import PlaybackStatistics
from voicekiosk.config import schema

FADE_S = 0.005
# A fade that is not out by then is cut off.
FLUSH_WITHIN_S = 0.058
# What a card has taken from its buffer it may still have to play: silence for as long before it is stopped.
SETTLE_S = 0.020
# What is kept while there is no card. (An open one takes all there is.)
KEPT_WITHOUT_CARD_SAMPLES = 64 * RATE_HZ
_LEAST_WAIT_S = 0.001


class Playback(DeviceOwner):
    """The loudspeaker's owner. `play`, `end` and `flush` belong to one thread, the event loop's.

    What a reply is: everything from a `play` to the next `end`. A reply starts when `cushion_ms` of it
    are here or it has ended, plays without a gap while there is more of it, and is answered by one
    SpeakerDrained. `flush` gives up all that was played to it and is answered by one SpeakerFlushed;
    what is played after it starts clean, once that is posted.
    """

    def __init__(
        self,
        settings: schema.Playback,
        post: Callable[[SpeakerEvent], None],
        clock: Callable[[], float] = time.monotonic,
        *,
        bell: Bell | None = None,
        alsa: ModuleType = alsaaudio,
        sysfs: Path = SYSFS,
    ) -> None:
        """Make a closed loudspeaker that posts events with `post`."""
        super().__init__("playback", clock, bell)
        self._settings = settings
        self._post = post
        self._alsa = alsa
        self._sysfs = sysfs
        self._cushion_samples = settings.cushion_ms * RATE_HZ // 1000
        # The event loop's side.
        self._queue = ReplyQueue()
        self._enqueued_samples = 0
        self._refused_samples = 0
        self._flushes_asked = 0
        # `_enqueued_samples` at the last discard: all of those were played by then, or never will be.
        self._discarded_to = 0
        self.set_volume(settings.volume)
        # Whether the thread wants to be told of new audio. Set before it looks for the last time.
        self._hungry = True
        # The thread's side, of which others only look at single numbers.
        self._card: CardQueue | None = None
        self._speech: Speech | None = None
        self._reply: Reply | None = None
        # Whether the first frame of the reply was handed to the card, and whether it is out of audio.
        self._started = False
        self._starving = False
        # Silence to be written before it.
        self._lead_frames = 0
        # Where replies end that are written and not drained; and where to stop the card after them.
        self._ends: deque[int] = deque()
        self._stop_at = 0
        # Where the fade of a flush ends, and when it is cut off.
        self._flushing: tuple[int, float] | None = None
        # What a card that was lost did not take any more, for the next one.
        self._unwritten: tuple[NDArray[np.int16], int] = (np.empty(0, np.int16), 0)
        # Samples heard on cards that are closed again.
        self._heard_before = 0
        self._played_samples = 0
        self._discarded_samples = 0
        self._flushes = self._underruns = self._starvations = self._cut_off = self._losses = self._opened = 0

    def play(self, pcm: bytes) -> None:
        """Append 24 kHz PCM16 to the reply, or begin one. Never blocks; takes any amount."""
        block = np.frombuffer(pcm, "<i2", count=len(pcm) // 2)
        if self._card is None and self.queued_samples + len(block) > KEPT_WITHOUT_CARD_SAMPLES:
            self._refused_samples += len(block)
            return
        self._enqueued_samples += len(block)
        self._queue.put(block)
        if self._hungry:
            self._ring()

    def end(self) -> None:
        """Say that the reply is complete: SpeakerDrained follows when its last sample has left."""
        self._queue.end()
        self._ring()

    def flush(self) -> None:
        """Fade out at once and give up everything queued; SpeakerFlushed follows when it is silent."""
        self._flushes_asked += 1
        self._discard()
        self._ring()

    def close(self) -> None:
        """Have the loudspeaker closed at once; everything queued is given up."""
        self._discard()
        super().close()

    def set_volume(self, percent: int) -> None:
        """Set the loudness, 0 to 100 and at most `volume_max`; takes effect without a click."""
        self._gain = gain_of(max(0, min(percent, self._settings.volume_max)))

    @property
    def enqueued_samples(self) -> int:
        """Samples that `play` has taken, cumulative."""
        return self._enqueued_samples

    @property
    def played_samples(self) -> int:
        """Samples that have left the loudspeaker, cumulative, as of the thread's last look at the card."""
        return self._played_samples

    @property
    def queued_samples(self) -> int:
        """Samples on their way to the loudspeaker, those in the card included."""
        return max(0, self._enqueued_samples - self._played_samples - self._discarded_samples)

    def statistics(self) -> PlaybackStatistics:
        """Return what the loudspeaker has seen so far."""
        return PlaybackStatistics(
            enqueued_samples=self._enqueued_samples,
            played_samples=self._played_samples,
            discarded_samples=self._discarded_samples,
            refused_samples=self._refused_samples,
            underruns=self._underruns,
            starvations=self._starvations,
            flushes=self._flushes,
            cut_off=self._cut_off,
            losses=self._losses,
            opened=self._opened,
        )

    def _discard(self) -> None:
        self._discarded_to = self._enqueued_samples
        self._queue.discard()

    def _acquire(self) -> OpenPcm:
        return open_pcm(self._settings, alsa=self._alsa, sysfs=self._sysfs)

    def _serve(self, pcm: OpenPcm) -> None:
        card = CardQueue(pcm, self._settings)
        if self._speech is not None and self._speech.rate_hz == card.rate_hz:
            card.give_back(*self._unwritten)
        else:
            held_samples = self._speech.held_samples if self._speech is not None else 0
            self._discarded_samples += held_samples + self._unwritten[1]
            self._speech = Speech(card.rate_hz)
        self._unwritten = (np.empty(0, np.int16), 0)
        # Polled between replies for nothing but errors, which is how an unplugged card shows.
        alarms = [(fd, 0) for fd, _ in pcm.descriptors()]
        self._heard_before = self._played_samples
        self._card = card
        self._opened += 1
        self._post(SpeakerOpened(pcm.facts))
        try:
            while self._wanted:
                self._progress()
                self._turn(card, self._speech)
                short = self._reply is None or not self._speech.has_more(self._reply)
                # First say that a ring is wanted, then look: `play` does it the other way round. A card that
                # plays needs none: it is looked after before its queue is empty, with what has come by then.
                self._hungry = short and not (card.running and self._is_saying)
                if self._queue.is_waiting:
                    continue
                if card.running:
                    self._bell.wait(self._wait_s(card, short=short))
                elif not (self._ends or self._flushing) and self._rest(self._patience_s(), alarms):
                    # `avail` raises if the card is lost. If it is not, the alarm would ring for ever.
                    pcm.avail()
                    alarms = []
        finally:
            self._card = None
            self._hungry = True
            self._leave(card)

    def _lost(self, reason: str, retry_in_s: float) -> None:
        self._losses += 1
        self._post(SpeakerLost(reason, retry_in_s))

    def _closed(self) -> None:
        self._attend()
        self._post(SpeakerClosed())

    def _attend(self) -> None:
        """Answer a flush without a card."""
        if self._queue.collect(self._clock()):
            self._unwritten = (np.empty(0, np.int16), 0)
            self._forget_reply()
            self._answer_flush()

    def _leave(self, card: CardQueue) -> None:
        """Settle what is open with a card that is lost or about to be closed: it is silent now."""
        if self._wanted:
            self._unwritten = card.take_back()
        card.abandon()
        self._account(card)
        self._lead_frames = 0
        self._tell_ends(card, self._clock())
        if self._flushing is not None:
            self._answer_flush()

    def _turn(self, card: CardQueue, speech: Speech) -> None:
        """See how far the card is, say what has become true, and write what is due."""
        now_s = self._clock()
        flush = self._queue.collect(now_s)
        dry = card.look(now_s)
        self._account(card)
        if flush:
            self._begin_flush(card, speech, now_s)
        self._tell_ends(card, now_s)
        if self._flushing is not None:
            self._end_flush(card, self._flushing, now_s)
        if card.running and self._is_idle and (dry or card.played_frames >= self._stop_at):
            self._stop(card)
        if card.is_blocked:
            self._note_underrun(card.push())
        elif self._flushing is None:
            self._fill(card, speech, now_s)

    def _patience_s(self) -> float | None:
        """Return how long a card that stands still may be left alone; None: until a ring."""
        if self._reply is not None and self._hungry:
            # Begun, and the card was lost or ran dry in it: nothing happens before more of it comes.
            return None
        return self._queue.gather_s(self._cushion_samples, self._clock())

    @property
    def _is_idle(self) -> bool:
        """Whether nothing is being said or about to be."""
        return self._reply is None and not self._ends and self._flushing is None and not self._queue.replies

    @property
    def _is_saying(self) -> bool:
        """Whether a reply is in the middle, with more of it to come."""
        return self._reply is not None and self._started and not self._starving

    def _account(self, card: CardQueue) -> None:
        """Bring the numbers that others see up to date."""
        self._played_samples = self._heard_before + card.heard_samples
        self._discarded_samples += card.lost_samples
        card.lost_samples = 0

    def _tell_ends(self, card: CardQueue, now_s: float) -> None:
        """Say which replies have left the loudspeaker; those cut off with the card are over as well."""
        while self._ends and (self._ends[0] <= card.played_frames or not card.running):
            self._ends.popleft()
            self._post(SpeakerDrained(now_s, self._played_samples))

    def _fill(self, card: CardQueue, speech: Speech, now_s: float) -> None:
        """Bring the card's queue up to its length with speech, or keep it alive with silence."""
        if card.running and card.queued_frames > card.full_frames - card.period_frames // 2:
            return
        if self._is_saying and card.is_late:
            card.hurry()
        while (room := card.full_frames - card.queued_frames) > 0 and not card.is_blocked:
            reply = self._reply or self._begin_reply(card, now_s)
            if reply is None:
                break
            if self._lead_frames:
                lead = min(room, self._lead_frames)
                self._lead_frames -= lead
                card.write_silence(lead)
            elif not self._say(card, speech, reply, room):
                break
        if card.running and not card.is_blocked and card.queued_frames < card.low_frames:
            if self._is_saying:
                self._starving = True
                self._starvations += 1
            card.write_silence(card.low_frames + card.period_frames - card.queued_frames)

    def _say(self, card: CardQueue, speech: Speech, reply: Reply, room: int) -> bool:
        """Write the next frames of `reply`; return whether there was anything to do."""
        before = speech.samples
        block = speech.take(reply, room, self._gain)
        finished = speech.is_finished(reply)
        if len(block):
            self._note_underrun(card.write(block, speech.samples - before))
            self._starving = False
            if not self._started:
                self._started = True
                self._post(SpeakerStarted(self._clock()))
        if finished:
            speech.reset()
            self._reply = None
            self._queue.replies.popleft()
            self._ends.append(card.end_frame)
            self._stop_at = card.end_frame + round(SETTLE_S * card.rate_hz)
        return finished or len(block) > 0

    def _note_underrun(self, dry: bool) -> None:
        """Count a card that ran dry in the middle of a reply that has more."""
        if dry and self._is_saying:
            self._underruns += 1
            self._post(SpeakerUnderrun(self._underruns))

    def _begin_reply(self, card: CardQueue, now_s: float) -> Reply | None:
        """Begin the next reply if there is one, and enough of it."""
        if (
            self._flushing is not None
            or not self._queue.replies
            or self._queue.gather_s(self._cushion_samples, now_s)
        ):
            return None
        self._reply = self._queue.replies[0]
        self._started = self._starving = False
        if not card.running and self._reply.samples:
            self._lead_frames = self._settings.lead_silence_ms * card.rate_hz // 1000
        return self._reply

    def _begin_flush(self, card: CardQueue, speech: Speech, now_s: float) -> None:
        """Write a fade behind what the card holds, and nothing after it."""
        frames = round(FADE_S * card.rate_hz)
        block, samples = card.take_back()
        if self._reply is not None and self._started and len(block) < frames:
            before = speech.samples
            block = np.concatenate([block, speech.take(self._reply, frames - len(block), self._gain)])
            samples += speech.samples - before
        if card.running and len(block):
            fade = block[:frames]
            card.write(faded(fade, 1.0, 0.0), samples * len(fade) // len(block))
        self._forget_reply()
        self._flushing = (card.end_frame, now_s + FLUSH_WITHIN_S)
        self._stop_at = card.end_frame + round(SETTLE_S * card.rate_hz)

    def _end_flush(self, card: CardQueue, flushing: tuple[int, float], now_s: float) -> None:
        """Answer the flush when its fade has left the loudspeaker; when it does not, cut it off."""
        end_frame, deadline_s = flushing
        if card.running and card.played_frames < end_frame:
            if now_s < deadline_s:
                return
            self._cut_off += 1
            self._stop(card)
        self._answer_flush()

    def _answer_flush(self) -> None:
        """Say that the loudspeaker is silent, if it was asked and not only closed."""
        self._flushing = None
        self._discarded_samples = self._discarded_to - self._played_samples
        if self._flushes != self._flushes_asked:
            self._flushes = self._flushes_asked
            self._post(SpeakerFlushed(self._clock(), self._played_samples))

    def _forget_reply(self) -> None:
        """Give up the reply that is being played; the next one begins with nothing of it."""
        self._reply = None
        self._lead_frames = 0
        self._ends.clear()
        if self._speech is not None:
            self._speech.reset()

    def _stop(self, card: CardQueue) -> None:
        card.stop()
        self._account(card)

    def _wait_s(self, card: CardQueue, *, short: bool) -> float:
        """Return how long the running card can be left alone; `short` of audio until there is too little."""
        aim = card.low_frames if short else card.refill_frames
        wait_s = (card.queued_frames - aim) / card.rate_hz
        # Not a moment later than what is to be told has happened.
        if self._flushing is not None:
            end_frame, deadline_s = self._flushing
            wait_s = min((end_frame - card.played_frames) / card.rate_hz, deadline_s - self._clock())
        elif self._ends:
            wait_s = min(wait_s, (self._ends[0] - card.played_frames) / card.rate_hz)
        return min(max(wait_s, _LEAST_WAIT_S), STALLED_AFTER_S / 2)
