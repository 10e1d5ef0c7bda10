"""The button, through the kernel's line events: bounce, taps, a stuck contact, a press at any time."""

import time
from contextlib import closing

import pytest
from pirig import words
from pirig.kiosk import KEY, UNIT, systemctl
from pirig.pi import Pi, Question
from pirig.pins import Eye
from pirig.sound import MIC
from pirig.wait import until


@pytest.mark.parametrize("bounce_ms", [1, 2, 5, 10, 15, 20])
def test_a_contact_that_bounces_gives_one_question(pi: Pi, bounce_ms: int) -> None:
    # The guest's kernel tells of edges at its ticks, every 10 ms or later: what bounces for 20 ms out here may
    # bounce for 50 ms in there.
    pi.boot({"panel.button": {"debounce_ms": 100}})

    def bounce(*, closed: bool) -> None:
        end_s = time.monotonic() + bounce_ms / 1000
        pi.finger.contact(closed=closed)
        while time.monotonic() < end_s:
            pi.finger.contact(closed=not closed)
            time.sleep(0.0004)
            pi.finger.contact(closed=closed)
            time.sleep(0.0004)

    bounce(closed=True)
    pi.kiosk.wait_state("listening")
    pi.mouth.say(words.word())
    pi.mouth.wait()
    bounce(closed=False)
    pi.hear_answer()
    assert pi.kiosk.journal().count(": listening") == 1
    assert len(pi.service.connections[0]["turns"]) == 1


def test_a_short_tap_in_hold_mode_sends_no_question(pi: Pi) -> None:
    pi.boot()
    pi.finger.tap(0.06)
    time.sleep(0.5)
    assert pi.kiosk.state == "idle"
    assert pi.service.events("input.audio") <= 3, "at most what was on its way when the tap was recognised"
    assert not any(one["replies"] for one in pi.service.connections)


def test_in_toggle_mode_a_tap_begins_and_a_tap_ends_the_question(pi: Pi) -> None:
    pi.boot({"panel": {"mode": "toggle"}})
    pi.finger.tap()
    pi.kiosk.wait_state("listening")
    pi.mouth.say(words.question())
    pi.mouth.wait()
    assert pi.kiosk.state == "listening"
    pi.finger.tap()
    pi.hear_answer()


def test_in_toggle_mode_the_end_of_speech_ends_the_question_too(pi: Pi) -> None:
    pi.boot({"panel": {"mode": "toggle"}})
    pi.finger.tap()
    pi.kiosk.wait_state("listening")
    pi.mouth.say(words.question())
    pi.mouth.wait()
    pi.hear_answer()


def test_in_auto_mode_a_tap_latches_and_a_hold_does_not(pi: Pi) -> None:
    pi.boot({"panel": {"mode": "auto"}})
    pi.finger.tap()
    time.sleep(0.5)
    assert pi.kiosk.state == "listening"
    pi.mouth.say(words.question())
    pi.mouth.wait()
    pi.hear_answer()
    pi.converse()


def test_a_long_press_mutes_in_toggle_mode(pi: Pi) -> None:
    pi.boot({"panel": {"mode": "toggle"}})
    pi.finger.press()
    pi.kiosk.wait_state("muted", timeout_s=10)
    pi.finger.release()
    time.sleep(0.2)
    pi.finger.press()
    pi.kiosk.wait("to be unmuted", lambda status: not status["muted"], timeout_s=10)
    pi.finger.release()


def test_a_button_that_is_down_at_the_start_does_nothing_until_it_came_up(pi: Pi) -> None:
    pi.finger.press()
    pi.boot()
    time.sleep(1.0)
    assert pi.kiosk.state == "idle"
    assert not pi.kiosk.status()["microphone"]["open"]
    pi.finger.release()
    time.sleep(0.1)
    pi.converse()


def test_a_button_that_sticks_ends_the_question_at_its_limit_and_is_a_fault(pi: Pi) -> None:
    pi.boot({"conversation": {"max_hold_s": 5.0}})
    pi.finger.press()
    pi.kiosk.wait_state("listening")
    pi.mouth.say(words.long_question())
    pi.kiosk.wait("the limit", lambda status: not status["microphone"]["live"], timeout_s=10)
    status = pi.kiosk.wait("a fault", lambda status: status["state"] == "fault", timeout_s=20)
    assert "button" in status["reason"]
    pi.finger.release()
    pi.kiosk.wait_state("idle")
    pi.converse()


def test_a_button_that_is_active_high_works_the_other_way_round(pi: Pi) -> None:
    pi.finger.press()
    pi.boot({"panel.button": {"active_low": False}})
    pi.finger.release()
    pi.kiosk.wait_state("listening")
    pi.mouth.say(words.question())
    pi.mouth.wait()
    pi.finger.press()
    pi.hear_answer()


def test_a_press_while_connecting_is_the_next_question(pi: Pi) -> None:
    pi.boot(scenario={"ready.updated_ms": 4000.0})
    pi.ask()
    pi.kiosk.wait_state("connecting")
    second = pi.ask(words.recording("Rear_Left"))
    pi.hear_answer()
    found = pi.arrived(second)
    assert (found.lost, found.extra) == (0, 0)


def test_a_press_while_thinking_is_the_next_question(pi: Pi) -> None:
    pi.boot(scenario={"reply.first_audio_ms": 3000.0})
    pi.ask()
    pi.kiosk.wait_state("thinking")
    second = pi.ask(words.recording("Rear_Left"))
    pi.hear_answer()
    found = pi.arrived(second)
    assert (found.lost, found.extra) == (0, 0)


