"""The mailbox: every item arrives, in order, in the loop's thread, whatever else goes wrong."""

import asyncio
import gc
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from voicekiosk.mailbox import Mailbox


class Reported(list[dict[str, Any]]):
    """What went to the loop's exception handler."""

    def __init__(self) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.append(context))


async def turn(times: int = 3) -> None:
    """Let the loop poll its descriptors."""
    for _ in range(times):
        await asyncio.sleep(0)


async def until(done: asyncio.Event) -> None:
    await asyncio.wait_for(done.wait(), 20)


async def test_items_arrive_in_the_order_they_were_posted() -> None:
    got: list[int] = []
    mailbox = Mailbox(got.append)
    mailbox.attach(asyncio.get_running_loop())
    for item in range(5):
        mailbox.post(item)
    await turn()
    assert got == [0, 1, 2, 3, 4]


async def test_many_posts_before_the_loop_turns_cost_one_wake_up() -> None:
    got: list[int] = []
    drained: list[int] = []
    mailbox = Mailbox(got.append, lambda: drained.append(len(got)))
    mailbox.attach(asyncio.get_running_loop())
    for item in range(1000):
        mailbox.post(item)
    await turn()
    assert len(got) == 1000
    assert mailbox.wakeups == 1
    assert drained == [1000]


async def test_an_idle_mailbox_wakes_nobody() -> None:
    mailbox: Mailbox[int] = Mailbox(lambda _: None)
    mailbox.attach(asyncio.get_running_loop())
    await turn(10)
    assert mailbox.wakeups == 0


async def test_what_was_posted_before_the_loop_was_there_is_delivered() -> None:
    got: list[str] = []
    mailbox = Mailbox(got.append)
    mailbox.post("early")
    mailbox.attach(asyncio.get_running_loop())
    await turn()
    assert got == ["early"]


async def test_a_wake_without_an_item_only_calls_woken() -> None:
    got: list[str] = []
    mailbox = Mailbox(got.append, lambda: got.append("woken"))
    mailbox.attach(asyncio.get_running_loop())
    mailbox.wake()
    await turn()
    assert got == ["woken"]


async def test_an_item_that_raises_is_reported_and_the_rest_arrives() -> None:
    reported = Reported()
    got: list[int] = []

    def deliver(item: int) -> None:
        if item == 1:
            raise RuntimeError("no")
        got.append(item)

    mailbox = Mailbox(deliver, lambda: got.append(99))
    mailbox.attach(asyncio.get_running_loop())
    for item in range(4):
        mailbox.post(item)
    await turn()
    assert got == [0, 2, 3, 99]
    assert [str(context["exception"]) for context in reported] == ["no"]
    assert "int" in reported[0]["message"]


async def test_a_woken_that_raises_is_reported_and_called_again() -> None:
    reported = Reported()
    calls: list[int] = []

    def woken() -> None:
        calls.append(1)
        raise RuntimeError("no")

    mailbox: Mailbox[int] = Mailbox(lambda _: None, woken)
    mailbox.attach(asyncio.get_running_loop())
    for _ in range(2):
        mailbox.wake()
        await turn()
    assert len(calls) == len(reported) == 2


def test_an_interrupt_passes_through_and_the_rest_arrives_if_the_loop_goes_on() -> None:
    got: list[int] = []

    def deliver(item: int) -> None:
        if item == 0:
            raise KeyboardInterrupt
        got.append(item)

    loop = asyncio.new_event_loop()
    mailbox = Mailbox(deliver)
    mailbox.attach(loop)
    for item in range(3):
        mailbox.post(item)
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(turn())
    loop.run_until_complete(turn())
    loop.close()
    assert got == [1, 2]


