"""The microphone: a thread that moves periods from the card into a ring, and nothing else.

Parked while closed. While open it wakes once a period, takes no lock, logs nothing, and tells the event
loop only what has changed. Time that is lost (an overrun, a device that went and came back) is filled
with silence, so that ring positions stay true to the wall clock.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import alsaaudio
import numpy as np
from numpy.typing import NDArray

from voicekiosk.audio.devices import SYSFS
from voicekiosk.audio.events import (
    MicrophoneClosed,
    MicrophoneEvent,
    MicrophoneHeard,
    MicrophoneLost,
    MicrophoneOpened,
    MicrophoneOverrun,
    MicrophoneSilent,
)
from voicekiosk.audio.frames import DeviceFacts, ToMono
from voicekiosk.audio.levels import ConstantSignal
from voicekiosk.audio.owner import STALLED_AFTER_S, Bell, DeviceOwner, Reopen
from voicekiosk.audio.pcm import XRUN, OpenPcm, open_pcm
from voicekiosk.audio.ring import Ring
from voicekiosk.audio.statistics import CaptureStatistics
from voicekiosk.audio.timeline import Timeline
from voicekiosk.config import schema
from voicekiosk.errors import DeviceError

# The longest question is 60 s, with a pre-roll before it and a tail after it.
RING_S = 65
SILENT_AFTER_S = 5.0
# How long a card is left alone while nobody listens; no longer than half of what it can hold.
NAP_S = 0.1
# What a period may come late by.
LATE_S = 0.002


@dataclass(frozen=True, slots=True)
class CaptureStream:
    """Where the microphone's sound is found: the same over closing, loss and reopening at one rate."""

    ring: Ring
    rate_hz: int
    device: DeviceFacts