def test_a_press_while_reconnecting_is_heard_when_the_link_is_back(pi: Pi) -> None:
    pi.boot()
    pi.converse()
    pi.service.door(is_open=False)
    pi.finger.press()
    pi.kiosk.wait_state("listening")
    pi.service.drop()
    time.sleep(0.3)
    begin = pi.mouth.say(words.question())
    pi.mouth.wait()
    pi.finger.release()
    pi.kiosk.wait_state("reconnecting")
    pressed_s = pi.finger.press()
    pi.kiosk.wait_state("listening")
    begin = pi.mouth.say(words.recording("Rear_Left"))
    pi.mouth.wait()
    released_s = pi.finger.release()
    pi.service.door(is_open=True)
    pi.hear_answer()
    end = begin + len(words.recording("Rear_Left"))
    assert pi.arrived(Question(pressed_s, released_s, begin, end)).lost == 0


def test_a_press_while_offline_tries_the_link_at_once(pi: Pi) -> None:
    pi.service.door(is_open=False)
    pi.boot({"network": {"connect_timeout_s": 2.0}})
    pi.finger.press()
    pi.kiosk.wait("offline", lambda status: status["link"]["cause"], timeout_s=10)
    pi.finger.release()
    pi.kiosk.wait_state("offline", timeout_s=15)
    pi.service.door(is_open=True)
    pi.finger.tap(0.3)
    pi.kiosk.wait("the link", lambda status: status["link"]["state"] == "ready", timeout_s=10)
    pi.kiosk.wait_state("idle")
    pi.converse()


def test_a_press_without_a_microphone_says_so_and_works_once_it_is_back(pi: Pi) -> None:
    pi.boot()
    MIC.unplug()
    pi.finger.press()
    status = pi.kiosk.wait_state("fault")
    assert "Mic" in status["reason"]
    pi.finger.release()
    time.sleep(0.3)
    pi.finger.tap(0.4)
    time.sleep(0.3)
    assert pi.kiosk.state == "fault"
    MIC.plug()
    pi.kiosk.wait_state("idle")
    pi.converse()


def test_a_second_press_right_after_the_release_is_heard(pi: Pi) -> None:
    pi.boot()
    pi.ask(words.question())
    time.sleep(0.3)
    second = pi.ask(words.recording("Rear_Left"))
    pi.hear_answer()
    found = pi.arrived(second)
    assert (found.lost, found.extra) == (0, 0)


SLOW = {"name": "slow", "description": "Takes its time.", "command": ["/bin/sleep", "4"]}


def test_a_press_while_a_tool_works_is_the_next_question(pi: Pi) -> None:
    pi.boot({"tools": [SLOW]})
    pi.converse()
    pi.service.call("slow")
    pi.kiosk.wait_state("working")
    second = pi.ask(words.recording("Rear_Left"))
    pi.hear_answer()
    found = pi.arrived(second)
    assert (found.lost, found.extra) == (0, 0)


@pytest.mark.parametrize("tapped", [True, False], ids=["tapped", "left alone"])
def test_a_press_while_confirming_is_the_yes_and_no_press_the_no(pi: Pi, tapped: bool) -> None:
    tool = {"name": "door", "description": "Opens.", "builtin": "gpio", "output_gpio": 22, "pulse_s": 0.5}
    pi.boot({"tools": [{**tool, "confirm": "press"}]})
    pi.converse()
    with closing(Eye(22)) as output:
        pi.service.call("door")
        pi.kiosk.wait_state("confirming")
        pi.kiosk.wait("the question to be over", lambda _: pi.ear.level(0.3) < 2)
        if tapped:
            pi.finger.tap(0.2)
            until("the output to be on", lambda: output.lit)
        pi.kiosk.wait_state("idle", timeout_s=40)
        assert any(change.lit for change in output.changes) == tapped
    assert pi.service.events("tool.result") == 1
    pi.converse()


def test_presses_while_starting_leave_a_kiosk_that_works(pi: Pi) -> None:
    pi.kiosk.configure({})
    pi.listen()
    systemctl("start", "--no-block", UNIT)
    until("the process", lambda: pi.kiosk.pid)
    while pi.kiosk.show("ActiveState") != "active":
        pi.finger.tap(0.2)
    pi.kiosk.wait_state("idle")
    pi.converse()


def test_a_press_while_stopping_asks_nothing_and_delays_nothing(pi: Pi) -> None:
    pi.boot()
    pi.ask(words.two_recordings())
    pi.wait_loud()
    systemctl("stop", "--no-block", UNIT)
    pi.finger.press()
    until("the end", lambda: pi.kiosk.show("ActiveState") == "inactive", timeout_s=5)
    pi.finger.release()
    assert pi.kiosk.show("Result") == "success"
    assert pi.service.events("session.end") == 1
    assert len(pi.service.connections) == 1
    pi.kiosk.start()
    pi.kiosk.wait_state("idle")
    pi.converse()


def test_a_press_while_the_key_is_refused_opens_nothing(pi: Pi) -> None:
    KEY.write_text("not-the-key\n")
    pi.boot()
    pi.ask(wait_for_state=False)
    pi.kiosk.wait_state("fault", timeout_s=20)
    tried = len(pi.service.connections)
    pi.finger.press()
    time.sleep(1.0)
    status = pi.kiosk.status()
    pi.finger.release()
    assert status["state"] == "fault"
    assert not status["microphone"]["live"]
    assert len(pi.service.connections) == tried
