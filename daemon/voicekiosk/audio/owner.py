"""The thread that owns a device: parked while the device is closed, back again when it was lost.

pyalsaaudio aborts the process when a PCM is closed under a thread that uses it, so one thread opens, uses
and closes it, and everybody else only leaves a wish and rings. A parked thread costs no wake-up.
"""

import os
import select
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from voicekiosk.audio.pcm import OpenPcm
from voicekiosk.errors import DeviceError

BACKOFF_FIRST_S = 0.25
BACKOFF_MAX_S = 5.0
# A device that worked for this long and is lost then deserves a quick attempt again.
HEALTHY_AFTER_S = 5.0
# Without a frame for this long a driver has stalled, whatever it says.
STALLED_AFTER_S = 1.0

Descriptors = Sequence[tuple[int, int]]


class Bell(Protocol):
    """What an owner sleeps on."""

    def ring(self) -> None:
        """End the owner's sleep, or its next one. Any thread; lock-free; never blocks."""

    def wait(self, timeout_s: float | None, descriptors: Descriptors = ()) -> list[tuple[int, int]]:
        """Sleep until rung, `timeout_s` is over or a descriptor is ready; return those that are."""


class EventBell:
    """A bell on an eventfd, polled together with the card's descriptors."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._descriptors: Descriptors = ()
        self._alone = self._poll = self._polling(())

    def __del__(self) -> None:
        os.close(self._fd)

    def ring(self) -> None:
        """End the owner's sleep, or its next one."""
        os.eventfd_write(self._fd, 1)

    def wait(self, timeout_s: float | None, descriptors: Descriptors = ()) -> list[tuple[int, int]]:
        """Sleep until rung, `timeout_s` is over or a descriptor is ready; return those that are."""
        poll = self._alone
        if descriptors:
            # The same list every time, for as long as a card is open.
            if descriptors is not self._descriptors:
                self._descriptors, self._poll = descriptors, self._polling(descriptors)
            poll = self._poll
        ready = poll.poll(None if timeout_s is None else max(0.0, timeout_s * 1000))
        cards = [(fd, mask) for fd, mask in ready if fd != self._fd]
        if len(cards) < len(ready):
            os.eventfd_read(self._fd)
        return cards

    def _polling(self, descriptors: Descriptors) -> "select.poll":
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        for fd, mask in descriptors:
            poll.register(fd, mask)
        return poll


class Backoff:
    """How long to wait between attempts to open a device: twice as long each time, up to a bound."""

    def __init__(self) -> None:
        self._next_s = BACKOFF_FIRST_S

    def take(self) -> float:
        """Return the wait before the next attempt."""
        delay_s, self._next_s = self._next_s, min(2 * self._next_s, BACKOFF_MAX_S)
        return delay_s

    def reset(self) -> None:
        """Begin with a short wait again."""
        self._next_s = BACKOFF_FIRST_S


class Reopen(Exception):  # noqa: N818  (a request, not an error)
    """Raised inside `_serve` to have the device closed and opened once more, at once."""


