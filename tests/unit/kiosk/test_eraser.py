"""Which sessions are deleted at the service, and when each is tried again."""

import asyncio
import logging

import msgspec
import pytest
from tests.rigs.still_loop import StillLoop

from voicekiosk.agent import events as agent
from voicekiosk.agent.erasure import ErasureError
from voicekiosk.agent.opening import HOSTS
from voicekiosk.config.schema import Agent, Config, Privacy
from voicekiosk.kiosk.eraser import FIRST_AFTER_S, MOST, RETRY_MAX_S, RETRY_S, Eraser
from voicekiosk.service.statefile import StateFile

US, EU = HOSTS["us"], HOSTS["eu"]


class Rig:
    """An eraser in invented time, and a service that does what the test says."""

    def __init__(self, path, waiting=None, region="us"):
        self.file = StateFile(path)
        if waiting:
            self.file.write(msgspec.json.encode(waiting))
        self.config = Config(agent=Agent(region=region), privacy=Privacy(delete_after_session=True))
        self.loop = StillLoop()
        asyncio.set_event_loop(self.loop)
        self.asked, self.troubles, self.hang = [], {}, None
        self.eraser = Eraser(lambda: self.config, lambda: "key", self.file, delete=self.delete)
        self.eraser.start(self.loop)

    async def delete(self, config, address, session_id, credential):
        self.asked.append(session_id)
        if self.hang is not None:
            await self.hang.wait()
        if session_id in self.troubles:
            raise self.troubles[session_id]

    def wait(self, seconds):
        """Let time pass, and what runs beside the loop come to its end."""
        self.loop.pass_time(seconds)
        self.settle()

    def settle(self):
        for _ in range(20):
            tasks = [self.eraser._task, self.eraser._saving]
            busy = [task for task in tasks if task is not None and not task.done()]
            if not busy or self.hang is not None:
                return
            self.loop.run_until_complete(asyncio.wait(busy))

    def observe(self, *events):
        for event in events:
            self.eraser.observe(event)
        self.settle()

    def close(self):
        self.loop.run_until_complete(self.eraser.close())


def ready(name, *, resumed=False):
    return agent.Ready(name, resumed=resumed, continued=False)


def answered(status):
    return ErasureError(f"the host answers {status}", answered=True)


@pytest.mark.parametrize("status", [403, 500])
def test_one_that_can_never_be_deleted_keeps_none_of_the_others(tmp_path, status):
    rig = Rig(tmp_path / "ids", {"bad": US, "good": US, "too": US})
    rig.troubles = {"bad": answered(status)}
    rig.wait(FIRST_AFTER_S)
    assert rig.asked == ["bad", "good", "too"]
    assert list(rig.eraser.waiting) == ["bad"]
    assert msgspec.json.decode(rig.file.read()) == {"bad": US}


def test_each_waits_longer_after_each_failure_up_to_a_limit_and_is_told_once(tmp_path, caplog):
    rig = Rig(tmp_path / "ids", {"bad": US})
    rig.troubles = {"bad": answered(500)}
    rig.wait(FIRST_AFTER_S)
    for pause_s in (RETRY_S, 2 * RETRY_S, 4 * RETRY_S):
        before = len(rig.asked)
        rig.wait(pause_s - 1)
        assert len(rig.asked) == before
        rig.wait(1)
        assert len(rig.asked) == before + 1
    rig.wait(10 * RETRY_MAX_S)
    before = len(rig.asked)
    rig.wait(RETRY_MAX_S)
    assert len(rig.asked) == before + 1
    assert caplog.text.count("not deleted yet") == 1


def test_one_that_is_new_does_not_wait_for_an_old_one_s_pause(tmp_path):
    rig = Rig(tmp_path / "ids", {"bad": US})
    rig.troubles = {"bad": answered(403)}
    rig.wait(20 * RETRY_MAX_S)
    rig.observe(ready("new"), agent.Ended(3.0))
    rig.asked.clear()
    rig.wait(FIRST_AFTER_S)
    assert "new" in rig.asked
    assert list(rig.eraser.waiting) == ["bad"]


def test_a_service_that_does_not_answer_is_asked_once_a_round_and_the_other_one_too(tmp_path):
    rig = Rig(tmp_path / "ids", {"a": US, "b": US, "c": EU})
    rig.troubles = {"a": ErasureError("no answer in time")}
    rig.wait(FIRST_AFTER_S)
    assert rig.asked == ["a", "c"]
    assert list(rig.eraser.waiting) == ["a", "b"]
    rig.troubles = {}
    rig.wait(RETRY_S)
    assert not rig.eraser.waiting


