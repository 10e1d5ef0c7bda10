"""What has to be known of a conversation to go on with it in another process."""

from dataclasses import dataclass

from voicekiosk.agent.memory import Said

NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A conversation at one moment."""

    host: str
    """Whose session it is: nobody else is told its token."""
    session_id: str
    """Empty when there is none that could be resumed."""
    resume_token: str
    turns: tuple[Said, ...]

    def __repr__(self) -> str:
        """Tell without the token, and nothing of what was said."""
        return f"Snapshot(host={self.host!r}, session_id={self.session_id!r}, turns={len(self.turns)})"


class Left:
    """A conversation that may be gone on with, in another session, until it is too late for that."""

    def __init__(self) -> None:
        """Begin with none."""
        self._snapshot: Snapshot | None = None
        self._dropped_s = self._until_s = NEVER

    def put(self, snapshot: Snapshot | None, *, dropped_s: float = NEVER, until_s: float) -> None:
        """Leave a conversation until `until_s`; its session was lost at `dropped_s`, if it can be resumed."""
        self._snapshot, self._dropped_s, self._until_s = snapshot, dropped_s, until_s

    def take(self, now_s: float) -> tuple[Snapshot | None, float]:
        """Return what was left and is not too old, once, and when its session was lost."""
        snapshot = self._snapshot if now_s <= self._until_s else None
        self._snapshot = None
        return snapshot, self._dropped_s
