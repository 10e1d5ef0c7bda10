"""A fake alsaaudio on a clock of its own, which obeys the rules of the real one.

`World` holds the time, the sound cards and what is to happen when. An audio thread's whole life runs in
the test's own thread: where the real one would sleep, the world's time jumps to the next thing that
happens (a period, a scheduled event, a timeout). Nothing ever waits.

The rules kept: setting parameters never fails, ALSA picks something else; `info()` after `close()` aborts;
a capture starts with the first read and a playback with the first write; -32 once after an overrun or
underrun, and the stream is prepared again; `avail` is a negative number then; reads and writes may be
short; `close()` plays to the end what was not dropped; a device that is gone raises with a text.
"""

import heapq
import select
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import numpy as np

FORMATS = {"U8": (1, 1), "S16_LE": (2, 2), "S24_LE": (6, 4), "S32_LE": (10, 4), "S24_3LE": (32, 3)}
EPIPE = -32
FOREVER_S = 24 * 3600.0


class ALSAAudioError(Exception):
    """As in alsaaudio."""


class ProcessAborted(BaseException):
    """What would have been SIGABRT."""


def voice(frame: np.ndarray) -> np.ndarray:
    """What every microphone of this world hears: each frame since time 0 has a value of its own."""
    return ((frame * 7919) % 20011 - 10005).astype(np.int16)


@dataclass
class Card:
    """A sound card, for one direction; change its fields to break it."""

    rates: list[int] | tuple[int, int] = (8000, 192000)
    channels: list[int] = field(default_factory=lambda: [1, 2])
    formats: list[str] = field(default_factory=lambda: ["S16_LE"])
    hears: Callable[[np.ndarray], np.ndarray] = voice
    # How it fails when it is opened or used; None when it is well.
    trouble: str | None = None
    # Since when its clock stands still; None while it runs.
    stalled_at_s: float | None = None
    # The card tells its position only in multiples of this.
    burst_frames: int = 1
    buffer_at_least: int = 0
    # It has run dry by the time of any write.
    dry: bool = False
    # The next read is cut to this many frames, once; the next writes to these.
    short_read: int | None = None
    short_writes: list[int] = field(default_factory=list)
    opened: list["Handle"] = field(default_factory=list)
    writes: list[tuple[float, int]] = field(default_factory=list)
    # What really left the loudspeaker, in the card's own samples, with the time each stretch began.
    played: list[tuple[float, np.ndarray]] = field(default_factory=list)

    @property
    def handle(self) -> "Handle":
        return self.opened[-1]

    def sound(self, channel: int = 0) -> np.ndarray:
        """Everything that left the loudspeaker, put together, one channel."""
        for handle in self.opened:
            handle.settle()
        return np.concatenate([part[:, channel] for _, part in self.played] or [np.zeros(0, np.int16)])


class World:
    """The time, the cards, and what is to happen."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.cards: dict[str, Card] = {}
        self.bells: list[FakeBell] = []
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._order = count()

    def clock(self) -> float:
        return self.now

    def at(self, t_s: float, event: Callable[[], object]) -> None:
        """Have `event` happen at `t_s`, counted from time 1000."""
        heapq.heappush(self._events, (1000.0 + t_s, next(self._order), event))

    def lag(self, t_s: float, seconds: float) -> None:
        """Keep every thread off the processor for `seconds` from `t_s` on."""
        self.at(t_s, lambda: self.pass_time(seconds))

    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    def next_event_s(self) -> float:
        return self._events[0][0] if self._events else self.now + FOREVER_S

    def happen(self) -> None:
        """Let everything happen that is due."""
        while self._events and self._events[0][0] <= self.now + 1e-9:
            heapq.heappop(self._events)[2]()

    def bell(self) -> "FakeBell":
        return FakeBell(self)

    def alsa(self) -> ModuleType:
        """The module to give to what imports alsaaudio."""
        module = SimpleNamespace(
            ALSAAudioError=ALSAAudioError,
            PCM_CAPTURE=1,
            PCM_PLAYBACK=0,
            PCM_NONBLOCK=1,
            PCM=self._open,
            pcms=lambda: list(self.cards),
            **{f"PCM_FORMAT_{name}": number for name, (number, _) in FORMATS.items()},
        )
        return cast("ModuleType", module)

    def _open(self, **wish: Any) -> "Handle":
        assert wish["mode"] == 1, "a blocking handle can hang its thread for ever"
        card = self.cards.get(wish["device"])
        if card is None:
            raise ALSAAudioError(f"No such file or directory [{wish['device']}]")
        if card.trouble:
            raise ALSAAudioError(f"{card.trouble} [{wish['device']}]")
        handle = Handle(self, card, wish)
        card.opened.append(handle)
        return handle


class FakeBell:
    """Where an owner sleeps: time passes here and nowhere else."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rung = False
        # How often the owner slept and woke.
        self.wakeups = 0

    def ring(self) -> None:
        self._rung = True

    def wait(
        self, timeout_s: float | None, descriptors: Sequence[tuple[int, int]] = ()
    ) -> list[tuple[int, int]]:
        world = self._world
        until = world.now + (FOREVER_S if timeout_s is None else max(0.0, timeout_s))
        self.wakeups += 1
        while True:
            world.happen()
            # An error is always reported, anything else only where it was asked for.
            polled = [(Handle.by_descriptor[fd], mask) for fd, mask in descriptors]
            handles = [handle for handle, mask in polled if mask or handle.card.trouble]
            ready = [(h.descriptor, select.POLLIN) for h in handles if h.ready_at() <= world.now + 1e-9]
            if self._rung or ready or world.now >= until:
                self._rung = False
                return ready
            step = min([until, world.next_event_s(), *(h.ready_at() for h in handles)])
            assert step < world.now + FOREVER_S / 2, "nothing would ever wake this thread again"
            world.now = max(world.now, step)


