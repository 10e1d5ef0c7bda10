"""The client rules of checklist 12.1 that can be seen from the server's end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voicekiosk.simulator.configuration import nulls

Frame = dict[str, Any]


class Judge:
    """Notes which numbered rule a message breaks; decides nothing about the answer."""

    def __init__(self, note: Callable[[int, str, float], None], now_t_s: Callable[[], float]) -> None:
        self._note, self._now_t_s = note, now_t_s

    def violate(self, rule: int, text: str) -> None:
        """Note that a rule was broken."""
        self._note(rule, text, self._now_t_s())

    def first_message(self, kind: str) -> None:
        """Look at a first message that is neither update nor resume."""
        rule = 16 if kind == "input.audio" else 4
        self.violate(rule, f"the first message was {kind}")

    def too_early(self, kind: str, *, resuming: bool) -> None:
        """Look at a message between the first one and `session.ready`."""
        match kind:
            case "input.audio":
                self.violate(16, "input.audio before session.ready")
            case "session.update" if resuming:
                self.violate(39, "session.update as part of a resume")
            case "session.update" | "session.resume":
                self.violate(4, f"a second first message: {kind}")
            case _:
                self.violate(3, f"{kind} before session.ready")

    def update(self, frame: Frame, *, first: bool) -> None:
        """Look at a `session.update`."""
        astray = [str(key)[:40] for key in frame if key not in ("type", "session")]
        if astray:
            self.violate(9, f"settings outside session: {', '.join(astray[:5])}")
        session = frame.get("session", {})
        if not isinstance(session, dict):
            return
        for path in list(nulls(session))[:5]:
            self.violate(9, f"{path[:100]} is null; unset keys have to be left out")
        if "agent_id" in session and (not first or len(session) > 1):
            self.violate(
                10, "agent_id together with other fields" if first else "agent_id after the first update"
            )
        given, output = session.get("input"), session.get("output")
        given = given if isinstance(given, dict) else {}
        output = output if isinstance(output, dict) else {}
        if not first:
            frozen = [f"output.{key}" for key in ("voice", "format") if key in output]
            for param in (["greeting"] if "greeting" in session else []) + frozen:
                self.violate(11, f"{param} was sent after session.ready")
        self._formats(given.get("format"), output.get("format"))
        self._detection(given.get("turn_detection"))

    def _formats(self, *formats: Any) -> None:
        for given in formats:
            if given is not None and not isinstance(given, dict):
                self.violate(15, "an audio format that is no object")
            elif given and given.get("encoding") == "audio/pcm" and given.get("sample_rate", 24000) != 24000:
                self.violate(17, f"audio/pcm declared at {given['sample_rate']} Hz, not 24000"[:200])

    def _detection(self, detection: Any) -> None:
        if not isinstance(detection, dict):
            return
        least, most = detection.get("min_silence"), detection.get("max_silence")
        if isinstance(least, int) and isinstance(most, int) and least >= most:
            self.violate(14, f"min_silence {least} is not less than max_silence {most}")

    def audio_without_audio(self, frame: Frame) -> None:
        """Look at an `input.audio` whose `audio` is missing or no string."""
        if "data" in frame:
            self.violate(19, "input.audio with the field data; upstream it is audio")
        else:
            self.violate(19, "input.audio without the field audio")

    def shape(self, frame: Frame, **types: type) -> bool:
        """Return whether the fields have their types; only those with a default may be missing."""
        optional = ("is_error", "instructions")
        return all(
            isinstance(frame[key], wanted) if key in frame else key in optional
            for key, wanted in types.items()
        )

    def context(self, frame: Frame) -> bool:
        """Return whether a `conversation.message` has the right shape."""
        return self.shape(frame, role=str, content=str) and frame["role"] in ("user", "system")

    def bad_body(self, kind: str, frame: Frame) -> None:
        """Look at a known type with a bad body."""
        if kind == "tool.result":
            self.violate(29, "a tool.result whose call_id or result is no string")
        elif kind in ("conversation.message", "reply.cancel"):
            self.violate(43, f"{kind} is not to be relied on")
        elif None in frame.values():
            self.violate(9, f"{kind} with a null; unset keys have to be left out")

    def resume(self, attempts: int, after_s: float, state: str) -> None:
        """Look at a `session.resume` for a session that is known."""
        if attempts > 1:
            self.violate(38, f"resume attempt {attempts} after one drop")
        elif state in ("dropped", "expired") and after_s > 25.0:
            self.violate(38, f"resume {after_s:.1f} s after the drop; 25 s is the limit")

    def closed(self, *, ending: bool) -> None:
        """Look at a close that the client began in a session."""
        if ending:
            self.violate(35, "closed after session.end without waiting for session.ended")
        else:
            self.violate(35, "closed without session.end")
