"""What a daemon leaves to the next one, and what that makes of it."""

import json

import pytest
from tests.rigs.parts import FakeFactory

from voicekiosk.agent import events as agent
from voicekiosk.agent.memory import Said
from voicekiosk.agent.snapshot import Snapshot
from voicekiosk.config.schema import Config
from voicekiosk.kiosk.conductor import Conductor
from voicekiosk.kiosk.events import CreateReply, Due, PlaySound, Resend, Restored, Sound, Started
from voicekiosk.kiosk.handover import ALIVE_S, ALIVE_SPEAKING_S, MOST_DEATHS, Handover, due_of
from voicekiosk.kiosk.machine import step
from voicekiosk.kiosk.state import Link, Name, Rules, State, Turn, name_of, replace
from voicekiosk.service.runtime import RuntimeFile

SECRET = "the-token"
LEFT = Snapshot("sim", "sess_1", SECRET, (Said(None, "who painted this", cut=False),))


class Loop:
    """Calls back when the test says so."""

    def __init__(self):
        self.soon, self.later = [], []

    def call_soon(self, callback):
        self.soon.append(callback)
        return self

    def call_later(self, delay_s, callback):
        self.later.append((delay_s, callback))
        return self

    def cancel(self):
        self.soon.clear()
        self.later.clear()

    def run(self):
        calls, self.soon = self.soon, []
        for call in calls:
            call()


class Life:
    """One daemon: conductor with stand-ins, and its handover, on a clock of the test's."""

    def __init__(self, folder, now_s=1000.0):
        self.now_s = now_s
        self.loop = Loop()
        self.conductor = Conductor(Config(), FakeFactory())
        self.agent = self.conductor.parts.agent
        self.file = RuntimeFile(folder / "conversation.json")
        self.handover = Handover(self.conductor, self.file, lambda: self.now_s)
        self.conductor.state = replace(State(), started=True)

    def start(self, **how):
        self.handover.start(self.loop, **how)
        return [call for call in self.agent.calls if call[0] == "restore"]

    def talk(self, turn=Turn.NONE, event=None, **facts):
        """Be in a conversation, and let something happen in it."""
        self.conductor.state = replace(State(), started=True, session_wanted=True, turn=turn, **facts)
        self.agent.left = LEFT
        self.handover.observe(event or Started(), self.conductor.state)
        self.loop.run()

    @property
    def written(self):
        return json.loads(self.file.path.read_bytes())


def test_the_next_daemon_goes_on_with_the_conversation(tmp_path):
    first = Life(tmp_path)
    first.start()
    first.talk(Turn.THINKING, understood=True)
    second = Life(tmp_path, now_s=1003.0)
    [(_, snapshot, age_s)] = second.start()
    assert snapshot == LEFT
    assert age_s == pytest.approx(3.0)
    assert second.conductor.state.turn is Turn.THINKING
    assert name_of(second.conductor.state) is Name.RECONNECTING
    assert "open" in second.agent.calls


def test_after_the_window_it_is_another_visitor(tmp_path):
    first = Life(tmp_path)
    first.start()
    first.talk()
    second = Life(tmp_path, now_s=1000.0 + Config().network.resume_window_s + 0.1)
    assert second.start() == []
    assert not second.conductor.state.session_wanted
    assert not first.file.path.exists()


def test_a_clock_that_stands_before_the_file_was_written_is_another_boot(tmp_path):
    first = Life(tmp_path)
    first.start()
    first.talk()
    assert Life(tmp_path, now_s=10.0).start() == []


def test_who_is_alive_says_so(tmp_path):
    life = Life(tmp_path)
    life.start()
    life.talk()
    [(delay_s, still_alive)] = life.loop.later
    assert delay_s == ALIVE_S
    life.now_s += delay_s
    still_alive()
    assert life.written["alive_s"] == life.now_s


def test_what_has_not_changed_is_not_written_again(tmp_path):
    life = Life(tmp_path)
    life.start()
    life.talk()
    life.now_s += 1.0
    life.talk()
    assert life.written["alive_s"] == 1000.0


def test_a_conversation_that_ended_leaves_nothing(tmp_path):
    life = Life(tmp_path)
    life.start()
    life.talk()
    life.handover.observe(agent.Ended(1.0), replace(life.conductor.state, session_wanted=False))
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_was_due_does_not_come_after_the_end(tmp_path):
    life = Life(tmp_path)
    life.start()
    life.talk()
    life.handover.observe(Started(), life.conductor.state)
    life.handover.close()
    life.loop.run()
    assert list(tmp_path.iterdir()) == []


def test_without_a_key_nothing_is_taken_up_and_nothing_stays(tmp_path):
    first = Life(tmp_path)
    first.start()
    first.talk()
    assert Life(tmp_path).start(welcome=False) == []
    assert not first.file.path.exists()


