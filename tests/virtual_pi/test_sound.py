"""Sound cards as the kernel has them: rates and formats, overruns, plugs pulled, clocks that drift."""

import base64
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import alsaaudio
import numpy as np
import pytest
from pirig import words
from pirig.pi import Pi, Question
from pirig.sound import MIC, SPEAKER, Ear, Mouth
from pirig.wait import until

from demolib import server

EXACT_HZ = (8000, 16000, 24000, 32000, 48000, 96000)


@pytest.mark.parametrize("rate_hz", EXACT_HZ)
def test_a_microphone_of_another_rate_loses_no_sample(pi: Pi, rate_hz: int) -> None:
    pi.mouth = Mouth(rate_hz=rate_hz)
    pi.boot()
    question = pi.converse(words.question(rate_hz))
    assert pi.kiosk.status()["microphone"]["rate_hz"] == rate_hz
    found = pi.arrived(question)
    assert (found.lost, found.extra) == (0, 0)


@pytest.mark.parametrize("rate_hz", [11025, 44100])
def test_a_microphone_of_an_odd_rate_brings_the_whole_question(pi: Pi, rate_hz: int) -> None:
    from demolib import verify
    from voicekiosk.audio.resample import Resampler

    pi.mouth = Mouth(rate_hz=rate_hz)
    pi.boot()
    question = pi.converse(words.question(rate_hz))
    assert pi.kiosk.status()["microphone"]["rate_hz"] == rate_hz
    reference = Resampler(rate_hz, 24000).process(pi.mouth.tape[question.begin : question.end])
    correlation, _ = verify.compare(reference, np.concatenate(pi.service.received()))
    assert correlation > 0.99


def test_a_microphone_with_two_channels_of_32_bits_gives_its_chosen_channel(pi: Pi) -> None:
    pi.mouth = Mouth(channels=2, form="S32_LE")
    pi.boot({"audio.capture": {"device": "Mic", "channel": 1}})
    found = pi.arrived(pi.converse(words.question()))
    facts = pi.kiosk.status()["microphone"]
    assert (facts["channels"], facts["format"]) == (2, "S32_LE")
    assert (found.lost, found.extra) == (0, 0)


@pytest.mark.parametrize(("rate_hz", "channels"), [(16000, 1), (44100, 2), (96000, 2)])
def test_a_loudspeaker_of_another_rate_plays_the_answer_whole(pi: Pi, rate_hz: int, channels: int) -> None:
    pi.ear = Ear(rate_hz=rate_hz, channels=channels)
    pi.boot()
    question = pi.converse(words.question())
    facts = pi.kiosk.status()["loudspeaker"]
    assert (facts["rate_hz"], facts["channels"]) == (rate_hz, channels)
    pi.kiosk.stop()
    pi.service.end()
    (connection,) = server.read(pi.record)
    assert pi.heard(connection.replies[0].samples, question.released_s) > 0.98
    pi.service.begin()


def test_an_overrun_is_counted_and_filled_and_what_follows_is_whole(pi: Pi) -> None:
    pi.boot()
    pressed_s = pi.finger.press()
    pi.kiosk.wait_state("listening")
    pi.mouth.say(words.question())
    time.sleep(0.5)
    pi.kiosk.kill(signal.SIGSTOP)
    stopped_s = time.monotonic()
    time.sleep(1.0)
    stopped_s = time.monotonic() - stopped_s
    pi.kiosk.kill(signal.SIGCONT)
    pi.mouth.wait()
    time.sleep(0.3)
    clip = words.recording("Rear_Left")
    begin = pi.mouth.say(clip)
    pi.mouth.wait()
    released_s = pi.finger.release()
    pi.hear_answer()
    facts = pi.kiosk.status()["microphone"]
    assert facts["overruns"] >= 1
    assert facts["reopened"] == 0
    # 0.2 s of it fit into the card, and all of it is missing when that was full; and 0.2 s to stop and go on.
    assert stopped_s - 0.4 < facts["missed_frames"] / 48000 < stopped_s + 0.4
    found = pi.arrived(Question(pressed_s, released_s, begin, begin + len(clip)))
    assert (found.lost, found.extra) == (0, 0)