class Handle:
    """What `alsaaudio.PCM` returns."""

    by_descriptor: dict[int, "Handle"] = {}  # noqa: RUF012

    def __init__(self, world: World, card: Card, wish: dict[str, Any]) -> None:
        self._world = world
        self.card = card
        self.capture = wish["type"] == 1
        self.descriptor = 1000 + len(Handle.by_descriptor)
        Handle.by_descriptor[self.descriptor] = self
        self.device = wish["device"]
        self.rate: int = self._nearest_rate(wish["rate"])
        self.channels = wish["channels"] if wish["channels"] in card.channels else card.channels[0]
        asked = next(name for name, (number, _) in FORMATS.items() if number == wish["format"])
        self.format = asked if asked in card.formats else card.formats[0]
        self.period: int = max(wish["periodsize"], 32)
        self.buffer: int = max(self.period * wish["periods"], card.buffer_at_least)
        self.closed = False
        self.state = "prepared"
        # Frames moved by us and by the card since the stream was last started.
        self._ours = 0
        self._started_s = 0.0
        self._first_frame = 0
        self._queue: list[np.ndarray] = []
        self._settled = 0

    # What alsaaudio's PCM has.

    def info(self) -> dict[str, object]:
        if self.closed:
            raise ProcessAborted
        return {
            "rate": self.rate,
            "channels": self.channels,
            "format_name": self.format,
            "period_size": self.period,
            "buffer_size": self.buffer,
            "access_type": "RW_INTERLEAVED",
        }

    def getrates(self) -> object:
        rates = self.card.rates
        return rates[0] if len(rates) == 1 else rates

    def getformats(self) -> dict[str, int]:
        return {name: FORMATS[name][0] for name in self.card.formats}

    def getchannels(self) -> list[int]:
        return self.card.channels

    def polldescriptors(self) -> list[tuple[int, int]]:
        self._check()
        return [(self.descriptor, select.POLLIN if self.capture else select.POLLOUT)]

    def polldescriptors_revents(self, ready: list[tuple[int, int]]) -> int:
        if self.closed:
            raise ProcessAborted
        return ready[0][1]

    def read(self) -> tuple[int, bytes]:
        self._check()
        assert self.capture
        if self.state == "prepared":
            self._start()
        avail = self._captured() - self._ours
        if avail > self.buffer:
            self.state = "prepared"
            return EPIPE, b""
        frames = min(avail, self.period)
        if self.card.short_read is not None and frames:
            frames, self.card.short_read = min(frames, self.card.short_read), None
        heard = self.card.hears(self._first_frame + self._ours + np.arange(frames))
        self._ours += frames
        return frames, self._encode(heard)

    def write(self, data: Any) -> int:
        self._check()
        assert not self.capture
        raw = bytes(data)
        size = self.channels * FORMATS[self.format][1]
        if len(raw) % size:
            raise ALSAAudioError("Data size must be a multiple of framesize")
        if self.card.dry or (self.state == "running" and self._dry()):
            self._stop("prepared")
            return EPIPE
        if self.state == "setup":
            self.state = "prepared"
        frames = self._decode(raw)[: self._room()]
        if self.card.short_writes and len(frames):
            frames = frames[: self.card.short_writes.pop(0)]
        if len(frames):
            self._queue.append(frames)
            self._ours += len(frames)
            self.card.writes.append((self._world.now, len(frames)))
            if self.state == "prepared":
                self._start()
        return len(frames)

    def avail(self) -> int:
        if self.closed:
            raise ALSAAudioError("PCM device is closed")
        if self.card.trouble:
            return -19
        if self.capture:
            avail = self._captured() - self._ours if self.state == "running" else 0
            return EPIPE if avail > self.buffer else avail
        return EPIPE if self.state == "running" and self._dry() else self._room()

    def drop(self) -> None:
        self._check()
        self._stop("setup")

    def close(self) -> None:
        if self.closed:
            return
        if not self.capture and self.state == "running" and not self.card.trouble:
            raise AssertionError("close() drains what is queued: drop() first")
        self._stop("setup")
        self.closed = True

    # The card's side.

    def ready_at(self) -> float:
        """When poll would return."""
        if self.card.trouble:
            return self._world.now
        if self.state != "running":
            return self._world.now + FOREVER_S
        if not self.capture:
            return self._world.now
        if self.card.stalled_at_s is not None:
            return self._world.now + FOREVER_S
        if self._captured() - self._ours >= self.period:
            return self._world.now
        bursts = -(-(self._ours + self.period) // self.card.burst_frames)
        return self._started_s + (bursts * self.card.burst_frames + 1e-3) / self.rate

    def settle(self) -> None:
        """Move what has left the loudspeaker by now to the card's record."""
        if self.capture or not self._queue:
            return
        everything = np.concatenate(self._queue)
        left = min(self._consumed(), len(everything))
        if left > self._settled:
            began_s = self._started_s + self._settled / self.rate
            self.card.played.append((began_s, everything[self._settled : left]))
            self._settled = left

    def _check(self) -> None:
        if self.closed:
            raise ALSAAudioError("PCM device is closed")
        if self.card.trouble:
            raise ALSAAudioError(f"{self.card.trouble} [{self.device}]")

    def _start(self) -> None:
        self.state = "running"
        self._started_s = self._world.now
        if self.capture:
            self._ours = 0
            self._first_frame = round(self._started_s * self.rate)

    def _stop(self, state: str) -> None:
        if self.state == "running":
            self.settle()
        self.state = state
        self._queue = []
        self._ours = self._settled = 0

    def _elapsed(self) -> int:
        stalled_at_s = self.card.stalled_at_s
        now_s = self._world.now if stalled_at_s is None else min(self._world.now, stalled_at_s)
        frames = max(0, int((now_s - self._started_s) * self.rate + 1e-4))
        return frames // self.card.burst_frames * self.card.burst_frames

    def _captured(self) -> int:
        return self._elapsed() if self.state == "running" else 0

    def _consumed(self) -> int:
        return self._elapsed() if self.state == "running" else 0

    def _dry(self) -> bool:
        return self._consumed() >= self._ours

    def _room(self) -> int:
        return self.buffer - (self._ours - min(self._consumed(), self._ours))

    def _nearest_rate(self, rate: int) -> int:
        if isinstance(self.card.rates, tuple):
            return min(max(rate, self.card.rates[0]), self.card.rates[1])
        return min(self.card.rates, key=lambda offered: abs(offered - rate))

    def _encode(self, mono: np.ndarray) -> bytes:
        """Give the first channel the sound and the others its opposite, at half strength."""
        frames = np.zeros((len(mono), self.channels), np.int32)
        frames[:, 0] = mono
        for channel in range(1, self.channels):
            frames[:, channel] = -mono // 2
        width = FORMATS[self.format][1]
        shift = {"S16_LE": 0, "S24_LE": 8, "S24_3LE": 8, "S32_LE": 16}[self.format]
        raw = (frames << shift).astype("<i4").view(np.uint8).reshape(len(mono), self.channels, 4)
        return raw[:, :, :width].tobytes()

    def _decode(self, raw: bytes) -> np.ndarray:
        width = FORMATS[self.format][1]
        padded = np.zeros((len(raw) // width, 4), np.uint8)
        padded[:, :width] = np.frombuffer(raw, np.uint8).reshape(-1, width)
        shift = {"S16_LE": 0, "S24_LE": 8, "S24_3LE": 8, "S32_LE": 16}[self.format]
        samples = (padded.view("<i4").reshape(-1) >> shift).astype(np.int16)
        return samples.reshape(-1, self.channels)
