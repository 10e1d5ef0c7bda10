"""Keep keys, tokens and passwords out of everything that is printed."""

import re

HIDDEN = "(hidden)"

_SECRET_NAME = re.compile(
    r"(?:^|_)(?:api_?)?(?:key|keys|token|secret|password|passwd|passphrase|credentials?|auth|authorization|bearer)(?:$|_)"
)
# A long run without spaces that mixes letters and digits: what keys and tokens look like, and words do not.
_SECRET_TEXT = re.compile(r"(?=[\w.+~=-]*\d)(?=[\w.+~=-]*[A-Za-z])[\w.+~=-]{24,}")
_URL_LOGIN = re.compile(r"(?<=://)[^/@\s]*:?[^/@\s]*@")
_URL_SECRET = re.compile(r"(?i)(?<=[?&])([^=&#\s]*(?:key|token|secret|auth)[^=&#\s]*)=[^&#\s]*")


def names_a_secret(name: str) -> bool:
    """Return whether a key of this name would hold a secret."""
    return bool(_SECRET_NAME.search(re.sub(r"[^a-z0-9]+", "_", name.lower())))


def url_holds_a_secret(url: str) -> bool:
    """Return whether an address carries a login or a token."""
    return bool(_URL_LOGIN.search(url) or _URL_SECRET.search(url))


def masked(text: str) -> str:
    """Return `text` with everything in it that looks like a secret replaced."""
    text = _URL_LOGIN.sub(f"{HIDDEN}@", text)
    text = _URL_SECRET.sub(rf"\1={HIDDEN}", text)
    return _SECRET_TEXT.sub(HIDDEN, text)