class DeviceOwner(ABC):
    """A thread around one device.

    `start`, `open`, `close` and `progress_age_s` may be called from any thread and never block. The
    methods that subclasses fill in run on the owner's thread.
    """

    def __init__(self, name: str, clock: Callable[[], float], bell: Bell | None = None) -> None:
        self._clock = clock
        self._bell: Bell = bell or EventBell()
        self._thread = threading.Thread(target=self._thread_main, name=name, daemon=True)
        # Wishes: written by any thread, read by the owner's after each ring.
        self._wanted = False
        self._stopping = False
        self._opens_asked = 0
        # Whether the thread is where it may stay for ever, and when it last was not stuck.
        self._resting = True
        self._progress_s = 0.0
        # When it was rung for the first time since it last woke; None once it has.
        self._rung_s: float | None = None

    def start(self) -> None:
        """Start the thread; it parks at once unless `open` was called before."""
        self._thread.start()

    def open(self) -> None:
        """Have the device opened and kept open. Asked again while it is lost, it is tried at once."""
        self._wanted = True
        self._opens_asked += 1
        self._ring()

    def close(self) -> None:
        """Have the device closed at once."""
        self._wanted = False
        self._ring()

    def stop(self, timeout_s: float) -> bool:
        """Close the device and end the thread; return whether it ended within `timeout_s`. Blocks."""
        self._stopping = True
        self._wanted = False
        self._ring()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def progress_age_s(self, now_s: float) -> float | None:
        """Return how long the thread has made no progress; None while it need not make any.

        For the watchdog: an owner reopens a stalled device after a second by itself, so an age above
        two means that opening or closing hangs in the driver, or that the thread has died or does not
        wake though it was rung.
        """
        since_s = self._rung_s if self._resting else self._progress_s
        return None if since_s is None else now_s - since_s

    def _ring(self) -> None:
        """End the thread's sleep, and count from now on how long that takes."""
        # Once it is to end, nobody but whoever waits in `stop` cares.
        if self._rung_s is None and not self._stopping:
            self._rung_s = self._clock()
        self._bell.ring()

    def _thread_main(self) -> None:
        _tell_kernel(self._thread.name)
        self.run()

    def run(self) -> None:
        """Be the owner, until `stop`."""
        backoff = Backoff()
        self._progress()
        asked = False
        while not self._stopping:
            if self._wanted:
                asked = True
                self._attempt(backoff)
                continue
            if asked:
                asked = False
                backoff.reset()
                self._closed()
            self._rest(None)
            self._attend()
        if asked:
            self._closed()
        # Not in a finally: a thread that died of a bug must look stuck to the watchdog.
        self._resting = True

    def _attempt(self, backoff: Backoff) -> None:
        """Own the device for as long as that lasts, then wait if it was lost."""
        began_s = self._clock()
        try:
            self._own()
        except Reopen:
            return
        except DeviceError as error:
            if self._clock() - began_s >= HEALTHY_AFTER_S:
                backoff.reset()
            delay_s = backoff.take()
            self._lost(str(error), delay_s)
            self._pause(delay_s)

    def _own(self) -> None:
        pcm = self._acquire()
        self._progress()
        try:
            self._serve(pcm)
        finally:
            self._progress()
            pcm.close()
            self._progress()

    @abstractmethod
    def _acquire(self) -> OpenPcm:
        """Open the device, or raise DeviceError."""

    @abstractmethod
    def _serve(self, pcm: OpenPcm) -> None:
        """Use the device until it is no longer wanted. Raises DeviceError when lost, or Reopen."""

    @abstractmethod
    def _lost(self, reason: str, retry_in_s: float) -> None:
        """Say that the device is lost."""

    @abstractmethod
    def _closed(self) -> None:
        """Say that the device was closed as asked."""

    def _attend(self) -> None:  # noqa: B027  (most have nothing to do)
        """Do what can be done without the device, after a ring."""

    def _progress(self) -> None:
        # In this order: frozen anywhere in between, one of the two still counts. A ring that is forgotten
        # here ends the next sleep at once.
        self._progress_s = self._clock()
        self._resting = False
        self._rung_s = None

    def _rest(self, timeout_s: float | None, descriptors: Descriptors = ()) -> list[tuple[int, int]]:
        """Sleep where nothing needs to happen."""
        self._resting = True
        ready = self._bell.wait(timeout_s, descriptors)
        self._progress()
        return ready

    def _pause(self, delay_s: float) -> None:
        """Wait before the next attempt; not any longer once `open` or `close` is called."""
        asked = self._opens_asked
        until_s = self._clock() + delay_s
        while self._wanted and asked == self._opens_asked:
            left_s = until_s - self._clock()
            if left_s <= 0:
                return
            self._rest(left_s)
            self._attend()


def _tell_kernel(name: str) -> None:
    """Let `top -H` and whatever else lists threads show this one's name."""
    with suppress(OSError), Path(f"/proc/self/task/{threading.get_native_id()}/comm").open("w") as comm:
        comm.write(name)
