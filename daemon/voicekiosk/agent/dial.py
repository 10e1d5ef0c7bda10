"""From an address to a connected TCP socket: names, several addresses at once, an HTTP proxy.

asyncio could do the first two, but it looks names up in a pool of few threads which it joins at the
end: a dead name server would fill the pool, and hold up the stop of the daemon.
"""

import asyncio
import errno
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import unquote, urlsplit

from voicekiosk.agent.events import Cause
from voicekiosk.agent.failures import Failure, Remedy

# One address that swallows SYNs (half-broken IPv6) must not hold up the others.
HAPPY_EYEBALLS_DELAY_S = 0.25
# With an old answer at hand, a name server gets this long before the old answer is used.
PATIENCE_WITH_DNS_S = 1.0
USER_TIMEOUT_MS = 4000
KEEPALIVE_IDLE_S, KEEPALIVE_INTERVAL_S, KEEPALIVE_COUNT = 5, 2, 2
# Keeps a backlog in our own buffer, where we see it, instead of in the kernel's: 0.25 s of audio.
NOT_SENT_LOWAT_BYTES = 16 * 1024
_TCP_NOTSENT_LOWAT = 25
LONGEST_PROXY_ANSWER = 16 * 1024

# The newest date at which this was looked over: a clock from before it is wrong.
_WRITTEN_S = 1_763_769_600.0
_YEARS_20_S = 20 * 365 * 86400.0
_CERTIFICATE_NOT_YET_VALID, _CERTIFICATE_HAS_EXPIRED = 9, 10

Address = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int]]


