"""Notice that the configuration file may have changed, however it was edited.

Editors replace files in many ways: they truncate and write, rename a new file over the old one, move
it away first, or retarget a symlink. A watch on the file itself loses it at the first rename; a watch
on its directory sees them all. So every directory in which a step of the path is looked up is watched:
the file's own, those of the symlinks on the way, and, while the path is broken, the one where it breaks.
"""

import asyncio
import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from inotify_simple import INotify, flags

# The longest chain of symlinks that Linux follows.
_MOST_SYMLINKS = 40

# A name in a directory: content written, anything moved over it or away, permissions changed.
_ENTRY = flags.CLOSE_WRITE | flags.CREATE | flags.DELETE | flags.MOVED_FROM | flags.MOVED_TO | flags.ATTRIB
# The directory itself goes away; costs no wake-up for what happens inside it.
_ITSELF = flags.DELETE_SELF | flags.MOVE_SELF


@dataclass(frozen=True, slots=True)
class Lookups:
    """Where a path is looked up: names by the directory they matter in, and all directories passed."""

    names: dict[Path, frozenset[str]]
    passed: frozenset[Path]


def lookups(path: Path) -> Lookups:
    """Follow `path` as the kernel does and return every directory where a change could redirect it."""
    names: dict[Path, set[str]] = defaultdict(set)
    root = Path("/")
    at, passed = root, {root}
    rest, symlinks = list(path.absolute().parts[1:]), 0
    while rest:
        name = rest.pop(0)
        if name == "..":
            at = at.parent
            continue
        target = _target(at / name)
        if target is not None and symlinks < _MOST_SYMLINKS:
            names[at].add(name)
            symlinks += 1
            at = root if target.is_absolute() else at
            rest = [part for part in target.parts if part != "/"] + rest
        elif rest and _may_be_entered(at / name):
            at /= name
            passed.add(at)
        else:
            # The file itself, or the first step that is not there or may not be entered.
            names[at].add(name)
            break
    return Lookups({at: frozenset(found) for at, found in names.items()}, frozenset(passed))


def _target(path: Path) -> Path | None:
    try:
        return path.readlink()
    except OSError:
        return None


def _may_be_entered(path: Path) -> bool:
    try:
        return path.is_dir() and os.access(path, os.X_OK)
    except OSError:
        return False


class Watcher:
    """Calls back in the event loop when the file at a path may have changed, and it has been quiet since.

    No thread and no polling: nothing runs while nothing happens to the file. The callback must look
    for itself whether anything did change.
    """

    def __init__(
        self, path: Path, changed: Callable[[], None], *, quiet_s: float = 0.2, patience_s: float = 0.8
    ) -> None:
        """Prepare to watch `path`, which need not exist.

        `changed` is called once no event has come for `quiet_s`, but at the latest `patience_s` after
        the first: a program that keeps touching the file must not keep the kiosk from reading it.
        """
        self._path = path
        self._changed = changed
        self._quiet_s = quiet_s
        self._patience_s = patience_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._inotify: INotify | None = None
        # Which names matter under each watch; none where only the directory itself does.
        self._names: dict[int, set[str]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._first_event_s = 0.0

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to watch. Raises OSError where the system gives out no more inotify instances."""
        self._loop = loop
        self._inotify = INotify(inheritable=False, nonblocking=True)
        loop.add_reader(self._inotify.fileno(), self._readable, self._inotify)
        self._watch(self._inotify)

    def close(self) -> None:
        """Stop watching; no callback comes after this."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._inotify is not None and self._loop is not None:
            self._loop.remove_reader(self._inotify.fileno())
            self._inotify.close()
            self._inotify = None

    def _watch(self, inotify: INotify) -> None:
        """Watch where the path leads now, and nothing else.

        What changes before a watch is set is missed by it, so the path is followed once more when all
        are set: only if both agree, nothing was missed.
        """
        found = lookups(self._path)
        names: dict[int, set[str]] = defaultdict(set)
        # One directory may be passed under two names, and the later mask counts: the fuller one.
        for directory in sorted(found.passed | found.names.keys(), key=found.names.__contains__):
            wanted = found.names.get(directory, frozenset())
            mask = _ITSELF | flags.ONLYDIR | (_ENTRY if wanted else 0)
            try:
                names[inotify.add_watch(directory, mask)] |= wanted
            except OSError:
                # It is gone again, which the second look finds, or it may be passed but not listed:
                # then the rest is watched, and a reload by hand still reads the file.
                continue
        for stale in self._names.keys() - names.keys():
            try:
                inotify.rm_watch(stale)
            except OSError:
                # The kernel has removed it with its directory.
                continue
        self._names = dict(names)
        if lookups(self._path) != found:
            self._event()

    def _readable(self, inotify: INotify) -> None:
        lost = flags.Q_OVERFLOW | flags.UNMOUNT | _ITSELF
        for event in inotify.read(timeout=0):
            names = self._names.get(event.wd)
            # Without a name it is the directory's own: it may have become one that may not be entered.
            about_it = names is not None and (event.name in names or (names and not event.name))
            if event.mask & flags.Q_OVERFLOW or about_it or (names is not None and event.mask & lost):
                self._event()

    def _event(self) -> None:
        """Start to wait for quiet, or wait anew."""
        if self._loop is None:
            return
        now_s = self._loop.time()
        if self._timer is None:
            self._first_event_s = now_s
        else:
            self._timer.cancel()
        at_s = min(now_s + self._quiet_s, self._first_event_s + self._patience_s)
        self._timer = self._loop.call_at(at_s, self._quiet)

    def _quiet(self) -> None:
        self._timer = None
        if self._inotify is not None:
            # First the watches, then the look at the file: what happens in between comes as an event.
            self._watch(self._inotify)
            self._changed()