def test_an_underrun_is_counted_and_the_answer_goes_on(pi: Pi) -> None:
    pi.boot()
    pi.ask(words.two_recordings())
    pi.kiosk.wait_state("speaking")
    pi.wait_loud()
    pi.kiosk.kill(signal.SIGSTOP)
    time.sleep(0.6)
    pi.kiosk.kill(signal.SIGCONT)
    pi.wait_loud()
    pi.kiosk.wait_state("idle", timeout_s=30)
    facts = pi.kiosk.status()["loudspeaker"]
    assert facts["underruns"] >= 1
    assert facts["fault"] == ""
    pi.converse()


def test_a_microphone_unplugged_while_idle_is_not_even_noticed(pi: Pi) -> None:
    pi.boot()
    MIC.unplug()
    time.sleep(0.7)
    assert pi.kiosk.state == "idle"
    MIC.plug()
    time.sleep(0.3)
    pi.converse()


def test_a_microphone_unplugged_in_a_question_keeps_what_was_said(pi: Pi) -> None:
    pi.boot()
    pressed_s = pi.finger.press()
    pi.kiosk.wait_state("listening")
    begin = pi.mouth.say(words.question())
    pi.mouth.wait()
    first = Question(pressed_s, 0, begin, begin + len(words.question()))
    time.sleep(0.2)
    MIC.unplug()
    pi.kiosk.wait("the loss", lambda status: status["microphone"]["fault"])
    MIC.plug()
    pi.kiosk.wait("the microphone", lambda status: status["microphone"]["open"])
    time.sleep(0.4)
    clip = words.recording("Rear_Left")
    begin = pi.mouth.say(clip)
    pi.mouth.wait()
    time.sleep(0.1)
    second = Question(pressed_s, pi.finger.release(), begin, begin + len(clip))
    pi.hear_answer()
    for question in (first, second):
        found = pi.arrived(question)
        assert (found.lost, found.extra) == (0, 0)


def test_a_microphone_unplugged_while_connecting_loses_nothing_of_the_question(pi: Pi) -> None:
    pi.boot(scenario={"ready.updated_ms": 4000.0})
    question = pi.ask(words.question())
    pi.kiosk.wait_state("connecting")
    MIC.unplug()
    pi.wait_loud()
    pi.wait_quiet()
    found = pi.arrived(question)
    assert (found.lost, found.extra) == (0, 0)
    MIC.plug()
    pi.kiosk.wait_state("idle")
    pi.converse()


def test_a_microphone_unplugged_while_reconnecting_loses_nothing_of_the_question(pi: Pi) -> None:
    pi.boot()
    pi.converse()
    pi.service.door(is_open=False)
    pi.finger.press()
    pi.kiosk.wait_state("listening")
    pi.service.drop()
    begin = pi.mouth.say(words.question())
    pi.mouth.wait()
    pi.finger.release()
    pi.kiosk.wait_state("reconnecting")
    time.sleep(0.5)
    MIC.unplug()
    pi.service.door(is_open=True)
    pi.wait_loud(40)
    pi.wait_quiet()
    question = Question(0, 0, begin, begin + len(words.question()))
    assert pi.arrived(question).lost == 0
    MIC.plug()
    pi.kiosk.wait_state("idle")
    pi.converse()


def test_a_loudspeaker_unplugged_while_idle_plays_when_it_is_back(pi: Pi) -> None:
    pi.boot()
    SPEAKER.unplug()
    time.sleep(0.7)
    SPEAKER.plug()
    pi.kiosk.wait("the loudspeaker", lambda status: not status["loudspeaker"]["fault"])
    pi.kiosk.wait_state("idle")
    began_s = time.monotonic()
    pi.converse()
    assert np.abs(pi.ear.since(began_s)).max() > 1000


@pytest.mark.parametrize("state", ["thinking", "speaking"])
def test_a_microphone_unplugged_later_does_not_disturb_the_answer(pi: Pi, state: str) -> None:
    pi.boot(scenario={"reply.first_audio_ms": 1000.0})
    pi.ask(words.question())
    pi.kiosk.wait_state(state)
    MIC.unplug()
    pi.wait_loud()
    pi.wait_quiet()
    MIC.plug()
    pi.kiosk.wait_state("idle")
    pi.converse()


