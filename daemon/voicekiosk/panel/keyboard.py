"""The panel on a terminal: the space bar is the button, a coloured line is the lamp.

A terminal tells when a key is struck, never when it is let go. Holding shows only as key repeat: after
a pause of a quarter to two thirds of a second, the same key every 30 ms or so.
"""

import asyncio
import atexit
import contextlib
import os
import signal
import sys
import termios
import time
import tty
from typing import Any, Final, TextIO

from voicekiosk.config import schema
from voicekiosk.panel import lamp
from voicekiosk.panel.driver import Button, OnEdge, OnFaults, PanelFacts
from voicekiosk.panel.lamp import Look, Sign
from voicekiosk.panel.player import Player

REPEAT_S: Final = 0.12
"""Strokes closer than this are key repeat, not fingers."""
RELEASE_S: Final = 0.15
"""A held key has been let go when it has not repeated for this long."""
FIRST_REPEAT_S: Final = 0.7
"""The longest pause before a terminal begins to repeat."""
TAP_S: Final = 0.05
"""How long a tap is said to have lasted."""


class SpaceBar:
    """Make button edges of key strokes. Pure.

    A stroke is a press at once. If the key then repeats, it is held, and released when the repeats
    stop. If it does not: with `latching` (push-to-talk) the button stays down until the next stroke;
    without, it was a tap, released `TAP_S` later.
    """

    def __init__(self, *, latching: bool) -> None:
        self._latching = latching
        self._down_s: float | None = None
        self._last_s = float("-inf")
        self._held = False
        # A second stroke that may be the first repeat or another tap.
        self._second_s: float | None = None

    @property
    def deadline_s(self) -> float | None:
        """When `tick` must be called next."""
        if self._down_s is None:
            return None
        if self._held:
            return self._last_s + RELEASE_S
        if self._second_s is not None:
            return self._second_s + REPEAT_S
        return None if self._latching else self._down_s + FIRST_REPEAT_S

    def stroke(self, t_s: float) -> list[tuple[bool, float]]:
        """Take a key stroke; gives edges as (pressed, time)."""
        edges = self.tick(t_s)
        gap_s, self._last_s = t_s - self._last_s, t_s
        if self._down_s is None:
            self._down_s, self._held, self._second_s = t_s, False, None
            edges.append((True, t_s))
        elif gap_s < REPEAT_S:
            self._held, self._second_s = True, None
        elif not self._held:
            self._second_s = t_s
        return edges

    def tick(self, t_s: float) -> list[tuple[bool, float]]:
        """Give the edges that the passing of time up to `t_s` brings."""
        edges: list[tuple[bool, float]] = []
        while (down_s := self._down_s) is not None:
            if (deadline_s := self.deadline_s) is None or deadline_s > t_s:
                break
            second_s, self._second_s = self._second_s, None
            if self._held:
                edges.append((False, self._last_s))
                self._down_s = None
            elif self._latching and second_s is not None:
                edges.append((False, second_s))
                self._down_s = None
            else:
                edges.append((False, down_s + TAP_S))
                self._down_s = second_s
                if second_s is not None:
                    edges.append((True, second_s))
        return edges