class LinkError(Exception):
    """No connection came about; `failure` says why and what to do."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


class Resolver:
    """Looks names up without ever blocking, one question per name at a time, and remembers answers."""

    def __init__(self) -> None:
        """Begin with no answers."""
        self._known: dict[tuple[str, int], list[Address]] = {}
        self._asking: dict[tuple[str, int], asyncio.Future[list[Address]]] = {}

    async def resolve(self, host: str, port: int) -> list[Address]:
        """Return the addresses of a host; the last good answer when the name server has none now.

        Raises OSError (socket.gaierror) when there never was an answer. Can be cancelled.
        """
        with suppress(OSError):
            return _look_up(host, port, socket.AI_NUMERICHOST)
        key = (host, port)
        known = self._known.get(key)
        question = asyncio.shield(self._ask(host, port))
        try:
            answer = await asyncio.wait_for(question, PATIENCE_WITH_DNS_S if known else None)
        except OSError:  # also TimeoutError
            if not known:
                raise
            return known
        self._known[key] = answer
        return answer

    def _ask(self, host: str, port: int) -> asyncio.Future[list[Address]]:
        key = (host, port)
        if key in self._asking:
            return self._asking[key]
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[Address]] = loop.create_future()
        # Nobody may be waiting any more when an error comes.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._asking[key] = future

        def deliver(answer: list[Address] | OSError) -> None:
            self._asking.pop(key, None)
            if future.done():
                return
            if isinstance(answer, OSError):
                future.set_exception(answer)
            else:
                future.set_result(answer)

        def ask() -> None:
            answer: list[Address] | OSError
            try:
                answer = _look_up(host, port, 0)
            except OSError as error:
                answer = error
            with suppress(RuntimeError):  # the loop has been closed meanwhile
                loop.call_soon_threadsafe(deliver, answer)

        threading.Thread(target=ask, name="resolver", daemon=True).start()
        return future


def _look_up(host: str, port: int, flags: int) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except UnicodeError:
        raise socket.gaierror(socket.EAI_NONAME, "not a host name") from None
    addresses: list[Address] = []
    for family, _, _, _, where in found:
        if family in (socket.AF_INET, socket.AF_INET6):
            addresses.append((family, where))  # type: ignore[arg-type]
    return _interleaved(addresses)


def _interleaved(addresses: list[Address]) -> list[Address]:
    """Take turns between IPv6 and IPv4, so that one broken family costs one delay only."""
    if not addresses:
        return []
    first = [address for address in addresses if address[0] == addresses[0][0]]
    other = [address for address in addresses if address[0] != addresses[0][0]]
    mixed: list[Address] = []
    for place in range(max(len(first), len(other))):
        mixed += first[place : place + 1] + other[place : place + 1]
    return mixed


async def connect(addresses: Sequence[Address]) -> socket.socket:
    """Return a socket to the first address that answers; raise the first OSError if none does."""
    errors: list[OSError] = []
    attempts: set[asyncio.Task[socket.socket]] = set()
    waiting = list(addresses)
    try:
        while waiting or attempts:
            if waiting:
                attempts.add(asyncio.create_task(_connect_to(waiting.pop(0))))
            done, attempts = await asyncio.wait(
                attempts,
                timeout=HAPPY_EYEBALLS_DELAY_S if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            connected: socket.socket | None = None
            for attempt in done:
                error = attempt.exception()
                if isinstance(error, OSError):
                    errors.append(error)
                elif error is not None:
                    raise error
                elif connected is None:
                    connected = attempt.result()
                else:
                    attempt.result().close()
            if connected is not None:
                return connected
    finally:
        for attempt in attempts:
            attempt.add_done_callback(_close_result)
            attempt.cancel()
    raise errors[0] if errors else OSError(errno.EADDRNOTAVAIL, "the name has no address")


async def _connect_to(address: Address) -> socket.socket:
    family, where = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        _set_options(sock)
        await asyncio.get_running_loop().sock_connect(sock, where)
    except BaseException:
        sock.close()
        raise
    return sock


def _close_result(attempt: asyncio.Task[socket.socket]) -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()


def _set_options(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_COUNT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
    sock.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, NOT_SENT_LOWAT_BYTES)


class Proxy:
    """An HTTP proxy that tunnels with CONNECT."""

    def __init__(self, url: str) -> None:
        """Read `http://[user:password@]host[:port]`; raise LinkError for anything else."""
        try:
            parts = urlsplit(url)
            self.host, self.port = parts.hostname or "", parts.port or 3128
        except ValueError:
            parts, self.host = urlsplit(""), ""
        if parts.scheme != "http" or not self.host:
            detail = "network.proxy: expected http://host:port, the only kind of proxy that is supported"
            raise LinkError(Failure(Cause.PROXY, Remedy.STOP, "proxy_address", detail))
        self._login = ""
        if parts.username is not None:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._login = f"Proxy-Authorization: Basic {b64encode(login.encode()).decode()}\r\n"

    async def tunnel(self, sock: socket.socket, host: str, port: int) -> None:
        """Have the proxy connect the socket through to a host; raise LinkError if it does not."""
        loop = asyncio.get_running_loop()
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        request = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{self._login}\r\n"
        await loop.sock_sendall(sock, request.encode())
        answer = b""
        # The host behind the proxy says nothing before we do, so this cannot read too far.
        while b"\r\n\r\n" not in answer:
            piece = await loop.sock_recv(sock, 4096)
            answer += piece
            if not piece or len(answer) > LONGEST_PROXY_ANSWER:
                raise self._refusal("does not answer as an HTTP proxy", Remedy.LATER)
        status = http_status(answer)
        if status is None:
            raise self._refusal("does not answer as an HTTP proxy", Remedy.LATER)
        if status == 407:
            raise self._refusal("wants a login: http://user:password@host:port", Remedy.STOP)
        if not 200 <= status < 300:
            raise self._refusal(f"does not let us through to {host} (HTTP {status})", Remedy.LATER)

    def unreachable(self, error: OSError) -> LinkError:
        """Say that the proxy itself could not be reached."""
        return self._refusal(f"cannot be reached: {error.strerror or error}", Remedy.AGAIN)

    def _refusal(self, what: str, remedy: Remedy) -> LinkError:
        detail = f"the proxy {self.host}:{self.port} {what}"
        return LinkError(Failure(Cause.PROXY, remedy, "proxy", detail))


def http_status(answer: bytes) -> int | None:
    """Read the status of an HTTP answer that has at least its first line; None if it is not HTTP."""
    words = answer.split(b"\r\n", 1)[0].split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return None
    return int(words[1])


_NO_ROUTE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EADDRNOTAVAIL}


def of_exception(error: BaseException, host: str, system_time_s: float) -> Failure:
    """Judge what went wrong between us and the service while connecting."""
    match error:
        case LinkError():
            return error.failure
        case ssl.SSLCertVerificationError():
            return _of_certificate(error, host, system_time_s)
        case ssl.SSLError():
            detail = f"no TLS with {host}: {getattr(error, 'reason', None) or error}"
            return Failure(Cause.TLS, Remedy.LATER, "tls", detail)
        case socket.gaierror():
            detail = f"the name {host} does not resolve ({error.strerror})"
            return Failure(Cause.DNS, Remedy.AGAIN, "dns", detail)
        case TimeoutError():
            return Failure(Cause.TIMEOUT, Remedy.AGAIN, "timeout", f"{host} does not answer")
        case ConnectionRefusedError():
            detail = f"{host} refuses the connection: nobody listens there"
            return Failure(Cause.REFUSED, Remedy.AGAIN, "refused", detail)
        case OSError() if error.errno in _NO_ROUTE:
            detail = f"no way to {host}: {error.strerror}"
            return Failure(Cause.NO_ROUTE, Remedy.AGAIN, "no_route", detail)
    detail = f"no connection to {host}: {error or type(error).__name__}"
    return Failure(Cause.NETWORK, Remedy.AGAIN, "connection", detail)


def _of_certificate(error: ssl.SSLCertVerificationError, host: str, system_time_s: float) -> Failure:
    """Tell a bad certificate from a bad clock.

    Servers do not install certificates of the future, so one that is "not yet valid" means a clock
    that is behind, as after a boot without network on a board without a clock of its own.
    """
    implausible = not _WRITTEN_S <= system_time_s <= _WRITTEN_S + _YEARS_20_S
    early = error.verify_code == _CERTIFICATE_NOT_YET_VALID
    if early or (error.verify_code == _CERTIFICATE_HAS_EXPIRED and implausible):
        detail = f"the clock of this machine is wrong: the certificate of {host} is {error.verify_message}"
        return Failure(Cause.CLOCK, Remedy.AGAIN, "clock", detail)
    detail = f"the certificate of {host} is not acceptable: {error.verify_message}"
    return Failure(Cause.TLS, Remedy.LATER, "certificate", detail)
