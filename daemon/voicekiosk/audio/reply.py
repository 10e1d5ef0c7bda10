"""From the replies of the service to the frames of a card: queue, resampling, volume.

`ReplyQueue` is how replies cross from the event loop to the playback thread, `Speech` turns one reply
after the other into frames. No device here and no clock.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from voicekiosk.audio.resample import Resampler

RATE_HZ = 24000
# Resampled at a time, if there is as much: most of what it costs is the calls. 0.25 ms of work, so a flush
# does not wait for it.
_CHUNK_SAMPLES = 2400
# A reply that comes too slowly for its cushion is begun all the same after this long.
GATHER_AT_MOST_S = 0.5


def gain_of(percent: int) -> float:
    """Return the factor for a volume in percent.

    Squared, as ears count: 50 % is a quarter of the amplitude (-12 dB) and sounds about half as loud.
    """
    return (percent / 100) ** 2


class Reply:
    """One reply as far as it has come: blocks of samples, first to be played first."""

    __slots__ = ("_blocks", "ended", "first_s", "samples")

    def __init__(self, first_s: float) -> None:
        # When its first audio was collected, for the deadline of the cushion.
        self.first_s = first_s
        # Whether all of it is here.
        self.ended = False
        # Samples that are here and were not taken yet.
        self.samples = 0
        self._blocks: deque[NDArray[np.int16]] = deque()

    def add(self, block: NDArray[np.int16]) -> None:
        """Append `block`."""
        self._blocks.append(block)
        self.samples += len(block)

    def take(self, most: int) -> NDArray[np.int16]:
        """Take the next samples, at most `most`."""
        block = _first(self._blocks, min(most, self.samples))
        self.samples -= len(block)
        return block


class ReplyQueue:
    """Replies on their way from the event loop to the playback thread. Lock-free and without bound.

    A deque of references: what the service sent is neither copied nor ever overwritten, however far the
    service is ahead of the loudspeaker. Each item carries the generation it was put in; `discard` begins
    a new one, so the thread can tell what was put before from what came after without a lock.
    """

    def __init__(self) -> None:
        # None ends a reply.
        self._items: deque[tuple[int, NDArray[np.int16] | None]] = deque()
        self._generation = 0
        self._seen_generation = 0
        # Replies the thread has collected; the first is being played, or will be.
        self.replies: deque[Reply] = deque()

    def put(self, block: NDArray[np.int16]) -> None:
        """Append audio to the reply that has not ended, or begin one. Event loop."""
        self._items.append((self._generation, block))

    def end(self) -> None:
        """End the reply. Event loop."""
        self._items.append((self._generation, None))

    def discard(self) -> None:
        """Give up everything that was put until now. Event loop."""
        self._generation += 1

    @property
    def is_waiting(self) -> bool:
        """Whether there is something to collect. Any thread."""
        return bool(self._items) or self._generation != self._seen_generation

    def collect(self, now_s: float) -> bool:
        """Take over what was put; return whether everything before was discarded. Playback thread."""
        generation = self._generation
        discarded = generation != self._seen_generation
        if discarded:
            self.replies.clear()
            self._seen_generation = generation
        # Only what is here now, so that a busy event loop cannot keep the thread from its card.
        for _ in range(len(self._items)):
            born, block = self._items.popleft()
            if born < generation:
                continue
            if not self.replies or self.replies[-1].ended:
                self.replies.append(Reply(now_s))
            if block is None:
                self.replies[-1].ended = True
            else:
                self.replies[-1].add(block)
        return discarded

    def gather_s(self, cushion_samples: int, now_s: float) -> float | None:
        """Return how long to wait at most before the first reply is begun; None when there is none.

        A cushion against network jitter: that many samples are gathered, or the whole reply. Playback
        thread.
        """
        if not self.replies:
            return None
        reply = self.replies[0]
        if reply.ended or reply.samples >= cushion_samples:
            return 0.0
        return max(0.0, reply.first_s + GATHER_AT_MOST_S - now_s)


class Speech:
    """Turns replies into frames at the card's rate, times the volume. Playback thread."""

    def __init__(self, rate_hz: int) -> None:
        """Begin silent at `rate_hz`."""
        self.rate_hz = rate_hz
        self._resampler = Resampler(RATE_HZ, rate_hz)
        # Frames that are resampled and not given out, in pieces.
        self._ready: deque[NDArray[np.int16]] = deque()
        self._ready_frames = 0
        # Samples of this reply that went into the resampler, and frames that were given out.
        self._fed_samples = 0
        self._given_frames = 0
        self._tail_is_out = False
        self._gain = 1.0

    @property
    def samples(self) -> int:
        """Samples of the reply that the frames given out so far have brought to the card's door."""
        if self._tail_is_out and not self._ready_frames:
            return self._fed_samples
        heard = self._given_frames * RATE_HZ // self.rate_hz - self._resampler.delay_frames_in
        return min(max(heard, 0), self._fed_samples)

    @property
    def held_samples(self) -> int:
        """Samples that were taken from the reply and are not in what was given out."""
        return self._fed_samples - self.samples

    def has_more(self, reply: Reply) -> bool:
        """Tell whether `take` would give anything now."""
        return bool(self._ready_frames or reply.samples or (reply.ended and not self._tail_is_out))

    def is_finished(self, reply: Reply) -> bool:
        """Tell whether every frame of `reply` was given out."""
        return reply.ended and not reply.samples and self._tail_is_out and not self._ready_frames

    def take(self, reply: Reply, most: int, gain: float) -> NDArray[np.int16]:
        """Return the next frames of `reply`, at most `most`, and less when it has come no further.

        A change of `gain` in the middle of a reply is spread over the frames returned, so it does not
        click.
        """
        while self._ready_frames < most and self._feed(reply):
            pass
        block = _first(self._ready, min(most, self._ready_frames))
        self._ready_frames -= len(block)
        if self._given_frames == 0:
            self._gain = gain
        self._given_frames += len(block)
        return self._at_volume(block, gain)

    def reset(self) -> None:
        """Forget the reply: the next one begins with nothing of it."""
        self._resampler.reset()
        self._ready.clear()
        self._ready_frames = 0
        self._fed_samples = 0
        self._given_frames = 0
        self._tail_is_out = False

    def _feed(self, reply: Reply) -> bool:
        """Resample a little more; return whether there was any."""
        samples = reply.take(_CHUNK_SAMPLES)
        if len(samples):
            self._fed_samples += len(samples)
            frames = self._resampler.process(samples)
        elif reply.ended and not self._tail_is_out:
            self._tail_is_out = True
            frames = self._resampler.flush()
        else:
            return False
        if len(frames):
            self._ready.append(frames)
            self._ready_frames += len(frames)
        return True

    def _at_volume(self, block: NDArray[np.int16], gain: float) -> NDArray[np.int16]:
        if not len(block) or self._gain == gain == 1.0:
            return block
        before, self._gain = self._gain, gain
        return faded(block, before, gain)


def _first(pieces: deque[NDArray[np.int16]], count: int) -> NDArray[np.int16]:
    """Take the first `count` samples off `pieces`, which hold as many."""
    parts = []
    while count:
        part = pieces.popleft()
        if len(part) > count:
            pieces.appendleft(part[count:])
            part = part[:count]
        parts.append(part)
        count -= len(part)
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.empty(0, np.int16)


def faded(block: NDArray[np.int16], before: float, after: float) -> NDArray[np.int16]:
    """Return `block` with its gain going evenly from `before` to `after`, which the last frame has."""
    # Nearly always the same: a number costs a tenth of a ramp.
    ramp = after if before == after else np.linspace(before, after, len(block) + 1)[1:]
    frames: NDArray[np.int16] = np.rint(block * ramp).astype(np.int16)
    return frames
