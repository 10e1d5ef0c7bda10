"""The flight recorder: the last turns in memory, so that a strange moment can be looked at afterwards.

Pure and bounded: times come in as numbers, a turn holds so much and no more, and the oldest turn makes
room for the next. It keeps moments, states and levels, never a sample; words only when it is told some.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from voicekiosk.agent import events as agent
from voicekiosk.audio import events as audio
from voicekiosk.kiosk import delays
from voicekiosk.kiosk.events import AudioArrived
from voicekiosk.kiosk.machine import AnyEvent
from voicekiosk.kiosk.state import NEVER, State, Turn, name_of
from voicekiosk.kiosk.traces import Playing, Trace, pieces
from voicekiosk.panel.gestures import Pressed, Released
from voicekiosk.service import recording
from voicekiosk.service.recording import Change, Latency, Mark

TURNS = 50
FIRST_MARKS = 96
"""How many things a turn holds from its beginning on…"""
LAST_MARKS = 32
"""…and how many of the latest, when there were more."""
CHANGES = 128
TEXT_CHARACTERS = 240
CROWD_S = 60.0
"""Presses that open no microphone are one turn for this long: who presses again and again shall not
push out what happened this morning."""
WORDS = "words"
TIMED = ("button", "sound", "quiet")
"""Kinds of notes on events that know better than anybody when they happened."""

OWN_WORDS = {
    "first_frame": "the microphone is heard from here on",
    "first_send": "the first of the question has gone to the service",
    "proven": "the service has certainly got the first of it",
    "all_proven": "the service has certainly got the whole question",
    "first_reply": "the first sound of the answer has arrived",
}


class _Turn:
    """What is kept of one turn."""

    def __init__(self, number: int, began: str, begin_s: float) -> None:
        self.number = number
        self.began = began
        self.begin_s = begin_s
        self.rest_s: float | None = None
        self.moments: dict[str, float] = {}
        self.first_marks: list[tuple[float, str, str]] = []
        self.last_marks: deque[tuple[float, str, str]] = deque(maxlen=LAST_MARKS)
        self.left_out = 0
        self.lanes: dict[str, list[tuple[float, str]]] = {}
        self.microphone, self.loudspeaker = Trace(begin_s), Trace(begin_s)

    def mark(self, kind: str, text: str, t_s: float) -> None:
        mark = (t_s, kind, text[:TEXT_CHARACTERS])
        if len(self.first_marks) < FIRST_MARKS:
            self.first_marks.append(mark)
            return
        self.left_out += len(self.last_marks) == LAST_MARKS
        self.last_marks.append(mark)

    def show(self, lane: str, label: str, t_s: float) -> None:
        changes = self.lanes.setdefault(lane, [])
        if len(changes) < CHANGES and (not changes or changes[-1][1] != label):
            changes.append((t_s, label))

    def forget_words(self) -> None:
        self.first_marks = [mark for mark in self.first_marks if mark[1] != WORDS]
        kept = (mark for mark in self.last_marks if mark[1] != WORDS)
        self.last_marks = deque(kept, maxlen=LAST_MARKS)

    def as_data(self, now_s: float, wall_s: float) -> recording.Turn:
        begin_s = self.begin_s
        marks = sorted([*self.first_marks, *self.last_marks], key=lambda mark: mark[0])
        return recording.Turn(
            number=self.number,
            at_s=wall_s - (now_s - begin_s),
            began=self.began,
            rest_s=None if self.rest_s is None else _since(begin_s, self.rest_s),
            marks=[Mark(t_s=_since(begin_s, t_s), kind=kind, text=text) for t_s, kind, text in marks],
            left_out=self.left_out,
            lanes={
                lane: [Change(t_s=_since(begin_s, t_s), label=label) for t_s, label in changes]
                for lane, changes in self.lanes.items()
            },
            levels={"microphone": self.microphone.level(), "loudspeaker": self.loudspeaker.level()},
            moments={name: _since(begin_s, t_s) for name, t_s in self.moments.items()},
            delays_ms={name: round(ms, 1) for name, ms in delays.delays_ms(self.moments).items()},
        )


class Recorder:
    """Belongs to the event loop's thread. Costs nothing while nothing happens."""

    def __init__(self, now_s: float) -> None:
        """Begin at `now_s`. Times are monotonic seconds everywhere."""
        self._turn = _Turn(0, "start", now_s)
        self._turns = deque([self._turn], maxlen=TURNS)
        self._playing = Playing()
        self._down = False
        self._event_s = now_s

    # --- what the daemon observes --------------------------------------------------------------

    def observe(self, event: AnyEvent, before: State, after: State, lamp: str, now_s: float) -> None:
        """Take a step of the state machine, and what the `lamp` shows since."""
        t_s = event.t_s if isinstance(event, Pressed | Released) else now_s
        self._event_s = getattr(event, "t_s", now_s)
        self._open(event, before, after, t_s)
        match event:
            case Pressed() | Released():
                self._down = isinstance(event, Pressed)
            case agent.SpeechStopped() if "first_reply" not in self._turn.moments:
                # Whoever pauses closes a turn in the middle of a question; the last one counts.
                self._turn.moments["speech_stopped"] = now_s
            case AudioArrived():
                self._moment("first_reply", now_s)
            case audio.SpeakerStarted(started_s):
                self._playing.started(self._turn.loudspeaker, started_s)
                if "first_reply" in self._turn.moments:
                    self._moment("sound", started_s)
            case audio.SpeakerFlushed(flushed_s):
                self._moment("flushed", flushed_s)
                for turn in list(self._turns)[-2:]:
                    # What a press cuts short was queued in the turn before.
                    turn.loudspeaker.cut(flushed_s)
                self._playing.stopped()
            case audio.SpeakerDrained():
                self._playing.stopped()
        if isinstance(event, Pressed | Released) and _question_ends(before, after):
            self._moment("released", t_s)
        for lane, label in self._labels(after, lamp).items():
            self._turn.show(lane, label, t_s if lane == "button" else now_s)
        if after.turn is not Turn.NONE or self._down:
            self._turn.rest_s = None
        elif self._turn.rest_s is None:
            self._turn.rest_s = now_s

    def note(self, kind: str, text: str, now_s: float) -> None:
        """Take what is told of the event that was observed last, or of something else."""
        self._turn.mark(kind, text, self._event_s if kind in TIMED else now_s)

    def forget_words(self) -> None:
        """Keep nothing of what was said: it is not allowed any more."""
        for turn in self._turns:
            turn.forget_words()

    # --- what goes up and down -----------------------------------------------------------------

    def captured(self, block: NDArray[np.int16], rate_hz: int, now_s: float) -> None:
        """Take what was read from the microphone; its last frame is of about now."""
        if len(block):
            at_s = now_s - len(block) / rate_hz
            self._moment("first_frame", max(at_s, self._turn.begin_s))
            for length_s, peak in pieces(block, rate_hz):
                self._turn.microphone.add(at_s, length_s, peak)
                at_s += length_s

    def sent(self, now_s: float) -> None:
        """Note that a piece of the question has been handed to the link."""
        self._moment("first_send", now_s)

    def proven(self, now_s: float, *, whole: bool) -> None:
        """Note that some of the question, or the `whole`, has certainly arrived."""
        self._moment("proven", now_s)
        if whole:
            self._moment("all_proven", now_s)

    def queued(self, pcm: bytes, now_s: float) -> None:
        """Take what was queued for the loudspeaker."""
        self._playing.queued(pcm, self._turn.loudspeaker, now_s)

    # --- what can be asked ---------------------------------------------------------------------

    def turns(self, now_s: float, wall_s: float) -> list[recording.Turn]:
        """Return everything, the oldest first.

        `wall_s` is the Unix time at `now_s`: one anchor for all, so that a clock that was set after the
        boot is right for what came before, too.
        """
        return [turn.as_data(now_s, wall_s) for turn in self._turns]

    def latency(self) -> Latency:
        """Return how long visitors waited."""
        return delays.latency([turn.moments for turn in self._turns if turn.number])

    # --- inside --------------------------------------------------------------------------------

    def _open(self, event: AnyEvent, before: State, after: State, t_s: float) -> None:
        """Begin another turn if `event` does."""
        if after.microphone_live and not before.microphone_live:
            began = "question"
        elif isinstance(event, Pressed) and not before.microphone_live and before.confirming is None:
            if self._turn.began == "press" and t_s - self._turn.begin_s < CROWD_S:
                return
            began = "press"
        elif before.turn is Turn.NONE and after.turn is not Turn.NONE:
            began = "answer"
        else:
            return
        last, self._turn = self._turn, _Turn(self._turn.number + 1, began, t_s)
        self._turns.append(self._turn)
        if last.rest_s is None:
            last.rest_s = t_s
        if isinstance(event, Pressed):
            self._turn.moments["pressed"] = t_s
            if before.turn is Turn.SPEAKING:
                self._turn.moments["barged_in"] = last.moments["cut_short"] = t_s

    def _labels(self, state: State, lamp: str) -> dict[str, str]:
        return {
            "button": "down" if self._down else "up",
            "lamp": lamp,
            "state": str(name_of(state)),
            "session": str(state.link),
        }

    def _moment(self, name: str, t_s: float) -> None:
        turn = self._turn
        if name in turn.moments or not turn.number:
            return
        turn.moments[name] = t_s
        if name in OWN_WORDS:
            turn.mark(name, OWN_WORDS[name], t_s)


def _question_ends(before: State, after: State) -> bool:
    """Tell whether a gesture has ended the question: only the tail of it is still taken, or nothing."""
    tail = after.tail_until_s != NEVER and before.tail_until_s == NEVER
    return tail or (before.microphone_live and not after.microphone_live)


def _since(begin_s: float, t_s: float) -> float:
    return round(t_s - begin_s, 4)
