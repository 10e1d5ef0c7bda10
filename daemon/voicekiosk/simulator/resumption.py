"""Whether a `session.resume` is granted, and what is said when it is not (5.4, S39)."""

from __future__ import annotations

from dataclasses import dataclass

from voicekiosk.simulator import frames
from voicekiosk.simulator.world import Admission, Life, World


@dataclass(frozen=True, slots=True)
class Refusal:
    """The answer to a resume that is refused."""

    code: str
    message: str
    closes: bool


def decide(world: World, session_id: str, admission: Admission, now_s: float) -> Life | Refusal:
    """Return the session that goes on, or the refusal."""
    world.sweep(now_s)
    mode = world.scenario.lifecycle.resume
    life = known(world, session_id, admission)
    if life is not None and life.state == "live" and not world.scenario.lifecycle.take_over:
        life = None  # Its old link seems to work.
    if life is not None and life.session is not None and life.session.resumable:
        by_its_token = admission.session_id == session_id
        if mode == "grant" or (mode == "token_only" and by_its_token):
            return life
    match mode:
        case "forbidden":
            return Refusal("session_forbidden", frames.RESUME_FORBIDDEN, closes=True)
        case "expired":
            return Refusal("session_expired", frames.SESSION_EXPIRED, closes=True)
        case _:
            return Refusal("session_not_found", frames.RESUME_REFUSED, closes=mode != "refuse_open")


def known(world: World, session_id: str, admission: Admission) -> Life | None:
    """Return the session of this id if this cluster knows it; clusters know only their own (1.1)."""
    life = world.lives.get(session_id)
    return life if life is not None and life.region == admission.region else None
