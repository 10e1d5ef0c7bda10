"""What a loudspeaker's card holds of ours: how much is queued, and how much of it was really heard."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from voicekiosk.audio.frames import FromMono
from voicekiosk.audio.owner import STALLED_AFTER_S
from voicekiosk.audio.pcm import XRUN, OpenPcm
from voicekiosk.config import schema
from voicekiosk.errors import DeviceError

LOW_S = 0.015
"""What a card still has to hold when a busy machine wakes us late."""


class Ledger:
    """How many samples have left the loudspeaker, from how many frames the card has played."""

    def __init__(self) -> None:
        # Blocks in the card: first frame, frame after the last, samples they carry.
        self._blocks: deque[tuple[int, int, int]] = deque()
        # Samples of the blocks that were played to their end.
        self._settled = 0

    def wrote(self, begin: int, end: int, samples: int) -> None:
        """Note that the card's frames from `begin` to `end` carry `samples`."""
        self._blocks.append((begin, end, samples))

    def heard(self, frame: int) -> int:
        """Return the samples heard, cumulative, when the card has played up to `frame`."""
        while self._blocks and self._blocks[0][1] <= frame:
            self._settled += self._blocks.popleft()[2]
        if not self._blocks or frame <= self._blocks[0][0]:
            return self._settled
        begin, end, samples = self._blocks[0]
        return self._settled + samples * (frame - begin) // (end - begin)

    def cut(self, frame: int) -> int:
        """Note that the card was stopped at `frame`; return the samples that will never be heard."""
        total = self._settled + sum(samples for _, _, samples in self._blocks)
        self._settled = self.heard(frame)
        self._blocks.clear()
        return total - self._settled


class CardQueue:
    """The queue in an open card. Belongs to the playback thread; nothing blocks.

    Positions are frames since the card was opened. Everything that touches the card raises DeviceError
    when it is lost.
    """

    def __init__(self, pcm: OpenPcm, settings: schema.Playback) -> None:
        """Begin with a card that is open and stopped."""
        facts = pcm.facts
        self.pcm = pcm
        self.rate_hz = facts.rate_hz
        self.period_frames = facts.period_frames
        # How much is kept queued: what was asked for, but no less than two periods and no more than fits.
        asked_frames = max(settings.queue_ms * facts.rate_hz // 1000, 2 * facts.period_frames)
        self.full_frames = min(asked_frames, facts.buffer_frames)
        # Silence is written only below this, so that audio which comes a little late is not late at all.
        self.low_frames = min(self.full_frames // 2, round(LOW_S * self.rate_hz))
        # It is filled up when it has run down to this: not with each period, as waking up is what playing
        # costs, and not later than a busy machine allows.
        self.refill_frames = min(max(2 * self.full_frames // 5, self.low_frames), self._early_frames)
        # Whether the card is playing (silence, perhaps), and how far it was at the last look.
        self.running = False
        self.written_frames = 0
        self.played_frames = 0
        # Samples that have left the loudspeaker, and samples that never will, having been cut off.
        self.heard_samples = 0
        self.lost_samples = 0
        self._moved_s = 0.0
        self._ledger = Ledger()
        # What the card did not take: frames, and the samples they carry.
        self._rest: NDArray[np.int16] = np.empty(0, np.int16)
        self._rest_samples = 0
        self._frames_of = FromMono(facts)

    @property
    def _early_frames(self) -> int:
        return self.full_frames - self.period_frames

    def hurry(self) -> None:
        """Have it filled up with each period from now on: on this machine later is too late."""
        self.refill_frames = self._early_frames

    @property
    def is_late(self) -> bool:
        """Whether the card was left alone for so long that it is all but dry."""
        return self.running and self.queued_frames < self.refill_frames // 4

    @property
    def queued_frames(self) -> int:
        """Frames that the card held at the last look and was given since."""
        return self.written_frames - self.played_frames

    @property
    def end_frame(self) -> int:
        """Where what was handed over ends, including what the card has yet to take."""
        return self.written_frames + len(self._rest)

    @property
    def is_blocked(self) -> bool:
        """Whether the card did not take all that it was given; `push` comes before anything new."""
        return len(self._rest) > 0

    def look(self, now_s: float) -> bool:
        """See how far the card has played; return whether it has run dry."""
        if not self.running:
            self._moved_s = now_s
            return False
        avail = self.pcm.avail()
        dry = avail == XRUN
        queued = 0 if dry else max(0, self.pcm.facts.buffer_frames - avail)
        played = max(self.written_frames - queued, self.played_frames)
        if played > self.played_frames or not queued:
            self._moved_s = now_s
        elif now_s - self._moved_s >= STALLED_AFTER_S:
            name = self.pcm.facts.setting
            raise DeviceError(
                f'loudspeaker "{name}" has played nothing for {STALLED_AFTER_S:g} s; reopening it'
            )
        self.played_frames = played
        self.heard_samples = self._ledger.heard(played)
        return dry

    def write(self, block: NDArray[np.int16], samples: int) -> bool:
        """Queue `block`, which carries `samples`; return whether the card had run dry before it."""
        dry = False
        # Kept until the card has taken it: what a lost card did not take, the next one can have.
        self._rest, self._rest_samples = block, samples
        while len(block):
            taken = self.pcm.write(self._frames_of(block[: self.pcm.facts.buffer_frames]))
            if taken == XRUN:
                if dry:
                    name = self.pcm.facts.setting
                    raise DeviceError(f'loudspeaker "{name}" runs dry whenever it starts; reopening it')
                # It has played all that it had, took nothing of this, and can start again.
                dry = True
                self.played_frames = self.written_frames
                continue
            if taken == 0:
                break
            carried = samples * taken // len(block)
            self._ledger.wrote(self.written_frames, self.written_frames + taken, carried)
            self.written_frames += taken
            self.running = True
            block, samples = block[taken:], samples - carried
            self._rest, self._rest_samples = block, samples
        return dry

    def write_silence(self, frames: int) -> bool:
        """Queue silence; return whether the card had run dry before it."""
        return self.write(np.zeros(frames, np.int16), 0)

    def push(self) -> bool:
        """Queue what the card did not take; return whether the card had run dry before it."""
        return self.write(*self.take_back())

    def take_back(self) -> tuple[NDArray[np.int16], int]:
        """Return what the card did not take and the samples it carries: it is the caller's again."""
        rest = self._rest, self._rest_samples
        self._rest, self._rest_samples = np.empty(0, np.int16), 0
        return rest

    def give_back(self, block: NDArray[np.int16], samples: int) -> None:
        """Have `push` queue what another card did not take."""
        self._rest, self._rest_samples = block, samples

    def stop(self) -> None:
        """Stop the card at once, forget what it holds, and make it ready to start again."""
        self.abandon()
        self.pcm.drop()
        self.pcm.write(b"")

    def abandon(self) -> None:
        """Note that what the card holds will not be heard; does not touch the card."""
        self.running = False
        self.lost_samples += self._ledger.cut(self.played_frames) + self.take_back()[1]
        self.heard_samples = self._ledger.heard(self.played_frames)
        self.written_frames = self.played_frames
