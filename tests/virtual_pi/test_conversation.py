"""Whole conversations: from the press to the last sample of the answer."""

import time

import numpy as np
from pirig import words
from pirig.pi import Pi, Question
from pirig.wait import until

from demolib import server


def test_every_sample_of_a_question_arrives_and_its_answer_is_heard(pi: Pi) -> None:
    pi.boot()
    question = pi.converse(words.question())
    found = pi.arrived(question)
    assert (found.lost, found.extra) == (0, 0)
    pi.kiosk.stop()
    pi.service.end()
    (connection,) = server.read(pi.record)
    (reply,) = connection.replies
    assert pi.heard(reply.samples, question.released_s) > 0.99
    pi.service.begin()


def test_the_lamp_on_the_chip_shows_the_microphone_live_from_press_to_release(pi: Pi) -> None:
    pi.boot()
    time.sleep(0.5)
    assert not pi.eye.lit, "idle is dark on a plain lamp"
    question = pi.converse()
    time.sleep(1.0)
    (on, *_) = pi.eye.between(question.pressed_s, question.released_s)
    assert on.lit
    assert on.t_s - question.pressed_s < 0.3
    assert pi.eye.lit_share(on.t_s, question.released_s) == 1.0
    after = pi.eye.between(question.released_s, question.released_s + 1.0)
    assert after, "it goes on to thinking"
    assert not after[0].lit
    assert pi.eye.lit_share(time.monotonic() - 0.8, time.monotonic()) == 0.0, "idle again"


def test_a_second_question_goes_over_the_same_session(pi: Pi) -> None:
    pi.boot()
    first = pi.converse()
    second = pi.converse(words.recording("Rear_Left"))
    for question in (first, second):
        found = pi.arrived(question, connections=1)
        assert (found.lost, found.extra) == (0, 0)
    assert pi.kiosk.status()["session"]["turns"] == 2


def test_a_press_cuts_the_answer_short_and_is_the_next_question(pi: Pi) -> None:
    pi.boot()
    pi.ask(words.two_recordings())
    pi.kiosk.wait_state("speaking")
    pi.wait_loud()
    pressed_s = pi.finger.press()
    pi.kiosk.wait_state("listening")
    time.sleep(0.6)
    quiet = pi.ear.samples[pi.ear.index_at(pressed_s + 0.4) :]
    assert np.abs(quiet).max() < 50, "the loudspeaker is silent while somebody speaks"
    begin = pi.mouth.say(words.question())
    pi.mouth.wait()
    time.sleep(0.1)
    released_s = pi.finger.release()
    pi.hear_answer()
    found = pi.arrived(Question(pressed_s, released_s, begin, begin + len(words.question())))
    assert (found.lost, found.extra) == (0, 0)


def test_two_taps_end_the_conversation_and_the_session(pi: Pi) -> None:
    pi.boot()
    pi.converse()
    assert pi.kiosk.status()["link"]["state"] == "ready"
    for _ in range(2):
        pi.finger.tap(0.08)
        time.sleep(0.1)
    pi.kiosk.wait("the session to be closed", lambda status: status["link"]["state"] == "closed")
    assert pi.service.events("session.end") == 1
    assert not pi.kiosk.status()["microphone"]["open"]


def test_a_session_that_nobody_uses_is_ended_and_the_microphone_closed(pi: Pi) -> None:
    pi.boot({"conversation": {"keep_open_s": 2.0}})
    pi.converse()
    pi.kiosk.wait("the session to be closed", lambda status: status["link"]["state"] == "closed")
    assert pi.service.events("session.end") == 1
    assert not pi.kiosk.status()["microphone"]["open"]


def test_the_control_socket_presses_the_button_too(pi: Pi) -> None:
    pi.boot()
    pi.kiosk.request("press")
    pi.kiosk.wait_state("listening")
    pi.mouth.say(words.question())
    pi.mouth.wait()
    pi.kiosk.request("release")
    pi.hear_answer()


