"""A lock-free ring of mono int16 frames: one writer, any number of readers, fixed memory.

Positions count frames since the ring was made and never go back, so a reader can start at any moment of
the past ("300 ms before the press" is ``ring.reader(ring.written - 300 * rate // 1000)``). The writer
never waits and knows no reader; a reader that was too slow is told how many frames it missed.

Why no reader ever gets a torn block
------------------------------------
The writer does three things in this order: it *claims* (``_claimed`` = where this write will end), copies,
and *publishes* (``_written`` = the same position). A reader loads ``_written``, copies, and then loads
``_claimed``: whatever the claim has reached by then may have been overwritten under its hands and is
thrown away and counted as missed; what lies above it was whole for as long as the copy took.

With the GIL. numpy releases it for copies over 500 elements, so the two copies really do run side by side,
but the claim and the check each happen while their thread holds the GIL, and whoever holds it comes before
or after everybody else who does. If the reader's check comes after the claim, it sees the claim. If it
comes before, the reader's copy was finished before the writer's began. There is no third case, on any
processor: handing over the GIL is a full memory barrier. The same argument from the other end says that
what ``_written`` announces has been copied.

Without the GIL (free-threaded builds). Attribute stores release and attribute loads acquire, so what is
published is complete. They do not strictly keep the data of a write behind its own claim on a weakly
ordered processor (they do on x86). That is one of two reasons for the guard: the memory is
``guard_frames`` longer than the promised ``capacity_frames``, so a write of up to that length touches
nothing a reader may have begun to read, and data would have to run a whole period ahead of its claim to
do harm. The other reason: a reader of the very oldest frames has that much time to copy them.

Why no wake-up is lost
----------------------
A reader that waits stores its wish and *then* looks at ``_written``; the writer stores ``_written`` and
*then* looks at the wishes. Whoever stored last sees the other:

    wish, look, publish, look      the writer sees the wish and wakes
    wish, publish, look, look      both see the other: one turn of the loop too many
    publish, wish, look, look      the same
    publish, look, wish, look      the reader sees that it is there and wakes itself

The writer clears nothing, so it cannot wipe out a wish that was renewed meanwhile: it wakes in the one
write that crosses the position (``before < wish <= after``), which happens once. Without the GIL the order
"store, then load" holds too, as every attribute and dict store is followed by a sequentially consistent
operation (the release of the object's critical section).

The same the other way round lets the writer sleep until a wish comes due: it says so, *then* looks at the
wishes (`sleep_until_wish`), and a reader stores its wish, *then* looks whether the writer sleeps past it.
"""

# Ring and Reader are the two ends of one thing: a reader looks at the ring's own fields, as what it may
# rely on is the order in which the writer changes them.
# ruff: noqa: SLF001

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# 170 ms at 48 kHz: longer than any period a card is opened with.
GUARD_FRAMES = 8192

_SILENCE = np.zeros(1, np.int16)


class Block(NamedTuple):
    """What a reader got: `missed` frames were lost before the first of `samples`."""

    missed: int
    samples: NDArray[np.int16]


class Filled(NamedTuple):
    """What `Reader.read_into` did: `missed` frames were lost, then `frames` were copied."""

    missed: int
    frames: int


@dataclass(frozen=True, slots=True)
class RingStatistics:
    """What a ring has seen since it was made."""

    capacity_frames: int
    written_frames: int
    # Calls of `wake` by the writer.
    wakeups: int


@dataclass(frozen=True, slots=True)
class ReaderStatistics:
    """What a reader has seen since it was made."""

    read_frames: int
    missed_frames: int
    # The most that was waiting when a read began: how close the reader came to being overtaken.
    peak_available_frames: int


def _nobody() -> None:
    """Wake nobody."""


