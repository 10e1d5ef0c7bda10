"""The wire: slow, lossy, cut, half open, at another address, without names."""

import time

import numpy as np
import pytest
from pirig import words
from pirig.pi import Pi, Question
from pirig.service import NAME, PORT
from pirig.wait import until

WIRES = {
    "delay 250 ms": ("delay", "125ms"),
    "delay 80 ms with 40 ms of jitter": ("delay", "40ms", "20ms"),
    "loss 3 %": ("delay", "10ms", "loss", "3%"),
    "loss 10 %": ("delay", "10ms", "loss", "10%"),
    "reorder 25 %": ("delay", "20ms", "reorder", "25%", "50%"),
    "duplicate 10 %": ("duplicate", "10%"),
    "corrupt 1 %": ("delay", "5ms", "corrupt", "1%"),
    "rate 1 Mbit/s": ("rate", "1mbit"),
}


@pytest.mark.parametrize("wire", WIRES)
def test_a_bad_wire_loses_no_sample_of_the_question(pi: Pi, wire: str) -> None:
    pi.boot()
    pi.network.netem(*WIRES[wire])
    question = pi.converse(words.question(), timeout_s=40)
    assert pi.arrived(question).lost == 0


SLOW_TOOL = {"name": "slow", "description": "Takes its time.", "command": ["/bin/sleep", "3"]}


def _ask_over(pi: Pi, fault: str, state: str) -> Question:
    """Ask a question, and have the fault come in the given state; return the question."""
    if state == "idle":
        _break(pi, fault)
        time.sleep(1.0)
        question = pi.ask(words.question(), wait_for_state=False)
        _mend(pi, fault)
        return question
    pressed_s = pi.finger.press()
    pi.kiosk.wait_state("listening")
    # Long enough that the fault comes and goes in the middle, or that there is an answer to break off.
    clips = {"listening": words.three_recordings, "speaking": words.two_recordings}
    clip = clips.get(state, words.question)()
    begin = pi.mouth.say(clip)
    if state == "listening":
        time.sleep(1.0)
        _break(pi, fault)
        time.sleep(2.0)
        _mend(pi, fault)
    pi.mouth.wait()
    time.sleep(0.1)
    released_s = pi.finger.release()
    if state in ("connecting", "thinking", "speaking"):
        pi.kiosk.wait_state(state)
        if state == "speaking":
            pi.wait_loud()
        _break(pi, fault)
        time.sleep(3.0)
        _mend(pi, fault)
    return Question(pressed_s, released_s, begin, begin + len(clip))


def _break(pi: Pi, fault: str) -> None:
    match fault:
        case "cut":
            pi.network.cut()
        case "half open":
            pi.network.blackhole()
        case "dropped":
            pi.service.door(is_open=False)
            pi.service.drop()
        case "another address":
            pi.network.address("10.9.0.1", "10.9.0.7")


def _mend(pi: Pi, fault: str) -> None:
    match fault:
        case "cut":
            pi.network.mend()
        case "half open":
            pi.network.netem("delay", "0ms")
        case "dropped":
            pi.service.door(is_open=True)


FAULTS = ("cut", "half open", "dropped", "another address")
STATES = ("idle", "connecting", "listening", "thinking", "speaking")
CASES = [(fault, state, "grant") for fault in FAULTS for state in STATES]
# What is lost with the session is the same whatever broke the wire.
CASES += [("dropped", state, "refuse") for state in STATES if state != "connecting"]


@pytest.mark.parametrize(("fault", "state", "resume"), CASES)
def test_the_conversation_goes_on(pi: Pi, fault: str, state: str, resume: str) -> None:
    if fault != "dropped":
        # Over a wire that is broken no silence arrives that goes on until the turn is closed.
        pi.allowed_rules |= {22}
    # It has to be connecting still when the question has been asked, which takes more than two seconds.
    slow = {"ready.updated_ms": 4000.0} if state == "connecting" else {}
    pi.boot(scenario={"lifecycle.resume": resume, "reply.first_audio_ms": 800.0, **slow})
    if state == "idle":
        # So that there is a session to lose.
        pi.converse()
    question = _ask_over(pi, fault, state)
    mended_s = time.monotonic()
    pi.kiosk.wait_state("speaking", timeout_s=40)
    pi.kiosk.wait_state("idle", timeout_s=40)
    assert np.abs(pi.ear.since(mended_s)).max() > 1000, "an answer was heard, or the rest of it"
    records = reversed(pi.service.received())
    in_one = any(pi.search(question, record).lost == 0 for record in records)
    assert in_one or pi.arrived(question).lost == 0, "the whole question arrived"
    pi.network.reset()
    found = pi.arrived(pi.converse(), newest_s=10)
    assert (found.lost, found.extra) == (0, 0)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wire_that_breaks_while_a_tool_works_does_not_end_the_conversation(pi: Pi, fault: str) -> None:
    pi.boot({"tools": [SLOW_TOOL]}, scenario={"lifecycle.resume": "grant"})
    pi.converse()
    pi.service.call("slow")
    pi.kiosk.wait_state("working")
    # A call whose reply is cut off with the wire is void; this one's is over.
    time.sleep(0.8)
    _break(pi, fault)
    time.sleep(3.0)
    _mend(pi, fault)
    pi.kiosk.wait_state("idle", timeout_s=40)
    pi.network.reset()
    found = pi.arrived(pi.converse(), newest_s=10)
    assert (found.lost, found.extra) == (0, 0)


