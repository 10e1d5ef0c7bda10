"""What of a conversation is to be read: each thing once, and of an answer what was heard."""

import pytest

from voicekiosk.agent import events as agent
from voicekiosk.audio import events as audio
from voicekiosk.kiosk import events as kiosk
from voicekiosk.kiosk.captions import Captions
from voicekiosk.kiosk.downlink import Downlink
from voicekiosk.kiosk.machine import step
from voicekiosk.kiosk.state import Rules, State
from voicekiosk.panel.gestures import Pressed, Released

PRESS = Pressed(1000.0)
RELEASE = Released(1001.0, 1.0)
ASKED = (kiosk.Started(), PRESS, agent.Ready("s", resumed=False, continued=False))
QUESTION = (*ASKED, RELEASE, kiosk.UtteranceSent(loud=True))
DRAINED = audio.SpeakerDrained(1005.0, 100)


def started(reply_id="r"):
    return agent.ReplyStarted(reply_id)


def sound(reply_id="r"):
    return kiosk.AudioArrived(reply_id)


def words(text, reply_id="r", *, final=False, interrupted=False):
    return agent.AgentText(reply_id, text, final=final, interrupted=interrupted)


def done(reply_id="r", *, interrupted=False):
    return agent.ReplyDone(reply_id, interrupted)


class Scene:
    """A conversation by events; `heard` is what the loudspeaker gave of each reply that was silenced."""

    def __init__(self, **heard):
        self.heard, self.state, self.lines = heard, State(), []
        self.captions = Captions(lambda reply_id: self.heard.get(reply_id, ""))

    def tell(self, *events):
        for event in events:
            before = self.state
            self.state, _ = step(before, event, 1000.0, Rules(release_tail_s=0.0))
            self.lines += self.captions.observe(event, before, self.state)
        return self

    @property
    def final(self):
        return [(line.who, line.text, line.interrupted) for line in self.lines if line.final]

    @property
    def shown(self):
        return [line.text for line in self.lines if not line.final]


def test_an_answer_is_final_once_it_was_played():
    scene = Scene().tell(*QUESTION, started(), sound(), words("Good"), words("Good day.", final=True), done())
    assert scene.shown == ["Good", "Good day."]
    assert scene.final == []
    assert scene.tell(DRAINED).final == [("agent", "Good day.", False)]


def test_a_final_text_that_comes_twice_or_late_is_said_once():
    scene = Scene().tell(*QUESTION, started(), sound(), words("Good day."), done(), DRAINED)
    scene.tell(*[words("Good day.", final=True)] * 2, PRESS, words("Good day.", final=True), kiosk.HangUp())
    assert scene.final == [("agent", "Good day.", False)]


def test_a_text_that_comes_only_after_the_sound_is_said_once_too():
    scene = Scene().tell(*QUESTION, started(), sound(), done(), DRAINED, words("Good"))
    assert scene.lines == []
    scene.tell(*[words("Good day.", final=True)] * 2)
    assert scene.final == [("agent", "Good day.", False)]


@pytest.mark.parametrize(
    "cut",
    [PRESS, kiosk.HangUp(), agent.SpeechStarted(), done(interrupted=True)],
    ids=["press", "hang up", "speech", "service"],
)
def test_an_answer_that_is_cut_short_ends_with_what_was_heard(cut):
    scene = Scene(r="Good").tell(*QUESTION, started(), sound(), words("Good day to you.", final=True), cut)
    assert scene.final == [("agent", "Good", True)]
    assert scene.tell(words("Good day to you.", final=True)).final == [("agent", "Good", True)]


def test_of_an_answer_that_nobody_heard_nothing_is_said():
    scene = Scene().tell(*QUESTION, started(), words("Good day.", final=True), PRESS)
    scene.tell(words("Good day.", final=True))
    assert scene.final == []


def test_the_text_of_an_answer_that_was_cut_short_may_come_after_that():
    scene = Scene().tell(*QUESTION, started(), sound(), PRESS)
    scene.heard["r"] = "Good"
    scene.tell(words("Good d"), words("Good day.", final=True), words("Good day.", final=True))
    assert scene.final == [("agent", "Good", True)]


def test_a_lost_connection_ends_an_answer_with_what_is_played_still():
    lost = agent.Dropped(agent.Cause.NETWORK, "gone", 1.0)
    scene = Scene(r="Good day").tell(*QUESTION, started(), sound(), words("Good day"), lost, DRAINED)
    assert scene.final == [("agent", "Good day", False)]


def test_a_gap_in_the_middle_of_an_answer_is_not_its_end():
    scene = Scene().tell(*QUESTION, started(), sound(), words("Good"), DRAINED)
    assert scene.final == []