@pytest.mark.parametrize("state", ["listening", "thinking", "speaking"])
def test_a_loudspeaker_unplugged_is_a_fault_until_it_is_back(pi: Pi, state: str) -> None:
    pi.boot(scenario={"reply.first_audio_ms": 1500.0})
    pi.finger.press()
    pi.kiosk.wait_state("listening")
    if state == "listening":
        SPEAKER.unplug()
    pi.mouth.say(words.question())
    pi.mouth.wait()
    pi.finger.release()
    if state != "listening":
        pi.kiosk.wait_state(state)
        SPEAKER.unplug()
    pi.kiosk.wait("the loss", lambda status: status["loudspeaker"]["fault"])
    SPEAKER.plug()
    pi.kiosk.wait("the loudspeaker", lambda status: not status["loudspeaker"]["fault"])
    pi.kiosk.wait_state("idle", timeout_s=30)
    began_s = time.monotonic()
    pi.converse()
    assert np.abs(pi.ear.since(began_s)).max() > 1000


def test_a_kiosk_without_sound_cards_starts_and_takes_them_when_they_come(pi: Pi) -> None:
    MIC.unplug()
    SPEAKER.unplug()
    pi.kiosk.start()
    pi.kiosk.wait_state("fault")
    MIC.plug()
    SPEAKER.plug()
    pi.listen()
    pi.kiosk.wait_state("idle")
    pi.converse()


def test_a_microphone_that_another_program_holds_is_taken_when_it_is_free(pi: Pi) -> None:
    pi.boot()
    thief = alsaaudio.PCM(type=alsaaudio.PCM_CAPTURE, device="hw:CARD=Mic,DEV=0", rate=48000, channels=1)
    thief.read()
    pi.finger.press()
    status = pi.kiosk.wait_state("fault")
    assert "another program" in status["reason"]
    pi.finger.release()
    thief.close()
    pi.kiosk.wait_state("idle")
    pi.converse()


def test_a_microphone_that_gives_only_zeros_is_a_fault_and_no_reason_to_restart(pi: Pi) -> None:
    pi.boot()
    pid = pi.kiosk.pid
    pi.mouth.dead = True
    time.sleep(0.5)
    pi.finger.press()
    status = pi.kiosk.wait(
        "the fault",
        lambda status: "fault" in (status["state"], status["lamp"]) or status["reason"],
        timeout_s=15,
    )
    assert "microphone" in status["reason"] or "silen" in status["reason"]
    pi.finger.release()
    pi.mouth.dead = False
    pi.kiosk.wait_state("idle", timeout_s=25)
    pi.converse()
    assert pi.kiosk.pid == pid


DRIFT_PPM = 3000
"""A pair of cheap cards is some 100 ppm apart; thirty times that shows in 20 s: 60 ms.

Much more could not be kept up with: nothing may be sent faster than it is spoken but 0.15 s, and nothing is
played that has not come yet but the cushion's 0.06 s.
"""
GROWTH_S = 0.03
"""How much later the end may be than the beginning: half of what the clocks are apart then."""


@pytest.mark.parametrize("ppm", [pytest.param(-DRIFT_PPM, marks=pytest.mark.long), DRIFT_PPM])
def test_a_microphone_whose_clock_drifts_loses_nothing_and_adds_no_delay(
    pi: Pi, ppm: int, figure: Any
) -> None:
    with _shifted(mic=ppm):
        pi.boot(scenario={"reply.content": "empty"})
        # So that the session is open, and nothing has to catch up.
        pi.ask()
        pi.kiosk.wait_state("idle")
        question = pi.ask(np.concatenate([words.long_question()] * 4))
        pi.kiosk.wait("the end of the turn", lambda status: status["state"] != "listening")
        time.sleep(1.0)
        assert pi.kiosk.status()["microphone"]["overruns"] == 0
        found = pi.arrived(question, connections=1)
        assert (found.lost, found.extra) == (0, 0)
        rate_hz, zero_s = pi.mouth.clock(question.pressed_s)
        assert rate_hz / pi.mouth.rate_hz - 1 == pytest.approx(ppm / 1e6, abs=500 / 1e6), "it does drift"
        pi.kiosk.stop()
        pi.service.end()
        (connection,) = server.read(pi.record)
        pi.service.begin()
    # How long after it was heard each part of the question arrived, but for a constant.
    delays_s: list[float] = []
    sent, heard_s = 0, question.released_s - question.pressed_s
    for frame in connection.frames:
        asked = frame.type == "input.audio" and frame.t_s > question.pressed_s
        if asked and sent < heard_s * 24000:
            sent += len(base64.b64decode(frame.content["audio"])) // 2
            delays_s.append(frame.t_s - (zero_s + sent * 2 / rate_hz))
    tenth = len(delays_s) // 10
    growth_s = float(np.median(delays_s[-tenth:]) - np.median(delays_s[tenth : 2 * tenth]))
    figure(f"growth_of_delay_with_a_microphone_{ppm}_ppm_off_ms", round(growth_s * 1000, 1))
    assert abs(growth_s) < GROWTH_S


