"""What a daemon leaves to the one that is started after it was killed: session, last turns, what was due.

A crash is a drop like any other. The file is there only while a conversation is, in the runtime
directory alone, and counts for as long as the service keeps a session. Times are CLOCK_BOOTTIME, which
neither a suspended machine nor a clock that is set can fool.
"""

import asyncio
import logging
import time
from collections.abc import Callable

import msgspec

from voicekiosk.agent import events as agent
from voicekiosk.agent.memory import Said
from voicekiosk.agent.snapshot import Snapshot
from voicekiosk.kiosk.conductor import Conductor
from voicekiosk.kiosk.events import Due, Restored
from voicekiosk.kiosk.machine import AnyEvent
from voicekiosk.kiosk.state import State, Turn
from voicekiosk.service.runtime import RuntimeFile

logger = logging.getLogger("voicekiosk.kiosk")

FILE_NAME = "conversation.json"
ALIVE_S = 5.0
"""How often the file says that its writer is alive, while a conversation is open."""
ALIVE_SPEAKING_S = 1.0
"""The same while an answer plays, of which it says how much was heard."""
MOST_DEATHS = 5
"""A conversation that killed so many daemons without an answer in between is not for the next."""


class Left(msgspec.Struct, forbid_unknown_fields=True):
    """The content of the file."""

    host: str
    session_id: str
    resume_token: str
    turns: tuple[tuple[str | None, str, bool], ...]
    due: Due
    deaths: int
    alive_s: float = 0.0

    def __repr__(self) -> str:
        """Tell nothing of what was said."""
        return f"Left(due={self.due}, deaths={self.deaths})"


class Handover:
    """Writes the file while a conversation goes on, and takes one up. Belongs to the event loop's thread."""

    def __init__(
        self, conductor: Conductor, file: RuntimeFile, clock: Callable[[], float] | None = None
    ) -> None:
        """Watch `conductor`; `clock` is seconds since boot."""
        self._conductor = conductor
        self._file = file
        self._clock = clock or _since_boot_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._soon: asyncio.Handle | None = None
        self._alive: asyncio.TimerHandle | None = None
        self._left: Left | None = None
        self._deaths = 0

    def start(self, loop: asyncio.AbstractEventLoop, *, welcome: bool = True) -> None:
        """Take up what another daemon left, if it is `welcome` and fresh enough; keep it from now on."""
        self._loop = loop
        left = self._read() if welcome else None
        if left is None:
            self._file.remove()
            return
        self._deaths = left.deaths + 1
        logger.info("the daemon was killed in a conversation %.1f s ago; going on with it", self._age_s(left))
        turns = tuple(Said(*turn) for turn in left.turns)
        snapshot = Snapshot(left.host, left.session_id, left.resume_token, turns)
        self._conductor.parts.agent.restore(snapshot, self._age_s(left))
        self._conductor.dispatch(Restored(left.due))

    def observe(self, event: AnyEvent, state: State) -> None:
        """Note that something happened; it is written as soon as the loop is through with it."""
        if self._file.path is None or self._loop is None:
            return
        if not state.session_wanted:
            self.close()
            return
        if isinstance(event, agent.ReplyDone):
            self._deaths = 0
        if self._soon is None:
            self._soon = self._loop.call_soon(self._write)

    def close(self) -> None:
        """Leave nothing: the conversation is over."""
        for handle in (self._soon, self._alive):
            if handle is not None:
                handle.cancel()
        self._soon = self._alive = self._left = None
        self._deaths = 0
        self._file.remove()

    def _read(self) -> Left | None:
        content = self._file.read()
        if content is None:
            return None
        try:
            left = msgspec.json.decode(content, type=Left)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        fresh = 0.0 <= self._age_s(left) <= self._conductor.config.network.resume_window_s
        same_host = left.host == self._conductor.parts.agent.facts().host
        return left if fresh and same_host and left.deaths < MOST_DEATHS else None

    def _age_s(self, left: Left) -> float:
        return self._clock() - left.alive_s

    def _write(self) -> None:
        """Write if there is anything new, and in a while in any case."""
        self._soon = None
        left = self._content()
        if left is None or self._loop is None:
            return
        if left != self._left:
            self._put(left)

    def _still_alive(self) -> None:
        if (left := self._content()) is not None:
            self._put(left)

    def _put(self, left: Left) -> None:
        self._left = left
        self._file.write(msgspec.json.encode(msgspec.structs.replace(left, alive_s=self._clock())))
        if self._alive is not None:
            self._alive.cancel()
        if self._loop is not None:
            speaking = self._conductor.state.turn is Turn.SPEAKING
            self._alive = self._loop.call_later(ALIVE_SPEAKING_S if speaking else ALIVE_S, self._still_alive)

    def _content(self) -> Left | None:
        conductor = self._conductor
        state = conductor.state
        reply_id, played = "", 0
        if state.turn is Turn.SPEAKING:
            reply_id, played = conductor.downlink.played(conductor.parts.playback.played_samples)
        snapshot = conductor.parts.agent.snapshot(reply_id, played)
        if snapshot is None:
            return None
        turns = tuple((said.reply_id, said.text, said.cut) for said in snapshot.turns)
        return Left(
            snapshot.host, snapshot.session_id, snapshot.resume_token, turns, due_of(state), self._deaths
        )


def due_of(state: State) -> Due:
    """Say what the visitor would wait for if the daemon died now."""
    match state.turn:
        case Turn.SPEAKING:
            return Due.REST
        case Turn.THINKING if state.cut_off or state.reply_has_audio:
            return Due.REST
        case Turn.THINKING:
            return Due.ANSWER if state.understood else Due.UNKNOWN
        case _:
            return Due.NOTHING


def _since_boot_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