class Ring:
    """Fixed memory for the last `capacity_frames` frames.

    `write` and `write_silence` belong to one thread, the writer's. Everything else may be called from any
    thread, and each `Reader` belongs to the thread that uses it. Nothing here blocks.
    """

    __slots__ = (
        "_capacity_frames",
        "_claimed",
        "_data",
        "_hurry",
        "_memory_frames",
        "_sleeps_until",
        "_tickets",
        "_wake",
        "_wakeups",
        "_wishes",
        "_written",
    )

    def __init__(
        self,
        capacity_frames: int,
        wake: Callable[[], None] = _nobody,
        *,
        hurry: Callable[[], None] = _nobody,
        guard_frames: int = GUARD_FRAMES,
    ) -> None:
        """Make a ring that calls `wake` (any thread; must not block) when a reader asked for it.

        `hurry` is called likewise when a reader asks for something before what the writer sleeps until.

        The operating system hands out the memory page by page as frames are first written.
        """
        if capacity_frames < 1 or guard_frames < 0:
            raise ValueError(
                f"ring: expected 1 frame or more, got {capacity_frames} and {guard_frames} of guard"
            )
        self._capacity_frames = capacity_frames
        self._memory_frames = capacity_frames + guard_frames
        self._data = np.zeros(self._memory_frames, np.int16)
        # Where the write in progress will end; equal to `_written` between writes. Changed by the writer.
        self._claimed = 0
        # Frames that are there to be read. Changed by the writer, after the copy.
        self._written = 0
        # The position each waiting reader wants to be woken at, by its ticket. Changed by the readers.
        self._wishes: dict[int, int] = {}
        self._tickets = count()
        self._wake = wake
        self._hurry = hurry
        self._wakeups = 0
        # The position until which the writer sleeps. Changed by the writer.
        self._sleeps_until = 0.0

    def __repr__(self) -> str:
        return f"<Ring of {self._capacity_frames} frames, {self._written} written>"

    @property
    def capacity_frames(self) -> int:
        """The newest frames that are promised to be readable."""
        return self._capacity_frames

    @property
    def written(self) -> int:
        """Frames written since the ring was made: the position of "now"."""
        return self._written

    def write(self, block: NDArray[np.int16]) -> None:
        """Append `block`, of any length, over the oldest frames. Writer's thread.

        A block longer than the guard is as safe, but may take promised frames from a reader that is
        copying them (which is told so, like any overtaken reader).
        """
        # Of a block that does not fit, only the end would be left.
        self._append(block[-self._memory_frames :], len(block))

    def write_silence(self, frames: int) -> None:
        """Append `frames` of silence, as for time in which the microphone was lost. Writer's thread.

        Costs no more than filling the ring once, however long the time was.
        """
        # On 32-bit ARM an array cannot be as long as a microphone may be lost.
        self._append(np.broadcast_to(_SILENCE, min(frames, self._memory_frames)), frames)

    def _append(self, block: NDArray[np.int16], frames: int) -> None:
        """Append `frames`, of which `block` is the end that fits."""
        before = self._written
        after = before + frames
        self._claimed = after
        start = (after - len(block)) % self._memory_frames
        to_edge = min(len(block), self._memory_frames - start)
        self._data[start : start + to_edge] = block[:to_edge]
        if to_edge < len(block):
            self._data[: len(block) - to_edge] = block[to_edge:]
        self._written = after
        # `list` of a dict's values is one step that no other thread can come between.
        if self._wishes and any(before < wish <= after for wish in list(self._wishes.values())):
            self._wakeups += 1
            self._wake()

    def sleep_until_wish(self) -> int | None:
        """Return the next position that a reader waits for, None if there is none. Writer's thread.

        From now until `wakes_up`, a reader that asks for something earlier hurries the writer.
        """
        self._sleeps_until = inf
        written = self._written
        wish = min((wish for wish in list(self._wishes.values()) if wish > written), default=None)
        if wish is not None:
            self._sleeps_until = wish
        return wish

    def wakes_up(self) -> None:
        """Note that the writer does not sleep any more. Writer's thread."""
        self._sleeps_until = 0.0

    def reader(self, start: int | None = None) -> "Reader":
        """Make a reader at position `start`; at `written`, as "from now on", when that is None.

        A `start` before the first frame means the first frame. One in the past that is no longer held
        means the oldest frame that is, and the first read says how many are missing.
        """
        return Reader(self, self._written if start is None else start, next(self._tickets))

    def statistics(self) -> RingStatistics:
        """Return what the ring has seen so far. Any thread."""
        return RingStatistics(self._capacity_frames, self._written, self._wakeups)


