"""Have the service delete what it keeps of a session (protocol 9): one REST request, without a library."""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress

from voicekiosk.agent.dial import LinkError, Proxy, Resolver, connect, http_status, of_exception
from voicekiosk.agent.opening import HOSTS, Target, checked_key, tls_context
from voicekiosk.config.schema import Config

TIMEOUT_S = 15.0
LONGEST = 64 * 1024


class ErasureError(Exception):
    """A session was not deleted; the text says why, and another attempt may do better."""

    def __init__(self, text: str, *, answered: bool = False) -> None:
        """Say why; `answered` when the service said so itself, of this session alone."""
        super().__init__(text)
        self.answered = answered


def address_of(config: Config) -> str:
    """Return the address whose sessions are opened with this configuration."""
    return config.agent.url or HOSTS[config.agent.region]


async def delete_session(
    config: Config, address: str, session_id: str, credential: Callable[[], str | None]
) -> None:
    """Delete a session that was opened at `address`; one that is not there any more counts as deleted.

    Raises ErasureError. The key goes to no address but the service's own and the configured one.
    """
    if address not in HOSTS.values() and address != config.agent.url:
        raise ErasureError(f"{address} is not the configured service")
    # The default address leads to one cluster or the other, and each answers 404 for what the other has
    # (protocol 1.1): a session is gone when no cluster knows it.
    everywhere = (address, HOSTS["eu"], HOSTS["us"]) if address == HOSTS["default"] else (address,)
    for each in everywhere:
        if await _delete_at(_with_address(config, each), session_id, credential):
            return


async def _delete_at(config: Config, session_id: str, credential: Callable[[], str | None]) -> bool:
    """Delete a session at the address of `config`; return whether it was there. Raises ErasureError."""
    try:
        target, key = Target.of(config), checked_key(credential())
        async with asyncio.timeout(TIMEOUT_S):
            answer = await _request(target, session_id, key)
    except TimeoutError:
        raise ErasureError("no answer in time") from None
    except LinkError as error:
        raise ErasureError(error.failure.detail) from None
    except OSError as error:
        raise ErasureError(of_exception(error, target.host, time.time()).detail) from None
    status = http_status(answer)
    if status in (200, 202, 204):
        return True
    if status == 404 and not _of_the_key(answer):
        return False
    said = f"{target.host} answers {status or 'something that is not HTTP'}"
    raise ErasureError(said, answered=bool(status))


def _with_address(config: Config, address: str) -> Config:
    from msgspec.structs import replace  # noqa: PLC0415 - only where something is deleted

    return replace(config, agent=replace(config.agent, url=address))


async def _request(target: Target, session_id: str, key: str) -> bytes:
    uri = target.uri
    context = tls_context(target.ca_file) if uri.secure else None
    proxy = Proxy(target.proxy) if target.proxy else None
    where = (proxy.host, proxy.port) if proxy else (uri.host, uri.port)
    sock = await connect(await Resolver().resolve(*where))
    try:
        if proxy is not None:
            await proxy.tunnel(sock, uri.host, uri.port)
        name = uri.host if context is not None else None
        reader, writer = await asyncio.open_connection(sock=sock, ssl=context, server_hostname=name)
    except BaseException:
        sock.close()
        raise
    path = uri.path.rpartition("/")[0] + "/sessions/" + session_id
    head = f"DELETE {path} HTTP/1.1\r\nHost: {target.host}\r\nAuthorization: Bearer {key}\r\n"
    try:
        writer.write(f"{head}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        answer = b""
        while len(answer) < LONGEST and (piece := await reader.read(4096)):
            answer += piece
        return answer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def _of_the_key(answer: bytes) -> bool:
    """Tell a key that is not accepted, which the service answers with 404 as well, from a session gone."""
    body = answer.partition(b"\r\n\r\n")[2]
    try:
        return "key" in str(json.loads(body).get("detail", "")).lower()
    except (ValueError, AttributeError):
        return b"api key" in body.lower()