@pytest.mark.parametrize("ppm", [-DRIFT_PPM, pytest.param(DRIFT_PPM, marks=pytest.mark.long)])
def test_a_loudspeaker_whose_clock_drifts_plays_all_of_a_long_answer(pi: Pi, ppm: int) -> None:
    with _shifted(speaker=ppm):
        # The guest's one processor is late now and then by more than the card holds; that is not what is tried.
        pi.boot({"audio.playback": {"queue_ms": 120}})
        question = pi.converse(np.concatenate([words.long_question()] * 3), timeout_s=60)
        facts = pi.kiosk.status()["loudspeaker"]
        rate_hz = pi.ear.clock_hz(question.released_s)
        assert rate_hz / pi.ear.rate_hz - 1 == pytest.approx(ppm / 1e6, abs=500 / 1e6), "it does drift"
        assert (facts["underruns"], facts["starved"]) == (0, 0)
        again = pi.converse()
        pi.kiosk.stop()
        pi.service.end()
        (connection,) = server.read(pi.record)
        pi.service.begin()
    first, second = connection.replies
    assert pi.heard(first.samples, question.released_s, until_s=again.pressed_s) > 0.98
    assert pi.heard(second.samples, again.released_s) > 0.98


@pytest.mark.long
def test_an_hour_of_drift_adds_no_delay(pi: Pi) -> None:
    with _shifted(mic=300, speaker=-300):
        pi.boot({"conversation": {"keep_open_s": 600.0}})
        end_s = time.monotonic() + 3600
        delays: list[float] = []
        while time.monotonic() < end_s:
            question = pi.ask()
            delays.append(pi.wait_loud() - question.released_s)
            pi.kiosk.wait_state("idle")
            time.sleep(20)
        assert np.median(delays[-10:]) - np.median(delays[:10]) < 0.1
        facts = pi.kiosk.status()
        assert facts["microphone"]["overruns"] == 0
        assert facts["loudspeaker"]["underruns"] == 0


@contextmanager
def _shifted(*, mic: int = 0, speaker: int = 0) -> Iterator[None]:
    """Let the cards' clocks run too fast by so many ppm."""
    _shift("Mic", mic)
    _shift("Speaker", speaker)
    try:
        yield
    finally:
        _shift("Mic", 0)
        _shift("Speaker", 0)


def test_pulling_plugs_at_random_never_ends_the_daemon(pi: Pi) -> None:
    pi.boot()
    pid = pi.kiosk.pid
    rng = np.random.default_rng(7)
    pi.finger.press()
    for card in rng.permutation([0, 1, 0, 1, 0, 1]):
        cable = MIC if card == 0 else SPEAKER
        cable.unplug()
        time.sleep(float(rng.uniform(0.05, 0.4)))
        until("the plug to be out", lambda cable=cable: not cable.plugged)
        cable.plug()
        time.sleep(float(rng.uniform(0.05, 0.4)))
    pi.finger.release()
    pi.kiosk.wait_state("idle", timeout_s=40)
    pi.converse()
    assert pi.kiosk.pid == pid


def _shift(card: str, ppm: int) -> None:
    # A cable has the clock of the device that records at its end: the kiosk's 0, or the ear's 1. The control says
    # how long a period lasts, in 1/100000 of what it should: more is slower.
    device = {"Mic": 0, "Speaker": 1}[card]
    control = f"iface=PCM,name=PCM Rate Shift 100000,device={device}"
    done = subprocess.run(
        ["amixer", "-q", "-c", card, "cset", control, str(round(100000 / (1 + ppm / 1e6)))],
        capture_output=True, text=True, timeout=10, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
