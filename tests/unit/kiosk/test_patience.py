"""Whoever has been asked something gets more time to answer."""

import pytest

from voicekiosk.agent import events as agent
from voicekiosk.kiosk import events as kiosk
from voicekiosk.kiosk.events import SetPatience
from voicekiosk.kiosk.machine import step
from voicekiosk.kiosk.patience import is_question
from voicekiosk.kiosk.state import Rules, State
from voicekiosk.panel.gestures import Pressed, Released

READY = agent.Ready("s", resumed=False, continued=False)


class Scene:
    def __init__(self, rules=None):
        self.rules, self.state, self.now_s = rules or Rules(patience=True), State(), 100.0
        self.tell(kiosk.Started(), Pressed(self.now_s), READY)
        self.now_s += 2
        self.tell(Released(self.now_s, 2.0), agent.UserText("hello", final=True))

    def tell(self, *events):
        told = []
        for event in events:
            self.state, effects = step(self.state, event, self.now_s, self.rules)
            told += [effect.on for effect in effects if isinstance(effect, SetPatience)]
        return told

    def answer(self, text, reply_id="r", interrupted=False):
        return self.tell(
            agent.ReplyStarted(reply_id),
            kiosk.AudioArrived(reply_id),
            agent.AgentText(reply_id, text, final=False, interrupted=False),
            agent.ReplyDone(reply_id, interrupted=interrupted),
        )

    def ask_back(self):
        return self.tell(Pressed(self.now_s), agent.SpeechStarted(), agent.UserText("Utrecht", final=True))


def test_after_a_question_the_service_waits_longer_and_after_the_answer_as_before():
    scene = Scene()
    assert scene.answer("Where do you want to go?") == [True]
    assert scene.ask_back() == [False]


def test_after_a_statement_nothing_changes():
    scene = Scene()
    assert scene.answer("The train leaves at nine.") == []
    assert scene.ask_back() == []


def test_only_the_last_sentence_counts():
    assert Scene().answer("Why? Because it is late.") == []


def test_two_questions_are_told_once():
    scene = Scene()
    assert scene.answer("Where to?") == [True]
    assert scene.answer("Where to?", "r2") == []


def test_a_question_that_was_talked_over_asks_for_nothing():
    assert Scene().answer("Where do you want to", interrupted=True) == []


def test_a_partial_answer_keeps_the_patience():
    scene = Scene()
    scene.answer("Where to?")
    assert scene.tell(Pressed(scene.now_s), agent.UserText("Utr", final=False)) == []


def test_a_fresh_session_in_the_middle_is_told_again():
    scene = Scene()
    scene.answer("Where to?")
    scene.tell(agent.Dropped(agent.Cause.NETWORK, "", 1.0))
    assert scene.tell(agent.Ready("t", resumed=False, continued=True)) == [True]


def test_a_resumed_session_still_knows():
    scene = Scene()
    scene.answer("Where to?")
    scene.tell(agent.Dropped(agent.Cause.NETWORK, "", 1.0))
    assert scene.tell(agent.Ready("s", resumed=True, continued=False)) == []
    assert scene.ask_back() == [False]


def test_the_next_visitor_begins_as_configured():
    scene = Scene()
    scene.answer("Where to?")
    scene.tell(kiosk.HangUp())
    assert not scene.state.patient
    assert scene.tell(Pressed(scene.now_s), READY) == []


def test_switched_off_nothing_is_told():
    assert Scene(Rules()).answer("Where to?") == []


def test_what_was_told_is_taken_back_even_after_it_was_switched_off():
    scene = Scene()
    scene.answer("Where to?")
    scene.rules = Rules()
    assert scene.ask_back() == [False]


@pytest.mark.parametrize(
    "text", ["Where?", "Where? ", "“Where?”", "去哪里\uff1f", "أين؟", "(Where?)", "Where?\ufeff"]
)
def test_questions_of_many_scripts_are_noticed(text):
    assert is_question(text)


@pytest.mark.parametrize("text", ["", "?!x", "No.", "What a day!", "-", "\ufeff"])
def test_what_is_no_question_is_none(text):
    assert not is_question(text)