class Capture(DeviceOwner):
    """The microphone's owner. `open`, `close` and everything read here may be used from any thread."""

    def __init__(
        self,
        settings: schema.Capture,
        post: Callable[[MicrophoneEvent], None],
        wake: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        *,
        bell: Bell | None = None,
        alsa: ModuleType = alsaaudio,
        sysfs: Path = SYSFS,
    ) -> None:
        """Make a closed microphone that posts events with `post` and wakes the ring's readers with `wake`."""
        super().__init__("capture", clock, bell)
        self._settings = settings
        self._post = post
        self._wake = wake
        self._alsa = alsa
        self._sysfs = sysfs
        self._stream: CaptureStream | None = None
        self._timeline = Timeline(0)
        # Whether the card delivers into the ring on from where it was lost, rather than from a new start.
        self._resumes = False
        self._signal = ConstantSignal(0)
        # Whether the microphone was reported silent, and that not yet taken back.
        self._silent = False
        # Whether somebody waits for the sound as it comes.
        self._live = True
        self._captured_frames = 0
        self._overruns = 0
        self._filled_frames = 0
        self._losses = 0
        self._opened = 0

    @property
    def stream(self) -> CaptureStream | None:
        """The ring and what fills it; None before the microphone was first open."""
        return self._stream

    def frame_at(self, t_s: float) -> int:
        """Return the ring position of the frame that was captured at `t_s`, or will be.

        Never before the first frame since the microphone was opened: nothing heard that.
        """
        return self._timeline.frame_at(t_s)

    def set_live(self, live: bool) -> None:
        """Say whether the sound is wanted as it comes; if not, it reaches the ring up to 0.1 s late.

        An open microphone that nobody listens to has a fifth of the wake-ups. What the card holds when it
        is wanted again is in the ring at once.
        """
        if live and not self._live:
            self._live = True
            self._ring()
        self._live = live

    def statistics(self) -> CaptureStatistics:
        """Return what the microphone has seen so far."""
        return CaptureStatistics(
            self._captured_frames, self._overruns, self._filled_frames, self._losses, self._opened
        )

    def _acquire(self) -> OpenPcm:
        return open_pcm(self._settings, alsa=self._alsa, sysfs=self._sysfs)

    def _lost(self, reason: str, retry_in_s: float) -> None:
        self._losses += 1
        self._post(MicrophoneLost(reason, retry_in_s))

    def _closed(self) -> None:
        self._resumes = False
        self._silent = False
        self._post(MicrophoneClosed())

    def _serve(self, pcm: OpenPcm) -> None:
        facts = pcm.facts
        stream = self._stream
        if stream is None or stream.rate_hz != facts.rate_hz:
            ring = Ring(RING_S * facts.rate_hz, self._wake, hurry=self._bell.ring)
            self._timeline = Timeline(facts.rate_hz)
            self._resumes = False
        else:
            ring = stream.ring
        self._start(pcm, ring)
        self._stream = CaptureStream(ring, facts.rate_hz, facts)
        self._opened += 1
        self._signal = ConstantSignal(round(SILENT_AFTER_S * facts.rate_hz))
        self._post(MicrophoneOpened(self._stream))
        to_mono = ToMono(facts, self._settings.channel)
        descriptors = pcm.descriptors()
        nap_s = min(NAP_S, (facts.buffer_frames - facts.period_frames) / 2 / facts.rate_hz)
        while self._wanted:
            seconds = min(self._until_wish_s(ring, facts), nap_s) if self._live else nap_s
            if seconds and not self._nap(seconds):
                return
            ring.wakes_up()
            ready = self._bell.wait(STALLED_AFTER_S - (self._clock() - self._progress_s), descriptors)
            if ready and pcm.is_ready(ready):
                self._drain(pcm, ring, to_mono)
            if self._clock() - self._progress_s >= STALLED_AFTER_S:
                raise DeviceError(
                    f'microphone "{facts.setting}" has given nothing for {STALLED_AFTER_S:g} s; reopening it'
                )

    def _until_wish_s(self, ring: Ring, facts: DeviceFacts) -> float:
        """Return how long nobody waits for sound; 0 if nobody has said when it is wanted."""
        wish = ring.sleep_until_wish()
        if wish is None:
            return 0.0
        seconds = (wish - self._timeline.frame_at(self._clock())) / facts.rate_hz + LATE_S
        # What comes with one of the next two periods is not worth another wake-up, and must not be late.
        return seconds if seconds > 2 * facts.period_s else 0.0

    def _nap(self, seconds: float) -> bool:
        """Leave the card alone for a while; return whether it is still wanted."""
        self._bell.wait(seconds)
        return self._wanted

    def _start(self, pcm: OpenPcm, ring: Ring) -> None:
        """Start the card, with silence for the time in which it was lost."""
        pcm.read()
        now_s = self._clock()
        if self._resumes:
            self._fill(ring, self._timeline.frame_at(now_s) - ring.written)
        else:
            self._timeline.start(now_s, ring.written)
            self._resumes = True

    def _drain(self, pcm: OpenPcm, ring: Ring, to_mono: ToMono) -> None:
        """Move every whole period that the card holds."""
        facts = pcm.facts
        frames, data = pcm.read()
        if frames == XRUN:
            # The card stopped, and starts again with the next read. It did give something: we were late.
            self._progress_s = self._clock()
            frames, data = pcm.read()
            missing = self._timeline.frame_at(self._clock()) - max(frames, 0) - ring.written
            self._overran(ring, missing)
        while frames > 0:
            block = to_mono(data)
            ring.write(block)
            self._captured_frames += len(block)
            self._progress_s = now_s = self._clock()
            self._judge(block, facts.rate_hz)
            held = pcm.avail()
            # After an overrun nothing is held; the next wake-up is at once and deals with it.
            lost = self._timeline.observe(now_s, ring.written + max(held, 0))
            if lost:
                self._overran(ring, lost)
            if held < facts.period_frames:
                return
            frames, data = pcm.read()

    def _overran(self, ring: Ring, missing_frames: int) -> None:
        """Put silence in the place of sound that the card could not keep for us."""
        self._overruns += 1
        self._fill(ring, missing_frames)
        self._post(MicrophoneOverrun(max(0, missing_frames)))

    def _fill(self, ring: Ring, frames: int) -> None:
        if frames > 0:
            ring.write_silence(frames)
            self._filled_frames += frames

    def _judge(self, block: NDArray[np.int16], rate_hz: int) -> None:
        """Tell of a microphone that gives the same sample for long, and when it gives another."""
        stands_still = self._signal.feed(block)
        if stands_still and not self._silent:
            self._silent = True
            self._post(MicrophoneSilent(self._signal.constant_frames / rate_hz))
            raise Reopen
        if self._silent and self._signal.constant_frames < len(block):
            self._silent = False
            self._post(MicrophoneHeard())
