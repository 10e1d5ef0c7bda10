"""Opening a link: from an address in the configuration to a WebSocket whose handshake is done."""

import asyncio
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

from websockets.exceptions import InvalidURI
from websockets.uri import WebSocketURI, parse_uri

from voicekiosk.agent.dial import LinkError, Proxy, Resolver, connect, of_exception
from voicekiosk.agent.events import Cause
from voicekiosk.agent.failures import Failure, Remedy
from voicekiosk.agent.link import Link, host_of
from voicekiosk.config.schema import Config

HOSTS = {
    "default": "wss://agents.assemblyai.com/v1/ws",
    "us": "wss://agents.us.assemblyai.com/v1/ws",
    "eu": "wss://agents.eu.assemblyai.com/v1/ws",
}


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect, and how."""

    uri: WebSocketURI
    proxy: str
    ca_file: str

    @classmethod
    def of(cls, config: Config) -> "Target":
        """Read where to connect to; raise LinkError for an address that is none."""
        try:
            uri = parse_uri(config.agent.url or HOSTS[config.agent.region])
        except (InvalidURI, ValueError):
            uri = None
        # A password in an address would get into every log that tells where it connects.
        if uri is None or uri.user_info is not None:
            detail = "agent.url: expected an address such as wss://host/v1/ws"
            raise LinkError(Failure(Cause.CONFIG, Remedy.STOP, "address", detail))
        return cls(uri, config.network.proxy, config.network.ca_file)

    @property
    def host(self) -> str:
        """The host's name, with the port if it is not the usual one."""
        return host_of(self.uri)


@dataclass(slots=True)
class Progress:
    """How far an attempt has come, for the one who has to give it up."""

    stage: str = "looking up the name"
    cause: Cause = Cause.DNS


def host_name(config: Config) -> str:
    """Return the host that a configuration names; empty when its address is none."""
    try:
        return Target.of(config).host
    except LinkError:
        return ""


def warm_up(config: Config) -> None:
    """Make the TLS settings now, so that the first connection does not wait for it."""
    with suppress(LinkError):  # the first attempt will say what is wrong
        target = Target.of(config)
        if target.uri.secure:
            tls_context(target.ca_file)


def checked_key(key: str | None) -> str:
    """Return a key that can go into a header; raise LinkError without telling it otherwise."""
    key = (key or "").strip()
    if not key:
        detail = "there is no API key; store one as the service's credential or in ASSEMBLYAI_API_KEY"
        raise LinkError(Failure(Cause.KEY, Remedy.STOP, "no_key", detail))
    if not (key.isascii() and key.isprintable()):
        detail = "the API key has characters in it that no key has; store it again"
        raise LinkError(Failure(Cause.KEY, Remedy.STOP, "bad_key", detail))
    return key


async def open_link(target: Target, resolver: Resolver, link: Link, progress: Progress) -> None:
    """Connect a link and do the handshake; raise LinkError. The caller sets the limit by cancelling."""
    try:
        await _open(target, resolver, link, progress)
    except BaseException as error:
        # Also when this is cancelled in the moment in which the handshake is done.
        link.abort("given up")
        if isinstance(error, OSError):
            raise LinkError(of_exception(error, target.host, time.time())) from error
        raise


async def open_within(
    limit_s: float,
    target: Target,
    resolver: Resolver,
    link: Link,
    progress: Progress,
    *,
    abandon: asyncio.Event,
) -> bool:
    """Connect a link as `open_link` does; False when it took too long or was to be abandoned."""
    opening = asyncio.create_task(open_link(target, resolver, link, progress))
    abandoned = asyncio.create_task(abandon.wait())
    try:
        await asyncio.wait({opening, abandoned}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        abandoned.cancel()
        if not opening.done():
            opening.cancel()
            await asyncio.wait({opening})
    if opening.cancelled():
        return False
    opening.result()
    return True


async def _open(target: Target, resolver: Resolver, link: Link, progress: Progress) -> None:
    uri = target.uri
    context = tls_context(target.ca_file) if uri.secure else None
    proxy = Proxy(target.proxy) if target.proxy else None
    try:
        where = (proxy.host, proxy.port) if proxy else (uri.host, uri.port)
        addresses = await resolver.resolve(*where)
        progress.stage, progress.cause = "connecting", Cause.TIMEOUT
        sock = await connect(addresses)
    except OSError as error:
        if proxy is not None:
            raise proxy.unreachable(error) from error
        raise
    if proxy is not None:
        progress.stage, progress.cause = "waiting for the proxy", Cause.PROXY
        try:
            await proxy.tunnel(sock, uri.host, uri.port)
        except BaseException:
            sock.close()
            raise
    progress.stage, progress.cause = "shaking hands", Cause.TIMEOUT
    # From here on the socket belongs to the transport: closing it under that would leave its number
    # in the selector, for the next socket to trip over.
    loop = asyncio.get_running_loop()
    name = uri.host if context is not None else None
    await loop.create_connection(lambda: link, sock=sock, ssl=context, server_hostname=name)
    await asyncio.shield(link.opened)


@lru_cache(maxsize=4)
def tls_context(ca_file: str) -> ssl.SSLContext:
    """Make the TLS settings, once per certificate file: reading the system's takes tens of ms."""
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        detail = f"network.ca_file: cannot read certificates from {ca_file}: {error.strerror or error}"
        raise LinkError(Failure(Cause.CONFIG, Remedy.STOP, "ca_file", detail)) from None