def test_another_service_is_not_told_the_token(tmp_path):
    first = Life(tmp_path)
    first.start()
    first.talk()
    text = first.file.path.read_text().replace('"host":"sim"', '"host":"other"')
    first.file.write(text.encode())
    assert Life(tmp_path).start() == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"host":1}', b'{"host":"sim"}'])
def test_a_file_that_makes_no_sense_is_a_new_conversation(tmp_path, content):
    RuntimeFile(tmp_path / "conversation.json").write(content)
    assert Life(tmp_path).start() == []
    assert not (tmp_path / "conversation.json").exists()


def test_a_conversation_that_kills_every_daemon_is_given_up(tmp_path):
    lives = 0
    while True:
        life = Life(tmp_path)
        taken_up = life.start()
        if lives and not taken_up:
            break
        lives += 1
        life.talk()
        assert lives < 20
    assert lives == MOST_DEATHS + 1


def test_an_answer_in_between_makes_it_a_good_conversation_again(tmp_path):
    for _ in range(3 * MOST_DEATHS):
        life = Life(tmp_path)
        life.start()
        life.talk(event=agent.ReplyDone("r", interrupted=False))
    assert Life(tmp_path).start()


def test_no_repr_tells_the_token_or_what_was_said(tmp_path):
    life = Life(tmp_path)
    life.start()
    life.talk()
    told = repr(LEFT) + repr(life.handover._left)
    assert SECRET not in told
    assert "painted" not in told


@pytest.mark.parametrize(
    ("facts", "due"),
    [
        ({"turn": Turn.NONE}, Due.NOTHING),
        ({"turn": Turn.LISTENING}, Due.NOTHING),
        ({"turn": Turn.THINKING}, Due.UNKNOWN),
        ({"turn": Turn.THINKING, "understood": True}, Due.ANSWER),
        ({"turn": Turn.THINKING, "reply_open": True}, Due.UNKNOWN),
        ({"turn": Turn.THINKING, "reply_open": True, "reply_has_audio": True}, Due.REST),
        ({"turn": Turn.THINKING, "cut_off": True}, Due.REST),
        ({"turn": Turn.SPEAKING}, Due.REST),
    ],
)
def test_what_is_due_follows_from_the_turn(facts, due):
    assert due_of(replace(State(), **facts)) is due


# --- what the state machine makes of it --------------------------------------------------------


def taken_up(due, *, resumed):
    """The state and the effects once the link is back."""
    state, _ = step(State(), Started(), 10.0, Rules())
    state, _ = step(state, Restored(due), 10.0, Rules())
    assert state.link is Link.RESUMING
    ready = agent.Ready("s", resumed=resumed, continued=not resumed)
    return step(state, ready, 12.0, Rules())


@pytest.mark.parametrize("resumed", [True, False])
def test_with_nothing_due_the_session_is_there_for_the_next_press(resumed):
    state, effects = taken_up(Due.NOTHING, resumed=resumed)
    assert name_of(state) is Name.IDLE
    assert effects == ()


def test_an_understood_question_is_answered_from_what_was_carried_over():
    state, effects = taken_up(Due.ANSWER, resumed=False)
    assert effects == (CreateReply(),)
    assert state.turn is Turn.THINKING


def test_an_understood_question_is_waited_for_where_the_session_goes_on():
    state, effects = taken_up(Due.ANSWER, resumed=True)
    assert effects == ()
    assert state.nudge_at_s < state.turn_deadline_s


@pytest.mark.parametrize("resumed", [True, False])
def test_a_cut_off_answer_is_taken_up_again(resumed):
    _, effects = taken_up(Due.REST, resumed=resumed)
    [create] = effects
    assert "where it was cut off" in create.instructions


def test_a_question_in_the_middle_is_closed_where_the_session_goes_on():
    state, effects = taken_up(Due.UNKNOWN, resumed=True)
    assert effects == (Resend(whole=False),)
    assert state.turn is Turn.THINKING


def test_a_question_that_is_gone_is_said_to_be():
    state, effects = taken_up(Due.UNKNOWN, resumed=False)
    assert PlaySound(Sound.NO_ANSWER) in effects
    assert state.turn is Turn.NONE


def test_of_an_answer_that_is_playing_the_part_that_was_heard_is_left(tmp_path):
    one = Life(tmp_path)
    one.start()
    one.conductor.downlink.take("r1", bytes(4800), 0.0)
    one.talk(Turn.SPEAKING)
    assert one.agent.asked == ("r1", 0)
    assert one.written["due"] == "rest"
    assert one.loop.later[-1][0] == ALIVE_SPEAKING_S


def test_before_there_was_a_session_nothing_is_left(tmp_path):
    one = Life(tmp_path)
    one.start()
    one.talk()
    one.file.remove()
    one.agent.left = None
    one.handover.observe(Started(), one.conductor.state)
    one.loop.run()
    assert not one.file.path.exists()
