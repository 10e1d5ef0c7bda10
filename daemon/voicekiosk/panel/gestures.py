"""What a button's edges mean: presses, releases, double taps, long presses.

Pure: edges go in with their time stamps, gestures come out; nobody reads a clock here. What a
gesture *does* (hold, toggle, auto) is the state machine's business.

Debounce is "act first, then look away": an edge acts at once, so a press costs no delay, and what
follows within the dead time is contact bounce. A quick release can fall into the dead time too.
Therefore the level is looked at once more when the dead time ends, and if it differs from what was
reported, that change is reported then, with the time of the edge that caused it.
"""

from dataclasses import dataclass

TAP_S = 0.3
"""A press shorter than this is a tap."""
DOUBLE_TAP_S = 0.4
"""Two taps are a double tap when their downs are closer than this."""
LONG_PRESS_S = 2.0
"""A press this long is a long press, reported while the button is still down."""


@dataclass(frozen=True, slots=True)
class Pressed:
    """The button went down."""

    t_s: float


@dataclass(frozen=True, slots=True)
class Released:
    """The button came up after `held_s`."""

    t_s: float
    held_s: float


@dataclass(frozen=True, slots=True)
class DoubleTapped:
    """Two taps in quick succession; comes right after the second `Released`."""

    t_s: float


@dataclass(frozen=True, slots=True)
class LongPressed:
    """The button has been down for `LONG_PRESS_S`; comes once a press."""

    t_s: float


Gesture = Pressed | Released | DoubleTapped | LongPressed


class Gestures:
    """Recognise the gestures of one button.

    Starts in the belief that the button is up. A driver that finds it down at start-up reports
    nothing until it comes up, and so a stuck or leaned-on button gives no gesture. Time that runs
    backwards (an edge that was still queued when its tick came) counts as standing still.
    """

    def __init__(self, debounce_ms: int) -> None:
        """Make a recogniser with a dead time of `debounce_ms` after each edge that acted; 0 for none."""
        self._dead_time_s = debounce_ms / 1000
        self._now_s = float("-inf")
        self._dead_until_s = float("-inf")
        # The level of the last edge seen, and its time, also inside the dead time.
        self._raw = False
        self._raw_t_s = float("-inf")
        # The level last reported.
        self._pressed = False
        self._down_t_s = float("-inf")
        self._long_reported = False
        # Down time of a tap that may become the first half of a double tap.
        self._first_tap_t_s: float | None = None

    @property
    def pressed(self) -> bool:
        """Whether the last thing reported was a press."""
        return self._pressed

    @property
    def deadline_s(self) -> float | None:
        """When `tick` must be called next; None when only an edge can bring something new."""
        deadlines = []
        if self._raw != self._pressed:
            deadlines.append(self._dead_until_s)
        if self._pressed and not self._long_reported:
            deadlines.append(self._down_t_s + LONG_PRESS_S)
        return min(deadlines, default=None)

    def edge(self, pressed: bool, t_s: float) -> tuple[Gesture, ...]:
        """Take the level after an edge at `t_s`, and give the gestures that this completes."""
        gestures = self._advance(t_s)
        self._raw, self._raw_t_s = pressed, self._now_s
        if self._now_s >= self._dead_until_s:
            # Also an edge that tells nothing new starts the dead time: it is the first contact of a
            # button that was held since start-up, and its bounce must not look like a press.
            gestures += self._accept(at_s=self._now_s)
        return tuple(gestures)

    def tick(self, t_s: float) -> tuple[Gesture, ...]:
        """Give the gestures that the passing of time up to `t_s` completes."""
        return tuple(self._advance(t_s))

    def _advance(self, t_s: float) -> list[Gesture]:
        gestures: list[Gesture] = []
        while (deadline_s := self.deadline_s) is not None and deadline_s <= t_s:
            if self._raw != self._pressed and self._dead_until_s <= deadline_s:
                gestures += self._accept(at_s=deadline_s)
            else:
                self._long_reported = True
                gestures.append(LongPressed(deadline_s))
        self._now_s = max(self._now_s, t_s)
        return gestures

    def _accept(self, at_s: float) -> list[Gesture]:
        self._dead_until_s = at_s + self._dead_time_s
        if self._raw == self._pressed:
            return []
        self._pressed = self._raw
        if self._pressed:
            self._down_t_s = self._raw_t_s
            self._long_reported = False
            return [Pressed(self._raw_t_s)]
        held_s = self._raw_t_s - self._down_t_s
        gestures: list[Gesture] = [Released(self._raw_t_s, held_s)]
        if self._completes_double_tap(held_s):
            gestures.append(DoubleTapped(self._raw_t_s))
        return gestures

    def _completes_double_tap(self, held_s: float) -> bool:
        first_t_s, self._first_tap_t_s = self._first_tap_t_s, None
        if held_s >= TAP_S:
            return False
        if first_t_s is not None and self._down_t_s - first_t_s < DOUBLE_TAP_S:
            return True
        self._first_tap_t_s = self._down_t_s
        return False
