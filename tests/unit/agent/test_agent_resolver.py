import asyncio
import socket
import threading
from collections.abc import Callable

import pytest

from voicekiosk.agent import dial
from voicekiosk.agent.dial import Address, Resolver

ANSWER: list[Address] = [(socket.AF_INET, ("192.0.2.1", 443))]


class NameServer:
    """Stands in for getaddrinfo: answers, fails, or waits for a release."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: Callable[[], list[Address]] = lambda: ANSWER
        self.release = threading.Event()

    def __call__(self, host: str, port: int, flags: int) -> list[Address]:
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not a number")
        self.asked += 1
        return self.answer()

    def hang(self) -> list[Address]:
        self.release.wait(20)
        return ANSWER

    def fail(self) -> list[Address]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


@pytest.fixture
def names(monkeypatch):
    server = NameServer()
    monkeypatch.setattr(dial, "_look_up", server)
    yield server
    server.release.set()


async def test_a_number_needs_no_name_server():
    assert await Resolver().resolve("127.0.0.1", 80) == [(socket.AF_INET, ("127.0.0.1", 80))]


async def test_a_name_is_looked_up(names):
    assert await Resolver().resolve("host", 443) == ANSWER


async def test_a_name_that_never_resolved_is_an_error(names):
    names.answer = names.fail
    with pytest.raises(socket.gaierror):
        await Resolver().resolve("host", 443)


async def test_a_failing_name_server_is_made_up_for_by_the_last_answer(names):
    resolver = Resolver()
    await resolver.resolve("host", 443)
    names.answer = names.fail
    assert await resolver.resolve("host", 443) == ANSWER


async def test_a_silent_name_server_is_made_up_for_by_the_last_answer(names, monkeypatch):
    monkeypatch.setattr(dial, "PATIENCE_WITH_DNS_S", 0.01)
    resolver = Resolver()
    await resolver.resolve("host", 443)
    names.answer = names.hang
    assert await resolver.resolve("host", 443) == ANSWER


async def test_many_attempts_share_one_question_to_a_silent_name_server(names):
    names.answer = names.hang
    resolver = Resolver()
    for _ in range(5):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(resolver.resolve("host", 443), 0.01)
    assert names.asked == 1
    names.release.set()
    assert await resolver.resolve("host", 443) == ANSWER


async def test_a_host_that_is_no_name_is_an_error_of_name_resolution():
    with pytest.raises(socket.gaierror):
        await Resolver().resolve("a" * 70 + ".example", 443)
