"""What has to be known of a conversation to go on with it in another process."""

from dataclasses import dataclass

from voicekiosk.agent.memory import Said


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
