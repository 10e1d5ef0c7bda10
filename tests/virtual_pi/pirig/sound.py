"""The other ends of the two sound cards' cables: a mouth in a room at the microphone, an ear at the loudspeaker.

With pyalsaaudio directly, so that nothing of voicekiosk takes part in what judges it.
"""

import contextlib
import os
import threading
import time
from functools import cache
from pathlib import Path

import alsaaudio
import numpy as np
from numpy.typing import NDArray

from pirig.wait import RigError, until

Samples = NDArray[np.int16]
PERIODS_S = 50
MOUTH, EAR = "hw:CARD=Mic,DEV=1", "hw:CARD=Speaker,DEV=1"
ROOM_LSB = 12.0
"""The room is never quite silent: in digital silence nobody could tell a lost sample from a kept one."""
XRUN = -32
FORMATS = {"S16_LE": alsaaudio.PCM_FORMAT_S16_LE, "S32_LE": alsaaudio.PCM_FORMAT_S32_LE}


def _open(kind: int, device: str, rate_hz: int, *, channels: int, form: str, periods: int) -> "alsaaudio.PCM":
    pcm = alsaaudio.PCM(
        type=kind, mode=alsaaudio.PCM_NORMAL, device=device, rate=rate_hz, channels=channels,
        format=FORMATS[form], periodsize=rate_hz // PERIODS_S, periods=periods,
    )  # fmt: skip
    info = pcm.info()
    granted = (info["rate"], info["channels"], info["format_name"])
    if granted != (rate_hz, channels, form):
        pcm.close()
        raise RigError(f"{device}: asked for {rate_hz} Hz, {channels} channels, {form}, and got {granted}")
    return pcm


def _listed(card: str) -> Path:
    """Return what is there while the kernel has a card."""
    return Path("/proc/asound", card)


@cache
def _room(rate_hz: int, seed: int) -> Samples:
    """Return noise that is long enough that no two places in a test are alike."""
    rng = np.random.default_rng(seed)
    return np.round(rng.normal(0, ROOM_LSB, 20 * rate_hz)).astype(np.int16)


class _Cable:
    """One end of a cable: a thread that owns the PCM, and takes it again when the card went and came."""

    def __init__(self, name: str, card: str) -> None:
        self._wanted = True
        self._listed = _listed(card)
        self._ready = threading.Event()
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True, name=name)

    def start(self) -> None:
        """Begin; the card is open when this returns."""
        self._thread.start()
        if not self._ready.wait(10):
            raise RigError(f"the {self._thread.name} did not start")
        if self.error is not None:
            raise RigError(f"the {self._thread.name} did not start: {self.error}") from self.error

    def stop(self) -> None:
        """Give the card back."""
        self._wanted = False
        if self._thread.is_alive():
            self._thread.join(10)

    def _run(self) -> None:
        # A room has no processor to wait for.
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(10))
        while self._wanted:
            try:
                self._serve()
            except alsaaudio.ALSAAudioError as error:
                if not self._ready.is_set():
                    self.error = error
                    self._ready.set()
                    return
                # The card was taken away: look now and then whether it is back.
                while self._wanted and not os.path.lexists(self._listed):
                    time.sleep(0.05)
                time.sleep(0.05)
            except RigError as error:
                self.error = error
                self._ready.set()
                return

    def _serve(self) -> None:
        raise NotImplementedError


