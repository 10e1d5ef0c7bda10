"""The panel's inputs: from edges to what the kiosk is told."""

from collections.abc import Callable
from typing import Protocol

from voicekiosk.kiosk.events import MuteSwitched
from voicekiosk.panel.driver import PERSONA, Button
from voicekiosk.panel.gestures import Gesture, Gestures, Pressed
from voicekiosk.panel.selector import Selector
from voicekiosk.panel.volume import Volume

NEVER = float("inf")


class Dials(Protocol):
    """What can be set at a panel."""

    def turn_volume(self, steps: int) -> None:
        """Make it louder by so many steps, or quieter."""

    def choose_persona(self, name: str) -> None:
        """Let another persona speak."""


class Buttons:
    """Recognises gestures; `dispatch` and `dials` are told what they mean."""

    def __init__(
        self, dispatch: Callable[[Gesture | MuteSwitched], None], dials: Dials, debounce_ms: int
    ) -> None:
        self._dispatch = dispatch
        self._dials = dials
        self.begin_anew(debounce_ms)

    def begin_anew(self, debounce_ms: int) -> None:
        """Forget what is down: these are other pins."""
        self._gestures: dict[Button, Gestures] = {
            "talk": Gestures(debounce_ms),
            "mute": Gestures(debounce_ms),
        }
        self._volume = Volume(debounce_ms)
        self._selector = Selector()

    @property
    def deadline_s(self) -> float:
        """When `tick` has to be called."""
        deadlines = [gestures.deadline_s for gestures in self._gestures.values()]
        deadlines += self._volume.deadline_s, self._selector.deadline_s
        return min((deadline_s for deadline_s in deadlines if deadline_s is not None), default=NEVER)

    def edge(self, button: Button, pressed: bool, t_s: float) -> None:
        """Take an edge."""
        if button in self._gestures:
            self._mean(button, self._gestures[button].edge(pressed, t_s))
        elif button.startswith(PERSONA):
            self._selector.edge(button.removeprefix(PERSONA), pressed, t_s)
        else:
            self._turn(self._volume.edge(button, pressed, t_s))

    def tick(self, now_s: float) -> None:
        """Take the time that has passed."""
        for button, gestures in self._gestures.items():
            if gestures.deadline_s is not None and gestures.deadline_s <= now_s:
                self._mean(button, gestures.tick(now_s))
        self._turn(self._volume.tick(now_s))
        if position := self._selector.tick(now_s):
            self._dials.choose_persona(position)

    def _turn(self, steps: int) -> None:
        if steps:
            self._dials.turn_volume(steps)

    def _mean(self, button: Button, gestures: tuple[Gesture, ...]) -> None:
        for gesture in gestures:
            if button == "talk":
                self._dispatch(gesture)
            elif isinstance(gesture, Pressed):
                self._dispatch(MuteSwitched(None))
