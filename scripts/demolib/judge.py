"""Judge what the demo recorded: at the microphone, at the loudspeaker, and at the server.

Nothing here comes from the daemon's own counters. Its resampler alone is used, to know what 24 kHz
samples a sound at the microphone must become.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil, gcd

import numpy as np

from demolib import verify
from demolib.clips import Clip
from demolib.server import Connection, Frame, Reply
from demolib.sound import RATE_HZ, Ear
from demolib.verify import Samples
from voicekiosk.audio.resample import Resampler

SERVER_HZ = 24000
MARGIN_S = 0.02
"""How exactly the time of a press tells a sample: one period of the microphone."""
QUIET_DBFS = -60.0
FADE_S = 0.015
"""A cut reply is compared up to here before its end: the fade is meant to differ."""
BEFORE_PAUSE_S = 0.5
"""What stood still this long before a pause may have led to it; more than that is queued nowhere."""

StoodStill = Callable[[float, float], float]
"""Tells for how many seconds of a stretch of time (CLOCK_MONOTONIC) this machine stood still."""


def _never(_start_s: float, _stop_s: float) -> float:
    return 0.0


class RigError(Exception):
    """The sound rig itself failed, so nothing can be said about the kiosk."""


@dataclass(frozen=True, slots=True)
class Take:
    """One press: what was said, and when the button went down and up (CLOCK_MONOTONIC)."""

    name: str
    clip: Clip
    pressed_s: float
    released_s: float
    preroll_s: float = 0.0
    warm: bool = False
    session_open: bool = True
    """Whether the session was open at the press."""
    interrupts: bool = False
    """Whether the loudspeaker was playing at the press."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one take on its way to the server."""

    take: Take
    frames: int
    samples: int
    lost: int
    extra: int
    phase: int
    correlation: float
    voice_after_press_s: float
    hears_after_press_s: float
    """From the press to the first sample that the server got of it; negative with a pre-roll."""
    first_audio_s: float
    breaks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence in the middle of what was played, where nothing pauses; all goes on after it."""

    t_s: float
    seconds: float
    stood_still_s: float
    """For how long the machine stood still just before and during it."""


@dataclass(frozen=True, slots=True)
class Played:
    """What became of one reply on its way to the loudspeaker."""

    reply: Reply
    samples: int
    lost: int
    """Samples of it that never came out of the loudspeaker as they are (24 kHz)."""
    extra: int
    """Samples that came out in the middle of it and are neither of it nor silence (24 kHz)."""
    pauses: tuple[Pause, ...]
    correlation: float
    """With what was played, without the pauses."""
    sound_s: float
    """From its first audio at the server to its first sample at the loudspeaker."""
    silent_after_s: float | None
    """From the press that cut it to the last sample that could be heard; None when nothing cut it."""


@dataclass(slots=True)
class Verdict:
    """Everything that was found out."""

    sent: list[Sent] = field(default_factory=list)
    played: list[Played] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def judge_sent(take: Take, connections: list[Connection], microphone: Ear, until_s: float) -> Sent:
    """Look for every sample of a take in the server's record up to the next press at `until_s`.

    Raises RigError when the microphone did not hear exactly what was fed.
    """
    heard_at = _heard_at(take, microphone)
    press_frame = microphone.index_at(take.pressed_s) - heard_at
    margin = round(MARGIN_S * RATE_HZ)
    start = 0
    if press_frame > 0:
        # The voice was there before the press: with a pre-roll, some of that counts too.
        start = max(0, press_frame - round(take.preroll_s * RATE_HZ) + margin)
    stop = min(len(take.clip.samples), microphone.index_at(take.released_s) - heard_at)
    if stop - start < RATE_HZ // 4:
        raise RigError(
            f"{take.name}: less than 250 ms were spoken before the release; the machine is too busy"
        )

    messages, record = _arrived(connections, take.pressed_s, until_s)
    phases, windows = references(take.clip.samples, start, stop)
    phase, found = verify.best_phase(phases, record, windows)
    first, last = windows[phase]
    room = np.zeros(SERVER_HZ, np.int16)
    correlation, _ = verify.compare(phases[phase][first:last], np.concatenate([room, record, room]))
    return Sent(
        take=take,
        frames=stop - start,
        samples=found.wanted,
        lost=found.lost,
        extra=found.extra,
        phase=phase,
        correlation=correlation,
        voice_after_press_s=-press_frame / RATE_HZ,
        hears_after_press_s=(start - press_frame) / RATE_HZ - (found.at or 0) / SERVER_HZ,
        first_audio_s=messages[0].t_s - take.pressed_s if messages else float("inf"),
        breaks=tuple(verify.breaks(found)),
    )


def judge_played(
    reply: Reply, speaker: Ear, presses: list[float], stood_still: StoodStill = _never
) -> Played:
    """Look for every sample of a reply in what came out of the loudspeaker, up to the press that cut it."""
    resampler = Resampler(SERVER_HZ, RATE_HZ)
    reference = np.concatenate([resampler.process(reply.samples), resampler.flush()])
    # It cannot have been heard before it was sent, nor long after.
    begin = max(0, speaker.index_at(reply.began_s - 0.1))
    record = speaker.samples[begin : begin + len(reference) + 3 * RATE_HZ]
    found = verify.search(reference, record, may_be_silent=True)
    first = found.at if found.at is not None else verify.compare(reference, record)[1]
    sounded_s = speaker.time_of(begin + first)
    ended_s = sounded_s + (len(reference) + max(0, found.extra)) / RATE_HZ
    cut_s = next((press for press in presses if sounded_s < press < ended_s), None)
    silent_after_s = None
    if cut_s is not None:
        heard = first + (verify.last_above(record[first : first + len(reference)], QUIET_DBFS) or 0)
        silent_after_s = speaker.time_of(begin + heard) - cut_s
        stop = _position(found, max(first, heard - round(FADE_S * RATE_HZ)), first)
        record = record[: heard + 1]
        found = verify.search(reference, record, 0, stop, may_be_silent=True)
    halts = verify.halts(found, record)
    paused = sum(halt.samples for halt in halts)
    without = np.delete(record, [at for halt in halts for at in range(halt.at, halt.at + halt.samples)])
    correlation, _ = verify.compare(reference[: found.wanted], _padded(without, found.wanted))
    return Played(
        reply=reply,
        samples=found.wanted * SERVER_HZ // RATE_HZ,
        lost=ceil(found.lost * SERVER_HZ / RATE_HZ),
        extra=ceil((found.extra - paused) * SERVER_HZ / RATE_HZ),
        pauses=tuple(_pause(halt, speaker, begin, stood_still) for halt in halts),
        correlation=correlation,
        sound_s=sounded_s - reply.began_s,
        silent_after_s=silent_after_s,
    )


def _position(found: verify.Found, place: int, first: int) -> int:
    """Return how far the reference was at a place of the record in which it begins at `first`."""
    run = next((run for run in reversed(found.runs) if run.start + run.shift <= place), None)
    return place - (first if run is None else run.shift)


def _pause(halt: verify.Halt, speaker: Ear, begin: int, stood_still: StoodStill) -> Pause:
    t_s, seconds = speaker.time_of(begin + halt.at), halt.samples / RATE_HZ
    return Pause(t_s, seconds, stood_still(t_s - BEFORE_PAUSE_S, t_s + seconds))


def references(
    samples: Samples, start: int, stop: int, rate_hz: int = RATE_HZ
) -> tuple[list[Samples], list[tuple[int, int]]]:
    """Return what `samples` become at 24 kHz for each start phase, and where `start` to `stop` lie in it."""
    divisor = gcd(rate_hz, SERVER_HZ)
    up, down = SERVER_HZ // divisor, rate_hz // divisor
    phases, windows = [], []
    for phase in range(down):
        resampler = Resampler(rate_hz, SERVER_HZ)
        delay = resampler.delay_frames_in
        room = np.zeros(4 * delay, np.int16)
        phases.append(resampler.process(np.concatenate([room, samples, room])[phase:]))
        shift = len(room) + delay - phase
        windows.append((ceil((start + shift) * up / down), ceil((stop + shift) * up / down)))
    return phases, windows


def _heard_at(take: Take, microphone: Ear) -> int:
    """Return where in the microphone's record the take begins."""
    clip, record = take.clip.samples, microphone.samples
    begin = max(0, microphone.index_at(take.pressed_s) - len(clip) - RATE_HZ)
    window = record[begin : begin + 2 * len(clip) + 4 * RATE_HZ]
    if len(window) > len(clip):
        at = begin + verify.locate(clip, window)
        if np.array_equal(record[at : at + len(clip)], clip):
            return at
    raise RigError(
        f"{take.name}: the microphone did not hear exactly what was fed to it. PulseAudio lost sound before"
        " voicekiosk had a part in it: the machine is too busy. Run the demo again."
    )


def _arrived(connections: list[Connection], start_s: float, stop_s: float) -> tuple[list[Frame], Samples]:
    """Return the audio messages between two times, and the samples that they brought."""
    for connection in connections:
        messages = connection.audio_between(start_s, stop_s)
        if messages:
            before = sum(map(_count, connection.audio_between(float("-inf"), start_s)))
            return messages, connection.up[before : before + sum(map(_count, messages))]
    return [], np.zeros(0, np.int16)


def _count(frame: Frame) -> int:
    text = str(frame.content["audio"])
    return (len(text) * 3 // 4 - text.count("=")) // 2


def _padded(record: Samples, length: int) -> Samples:
    return np.concatenate([record, np.zeros(max(0, length - len(record)), np.int16)])