class Terminal:
    """Key strokes without echo and without waiting for Enter; put back as it was by `restore`."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._before: list[Any] | None = None

    def take(self) -> None:
        """Switch to single key strokes; Ctrl-C and Ctrl-Z go on working. Raises termios.error."""
        self._before = termios.tcgetattr(self._fd)
        atexit.register(self.restore)
        tty.setcbreak(self._fd, termios.TCSANOW)

    def restore(self) -> None:
        """Put the terminal back as it was; may be called twice."""
        before, self._before = self._before, None
        if before is not None:
            atexit.unregister(self.restore)
            # It may have been closed under us, and then there is nothing to restore.
            with contextlib.suppress(termios.error, OSError):
                termios.tcsetattr(self._fd, termios.TCSANOW, before)


class KeyboardPanel:
    """Button and lamp in a terminal: space talks, m mutes, + and - set the loudness, q quits."""

    def __init__(
        self, settings: schema.Panel, stdin: TextIO | None = None, stdout: TextIO | None = None
    ) -> None:
        """Make a panel on `stdin` and `stdout` (the process's own by default)."""
        self._stdin = sys.stdin if stdin is None else stdin
        self._stdout = sys.stdout if stdout is None else stdout
        self._settings = settings
        self._space = SpaceBar(latching=settings.mode == "hold")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_edge: OnEdge | None = None
        self._on_faults: OnFaults = lambda: None
        self._terminal: Terminal | None = None
        self._player: Player | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._fault = ""
        self._pressed = False
        self._edges = 0
        self._lit = lamp.DARK
        self._line = False

    def start(
        self, loop: asyncio.AbstractEventLoop, on_edge: OnEdge, on_faults: OnFaults = lambda: None
    ) -> None:
        """Take the terminal; where there is none, say so in `facts` and go on without."""
        self._loop, self._on_edge, self._on_faults = loop, on_edge, on_faults
        self._line = _is_tty(self._stdout)
        if not _is_tty(self._stdin):
            self._fault = (
                'keyboard: standard input is not a terminal; run "voicekiosk run" in one, '
                'or set panel.driver to "gpio" or "none"'
            )
        else:
            self._take(loop)
        self._player = Player(self._light, self._settings.lamp, loop, dimmable=False)

    def show(self, sign: Sign) -> None:
        """Show `sign` until the next call."""
        if self._player is not None:
            self._player.show(sign)
            self._draw()

    def acknowledge(self) -> None:
        """Blink once."""
        if self._player is not None:
            self._player.acknowledge()

    def close(self) -> None:
        """Restore the terminal, and let go of the button."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._pressed:
            self._edge(False, time.monotonic())
        if self._player is not None:
            self._player.close()
            self._player = None
            if self._line:
                self._write("\r\x1b[K")
        self._give_back()

    def facts(self) -> PanelFacts:
        """Say how the panel is doing."""
        player = self._player
        return PanelFacts(
            driver="keyboard",
            device="terminal: space talks, m mutes, + and - set the loudness, q quits",
            sign=Sign.OFF if player is None else player.sign,
            faults=(self._fault,) if self._fault else (),
            edges=self._edges,
            lamp_wakeups=0 if player is None else player.wakeups,
        )

    # --- the terminal ---

    def _take(self, loop: asyncio.AbstractEventLoop) -> None:
        fd = self._stdin.fileno()
        terminal = Terminal(fd)
        try:
            terminal.take()
        except termios.error as error:
            self._fault = f"keyboard: the terminal cannot be used: {error.args[-1]}"
            return
        self._terminal = terminal
        loop.add_reader(fd, self._readable, loop)
        # Outside the main thread (some tests) there are no signals to be had.
        with contextlib.suppress(RuntimeError, ValueError):
            loop.add_signal_handler(signal.SIGTSTP, self._suspend, loop)

    def _give_back(self) -> None:
        terminal, self._terminal = self._terminal, None
        if terminal is None:
            return
        terminal.restore()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._stdin.fileno())
            with contextlib.suppress(RuntimeError, ValueError):
                self._loop.remove_signal_handler(signal.SIGTSTP)

    def _suspend(self, loop: asyncio.AbstractEventLoop) -> None:
        """Leave the terminal in order while the process is stopped (Ctrl-Z), and come back after."""
        self._give_back()
        if self._line:
            self._write("\r\x1b[K")
        os.kill(os.getpid(), signal.SIGTSTP)  # Python goes on from here at SIGCONT.
        self._take(loop)
        self._draw()

    def _readable(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            keys = os.read(self._stdin.fileno(), 64)
        except BlockingIOError:
            return
        except OSError:
            keys = b""
        if not keys:
            self._give_back()
            self._fault = "keyboard: the terminal was closed"
            self._on_faults()
            return
        now_s = time.monotonic()
        for key in keys.decode("ascii", "replace").lower():
            match key:
                case " ":
                    self._edges_of(loop, self._space.stroke(now_s))
                case "m" | "+" | "-":
                    button = {"m": "mute", "+": "louder", "-": "quieter"}[key]
                    self._report(button, True, now_s)
                    self._report(button, False, now_s)
                case "q":
                    # The way of Ctrl-C, so that there is one way of stopping.
                    signal.raise_signal(signal.SIGINT)

    # --- the button ---

    def _edges_of(self, loop: asyncio.AbstractEventLoop, edges: list[tuple[bool, float]]) -> None:
        for pressed, t_s in edges:
            self._edge(pressed, t_s)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline_s = self._space.deadline_s
        if deadline_s is not None:
            self._timer = loop.call_later(max(0.0, deadline_s - time.monotonic()), self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self._edges_of(loop, self._space.tick(time.monotonic()))

    def _edge(self, pressed: bool, t_s: float) -> None:
        self._pressed = pressed
        self._report("talk", pressed, t_s)

    def _report(self, button: Button, pressed: bool, t_s: float) -> None:
        self._edges += 1
        if self._on_edge is not None:
            self._on_edge(button, pressed, t_s)

    # --- the lamp ---

    def _light(self, look: Look) -> None:
        self._lit = look
        self._draw()

    def _draw(self) -> None:
        if self._line and self._player is not None:
            color = not os.environ.get("NO_COLOR")
            # The cursor goes back to the left, so that a line of the journal writes over this one.
            self._write("\r\x1b[K" + lamp_line(self._player.sign, self._lit, color=color) + "\r")

    def _write(self, text: str) -> None:
        # The lamp must not end the conversation when its terminal has gone.
        with contextlib.suppress(OSError, ValueError):
            encoding = self._stdout.encoding or "ascii"
            self._stdout.write(text.encode(encoding, "replace").decode(encoding))
            self._stdout.flush()


def lamp_line(sign: Sign, look: Look, *, color: bool) -> str:
    """Write the lamp as a line: lit or dark, the sign's name and what it means."""
    bulb = "●" if look.level >= lamp.PLAIN_THRESHOLD else "○"
    pattern = lamp.pattern(sign)
    name = sign.value.replace("_", " ")
    if color:
        red, green, blue = (round(255 * part) for part in pattern.rgb)
        bulb = f"\x1b[38;2;{red};{green};{blue}m{bulb}"
        return f"{bulb} {name}\x1b[0m - {pattern.meaning}"
    return f"{bulb} {name} - {pattern.meaning}"


def _is_tty(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False
