"""As much HTTP/1.1 as is needed beside the WebSocket, on the same port: one request, one answer, closed."""

from __future__ import annotations

from dataclasses import dataclass, field
from http.client import responses
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

HEAD_LIMIT = 16 * 1024
BODY_LIMIT = 1 << 20


class BadRequest(ValueError):  # noqa: N818 - the name of the status
    """A request that cannot be understood."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    head_bytes: int = 0
    body: bytes = b""

    @property
    def upgrades(self) -> bool:
        """Whether it asks for a WebSocket."""
        return "websocket" in self.headers.get("upgrade", "").lower()

    @property
    def body_length(self) -> int:
        """Announced length of the body; raises BadRequest when that is no sane number."""
        if "transfer-encoding" in self.headers:
            raise BadRequest("Transfer-Encoding is not supported")
        text = self.headers.get("content-length", "0")
        if len(text) > 20 or not text.isdecimal() or int(text) > BODY_LIMIT:
            raise BadRequest(f"Content-Length must be at most {BODY_LIMIT}")
        return int(text)


@dataclass(frozen=True, slots=True)
class Response:
    """One answer; `body` that is no bytes is sent as JSON."""

    status: int
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Return the answer's bytes."""
        content = self.body if isinstance(self.body, bytes) else msgspec.json.encode(self.body)
        kind = "text/plain; charset=utf-8" if isinstance(self.body, bytes) else "application/json"
        lines = [
            f"HTTP/1.1 {self.status} {responses.get(self.status, 'Unknown')}",
            f"Content-Type: {kind}",
            f"Content-Length: {len(content)}",
            "Connection: close",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def parse_head(data: bytes) -> Request | None:
    """Parse the head of a request; None when it is not complete yet; raises BadRequest."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if len(data) > HEAD_LIMIT:
            raise BadRequest("the head is too long")
        return None
    lines = data[:end].decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1.") or not parts[1].startswith("/"):
        raise BadRequest("not an HTTP/1.1 request")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadRequest("a header without a colon")
        headers.setdefault(name.strip().lower(), value.strip())
    try:
        url = urlsplit(parts[1])
        query = dict(parse_qsl(url.query, keep_blank_values=True, max_num_fields=50))
    except ValueError as error:
        raise BadRequest("a query that cannot be read") from error
    return Request(parts[0], url.path, query, headers, end + 4)
