"""How threads tell the event loop something: a deque and one eventfd, no lock anywhere.

`deque.append` and `popleft` are atomic, and an eventfd counts wake-ups in the kernel, so a thread
that posts can neither wait for the loop nor be made to wait by it. A hand-over is cheaper than by
`loop.call_soon_threadsafe` (`scripts/bench ring` shows by how much), and any number of posts before
the loop turns cost it a single wake-up.

No item is left lying: a thread appends and *then* wakes, the loop takes the wake-up and *then*
counts the items, so an item that the loop did not count has a wake-up of its own still to come.
"""

import asyncio
import os
import weakref
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """A way from any thread into the event loop.

    `post` and `wake` may be called from any thread, also after `close`; they never block and never
    raise. Everything else belongs to the event loop's thread.
    """

    def __init__(self, deliver: Callable[[T], None], woken: Callable[[], None] | None = None) -> None:
        """Make a mailbox that calls `deliver` for each item, in order, and then `woken` once a wake-up.

        `woken` is where one drains whatever else may be waiting (the microphone ring): one wake-up
        for all that is there. What either of them raises goes to the loop's exception handler and
        stops nothing.
        """
        self._deliver = deliver
        self._woken = woken
        self._items: deque[T] = deque()
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # Not closed by `close`: a thread that is just about to write would hit whatever file was given
        # the number next. It is closed when nobody holds the mailbox any more, so nobody can be posting.
        weakref.finalize(self, os.close, self._fd).atexit = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        # Times the loop was woken through this mailbox.
        self.wakeups = 0

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start delivering in `loop`; what was posted before is delivered in its next turn."""
        self._loop = loop
        loop.add_reader(self._fd, self._readable, loop)

    def post(self, item: T) -> None:
        """Hand `item` to the event loop; drop it when the mailbox is closed. Any thread; lock-free."""
        if not self._closed:
            self._items.append(item)
            os.eventfd_write(self._fd, 1)

    def wake(self) -> None:
        """Make the event loop turn once without an item. Any thread; lock-free."""
        if not self._closed:
            os.eventfd_write(self._fd, 1)

    def close(self) -> None:
        """Stop delivering, at once and for good; what was not delivered is dropped."""
        self._closed = True
        self._items.clear()
        if self._loop is not None:
            self._loop.remove_reader(self._fd)
            self._loop = None

    def _readable(self, loop: asyncio.AbstractEventLoop) -> None:
        os.eventfd_read(self._fd)
        self.wakeups += 1
        try:
            # Only what is here now: an item that posts again must not keep the loop from turning.
            for _ in range(len(self._items)):
                if self._closed:
                    return
                self._run(loop, self._deliver, self._items.popleft())
            if self._woken is not None and not self._closed:
                self._run(loop, self._woken)
        except BaseException:
            # The loop is being stopped (KeyboardInterrupt). Should it go on, so does the rest.
            self.wake()
            raise

    @staticmethod
    def _run(loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *item: T) -> None:
        try:
            callback(*item)
        except Exception as error:  # noqa: BLE001 - whatever it was, the next item is not to suffer for it
            what = f" of an item of type {type(item[0]).__name__}" if item else ""
            loop.call_exception_handler({"message": f"mailbox: delivery{what} failed", "exception": error})
