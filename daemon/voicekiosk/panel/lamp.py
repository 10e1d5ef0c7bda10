"""What the lamp shows: a rhythm for every sign, the brightness of the hour, and what a lamp can do of it.

Pure: a sign and a time go in, a look comes out, with the time until the look changes, so that one
timer of the event loop drives the lamp and none runs while the look is steady.

Signs differ in rhythm, so a plain LED tells them all and colour is extra. No sign flashes more than
three times in any second, the limit below which flashing is held safe for photosensitive people.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

Rgb = tuple[float, float, float]


class Sign(StrEnum):
    """What there is to show, most urgent first."""

    MICROPHONE_LIVE = "microphone_live"
    MICROPHONE_LIVE_NO_LINK = "microphone_live_no_link"
    FAULT = "fault"
    MUTED = "muted"
    OFFLINE = "offline"
    RECONNECTING = "reconnecting"
    CONNECTING = "connecting"
    CONFIRMING = "confirming"
    WORKING = "working"
    SPEAKING = "speaking"
    THINKING = "thinking"
    IDLE_WARM = "idle_warm"
    IDLE_CONFIG = "idle_config"
    IDLE = "idle"
    STARTING = "starting"
    STOPPING = "stopping"
    OFF = "off"


MICROPHONE_SIGNS: Final = frozenset({Sign.MICROPHONE_LIVE, Sign.MICROPHONE_LIVE_NO_LINK})
"""Signs that tell people they are being heard: neither night nor brightness 0 puts them out."""
MICROPHONE_FLOOR: Final = 0.25
"""The least brightness of those signs."""
PLAIN_THRESHOLD: Final = 0.5
"""A plain LED is on from this level."""
BREATH_STEP_S: Final = 0.05
"""How often a breathing lamp changes its level."""


@dataclass(frozen=True, slots=True)
class Step:
    """A level (0 to 1) that is held for `duration_ms`."""

    level: float
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Pattern:
    """One sign's rhythm: steps that repeat; a single step is steady.

    A breathing pattern has an on and an off step; a lamp that can be dimmed swells and fades in the
    same period instead of blinking.
    """

    steps: tuple[Step, ...]
    rgb: Rgb
    meaning: str
    breathes: bool = False

    @property
    def steady(self) -> bool:
        """Whether the look never changes."""
        return len(self.steps) == 1

    @property
    def period_s(self) -> float:
        """How long one turn of the rhythm takes; 0 when steady."""
        return 0.0 if self.steady else sum(step.duration_ms for step in self.steps) / 1000

    def entry_s(self, lit: bool) -> float:
        """Find where in the period to begin so that a plain lamp that is now `lit` changes at once."""
        start_ms = 0
        for step in self.steps:
            if (step.level >= PLAIN_THRESHOLD) != lit:
                return start_ms / 1000
            start_ms += step.duration_ms
        return 0.0


@dataclass(frozen=True, slots=True)
class Look:
    """What the lamp looks like at one moment: a perceived level (0 to 1) and a colour."""

    level: float
    rgb: Rgb = (1.0, 1.0, 1.0)


DARK: Final = Look(0.0)

BLUE: Final = (0.0, 0.45, 1.0)
GREEN: Final = (0.0, 1.0, 0.45)
WHITE: Final = (1.0, 1.0, 1.0)
YELLOW: Final = (1.0, 0.8, 0.0)
ORANGE: Final = (1.0, 0.4, 0.0)
RED: Final = (1.0, 0.0, 0.0)
VIOLET: Final = (0.6, 0.0, 1.0)


def _steady(level: float, rgb: Rgb, meaning: str) -> Pattern:
    return Pattern((Step(level, 0),), rgb, meaning)


def _blink(rgb: Rgb, meaning: str, *durations_ms: int, low: float = 0.0, breathes: bool = False) -> Pattern:
    """Make a rhythm of durations that are on, off, on, off, …; off shows `low` where the lamp can."""
    steps = tuple(Step(low if i % 2 else 1.0, ms) for i, ms in enumerate(durations_ms))
    return Pattern(steps, rgb, meaning, breathes)


PATTERNS: Final[dict[Sign, Pattern]] = {
    Sign.MICROPHONE_LIVE: _steady(1.0, BLUE, "the microphone is live: you are heard"),
    Sign.MICROPHONE_LIVE_NO_LINK: _blink(
        BLUE, "the microphone is live, the service is not reached yet: go on talking", 1400, 200, low=0.4
    ),
    Sign.FAULT: _blink(
        RED, "something is broken; `voicekiosk status` names it", 200, 200, 200, 200, 200, 1500
    ),
    Sign.MUTED: _blink(RED, "muted: the button does not open the microphone", 300, 2000),
    Sign.OFFLINE: _blink(ORANGE, "no network; a press tries again", 200, 200, 200, 1500),
    Sign.RECONNECTING: _blink(
        YELLOW, "the link broke and is being mended; the conversation goes on", 600, 200, 200, 200, 200, 600
    ),
    Sign.CONNECTING: _blink(YELLOW, "calling the service", 100, 600),
    Sign.CONFIRMING: _blink(WHITE, "a question to you: tap for yes, wait for no", 200, 200),
    Sign.WORKING: _blink(VIOLET, "the agent is doing something for you", 600, 200, 200, 600),
    Sign.SPEAKING: _blink(GREEN, "the agent speaks; a press interrupts it", 1000, 1000, low=0.4),
    Sign.THINKING: _blink(GREEN, "the agent is thinking", 500, 500, breathes=True),
    Sign.IDLE_WARM: _blink(
        BLUE, "ready; the microphone is open but nothing leaves the kiosk", 60, 6000, low=0.1
    ),
    Sign.IDLE_CONFIG: _blink(
        WHITE,
        "ready; the configuration file was not taken, `voicekiosk status` says why",
        60,
        400,
        60,
        4000,
        low=0.1,
    ),
    Sign.IDLE: _steady(0.1, WHITE, "ready: press and talk"),
    Sign.STARTING: _blink(WHITE, "starting", 300, 900),
    Sign.STOPPING: _blink(WHITE, "stopping", 100, 300),
    Sign.OFF: _steady(0.0, WHITE, "not running"),
}


def pattern(sign: Sign) -> Pattern:
    """Give the rhythm of `sign`."""
    return PATTERNS[sign]


def look(pattern: Pattern, t_s: float, *, dimmable: bool = True) -> tuple[Look, float | None]:
    """Tell what `pattern` looks like `t_s` after its start, and in how many seconds that changes.

    None when it never changes. `dimmable=False` for a lamp that knows only on and off: what breathes
    then blinks, and nobody is woken for a level that such a lamp cannot show.
    """
    if pattern.steady:
        return Look(pattern.steps[0].level, pattern.rgb), None
    at_s = t_s % pattern.period_s
    if pattern.breathes and dimmable:
        level = (1 + math.cos(2 * math.pi * at_s / pattern.period_s)) / 2
        return Look(level, pattern.rgb), BREATH_STEP_S
    end_s = 0.0
    for step in pattern.steps:
        end_s += step.duration_ms / 1000
        if at_s < end_s:
            return Look(step.level, pattern.rgb), end_s - at_s
    # Rounding put the sum of the steps a hair below the period: it is the first step's turn.
    return Look(pattern.steps[0].level, pattern.rgb), pattern.steps[0].duration_ms / 1000


def dimmed(look: Look, sign: Sign, brightness: float) -> Look:
    """Give `look` at `brightness` (0 to 1); a microphone sign keeps at least `MICROPHONE_FLOOR`."""
    if sign in MICROPHONE_SIGNS:
        brightness = max(brightness, MICROPHONE_FLOOR)
    return Look(look.level * brightness, look.rgb)


def is_lit(look: Look, sign: Sign, brightness: float) -> bool:
    """Tell whether a plain LED is on.

    It cannot dim, so only brightness 0 puts it out, and never a microphone sign.
    """
    return look.level >= PLAIN_THRESHOLD and (brightness > 0 or sign in MICROPHONE_SIGNS)


def duty(level: float) -> float:
    """Convert a perceived level (0 to 1) to a PWM duty cycle.

    The eye sees about the square root of the power.
    """
    return level * level


def duties(look: Look) -> Rgb:
    """Convert a look to the duty cycles of a red, a green and a blue LED."""
    red, green, blue = look.rgb
    scale = duty(look.level)
    return red * scale, green * scale, blue * scale


def minute_of_day(clock: str) -> int | None:
    """Convert "HH:MM" to minutes after midnight; None for an empty text."""
    if not clock:
        return None
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


def is_night(night_from: str, night_to: str, minute: int) -> bool:
    """Tell whether `minute` (of the day) is in the night hours.

    They may span midnight; without both ends, or with equal ones, there is no night.
    """
    start, end = minute_of_day(night_from), minute_of_day(night_to)
    if start is None or end is None:
        return False
    if start <= end:
        return start <= minute < end
    return minute >= start or minute < end
