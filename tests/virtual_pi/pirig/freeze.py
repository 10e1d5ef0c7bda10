"""Stopping one thread of a process and not the others: what a driver that hangs looks like from outside."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SEIZE, _INTERRUPT, _DETACH = 0x4206, 0x4207, 17
_WALL = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def threads(pid: int) -> list[int]:
    """Return the threads of a process, the oldest first."""
    return sorted(int(path.name) for path in Path(f"/proc/{pid}/task").iterdir())


def thread_named(pid: int, name: str) -> int:
    """Return the thread of a process that has this name."""
    (found,) = [
        thread
        for thread in threads(pid)
        if Path(f"/proc/{pid}/task/{thread}/comm").read_text().strip() == name
    ]
    return found


@contextmanager
def frozen(thread: int) -> Iterator[None]:
    """Let a thread stand still; it goes on afterwards, if its process still is there."""
    _ptrace(_SEIZE, thread)
    _ptrace(_INTERRUPT, thread)
    os.waitpid(thread, _WALL)
    try:
        yield
    finally:
        _libc.ptrace(_DETACH, thread, None, None)


def _ptrace(request: int, thread: int) -> None:
    if _libc.ptrace(request, thread, None, None) != 0:
        raise OSError(ctypes.get_errno(), f"ptrace of thread {thread}")