async def test_an_item_that_posts_another_lets_the_loop_turn_in_between() -> None:
    got: list[str] = []

    def deliver(item: int) -> None:
        got.append(f"item {item}")
        if item < 3:
            mailbox.post(item + 1)
            asyncio.get_running_loop().call_soon(got.append, "turn")

    mailbox = Mailbox(deliver)
    mailbox.attach(asyncio.get_running_loop())
    mailbox.post(1)
    await turn(10)
    assert got == ["item 1", "turn", "item 2", "turn", "item 3"]


async def test_after_close_nothing_is_delivered_and_nothing_is_kept() -> None:
    got: list[int] = []
    mailbox = Mailbox(got.append, lambda: got.append(99))
    mailbox.attach(asyncio.get_running_loop())
    mailbox.post(1)
    mailbox.close()
    mailbox.post(2)
    mailbox.wake()
    mailbox.close()
    await turn()
    assert got == []
    assert len(mailbox._items) == 0


async def test_an_item_that_closes_the_mailbox_is_the_last() -> None:
    got: list[int] = []

    def deliver(item: int) -> None:
        got.append(item)
        mailbox.close()

    mailbox = Mailbox(deliver, lambda: got.append(99))
    mailbox.attach(asyncio.get_running_loop())
    mailbox.post(1)
    mailbox.post(2)
    await turn()
    assert got == [1]


async def test_a_mailbox_can_be_closed_before_it_was_attached_and_after_its_loop_was_closed() -> None:
    Mailbox[int](print).close()
    loop = asyncio.new_event_loop()
    mailbox: Mailbox[int] = Mailbox(print)
    mailbox.attach(loop)
    loop.close()
    mailbox.close()


def test_a_thread_that_posts_late_cannot_write_into_somebody_elses_file() -> None:
    mailbox: Mailbox[int] = Mailbox(lambda _: None)
    number = mailbox._fd
    mailbox.close()
    other, theirs = os.pipe()
    try:
        assert number not in (other, theirs)
        os.fstat(number)
    finally:
        os.close(other)
        os.close(theirs)


def test_a_mailbox_that_nobody_holds_gives_its_descriptor_back() -> None:
    mailbox: Mailbox[int] = Mailbox(lambda _: None)
    number = mailbox._fd
    mailbox.close()
    del mailbox
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Let threads take the interpreter from each other as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("quick_switches")
async def test_three_threads_that_post_at_once_lose_nothing_and_keep_their_order() -> None:
    each = 3000
    got: list[tuple[int, int]] = []
    home = threading.get_ident()
    strangers: list[int] = []
    done = asyncio.Event()

    def deliver(item: tuple[int, int]) -> None:
        if threading.get_ident() != home:
            strangers.append(threading.get_ident())
        got.append(item)
        if len(got) == 3 * each:
            done.set()

    mailbox = Mailbox(deliver)
    mailbox.attach(asyncio.get_running_loop())

    def post_all(sender: int) -> None:
        for number in range(each):
            mailbox.post((sender, number))

    threads = [threading.Thread(target=post_all, args=(sender,), daemon=True) for sender in range(3)]
    for thread in threads:
        thread.start()
    await until(done)
    for thread in threads:
        thread.join(20)
    mailbox.close()
    assert strangers == []
    for sender in range(3):
        assert [number for who, number in got if who == sender] == list(range(each))


@pytest.mark.usefixtures("quick_switches")
async def test_threads_that_post_while_the_mailbox_closes_are_not_disturbed() -> None:
    failures: list[BaseException] = []
    got: list[int] = []
    done = asyncio.Event()

    def deliver(item: int) -> None:
        got.append(item)
        if len(got) == 50:
            mailbox.close()
            done.set()

    mailbox = Mailbox(deliver)
    mailbox.attach(asyncio.get_running_loop())

    def post_all() -> None:
        try:
            for number in range(3000):
                mailbox.post(number)
        except BaseException as failure:  # noqa: BLE001
            failures.append(failure)

    threads = [threading.Thread(target=post_all, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    await until(done)
    for thread in threads:
        thread.join(20)
    await turn()
    assert failures == []
    assert len(got) == 50