def test_what_was_wrong_is_said_again_once_all_was_well(tmp_path, caplog):
    rig = Rig(tmp_path / "ids", {"a": US})
    for name in ("a", "b"):
        rig.troubles = {name: answered(500)}
        if name == "b":
            rig.observe(ready("b"), agent.Ended(1.0))
        rig.wait(FIRST_AFTER_S)
        rig.troubles = {}
        rig.wait(RETRY_S)
        assert not rig.eraser.waiting
    assert caplog.text.count("not deleted yet") == 2


def test_a_session_that_is_open_is_left_alone(tmp_path):
    rig = Rig(tmp_path / "ids")
    rig.observe(ready("one"), agent.SpeechStarted())
    rig.wait(FIRST_AFTER_S)
    assert not rig.asked
    rig.observe(agent.Dropped(agent.Cause.NETWORK, "gone", 1.0))
    rig.wait(FIRST_AFTER_S / 2)
    rig.config = Config()  # resumed, and nobody wants sessions deleted any more; this one was promised
    rig.observe(ready("one", resumed=True))
    rig.wait(FIRST_AFTER_S)
    assert not rig.asked
    rig.observe(agent.Ended(3.0))
    rig.wait(FIRST_AFTER_S)
    assert rig.asked == ["one"]


def test_one_that_follows_without_a_word_of_the_end_ends_the_one_before(tmp_path):
    rig = Rig(tmp_path / "ids")
    rig.observe(ready("one"), ready("two"))
    rig.wait(FIRST_AFTER_S)
    assert rig.asked == ["one"]


def test_one_that_opens_again_while_others_are_deleted_is_left_alone(tmp_path):
    rig = Rig(tmp_path / "ids", {"a": US, "b": US})
    rig.hang = asyncio.Event()
    rig.loop.pass_time(FIRST_AFTER_S)
    rig.eraser.observe(ready("b", resumed=True))
    rig.eraser.observe(ready("c"))  # sets no second round beside the one that runs
    rig.eraser.observe(ready("b", resumed=True))
    rig.hang.set()
    rig.hang = None
    rig.settle()
    assert rig.asked == ["a"]


def test_one_that_opens_again_while_it_fails_waits_for_its_end(tmp_path):
    rig = Rig(tmp_path / "ids", {"a": US})
    rig.troubles, rig.hang = {"a": answered(500)}, asyncio.Event()
    rig.loop.pass_time(FIRST_AFTER_S)
    rig.eraser.observe(ready("a", resumed=True))
    rig.hang.set()
    rig.hang = None
    rig.settle()
    rig.wait(RETRY_MAX_S)
    assert rig.asked == ["a"]


def test_of_too_many_the_oldest_is_given_up_even_while_it_is_tried(tmp_path, caplog):
    rig = Rig(tmp_path / "ids", {f"s{number}": US for number in range(MOST)})
    rig.troubles, rig.hang = {"s0": answered(500)}, asyncio.Event()
    rig.loop.pass_time(FIRST_AFTER_S)
    rig.eraser.observe(ready("new"))
    rig.eraser.observe(ready("newer"))
    assert len(rig.eraser.waiting) == MOST
    assert "s0 was not deleted" in caplog.text
    rig.hang.set()
    rig.hang = None
    rig.settle()
    assert "s1" not in rig.asked
    assert list(rig.eraser.waiting) == ["new", "newer"]


def test_what_is_not_done_is_left_to_the_next_process(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    rig = Rig(tmp_path / "ids", {"a": US})
    rig.hang = asyncio.Event()
    rig.loop.pass_time(FIRST_AFTER_S)
    rig.eraser.observe(ready("b"))
    rig.close()
    assert set(msgspec.json.decode(rig.file.read())) == {"a", "b"}
    assert "was deleted" not in caplog.text


def test_a_stop_before_anything_was_due_is_quiet(tmp_path):
    rig = Rig(tmp_path / "ids", {"a": US})
    rig.close()
    rig.wait(FIRST_AFTER_S)
    assert not rig.asked


def test_before_the_start_a_session_is_noted_already(tmp_path):
    config = Config(privacy=Privacy(delete_after_session=True))
    eraser = Eraser(lambda: config, lambda: "key", StateFile(tmp_path / "ids"))
    for event in (ready("a"), agent.Ended(1.0)):
        eraser.observe(event)
    assert list(eraser.waiting) == ["a"]
