"""What is told of each step: to systemd, to the journal, to whoever watches."""

import logging
from typing import Any

import pytest

from voicekiosk.agent import events as agent
from voicekiosk.agent.facts import LinkFacts, LinkState
from voicekiosk.audio import events as audio
from voicekiosk.audio.devices import Direction
from voicekiosk.audio.frames import DeviceFacts
from voicekiosk.kiosk import events as kiosk
from voicekiosk.kiosk.chronicle import Chronicle
from voicekiosk.kiosk.events import Fault
from voicekiosk.kiosk.machine import step
from voicekiosk.kiosk.state import Rules, State
from voicekiosk.panel.gestures import DoubleTapped, LongPressed, Pressed, Released
from voicekiosk.service.notify import Notifier
from voicekiosk.service.protocol import Topic

READY = agent.Ready("sess_1", resumed=False, continued=False)


class Scene:
    """A chronicle of a kiosk, and all that it told."""

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        self.systemd: list[str] = []
        self.published: list[tuple[Topic, Any]] = []
        self.now_s = 1000.0
        self.state = State()
        facts = LinkFacts(LinkState.CLOSED, 0.0, "host", "", 0, None, "", None, None, 0, 0, 0, 0, 0)
        self.chronicle = Chronicle(
            Notifier(self.systemd.append),
            lambda topic, event: self.published.append((topic, event)),
            lambda state: self.reason if state.faults or state.offline else "",
            lambda: facts,
            lambda reply_id: "",
            transcripts=False,
            clock=lambda: self.now_s,
        )

    def tell(self, *events: Any) -> None:
        for event in events:
            before = self.state
            self.state, _ = step(before, event, self.now_s, Rules(release_tail_s=0.0))
            self.chronicle.observe(event, before, self.state)

    def events(self) -> list[str]:
        return [event["kind"] for topic, event in self.published if topic is Topic.EVENTS]


@pytest.fixture(autouse=True)
def everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "voicekiosk.kiosk")


def test_systemd_is_told_each_state_in_words_with_what_is_wrong():
    scene = Scene("no key")
    scene.tell(kiosk.Started(), Pressed(1000.0), kiosk.HangUp(), kiosk.Failed(Fault.KEY))
    assert scene.systemd == [
        "STATUS=idle: press to talk",
        "STATUS=listening: the microphone is live",
        "STATUS=idle: press to talk",
        "STATUS=fault: no key",
    ]


def test_another_reason_for_the_same_state_is_told_once():
    scene = Scene("no address")
    scene.tell(kiosk.Started(), kiosk.Failed(Fault.SERVICE))
    scene.reason = "no TLS"
    del scene.systemd[:], scene.published[:]
    scene.tell(kiosk.Failed(Fault.SERVICE), kiosk.Failed(Fault.SERVICE))
    assert scene.systemd == ["STATUS=fault: no TLS"]
    assert [topic for topic, _ in scene.published] == [Topic.STATUS]


def test_a_bad_configuration_file_stands_beside_what_the_kiosk_does():
    scene = Scene("line 3 is wrong")
    scene.tell(kiosk.Started(), kiosk.Failed(Fault.CONFIG))
    assert scene.systemd[-1] == "STATUS=idle: press to talk; line 3 is wrong"


def test_the_turns_of_a_conversation_are_counted_from_one():
    scene = Scene()
    scene.tell(kiosk.Started(), Pressed(1000.0), READY)
    assert scene.chronicle.turns == 1
    scene.tell(Released(1001.0, 1.0), kiosk.UtteranceSent(loud=True), Pressed(1002.0))
    assert scene.chronicle.turns == 2
    scene.tell(kiosk.HangUp(), Released(1003.0, 1.0), Pressed(1004.0))
    assert scene.chronicle.turns == 1


def test_underruns_in_crowds_are_one_warning_a_minute(caplog):
    scene = Scene()
    scene.tell(kiosk.Started())
    for count in range(1, 100):
        scene.now_s += 1.0
        scene.tell(audio.SpeakerUnderrun(count))
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.getMessage() for record in warnings] == [
        "playback underrun, 1 so far",
        "playback underrun, 61 so far",
    ]
    assert scene.events().count("loudspeaker") == 99


