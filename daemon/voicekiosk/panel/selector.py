"""A rotary switch with a pin for each position. Pure: levels and times go in, a position comes out."""

SETTLED_S = 0.5
"""A switch that is turned past positions has not chosen them."""


class Selector:
    """Which position a switch has been left in."""

    def __init__(self) -> None:
        self._closed: set[str] = set()
        self._chosen = ""
        self.deadline_s: float | None = None
        """When `tick` must be called next; None when only an edge can bring something new."""

    def edge(self, position: str, closed: bool, t_s: float) -> None:
        """Take the level of a position's contact."""
        if closed:
            self._closed.add(position)
        else:
            self._closed.discard(position)
        # At the start it is in one of them already.
        self.deadline_s = t_s + SETTLED_S if self._chosen else t_s

    def tick(self, t_s: float) -> str:
        """Give the position that has been chosen by `t_s`, once; empty when there is nothing new.

        Between two positions, or with two wires that touch, the one before stays.
        """
        if self.deadline_s is None or self.deadline_s > t_s:
            return ""
        self.deadline_s = None
        if len(self._closed) != 1 or self._closed == {self._chosen}:
            return ""
        (self._chosen,) = self._closed
        return self._chosen
