"""What each way of failing means and what is done about it, as tables (protocol 1.4, 1.6, 8.1)."""

from dataclasses import dataclass
from enum import Enum

from voicekiosk.agent.events import Cause


class Remedy(Enum):
    """What to do after a failure."""

    STOP = "stop"
    """Nothing, until the owner has changed something."""
    FRESH = "fresh"
    """Open a new session at once; resuming is out of the question."""
    AGAIN = "again"
    """Try again quickly; the network is the likely culprit. Resume if that is possible."""
    LATER = "later"
    """Try again with back-off from the start: the other side asked for it, or is not well."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One attempt or session that came to nothing."""

    cause: Cause
    remedy: Remedy
    code: str
    """A word for status and journal: the service's error code, else one of ours."""
    detail: str


NO_SUCH_SESSION = frozenset({"session_not_found", "session_forbidden", "session_expired"})
"""Codes that say that there is no session any more, however open the socket is."""


@dataclass(frozen=True, slots=True)
class _Policy:
    cause: Cause
    before_ready: Remedy
    after_ready: Remedy


# The codes of protocol 8.1. After `session.ready` most errors are only told about; the remedy here is
# for the case that a close follows.
_STOP, _FRESH, _AGAIN, _LATER = Remedy.STOP, Remedy.FRESH, Remedy.AGAIN, Remedy.LATER
ERRORS: dict[str, _Policy] = {
    # A key that was good when the session began is judged again by the next attempt.
    "unauthorized": _Policy(Cause.KEY, _STOP, _LATER),
    "forbidden": _Policy(Cause.KEY, _STOP, _LATER),
    "server_error": _Policy(Cause.SERVER, _LATER, _LATER),
    "internal_error": _Policy(Cause.SERVER, _LATER, _LATER),
    "session_not_found": _Policy(Cause.EXPIRED, _LATER, _FRESH),
    "session_forbidden": _Policy(Cause.EXPIRED, _LATER, _FRESH),
    "session_expired": _Policy(Cause.EXPIRED, _LATER, _FRESH),
    "agent_not_found": _Policy(Cause.CONFIG, _STOP, _LATER),
    "agent_id_not_first": _Policy(Cause.CONFIG, _STOP, _LATER),
    "agent_init_failed": _Policy(Cause.SERVER, _LATER, _LATER),
    "agent_timeout": _Policy(Cause.SERVER, _LATER, _LATER),
    "at_capacity": _Policy(Cause.CAPACITY, _LATER, _LATER),
    "concurrency_exceeded": _Policy(Cause.CAPACITY, _LATER, _LATER),
    "invalid_format": _Policy(Cause.CONFIG, _STOP, _LATER),
    "invalid_audio": _Policy(Cause.SERVER, _LATER, _LATER),
    "invalid_value": _Policy(Cause.CONFIG, _STOP, _LATER),
    "invalid_config": _Policy(Cause.CONFIG, _STOP, _LATER),
    "invalid_webhook": _Policy(Cause.CONFIG, _STOP, _LATER),
    "immutable_field": _Policy(Cause.CONFIG, _STOP, _LATER),
    "audio_rate_violation": _Policy(Cause.SERVER, _LATER, _LATER),
}
_ANY_OTHER = _Policy(Cause.SERVER, _LATER, _LATER)

# The close codes of protocol 1.6 and RFC 6455, for a close that no error explains.
CLOSES: dict[int, tuple[Cause, Remedy, str]] = {
    1000: (Cause.SERVER, _AGAIN, "the service closed the session without ending it"),
    1001: (Cause.SERVER, _AGAIN, "the service is going away"),
    1005: (Cause.NETWORK, _AGAIN, "the connection was closed without a reason"),
    1006: (Cause.NETWORK, _AGAIN, "the connection broke"),
    1008: (Cause.SERVER, _LATER, "the service closed the session on policy grounds"),
    1011: (Cause.SERVER, _LATER, "the service had an internal error"),
    1012: (Cause.SERVER, _AGAIN, "the service restarts"),
    1013: (Cause.CAPACITY, _LATER, "the service asks to try again later"),
    1014: (Cause.SERVER, _LATER, "a gateway of the service failed"),
    3005: (Cause.SERVER, _AGAIN, "the service closed the session for a passing reason"),
    3006: (Cause.SERVER, _STOP, "the service closed the session for good"),
    3007: (Cause.SERVER, _STOP, "the service closed the session for good"),
    3008: (Cause.SERVER, _STOP, "the service closed the session for good"),
    3009: (Cause.SERVER, _STOP, "the service closed the session for good"),
    4001: (Cause.SERVER, _STOP, "the service closed the session for good"),
}


def of_error(code: str, message: str, *, was_ready: bool) -> Failure:
    """Judge a session that ended with this `session.error` as the last one."""
    code = code.strip().lower()
    policy = ERRORS.get(code, _ANY_OTHER)
    remedy = policy.after_ready if was_ready else policy.before_ready
    return Failure(policy.cause, remedy, code or "error", message or "the service gave no message")


def of_close(code: int | None, reason: str, *, was_ready: bool) -> Failure:
    """Judge a close that no `session.error` came before; None is a connection without a close frame."""
    # The documents also put the error's code into the close reason (protocol 1.4).
    spelled = reason.strip().lower()
    if spelled in ERRORS:
        return of_error(spelled, reason, was_ready=was_ready)
    code = 1006 if code is None else code
    cause, remedy, meaning = CLOSES.get(
        code, (Cause.SERVER, _LATER, "the service closed the session for an unknown reason")
    )
    quoted = f": {reason[:200]}" if reason else ""
    return Failure(cause, remedy, f"close_{code}", f"{meaning} (close {code}{quoted})")


def of_status(status: int) -> Failure:
    """Judge an HTTP status that came instead of 101 Switching Protocols."""
    code = f"http_{status}"
    if status in (401, 403):
        return Failure(Cause.KEY, _STOP, code, f"the service refused the key (HTTP {status})")
    if status == 407:
        return Failure(Cause.PROXY, _LATER, code, "a proxy on the way wants a login (HTTP 407)")
    if status == 511 or status < 400:
        detail = (
            f"something on the way answers with a web page (HTTP {status}): a log-in page of the network?"
        )
        return Failure(Cause.CAPTIVE_PORTAL, _LATER, code, detail)
    if status == 429:
        return Failure(Cause.CAPACITY, _LATER, code, "the service asks to slow down (HTTP 429)")
    if status < 500:
        detail = f"the address is not a voice agent's (HTTP {status}); check agent.url and agent.region"
        return Failure(Cause.CONFIG, _LATER, code, detail)
    return Failure(Cause.SERVER, _LATER, code, f"the service is not well (HTTP {status})")
