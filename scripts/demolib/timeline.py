"""What happened, for a person to read along: one line whenever button, lamp, kiosk or sound changes."""

import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

from voicekiosk.panel.lamp import PATTERNS, Sign

SHOWN = {
    "session",
    "dropped",
    "refused",
    "ended",
    "reply",
    "speech",
    "speech_end",
    "device",
    "sound",
    "quiet",
    "sent",
}
"""Kinds of the kiosk's events that add something to what button, lamp and state say."""

HEADER = f"{'time':>8}  {'button':7} {'lamp':22} {'kiosk':12} what happens"

_COLOURS = {
    "microphone_live": 34, "microphone_live_no_link": 34, "idle_warm": 34, "speaking": 32, "thinking": 32,
    "connecting": 33, "reconnecting": 33, "fault": 31, "muted": 31, "offline": 31, "working": 35,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the timeline."""

    t_s: float
    button: str
    lamp: str
    kiosk: str
    text: str


class Timeline:
    """Collects and prints; any thread may tell it something."""

    def __init__(self, *, colour: bool | None = None) -> None:
        self.started_s = time.monotonic()
        self._moments: list[Moment] = []
        self._lock = threading.Lock()
        self._colour = sys.stdout.isatty() if colour is None else colour
        self._button, self._lamp, self._state = "up", "off", "-"
        self._session = self._microphone = ""

    def say(self, text: str, t_s: float | None = None) -> None:
        """Add something that the demo itself did or saw."""
        with self._lock:
            self._add(time.monotonic() if t_s is None else t_s, text)

    def chapter(self, title: str) -> None:
        """Begin a new part of the story."""
        with self._lock:
            print(f"\n{title}\n{HEADER}", flush=True)

    def watch(self, t_s: float, told: dict[str, Any]) -> None:
        """Take what a kiosk tells of itself."""
        with self._lock:
            if "pin" in told:
                self._pin(t_s, told)
            elif "status" in told:
                self._status(t_s, told["status"])
            elif told.get("topic") == "events" and "event" in told:
                event = told["event"]
                if event.get("kind") in SHOWN:
                    self._add(t_s, str(event.get("text")))
            elif told.get("topic") == "transcript" and "event" in told:
                caption = told["event"]
                if caption.get("final"):
                    cut = " [interrupted]" if caption.get("interrupted") else ""
                    self._add(t_s, f"{caption.get('who')} said: {caption.get('text')!r}{cut}")

    def data(self) -> list[dict[str, Any]]:
        """Return everything as data, in order, times from the beginning of the demo."""
        with self._lock:
            return [
                {
                    "t_s": round(moment.t_s - self.started_s, 4),
                    "button": moment.button,
                    "lamp": moment.lamp,
                    "kiosk": moment.kiosk,
                    "text": moment.text,
                }
                for moment in sorted(self._moments, key=lambda moment: moment.t_s)
            ]

    def _pin(self, t_s: float, told: dict[str, Any]) -> None:
        if told["pin"] == "GPIO17":
            button = "up" if told["level"] else "DOWN"
            if button != self._button:
                self._button = button
                self._add(t_s, "the button is released" if told["level"] else "the button is pressed")

    def _status(self, t_s: float, status: dict[str, Any]) -> None:
        lamp, state = str(status.get("lamp", "?")), str(status.get("state", "?"))
        session = str(status.get("link", {}).get("state", "?"))
        microphone = status.get("microphone", {})
        heard = "live" if microphone.get("live") else "open" if microphone.get("open") else "closed"
        words = []
        if lamp != self._lamp:
            self._lamp = lamp
            words.append(f"lamp: {_meaning(lamp)}")
        if session != self._session:
            self._session = session
            words.append(f"session {session}")
        if heard != self._microphone:
            self._microphone = heard
            words.append(f"microphone {heard}")
        changed = bool(words) or state != self._state
        self._state = state
        if changed:
            self._add(t_s, ", ".join(words) or state)

    def _add(self, t_s: float, text: str) -> None:
        moment = Moment(t_s, self._button, self._lamp, self._state, text)
        self._moments.append(moment)
        lamp = f"{moment.lamp.replace('_', ' '):22}"
        if self._colour and moment.lamp in _COLOURS:
            lamp = f"\x1b[{_COLOURS[moment.lamp]}m{lamp}\x1b[0m"
        print(f"{t_s - self.started_s:7.2f}s  {moment.button:7} {lamp} {moment.kiosk:12} {text}", flush=True)


def _meaning(sign: str) -> str:
    try:
        return PATTERNS[Sign(sign)].meaning
    except (ValueError, KeyError):
        return sign