def test_a_warm_microphone_sends_what_was_said_before_the_press(pi: Pi) -> None:
    preroll_s = 0.3
    pi.boot({"audio.capture": {"device": "Mic", "warm": True, "preroll_ms": 300}})
    pi.kiosk.wait("an open microphone", lambda status: status["microphone"]["open"])
    pi.converse()
    time.sleep(0.6)
    clip = words.long_question()
    begin = pi.mouth.say(clip)
    time.sleep(1.2)
    pressed_s = pi.finger.press()
    pi.mouth.wait()
    released_s = pi.finger.release()
    pi.hear_answer()
    margin_s = 0.06
    said = pi.mouth.heard_at(pressed_s - preroll_s + margin_s)
    assert begin < said < begin + len(clip) // 2
    found = pi.arrived(Question(pressed_s, released_s, said, begin + len(clip)))
    assert (found.lost, found.extra) == (0, 0)


def test_a_cold_microphone_sends_nothing_from_before_the_press(pi: Pi) -> None:
    pi.boot()
    pi.converse()
    before = sum(map(len, pi.service.received()))
    pi.mouth.say(words.two_recordings())
    pi.mouth.wait()
    assert sum(map(len, pi.service.received())) == before, "a session that is open hears nothing"


def test_a_muted_kiosk_sends_nothing_and_shows_it(pi: Pi) -> None:
    pi.boot()
    pi.kiosk.request("mute")
    pi.kiosk.wait_state("muted")
    pi.finger.press()
    pi.mouth.say(words.question())
    pi.mouth.wait()
    pi.finger.release()
    assert pi.kiosk.state == "muted"
    assert not pi.kiosk.status()["microphone"]["open"]
    assert pi.service.connections == []
    pi.kiosk.request("unmute")
    pi.kiosk.wait_state("idle")
    pi.converse()


def test_the_mute_button_mutes_in_the_middle_of_a_question(pi: Pi) -> None:
    # It stops sending in the middle of a turn, silence included.
    pi.allowed_rules |= {22}
    pi.boot({"panel.button": {"mute_gpio": 27}})
    pi.finger.press()
    pi.kiosk.wait_state("listening")
    pi.mouth.say(words.two_recordings())
    time.sleep(1.0)
    pi.mute_finger.tap()
    pi.kiosk.wait_state("muted")
    time.sleep(0.3)
    sent = sum(map(len, pi.service.received()))
    pi.mouth.wait()
    pi.finger.release()
    time.sleep(0.5)
    assert sum(map(len, pi.service.received())) == sent
    pi.mute_finger.tap()
    pi.kiosk.wait_state("idle")


def test_the_agent_says_what_the_operator_wants_said(pi: Pi) -> None:
    pi.boot()
    pi.kiosk.request("say", text="The museum closes in ten minutes")
    pi.kiosk.wait_state("speaking")
    pi.wait_loud()
    pi.kiosk.wait_state("idle")
    assert pi.service.events("reply.create") == 1
    assert not any(record.any() for record in pi.service.received()), "nobody pressed: nobody is heard"


def test_a_session_kept_open_all_day_is_there_before_the_first_press(pi: Pi) -> None:
    pi.boot({"conversation": {"connect": "on_boot"}})
    pi.kiosk.wait("a session", lambda status: status["link"]["state"] == "ready")
    found = pi.arrived(pi.converse(), connections=1)
    assert (found.lost, found.extra) == (0, 0)


def test_the_volume_changes_what_is_heard_and_stays_below_its_limit(pi: Pi) -> None:
    pi.boot({"audio.playback": {"volume": 80, "volume_max": 80}})
    assert pi.kiosk.request("volume", percent=100) == {"volume": 80}
    began_s = time.monotonic()
    pi.converse()
    loud = int(np.abs(pi.ear.since(began_s).astype(np.int32)).max())
    assert pi.kiosk.request("volume", percent=40) == {"volume": 40}
    began_s = time.monotonic()
    pi.converse()
    soft = int(np.abs(pi.ear.since(began_s).astype(np.int32)).max())
    assert 0 < soft < 0.7 * loud


def test_an_open_session_is_idle_on_the_wire(pi: Pi) -> None:
    pi.boot()
    pi.converse()
    time.sleep(1.5)
    before = pi.service.events("input.audio")
    time.sleep(1.0)
    assert pi.service.events("input.audio") == before
    until("silence", lambda: pi.ear.level(0.3) < 2)
