"""Louder and quieter: two buttons, or a rotary encoder. Pure: edges and times go in, steps come out.

An encoder's two contacts, A and B, close and open in turn; which of them is first is the direction. A click
is one whole cycle, from both open to both open, and only a whole cycle counts: a contact that bounces goes
forth and back between two neighbours and gets nowhere. Edges of two pins come by two ways, so they are put in
the order of their times before they count.
"""

from voicekiosk.panel.gestures import Gestures, Pressed, Released

GATHER_S = 0.02
"""How long an encoder's edge waits for earlier ones of the other pin."""
REPEAT_AFTER_S, REPEAT_S = 0.5, 0.15
"""A button that is held steps again after this long, then each time after so long."""
REPEAT_AT_MOST_S = 6.0
"""A button that is held for longer is stuck, or leaned on."""

NEVER = float("inf")

_QUARTERS = {(False, False): 0, (True, False): 1, (True, True): 2, (False, True): 3}


class Encoder:
    """One rotary encoder; A closes before B in the direction of louder."""

    def __init__(self) -> None:
        self._pending: list[tuple[float, str, bool]] = []
        self._a = self._b = False
        # Quarters of a cycle since both were open.
        self._turned = 0

    @property
    def deadline_s(self) -> float:
        """When `tick` must be called next."""
        return min((t_s for t_s, _, _ in self._pending), default=NEVER) + GATHER_S

    def edge(self, contact: str, closed: bool, t_s: float) -> None:
        """Take the level of contact "a" or "b" from `t_s` on."""
        self._pending.append((t_s, contact, closed))

    def tick(self, t_s: float) -> int:
        """Give the clicks up to `t_s`, louder positive."""
        ripe = sorted((edge for edge in self._pending if edge[0] + GATHER_S <= t_s), key=lambda edge: edge[0])
        self._pending = [edge for edge in self._pending if edge[0] + GATHER_S > t_s]
        return sum(self._turn(contact, closed) for _, contact, closed in ripe)

    def _turn(self, contact: str, closed: bool) -> int:
        before = _QUARTERS[self._a, self._b]
        if contact == "a":
            self._a = closed
        else:
            self._b = closed
        after = _QUARTERS[self._a, self._b]
        # One contact moves at a time, so this is -1, 0 or 1.
        self._turned += (after - before + 1) % 4 - 1
        if after:
            return 0
        turned, self._turned = self._turned, 0
        return int(turned / 4)


class _Key:
    """One button that steps again while it is held."""

    def __init__(self, debounce_ms: int) -> None:
        self._gestures = Gestures(debounce_ms)
        self._next_s = NEVER
        self._until_s = NEVER

    @property
    def deadline_s(self) -> float:
        deadline_s = self._gestures.deadline_s
        return self._next_s if deadline_s is None else min(deadline_s, self._next_s)

    def edge(self, pressed: bool, t_s: float) -> int:
        return self._repeated(t_s) + self._taken(self._gestures.edge(pressed, t_s))

    def tick(self, t_s: float) -> int:
        # A release within the dead time comes out here, with a time before the next repetition.
        released = self._taken(self._gestures.tick(t_s))
        return released + self._repeated(t_s)

    def _taken(self, gestures: tuple[object, ...]) -> int:
        steps = 0
        for gesture in gestures:
            match gesture:
                case Pressed(t_s):
                    self._next_s, self._until_s = t_s + REPEAT_AFTER_S, t_s + REPEAT_AT_MOST_S
                    steps += 1
                case Released():
                    self._next_s = NEVER
        return steps

    def _repeated(self, t_s: float) -> int:
        steps = 0
        while self._next_s <= t_s:
            steps += 1
            self._next_s += REPEAT_S
            if self._next_s > self._until_s:
                self._next_s = NEVER
        return steps


class Volume:
    """Everything at a panel that sets the loudness."""

    def __init__(self, debounce_ms: int) -> None:
        self._louder, self._quieter, self._encoder = _Key(debounce_ms), _Key(debounce_ms), Encoder()

    @property
    def deadline_s(self) -> float:
        """When `tick` must be called next; infinity when only an edge can bring something new."""
        return min(self._louder.deadline_s, self._quieter.deadline_s, self._encoder.deadline_s)

    def edge(self, name: str, pressed: bool, t_s: float) -> int:
        """Take an edge of "louder", "quieter", "encoder_a" or "encoder_b"; give the steps it brings."""
        match name:
            case "louder":
                return self._louder.edge(pressed, t_s)
            case "quieter":
                return -self._quieter.edge(pressed, t_s)
            case _:
                self._encoder.edge(name.removeprefix("encoder_"), pressed, t_s)
                return 0

    def tick(self, t_s: float) -> int:
        """Give the steps that the passing of time up to `t_s` brings, louder positive."""
        return self._louder.tick(t_s) - self._quieter.tick(t_s) + self._encoder.tick(t_s)
