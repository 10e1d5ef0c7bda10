"""The meter in the kiosk: told by events, kept on disk, and the end of the money."""

import asyncio
import dataclasses
import json

import pytest
from tests.rigs.parts import FakeFactory
from tests.rigs.still_loop import StillLoop

from voicekiosk.agent import events as agent
from voicekiosk.agent.facts import Ending
from voicekiosk.config.schema import Config, Conversation, Money
from voicekiosk.kiosk.conductor import Conductor
from voicekiosk.kiosk.events import Fault
from voicekiosk.kiosk.state import Name, Turn, name_of
from voicekiosk.kiosk.till import FILE_NAME, Till, until_midnight_s
from voicekiosk.service.statefile import StateFile

READY = agent.Ready("sess_1", resumed=False, continued=False)
NOON_S = 1_795_348_800.0


class Kiosk:
    """A conductor with a till, in a loop whose time the test moves."""

    def __init__(self, directory=None, money=None, keep_open_s=45.0):
        self.loop = StillLoop()
        asyncio.set_event_loop(self.loop)
        self.set_s = NOON_S
        config = Config(money=money or Money(), conversation=Conversation(keep_open_s=keep_open_s))
        self.conductor = Conductor(config, FakeFactory(), clock=self.loop.time)
        self.conductor.observe = self.observe
        file = StateFile(directory / FILE_NAME if directory else None)
        self.till = Till(self.conductor, file, clock=self.loop.time, wall=self.wall)
        self.conductor.start(self.loop)
        self.till.start(self.loop)
        self.loop.turn()

    def wall(self):
        return self.set_s + self.loop.time()

    def observe(self, event, before, after):
        self.till.observe(event, before, after)

    @property
    def agent(self):
        return self.conductor.parts.agent

    @property
    def name(self):
        return name_of(self.conductor.state)

    def open(self):
        self.press()
        self.agent.say(READY)
        self.loop.turn()

    def press(self):
        self.conductor.parts.panel.on_edge("talk", True, self.loop.time())
        self.loop.turn()

    def release(self):
        self.conductor.parts.panel.on_edge("talk", False, self.loop.time())
        self.loop.turn()

    def wait(self, seconds):
        self.loop.pass_time(seconds)
        self.loop.turn()


def test_status_says_what_turn_day_and_month_cost():
    kiosk = Kiosk(money=Money(price_per_hour=3600.0, currency="EUR", daily_cap=1000.0))
    kiosk.open()
    kiosk.wait(20)
    status = kiosk.till.status()
    assert status["turn"] == status["today"] == status["month"] == pytest.approx(20)
    assert (status["currency"], status["daily_cap"], status["level"]) == ("EUR", 1000.0, "fine")
    assert status["turns_today"] == 1


@pytest.mark.parametrize(("close_code", "owed_s"), [(1000, 0), (1006, 30), (None, 30)])
def test_a_session_that_was_not_ended_costs_thirty_seconds_more(close_code, owed_s):
    kiosk = Kiosk()
    kiosk.open()
    kiosk.wait(5)
    facts = dataclasses.replace(kiosk.agent.facts(), ending=Ending(close_code, "", "", ""))
    kiosk.agent.facts = lambda: facts
    kiosk.agent.say(agent.Ended(None))
    kiosk.loop.turn()
    assert kiosk.till.status()["today_s"] == pytest.approx(5 + owed_s)


def test_at_the_cap_the_running_turn_is_finished_and_then_nothing_is_open_any_more(caplog):
    kiosk = Kiosk(money=Money(price_per_hour=3600.0, daily_cap=10.0))
    kiosk.open()
    kiosk.wait(8.1)
    assert "8.01 of 10.00 USD" in caplog.text
    assert kiosk.till.status()["level"] == "warning"
    kiosk.wait(2)
    assert Fault.BUDGET in kiosk.conductor.state.faults
    assert kiosk.name is Name.LISTENING
    kiosk.agent.say(agent.SpeechStarted())
    kiosk.release()
    kiosk.wait(0.2)
    assert kiosk.conductor.state.turn is Turn.THINKING
    assert kiosk.conductor.state.session_wanted
    kiosk.agent.say(agent.ReplyStarted("r"))
    kiosk.agent.say(agent.AgentText("r", "Yes.", final=True, interrupted=False))
    kiosk.agent.say(agent.ReplyDone("r", interrupted=False))
    kiosk.loop.turn()
    assert kiosk.conductor.state.turn is Turn.NONE
    assert not kiosk.conductor.state.session_wanted
    assert kiosk.name is Name.FAULT