class Reader:
    """One reader's place in a ring. Made by `Ring.reader`; used by one thread; blocks never."""

    __slots__ = ("_missed", "_peak_available", "_position", "_read", "_ring", "_ticket")

    def __init__(self, ring: Ring, start: int, ticket: int) -> None:
        self._ring = ring
        self._ticket = ticket
        self._position = max(start, 0)
        self._read = 0
        self._missed = 0
        self._peak_available = 0

    def __repr__(self) -> str:
        return f"<Reader at {self._position} of {self._ring!r}>"

    @property
    def position(self) -> int:
        """The position of the frame that the next read begins with, unless it was overtaken."""
        return self._position

    @property
    def available(self) -> int:
        """Frames that a read would give now; 0 for a reader that was placed in the future."""
        ring = self._ring
        return max(0, min(ring._written - self._position, ring._capacity_frames))

    def seek(self, position: int) -> None:
        """Go to `position`, as `Ring.reader` would; what is skipped does not count as missed."""
        self._position = max(position, 0)

    def read(self, max_frames: int | None = None) -> Block:
        """Return what is there, at most `max_frames`, in an array that is the caller's own.

        An overtaken reader goes on at the oldest frame that is held. The samples may be empty with
        frames missed, when the writer overtook the very copy that was being made.
        """
        frames = self.available
        if max_frames is not None:
            frames = min(frames, max_frames)
        samples = np.empty(frames, np.int16)
        missed, frames = self.read_into(samples)
        return Block(missed, samples[:frames])

    def read_into(self, out: NDArray[np.int16]) -> Filled:
        """Copy what is there to the beginning of `out`, at most its length; allocate nothing."""
        ring = self._ring
        memory_frames = ring._memory_frames
        # The order of these steps is the whole of the safety: see the module's docstring.
        written = ring._written
        begin = max(self._position, written - ring._capacity_frames)
        available = written - begin
        frames = max(0, min(available, len(out)))
        start = begin % memory_frames
        to_edge = min(frames, memory_frames - start)
        out[:to_edge] = ring._data[start : start + to_edge]
        if to_edge < frames:
            out[to_edge:frames] = ring._data[: frames - to_edge]
        overwritten = ring._claimed - memory_frames
        end = begin + frames
        if overwritten > begin:
            begin = overwritten
            end = max(end, begin)
            kept = end - begin
            out[:kept] = out[frames - kept : frames]
            frames = kept
        missed = begin - self._position
        self._position = end
        self._read += frames
        self._missed += missed
        self._peak_available = max(self._peak_available, available)
        return Filled(missed, frames)

    def wake_at(self, position: int | None) -> None:
        """Have the ring's `wake` called once when `written` reaches `position`; None takes that back.

        When it is there already, `wake` is called before this returns. A wish replaces the reader's
        earlier one and is spent when it is fulfilled. Expect a wake-up too many now and then, never one
        too few. Take a wish back before dropping the reader.
        """
        wishes = self._ring._wishes
        if position is None:
            wishes.pop(self._ticket, None)
            return
        wishes[self._ticket] = position
        if self._ring._written >= position:
            self._ring._wake()
        elif self._ring._sleeps_until > position:
            self._ring._hurry()

    def statistics(self) -> ReaderStatistics:
        """Return what this reader has seen so far."""
        return ReaderStatistics(self._read, self._missed, self._peak_available)
