"""Keep keys and tokens out of everything that is written down."""

import re
from collections import deque
from urllib.parse import quote

MASK = "<hidden>"

_SHORTEST_SECRET = 4
_PASSING_SECRETS = 16
# What looks like a credential is hidden even if nobody told us that it is one: a header, a query, a frame.
_SUSPICIOUS = re.compile(
    r"""(?ix)
    (\bauthorization["']?\s*[:=]\s*["']?(?:(?:bearer|basic|token)\s+)?
    |\bbearer\s+
    |\b(?:api[-_]?key|resume_token|token|assemblyai_api_key)["']?\s*[:=]\s*["']?
    )
    (?!<hidden>)[^\s"'&,;}]+
    """
)


class Redactor:
    """Know what must not be told, and mask it wherever it stands. Any thread."""

    def __init__(self) -> None:
        # Replaced as a whole, never changed, so that other threads may be masking meanwhile.
        self._secrets: tuple[str, ...] = ()
        self._passing: deque[str] = deque(maxlen=_PASSING_SECRETS)

    def hide(self, secret: str | None) -> None:
        """Mask `secret` from now on, also as it looks in an address."""
        if secret is None or len(secret) < _SHORTEST_SECRET:
            return
        self._set({*self._secrets, *_forms(secret)})

    def hide_for_now(self, secret: str) -> None:
        """Mask a secret that is worth something for a while only, such as a session's token.

        The latest few are masked: a kiosk that talks for months must not look for thousands.
        """
        if len(secret) < _SHORTEST_SECRET or secret in self._passing:
            return
        gone = _forms(self._passing[0]) if len(self._passing) == _PASSING_SECRETS else set()
        self._passing.append(secret)
        self._set({*self._secrets, *_forms(secret)} - gone)

    def _set(self, forms: set[str]) -> None:
        # The longest first: a secret may be part of another.
        self._secrets = tuple(sorted(forms, key=len, reverse=True))

    def mask(self, text: str) -> str:
        """Return `text` without secrets."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, MASK)
        return _SUSPICIOUS.sub(rf"\1{MASK}", text)

    def __repr__(self) -> str:
        return f"<Redactor of {len(self._secrets)} secrets>"


def _forms(secret: str) -> set[str]:
    return {secret, quote(secret, safe="")}


REDACTOR = Redactor()
"""The process's own: whoever loads a credential hides it here."""
