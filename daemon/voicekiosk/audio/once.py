"""Devices for a moment: record or play in the calling thread, for tests by hand.

The daemon has threads of its own for this (`capture`, `playback`); here somebody waits for the result.
"""

import select
import time
from collections.abc import Generator
from pathlib import Path
from types import ModuleType

import alsaaudio
import numpy as np
from numpy.typing import NDArray

from voicekiosk.audio.devices import SYSFS
from voicekiosk.audio.frames import FromMono, ToMono
from voicekiosk.audio.pcm import XRUN, OpenPcm, open_pcm
from voicekiosk.audio.resample import Resampler
from voicekiosk.config import schema
from voicekiosk.errors import DeviceError

_STALLED_S = 1.5
# How long is recorded before and after what is played.
_BEFORE_S, _AFTER_S = 0.3, 0.8


def periods(
    settings: schema.Capture, *, alsa: ModuleType = alsaaudio, sysfs: Path = SYSFS
) -> Generator[tuple[int, NDArray[np.int16]], None, None]:
    """Yield the card's rate and one period of mono after the other, until the iterator is closed.

    Blocks for each. Raises DeviceError when the microphone cannot be opened, is lost or gives nothing.
    """
    pcm = open_pcm(settings, alsa=alsa, sysfs=sysfs)
    try:
        to_mono = ToMono(pcm.facts, settings.channel)
        while True:
            frames, data = pcm.read()
            if frames > 0:
                yield pcm.facts.rate_hz, to_mono(data).copy()
            elif frames != XRUN and not _wait(pcm):
                raise DeviceError(f'microphone "{settings.device}" has given nothing for {_STALLED_S:g} s')
    finally:
        pcm.close()


def windows(
    settings: schema.Capture, seconds: float, *, alsa: ModuleType = alsaaudio, sysfs: Path = SYSFS
) -> Generator[NDArray[np.int16], None, None]:
    """Yield what the microphone hears, `seconds` at a time, until the iterator is closed; as `periods`."""
    blocks: list[NDArray[np.int16]] = []
    stream = periods(settings, alsa=alsa, sysfs=sysfs)
    try:
        for rate_hz, block in stream:
            blocks.append(block)
            if sum(map(len, blocks)) >= seconds * rate_hz:
                yield np.concatenate(blocks)
                blocks.clear()
    finally:
        stream.close()


def record(
    settings: schema.Capture, seconds: float, *, alsa: ModuleType = alsaaudio, sysfs: Path = SYSFS
) -> tuple[int, NDArray[np.int16]]:
    """Return the card's rate and `seconds` of mono. Blocks for as long; raises DeviceError."""
    blocks: list[NDArray[np.int16]] = []
    taken = 0
    stream = periods(settings, alsa=alsa, sysfs=sysfs)
    try:
        for rate_hz, block in stream:
            blocks.append(block)
            taken += len(block)
            if taken >= seconds * rate_hz:
                return rate_hz, np.concatenate(blocks)
    finally:
        stream.close()
    raise DeviceError(f'microphone "{settings.device}" ended')


def play_and_record(
    capture: schema.Capture,
    playback: schema.Playback,
    sound: NDArray[np.int16],
    *,
    alsa: ModuleType = alsaaudio,
    sysfs: Path = SYSFS,
) -> tuple[NDArray[np.int16], float]:
    """Play 24 kHz `sound` while recording; return what was heard at 24 kHz, and when in it the sound began.

    That moment is when the first frame was given to the card: its queue belongs to the way that is
    measured. Blocks for the time it takes; raises DeviceError.
    """
    microphone = open_pcm(capture, alsa=alsa, sysfs=sysfs)
    try:
        speaker = open_pcm(playback, alsa=alsa, sysfs=sysfs)
        try:
            return _exchange(microphone, speaker, capture, sound)
        finally:
            speaker.close()
    finally:
        microphone.close()


def _exchange(
    microphone: OpenPcm,
    speaker: OpenPcm,
    capture: schema.Capture,
    sound: NDArray[np.int16],
) -> tuple[NDArray[np.int16], float]:
    to_mono, from_mono = ToMono(microphone.facts, capture.channel), FromMono(speaker.facts)
    up = Resampler(24000, speaker.facts.rate_hz)
    down = Resampler(microphone.facts.rate_hz, 24000)
    # The filter's own delay is not the room's.
    filters_s = up.delay_s + down.delay_s
    queue = np.concatenate([up.process(sound), up.flush()])
    heard: list[NDArray[np.int16]] = []
    frames_heard, written = 0, 0
    began_s = -1.0
    length_s = _BEFORE_S + len(sound) / 24000 + _AFTER_S
    deadline_s = time.monotonic() + length_s + 2 * _STALLED_S
    while frames_heard < length_s * microphone.facts.rate_hz:
        frames, data = microphone.read()
        if frames > 0:
            block = to_mono(data)
            frames_heard += len(block)
            heard.append(down.process(block))
        elif frames != XRUN and not _wait(microphone, 0.02) and time.monotonic() > deadline_s:
            raise DeviceError(f'microphone "{capture.device}" gives nothing')
        now_s = frames_heard / microphone.facts.rate_hz
        if now_s >= _BEFORE_S and written < len(queue):
            if began_s < 0:
                waiting = max(0, microphone.avail())
                began_s = now_s + waiting / microphone.facts.rate_hz
            part = queue[written : written + speaker.facts.buffer_frames]
            written += max(0, speaker.write(from_mono(part)))
    return np.concatenate(heard), began_s + filters_s


def _wait(pcm: OpenPcm, timeout_s: float = _STALLED_S) -> bool:
    poll = select.poll()
    for descriptor, mask in pcm.descriptors():
        poll.register(descriptor, mask)
    ready = poll.poll(timeout_s * 1000)
    return bool(ready) and pcm.is_ready(ready)