def test_a_session_that_cannot_be_resumed_is_told_the_question_again(pi: Pi) -> None:
    pi.boot(scenario={"lifecycle.resume": "refuse"})
    pi.converse()
    question = _ask_over(pi, "dropped", "listening")
    pi.hear_answer(40)
    assert 0 in [pi.search(question, record).lost for record in pi.service.received()[1:]]


def test_a_name_that_does_not_resolve_at_first_is_asked_again(pi: Pi) -> None:
    pi.service.names("silent")
    pi.boot({"agent": {"url": f"ws://{NAME}:{PORT}/v1/ws"}})
    pi.ask(wait_for_state=False)
    status = pi.kiosk.wait("the cause", lambda status: status["link"]["cause"] in ("dns", "timeout"), 25)
    assert NAME in status["link"]["detail"]
    pi.service.names("answer")
    pi.kiosk.wait("the link", lambda status: status["link"]["state"] == "ready", 40)
    pi.kiosk.wait_state("idle", timeout_s=40)
    pi.converse()


@pytest.mark.parametrize("failure", ["silent", "fail"])
def test_a_name_server_that_goes_away_does_not_keep_us_from_a_known_address(pi: Pi, failure: str) -> None:
    pi.boot({"agent": {"url": f"ws://{NAME}:{PORT}/v1/ws"}, "conversation": {"keep_open_s": 1.0}})
    pi.converse()
    pi.kiosk.wait("the session to be closed", lambda status: status["link"]["state"] == "closed")
    pi.service.names(failure)
    pi.converse(timeout_s=30)
    assert len(pi.service.connections) == 2


def test_a_name_server_that_goes_away_while_a_session_is_open_is_not_noticed(pi: Pi) -> None:
    pi.boot({"agent": {"url": f"ws://{NAME}:{PORT}/v1/ws"}}, scenario={"lifecycle.resume": "grant"})
    pi.converse()
    pi.service.names("silent")
    found = pi.arrived(pi.converse(), connections=1)
    assert (found.lost, found.extra) == (0, 0)
    pi.service.drop()
    pi.kiosk.wait("the way back", lambda _: len(pi.service.connections) > 1)
    pi.converse(timeout_s=30)


def test_the_service_moves_to_another_address(pi: Pi) -> None:
    import subprocess

    move = ["ip", "-n", "service", "addr"]
    pi.boot({"agent": {"url": f"ws://{NAME}:{PORT}/v1/ws"}, "conversation": {"keep_open_s": 1.0}})
    pi.converse()
    pi.kiosk.wait("the session to be closed", lambda status: status["link"]["state"] == "closed")
    try:
        subprocess.run([*move, "add", "10.9.0.9/24", "dev", "service0"], check=True, timeout=10)
        pi.service.names(address="10.9.0.9")
        pi.converse(timeout_s=30)
    finally:
        subprocess.run([*move, "del", "10.9.0.9/24", "dev", "service0"], check=True, timeout=10)


def test_a_kiosk_without_network_starts_and_is_offline_at_a_press_only(pi: Pi) -> None:
    pi.network.cut()
    pi.boot({"network": {"connect_timeout_s": 2.0}})
    assert pi.eye.lit_share(time.monotonic() - 0.2, time.monotonic()) == 0.0
    pi.ask(wait_for_state=False)
    pi.kiosk.wait_state("offline", timeout_s=30)
    pi.network.mend()
    pi.kiosk.wait_state("idle", timeout_s=30)
    pi.converse()


def test_a_question_asked_without_network_is_answered_when_it_is_kept_until_there_is_one(pi: Pi) -> None:
    pi.network.cut()
    pi.boot({"network": {"connect_timeout_s": 2.0}, "conversation": {"keep_question_s": 60.0}})
    question = pi.ask(wait_for_state=False)
    pi.kiosk.wait_state("offline", timeout_s=30)
    pi.network.mend()
    pi.hear_answer(40)
    found = pi.arrived(question)
    assert (found.lost, found.extra) == (0, 0)


def test_a_service_that_is_overloaded_is_tried_again(pi: Pi) -> None:
    pi.boot(scenario={"door.http_status": 503, "door.times": 2})
    question = pi.ask(wait_for_state=False)
    pi.hear_answer(40)
    assert pi.arrived(question).lost == 0


def test_a_wire_that_stalls_for_a_second_is_no_loss(pi: Pi) -> None:
    pi.boot()
    pi.converse()
    pi.finger.press()
    pi.kiosk.wait_state("listening")
    clip = words.two_recordings()
    begin = pi.mouth.say(clip)
    time.sleep(1.0)
    pi.network.stall(1.0, most_s=1.3)
    pi.mouth.wait()
    pi.finger.release()
    pi.hear_answer()
    assert pi.arrived(Question(0, 0, begin, begin + len(clip)), connections=1).lost == 0


def test_jitter_on_the_way_down_does_not_break_the_answer(pi: Pi) -> None:
    pi.boot({"audio.playback": {"device": "Speaker", "volume": 100, "cushion_ms": 300}})
    # With a rate netem keeps the order; without, TCP would hold the wire for full and slow down.
    pi.network.down("delay", "100ms", "60ms", "rate", "10mbit")
    pi.converse(words.long_question())
    assert pi.kiosk.status()["loudspeaker"]["starved"] == 0
    until("silence", lambda: pi.ear.level(0.3) < 2)
