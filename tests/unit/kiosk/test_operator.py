"""What the command line is answered."""

import asyncio
from types import SimpleNamespace

import pytest
from tests.rigs.parts import FakeFactory
from tests.rigs.still_loop import StillLoop

from voicekiosk.agent import events as agent
from voicekiosk.agent.facts import LinkState
from voicekiosk.audio import events as audio
from voicekiosk.config.schema import Config
from voicekiosk.errors import ConfigError, RefusedError
from voicekiosk.kiosk import events as kiosk
from voicekiosk.kiosk import operator
from voicekiosk.kiosk.conductor import Conductor
from voicekiosk.kiosk.events import Fault
from voicekiosk.kiosk.operator import Operator
from voicekiosk.service import requests

READY = agent.Ready("s", resumed=False, continued=False)


class Rig:
    """An operator of a kiosk with stand-ins, in invented time."""

    def __init__(self):
        self.loop = StillLoop()
        asyncio.set_event_loop(self.loop)
        self.conductor = Conductor(Config(), FakeFactory(), clock=self.loop.time)
        live = SimpleNamespace(path="/etc/voicekiosk/config.toml", is_current=True, problems=())
        self.keeper = SimpleNamespace(live=live, problem=lambda: "line 3 is wrong")
        credential = SimpleNamespace(key=None, problem="there is no API key", source="none")
        host = SimpleNamespace(keeper=self.keeper, credential=credential)
        self.operator = Operator(self.conductor, SimpleNamespace(), host)

    def start(self):
        self.conductor.start(self.loop)
        self.loop.turn()
        return self

    def ask(self, request):
        return self.loop.run_until_complete(self.operator.handle(request, None))

    @property
    def reason(self):
        return self.operator.reason(self.conductor.state)


@pytest.fixture
def rig():
    return Rig()


@pytest.mark.parametrize("request_", [requests.Press(), requests.Say("hello")])
def test_before_it_has_started_nobody_may_press_or_say(rig, request_):
    with pytest.raises(RefusedError, match="starting"):
        rig.ask(request_)


def test_a_press_and_a_release_are_those_of_the_button(rig):
    rig.start()
    assert rig.ask(requests.Press())["state"] == "listening"
    assert rig.ask(requests.Release())["state"] in ("listening", "idle")


def test_what_is_to_be_said_opens_a_session_and_is_said(rig):
    rig.start()
    rig.ask(requests.Say("The museum closes."))
    rig.conductor.parts.agent.say(READY)
    [(_, instructions)] = [call for call in rig.conductor.parts.agent.calls if call[0] == "create"]
    assert "The museum closes." in instructions


@pytest.mark.parametrize(
    ("fault", "why"), [(Fault.KEY, "there is no API key"), (Fault.BUDGET, "daily cap"), (Fault.SERVICE, "")]
)
def test_a_kiosk_that_cannot_speak_says_why(rig, fault, why):
    rig.start().conductor.dispatch(kiosk.Failed(fault))
    with pytest.raises(RefusedError, match=f"cannot speak now: .*{why}"):
        rig.ask(requests.Say("hello"))


def test_muting_is_told_with_what_hinders(rig):
    rig.start()
    assert rig.ask(requests.Mute())["state"] == "muted"
    assert rig.ask(requests.Unmute())["state"] == "idle"


def test_the_loudness_is_set_and_told(rig):
    rig.start()
    assert rig.ask(requests.Volume(35))["volume"] == 35
    assert rig.ask(requests.Volume(None))["volume"] == 35


def test_a_configuration_of_another_version_is_not_compared(rig):
    with pytest.raises(ConfigError, match="no configuration of this version"):
        rig.ask(requests.ConfigDiff({"panel": {"mode": "shout"}}))


def test_a_configuration_is_compared_with_the_one_in_force(rig):
    [change] = rig.ask(requests.ConfigDiff({"panel": {"mode": "auto"}}))["changes"]
    assert (change["key"], change["new"]) == ("panel.mode", "auto")


def test_a_device_s_own_words_are_the_reason(rig):
    rig.start().conductor.dispatch(kiosk.LookForDevices())
    rig.conductor.dispatch(audio.MicrophoneLost("no such card", 1.0))
    assert "no such card" in rig.reason


def test_a_bad_file_is_the_reason_where_nothing_is_worse(rig):
    rig.start().conductor.dispatch(kiosk.Failed(Fault.CONFIG))
    assert rig.reason.endswith("line 3 is wrong")


def test_a_lost_link_is_told_in_the_words_of_its_room(rig):
    rig.start()
    rig.conductor.dispatch(kiosk.SayRequested("hello"))
    rig.conductor.parts.agent.say(READY)
    rig.conductor.parts.agent.say(agent.Dropped(agent.Cause.NETWORK, "reset", 1.0))
    rig.conductor.parts.agent.state = LinkState.WAITING
    assert rig.reason == ""  # the stand-in has no words


def test_a_package_without_a_version_is_told_as_unknown(rig, monkeypatch):
    monkeypatch.setattr(operator, "PACKAGES", ("no-such-package",))
    assert rig.operator._version_table()["no-such-package"] == "unknown"