class Mouth(_Cable):
    """Plays a room's faint noise into the microphone, and clips when asked; keeps a tape of all that."""

    def __init__(
        self, *, rate_hz: int = 48000, channels: int = 1, form: str = "S16_LE", seed: int = 1
    ) -> None:
        super().__init__("mouth", "Mic")
        self.rate_hz = rate_hz
        self._channels = channels
        self._form = form
        self._period = rate_hz // PERIODS_S
        self._noise = _room(rate_hz, seed)
        self._at = 0
        self._clip: Samples = np.empty(0, np.int16)
        self._said = threading.Event()
        self._said.set()
        self._lock = threading.Lock()
        self._tape: list[Samples] = []
        self._position = 0
        self._marks: list[tuple[float, int]] = []
        self.dead = False
        """Give digital silence: a microphone that is muted by a switch."""
        self.stammers = 0

    def heard_at(self, t_s: float) -> int:
        """Return where on the tape the microphone was at a time, to within a period."""
        marks = [(mark_s, heard) for mark_s, heard in self._marks if mark_s <= t_s] or self._marks[:1]
        mark_s, heard = marks[-1]
        return heard + round((t_s - mark_s) * self.rate_hz)

    def clock(self, since_s: float) -> tuple[float, float]:
        """Return the card's true rate (Hz) and when sample 0 of the tape would have been heard, since a time."""
        times_s, heard = np.array([mark for mark in self._marks if mark[0] >= since_s]).T
        rate_hz, offset = np.polyfit(times_s - since_s, heard, 1)
        return float(rate_hz), since_s - float(offset / rate_hz)

    @property
    def position(self) -> int:
        """How many samples have been said."""
        return self._position

    @property
    def tape(self) -> Samples:
        """Everything that the microphone was given."""
        return np.concatenate(self._tape) if self._tape else np.empty(0, np.int16)

    def say(self, clip: Samples) -> int:
        """Begin to say a clip; return where on the tape it begins."""
        with self._lock:
            self._clip = clip
            self._said.clear()
            return self.position

    def wait(self, timeout_s: float = 30.0) -> None:
        """Wait until all of the clip has been heard by the microphone."""
        if not self._said.wait(timeout_s):
            raise RigError(f"the mouth did not come to the end of what it says: {self.error or 'it hangs'}")
        time.sleep(self._delay_s)

    @property
    def _delay_s(self) -> float:
        return self._periods / PERIODS_S

    _periods = 16

    def _next(self) -> Samples:
        if self.dead:
            return np.zeros(self._period, np.int16)
        begin = self._at % (len(self._noise) - self._period)
        block = self._noise[begin : begin + self._period].copy()
        self._at += self._period
        with self._lock:
            piece, self._clip = self._clip[: self._period], self._clip[self._period :]
            block[: len(piece)] += piece
            self._tape.append(block)
            self._position += self._period
            if not len(self._clip):
                self._said.set()
        return block

    def _serve(self) -> None:
        pcm = _open(
            alsaaudio.PCM_PLAYBACK,
            MOUTH,
            self.rate_hz,
            channels=self._channels,
            form=self._form,
            periods=self._periods,
        )
        size = pcm.info()["buffer_size"]
        self._ready.set()
        try:
            # The first frame starts the card: begin with most of a buffer.
            data = b"".join(self._encode(self._next()) for _ in range(self._periods - 1))
            while self._wanted:
                self._write(pcm, data)
                queued = size - max(0, pcm.avail())
                self._marks.append((time.monotonic(), self.position - queued))
                data = self._encode(self._next())
        finally:
            with contextlib.suppress(alsaaudio.ALSAAudioError):
                pcm.drop()
            pcm.close()

    def _write(self, pcm: "alsaaudio.PCM", data: bytes) -> None:
        """Write all of `data`; a card that runs dry in the middle takes a part of it."""
        frame_bytes = self._channels * (4 if self._form == "S32_LE" else 2)
        while data and self._wanted:
            taken = pcm.write(data)
            if taken == XRUN:
                self.stammers += 1
                time.sleep(0.001)
            else:
                data = data[taken * frame_bytes :]

    def _encode(self, block: Samples) -> bytes:
        wide = np.zeros((len(block), self._channels), np.int16)
        # The microphone is the last channel; the others have a signal of their own, to be kept out.
        wide[:, :-1] = 3000
        wide[:, -1] = block
        return (
            (wide.astype("<i4") << 16).tobytes() if self._form == "S32_LE" else wide.astype("<i2").tobytes()
        )


