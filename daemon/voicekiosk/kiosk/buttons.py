"""The buttons: from edges to what the state machine is told."""

from collections.abc import Callable

from voicekiosk.kiosk.events import MuteSwitched
from voicekiosk.panel.driver import Button
from voicekiosk.panel.gestures import Gesture, Gestures, Pressed

NEVER = float("inf")


class Buttons:
    """Recognises gestures; `dispatch` is told what they mean."""

    def __init__(self, dispatch: Callable[[Gesture | MuteSwitched], None], debounce_ms: int) -> None:
        self._dispatch = dispatch
        self.begin_anew(debounce_ms)

    def begin_anew(self, debounce_ms: int) -> None:
        """Forget what is down: these are other pins."""
        self._gestures: dict[Button, Gestures] = {
            "talk": Gestures(debounce_ms),
            "mute": Gestures(debounce_ms),
        }

    @property
    def deadline_s(self) -> float:
        """When `tick` has to be called."""
        deadlines = (gestures.deadline_s for gestures in self._gestures.values())
        return min((deadline_s for deadline_s in deadlines if deadline_s is not None), default=NEVER)

    def edge(self, button: Button, pressed: bool, t_s: float) -> None:
        """Take an edge."""
        self._mean(button, self._gestures[button].edge(pressed, t_s))

    def tick(self, now_s: float) -> None:
        """Take the time that has passed."""
        for button, gestures in self._gestures.items():
            if gestures.deadline_s is not None and gestures.deadline_s <= now_s:
                self._mean(button, gestures.tick(now_s))

    def _mean(self, button: Button, gestures: tuple[Gesture, ...]) -> None:
        for gesture in gestures:
            if button == "talk":
                self._dispatch(gesture)
            elif isinstance(gesture, Pressed):
                self._dispatch(MuteSwitched(None))