def test_a_press_at_the_cap_is_refused_with_a_sign_and_without_a_session():
    kiosk = Kiosk(money=Money(price_per_hour=3600.0, daily_cap=1.0))
    kiosk.open()
    kiosk.wait(2)
    kiosk.release()
    kiosk.agent.say(agent.Ended(None))
    kiosk.wait(200)
    opened = kiosk.agent.calls.count("open")
    kiosk.conductor.parts.playback.calls.clear()
    kiosk.press()
    assert kiosk.agent.calls.count("open") == opened
    assert kiosk.name is Name.FAULT
    assert "play" in kiosk.conductor.parts.playback.calls


def test_at_midnight_the_money_is_new():
    kiosk = Kiosk(money=Money(price_per_hour=3600.0, daily_cap=1.0))
    kiosk.open()
    kiosk.wait(2)
    kiosk.release()
    kiosk.agent.say(agent.Ended(None))
    kiosk.wait(200)
    assert Fault.BUDGET in kiosk.conductor.state.faults
    for _ in range(200):
        kiosk.wait(900)
    assert Fault.BUDGET not in kiosk.conductor.state.faults
    assert kiosk.till.status()["today"] == 0
    assert kiosk.till.status()["month"] > 0


def test_the_meter_goes_on_after_a_restart(tmp_path):
    first = Kiosk(tmp_path)
    first.open()
    first.wait(50)
    first.agent.say(agent.Ended(50.0))
    first.loop.turn()
    first.loop.run_until_complete(first.till.close())
    spent_s = first.till.status()["today_s"]
    assert json.loads((tmp_path / FILE_NAME).read_text())["open"] is False
    assert Kiosk(tmp_path).till.status()["today_s"] == spent_s >= 50


def test_a_disk_that_hangs_does_not_break_the_stop(tmp_path, monkeypatch):
    kiosk = Kiosk(tmp_path)
    kiosk.open()
    asked = []

    async def hangs(write, content):
        asked.append(content)
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio, "to_thread", hangs)
    closing = kiosk.loop.create_task(kiosk.till.close())
    for _ in range(5):
        kiosk.wait(1.0)
    assert asked
    assert closing.done()
    assert closing.exception() is None


def test_nothing_is_left_to_do_while_the_kiosk_is_idle(tmp_path):
    kiosk = Kiosk(tmp_path)
    assert kiosk.till._timer is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"days": {"x": "y"}}', b"\xff" * 100_000])
def test_a_file_that_is_spoiled_begins_anew(tmp_path, content):
    (tmp_path / FILE_NAME).write_bytes(content)
    assert Kiosk(tmp_path).till.status()["today_s"] == 0


def test_a_directory_that_cannot_be_written_stops_nothing(tmp_path, caplog):
    file = StateFile(tmp_path / "gone" / FILE_NAME)
    file.write(b"x")
    file.write(b"x")
    assert caplog.text.count("cannot be written") == 1
    assert file.read() is None


def test_what_is_written_is_whole_and_only_for_its_owner(tmp_path):
    file = StateFile.from_environment("a", {"STATE_DIRECTORY": f"{tmp_path}:/other"})
    file.write(b"one")
    file.write(b"two")
    assert file.read() == b"two"
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_without_a_state_directory_nothing_is_kept():
    file = StateFile.from_environment("a", {})
    file.write(b"x")
    assert file.read() is None


def test_midnight_is_at_most_a_day_away():
    assert 0 < until_midnight_s(NOON_S) <= 86400