def test_an_answer_that_is_held_back_is_shown_when_it_plays():
    scene = Scene().tell(*ASKED, started(), words("Good day.", final=True), sound(), done())
    assert scene.lines == []
    assert scene.tell(RELEASE).shown == ["Good day."]
    assert scene.tell(DRAINED).final == [("agent", "Good day.", False)]


def test_an_answer_that_is_held_back_and_dropped_is_never_shown():
    scene = Scene().tell(*ASKED, started(), words("Good day."), sound(), agent.SpeechStarted())
    scene.tell(words("Good day.", final=True), done(), RELEASE)
    assert scene.lines == []


def test_a_held_answer_without_a_text_yet_is_shown_as_it_comes():
    scene = Scene().tell(*ASKED, started(), sound(), RELEASE)
    assert scene.lines == []
    assert scene.tell(words("Good")).shown == ["Good"]


def test_an_answer_that_is_followed_by_another_one_is_complete():
    scene = Scene().tell(*QUESTION, started("a"), sound("a"), words("Let me see.", "a"), done("a"))
    scene.tell(started("b"), sound("b"), words("Good day.", "b"), done("b"), DRAINED)
    assert scene.final == [("agent", "Let me see.", False), ("agent", "Good day.", False)]


def test_an_answer_that_is_followed_before_its_text_came_is_owed():
    scene = Scene().tell(*QUESTION, started("a"), sound("a"), done("a"), started("b"))
    scene.tell(words("Let me see.", "a", final=True))
    assert scene.final == [("agent", "Let me see.", False)]


@pytest.mark.parametrize("text", ["-", "\ufeff", "…", "&nbsp;", ""])
def test_what_has_no_word_is_not_said(text):
    scene = Scene().tell(*QUESTION, agent.UserText(text, final=True), started(), sound())
    scene.tell(words(text), words(text, final=True), done(), DRAINED)
    assert scene.lines == []


def test_what_a_visitor_says_is_shown_as_it_is_understood():
    scene = Scene().tell(*ASKED, agent.UserText("who", final=False), agent.UserText("who is", final=True))
    assert [(line.who, line.text, line.final) for line in scene.lines] == [
        ("visitor", "who", False),
        ("visitor", "who is", True),
    ]


def test_nothing_of_one_conversation_is_said_in_the_next():
    scene = Scene().tell(*QUESTION, started("a"), sound("a"), done("a"), DRAINED, kiosk.HangUp())
    scene.tell(*QUESTION, words("That was for the one before.", "a", final=True))
    assert scene.lines == []


class Loudspeaker:
    """Counts samples."""

    played_samples = enqueued_samples = queued_samples = 0

    def play(self, pcm):
        self.enqueued_samples += len(pcm) // 2

    def flush(self):
        pass


def downlink(answers):
    loudspeaker, told = Loudspeaker(), []

    def tell(*what):
        told.append(what)
        return next(answers)

    return Downlink(lambda: loudspeaker, tell), loudspeaker, told


def test_what_was_heard_is_asked_when_the_loudspeaker_is_silenced():
    line, loudspeaker, told = downlink(iter(["Good"]))
    line.take("r", bytes(2000), 0.0)
    loudspeaker.played_samples = 400
    line.flush()
    assert told == [("r", 400)]
    assert line.heard("r") == "Good"
    assert line.heard("another") == ""


def test_what_was_heard_is_asked_again_when_the_whole_text_comes_later():
    line, loudspeaker, told = downlink(iter(["", "Good"]))
    line.take("r", bytes(2000), 0.0)
    loudspeaker.played_samples = 400
    line.flush()
    line.text_is_complete("another", "Nothing of that.", trimmed=False)
    assert line.heard("r") == ""
    line.text_is_complete("r", "Good day to you.", trimmed=False)
    assert told == [("r", 400)] * 2
    assert line.heard("r") == "Good"
    line.text_is_complete("r", "Good day", trimmed=True)
    assert line.heard("r") == "Good day"


def test_of_what_never_reached_the_loudspeaker_no_word_was_heard():
    line, _, _ = downlink(iter([""]))
    line.take("r", bytes(2000), 0.0)
    line.flush()
    line.text_is_complete("r", "Good day", trimmed=True)
    assert line.heard("r") == ""


def test_a_reply_that_breaks_off_is_heard_as_far_as_it_came():
    line, _, told = downlink(iter(["Good day"]))
    line.broken_off()
    assert told == []
    line.take("r", bytes(2000), 0.0)
    line.broken_off()
    assert told == [("r", 1000)]
    assert line.heard("r") == "Good day"