def test_the_same_loss_of_a_device_is_news_once_until_it_is_back(caplog):
    scene = Scene()
    lost = audio.SpeakerLost("no such card", 1.0)
    scene.tell(kiosk.Started(), lost, lost, audio.SpeakerLost("busy", 2.0), lost)
    warnings = [r.getMessage() for r in caplog.records if "next attempt" in r.getMessage()]
    levels = [r.levelno for r in caplog.records if "next attempt" in r.getMessage()]
    assert warnings[0] == "no such card; next attempt in 1 s"
    assert levels == [logging.WARNING, logging.DEBUG, logging.WARNING, logging.WARNING]


def test_what_happens_to_a_device_names_it_in_a_field_of_its_own(caplog):
    scene = Scene()
    device = DeviceFacts(Direction.PLAYBACK, "hw:CARD=Fake", "auto", 48000, 1, "S16_LE", 960, 1920)
    scene.tell(kiosk.Started(), audio.SpeakerOpened(device), audio.SpeakerUnderrun(1))
    scene.tell(audio.SpeakerLost("unplugged", 1.0))
    lines = {record.getMessage(): record.fields.get("DEVICE") for record in caplog.records}
    opened, underrun = f"loudspeaker open: {device}", "playback underrun, 1 so far"
    for said in (opened, underrun, "unplugged; next attempt in 1 s"):
        assert lines[said] == "hw:CARD=Fake"


def test_what_people_say_goes_to_those_who_watch_and_not_to_the_journal(caplog):
    scene = Scene()
    scene.tell(kiosk.Started(), Pressed(1000.0), READY, agent.UserText("good morning", final=True))
    captions = [event for topic, event in scene.published if topic is Topic.TRANSCRIPT]
    assert captions == [{"who": "visitor", "text": "good morning", "final": True, "interrupted": False}]
    assert "good morning" not in caplog.text
    scene.chronicle.transcripts = True
    scene.tell(Released(1001.0, 1.0), kiosk.UtteranceSent(loud=True), agent.ReplyStarted("r"))
    scene.tell(kiosk.AudioArrived("r"), agent.AgentText("r", "good day", final=True, interrupted=False))
    scene.tell(agent.ReplyDone("r", interrupted=False))
    assert "good day" not in caplog.text
    scene.tell(audio.SpeakerDrained(1002.0, 100))
    said = [record.fields for record in caplog.records if "TEXT" in getattr(record, "fields", ())]
    assert [(fields["WHO"], fields["TEXT"], fields["REPLY_ID"]) for fields in said] == [
        ("agent", "good day", "r")
    ]


def test_trouble_tools_and_odd_gestures_are_told(caplog):
    scene = Scene()
    scene.tell(kiosk.Started(), agent.Trouble("slow", "too slow"), DoubleTapped(1.0), LongPressed(2.0))
    scene.tell(agent.ToolCalled("c1", "light", {}), agent.ToolCalled("c2", "weather", {}, ours=False))
    told = [record.getMessage() for record in caplog.records]
    assert "the service reports slow: too slow" in told
    assert "the agent calls the tool light" in told
    assert "the service calls by itself the tool weather" in told
    assert {"tapped twice", "pressed long"} <= set(told)
    [trouble] = [record for record in caplog.records if "slow" in record.getMessage()]
    assert (trouble.levelno, trouble.fields["ERROR_CODE"]) == (logging.WARNING, "slow")


def test_lost_frames_are_a_warning_once_a_minute(caplog):
    scene = Scene()
    for pause_s in (0, 10, 51):
        scene.now_s += pause_s
        scene.tell(audio.MicrophoneOverrun(480))
    levels = [record.levelno for record in caplog.records if "overrun" in record.getMessage()]
    assert levels == [logging.WARNING, logging.DEBUG, logging.WARNING]


def test_a_microphone_that_gives_nothing_is_told(caplog):
    Scene().tell(kiosk.Started(), audio.MicrophoneSilent(5.0))
    assert "the microphone has been silent for 5 s (muted?)" in caplog.text