class Ear(_Cable):
    """Records what the loudspeaker plays, and knows when each sample was heard (CLOCK_MONOTONIC)."""

    def __init__(self, *, rate_hz: int = 48000, channels: int = 2) -> None:
        super().__init__("ear", "Speaker")
        self.rate_hz = rate_hz
        self._channels = channels
        self._blocks: list[Samples] = []
        self._arrivals: list[tuple[float, int]] = []
        self._total = 0
        self.overruns = 0

    @property
    def samples(self) -> Samples:
        """Everything heard so far: the left channel."""
        return np.concatenate(self._blocks) if self._blocks else np.empty(0, np.int16)

    def latest(self, seconds: float) -> Samples:
        """Return the newest samples."""
        blocks = self._blocks[-max(1, round(seconds * PERIODS_S)) :]
        return np.concatenate(blocks) if blocks else np.empty(0, np.int16)

    def level(self, seconds: float = 0.06) -> float:
        """Return the root mean square of what was just heard."""
        latest = self.latest(seconds).astype(np.float64)
        return float(np.sqrt(np.mean(latest**2))) if len(latest) else 0.0

    def time_of(self, index: float) -> float:
        """Return when a sample was heard."""
        return index / self.rate_hz + self._offset_s()

    def index_at(self, t_s: float) -> int:
        """Return the sample that was heard at a time."""
        return round((t_s - self._offset_s()) * self.rate_hz)

    def clock_hz(self, since_s: float) -> float:
        """Return the card's true rate since a time."""
        times_s, counts = np.array([mark for mark in self._arrivals if mark[0] >= since_s]).T
        return float(np.polyfit(times_s - since_s, counts, 1)[0])

    def since(self, t_s: float) -> Samples:
        """Return what was heard from a time on."""
        return self.between(t_s)

    def between(self, start_s: float, stop_s: float | None = None) -> Samples:
        """Return what was heard from one time on, or between two."""
        stop = None if stop_s is None else max(0, self.index_at(stop_s))
        return self.samples[max(0, self.index_at(start_s)) : stop]

    def _offset_s(self) -> float:
        # The block that waited least tells the true time; the others were late.
        times, counts = np.array(self._arrivals).T
        return float((times - counts / self.rate_hz).min())

    def _serve(self) -> None:
        pcm = _open(
            alsaaudio.PCM_CAPTURE, EAR, self.rate_hz, channels=self._channels, form="S16_LE", periods=16
        )
        self._ready.set()
        try:
            while self._wanted:
                frames, data = pcm.read()
                if frames < 0:
                    self.overruns += 1
                    time.sleep(0.001)
                    continue
                self._blocks.append(np.frombuffer(data, "<i2")[:: self._channels].astype(np.int16))
                self._total += frames
                self._arrivals.append((time.monotonic(), self._total))
        finally:
            with contextlib.suppress(alsaaudio.ALSAAudioError):
                pcm.drop()
            pcm.close()


class Card:
    """A sound card, as whoever pulls its plug sees it."""

    def __init__(self, number: int, name: str) -> None:
        self._name = f"snd_aloop.{number}"
        self._number = number
        self._driver = Path("/sys/bus/platform/drivers/snd_aloop")
        self._listed = _listed(name)

    @property
    def plugged(self) -> bool:
        """Whether the driver has it."""
        return (self._driver / self._name).exists()

    def unplug(self) -> threading.Thread:
        """Take it away; nobody can open it any more when this returns.

        The driver waits until nobody has it open any more, so this goes on in a thread.
        """
        thread = threading.Thread(
            target=lambda: (self._driver / "unbind").write_text(self._name), daemon=True, name="unplug"
        )
        thread.start()
        until(f"{self._listed.name} to be away", lambda: not os.path.lexists(self._listed), pause_s=0.005)
        return thread

    def plug(self) -> None:
        """Bring it back, once all have let go of it."""
        if not os.path.lexists(self._listed):
            until(f"all to let go of {self._listed.name}", self._bind)
            until(f"{self._listed.name} to be back", lambda: os.path.lexists(self._listed))
            until(f"udev to have given {self._listed.name} to its group", self._given)

    def _given(self) -> bool:
        # Before that only root may open it, which is half a second on a slow machine.
        nodes = list(Path("/dev/snd").glob(f"*C{self._number}*"))
        return bool(nodes) and all(node.stat().st_gid and node.stat().st_mode & 0o060 for node in nodes)

    def _bind(self) -> bool:
        # While the driver still waits for somebody, it does not take it.
        with contextlib.suppress(OSError):
            (self._driver / "bind").write_text(self._name)
        return self.plugged


MIC, SPEAKER = Card(0, "Mic"), Card(1, "Speaker")
