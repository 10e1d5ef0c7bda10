"""Sound cards as the kernel has them: rates and formats, overruns, plugs pulled, clocks that drift."""

import signal
import subprocess
import time

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
    question = pi.converse()
    assert pi.kiosk.status()["microphone"]["rate_hz"] == rate_hz
    found = pi.arrived(question)
    assert (found.lost, found.extra) == (0, 0)


@pytest.mark.parametrize("rate_hz", [11025, 44100])
def test_a_microphone_of_an_odd_rate_brings_the_whole_question(pi: Pi, rate_hz: int) -> None:
    from demolib import verify
    from voicekiosk.audio.resample import Resampler

    pi.mouth = Mouth(rate_hz=rate_hz)
    pi.boot()
    question = pi.converse()
    assert pi.kiosk.status()["microphone"]["rate_hz"] == rate_hz
    reference = Resampler(rate_hz, 24000).process(pi.mouth.tape[question.begin : question.end])
    correlation, _ = verify.compare(reference, np.concatenate(pi.service.received()))
    assert correlation > 0.99


def test_a_microphone_with_two_channels_of_32_bits_gives_its_chosen_channel(pi: Pi) -> None:
    pi.mouth = Mouth(channels=2, form="S32_LE")
    pi.boot({"audio.capture": {"device": "Mic", "channel": 1}})
    found = pi.arrived(pi.converse())
    facts = pi.kiosk.status()["microphone"]
    assert (facts["channels"], facts["format"]) == (2, "S32_LE")
    assert (found.lost, found.extra) == (0, 0)


@pytest.mark.parametrize(("rate_hz", "channels"), [(16000, 1), (44100, 2), (96000, 2)])
def test_a_loudspeaker_of_another_rate_plays_the_answer_whole(pi: Pi, rate_hz: int, channels: int) -> None:
    pi.ear = Ear(rate_hz=rate_hz, channels=channels)
    pi.boot()
    question = pi.converse()
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
    time.sleep(1.0)
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
    assert 0.5 < facts["missed_frames"] / 48000 < 1.2, (
        "a second stood still, and 0.2 s of it fit into the card"
    )
    found = pi.arrived(Question(pressed_s, released_s, begin, begin + len(clip)))
    assert (found.lost, found.extra) == (0, 0)


def test_an_underrun_is_counted_and_the_answer_goes_on(pi: Pi) -> None:
    pi.boot()
    pi.ask(words.long_question())
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


@pytest.mark.parametrize("state", ["thinking", "speaking"])
def test_a_microphone_unplugged_later_does_not_disturb_the_answer(pi: Pi, state: str) -> None:
    pi.boot(scenario={"reply.first_audio_ms": 1000.0})
    pi.ask()
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
    until("no cards", lambda: not (MIC.plugged or SPEAKER.plugged))
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


@pytest.mark.parametrize("ppm", [-3000, 3000])
def test_clocks_that_drift_apart_lose_nothing_and_add_no_delay(pi: Pi, ppm: int) -> None:
    """A pair of cheap cards is some 100 ppm apart; ten times that shows in half a minute."""
    _shift("Mic", ppm)
    _shift("Speaker", -ppm)
    try:
        pi.boot()
        clip = np.concatenate([words.long_question()] * 4)
        question = pi.converse(clip, timeout_s=60)
        facts = pi.kiosk.status()
        found = pi.arrived(question)
        assert (found.lost, found.extra) == (0, 0)
        assert facts["microphone"]["overruns"] == 0
        # The end of the question came as soon after the release as that of a short one does.
        pi.kiosk.stop()
        pi.service.end()
        (connection,) = server.read(pi.record)
        last_s = _last_voice_s(connection)
        assert last_s - question.released_s < 1.0
        pi.service.begin()
    finally:
        _shift("Mic", 0)
        _shift("Speaker", 0)


@pytest.mark.long
def test_an_hour_of_drift_adds_no_delay(pi: Pi) -> None:
    _shift("Mic", 300)
    _shift("Speaker", -300)
    try:
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
    """Let a card's clock run too fast by so much."""
    value = 100000 + ppm // 10
    done = subprocess.run(
        ["amixer", "-q", "-c", card, "cset", "iface=PCM,name=PCM Rate Shift 100000", str(value)],
        capture_output=True, text=True, timeout=10, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def _last_voice_s(connection: server.Connection) -> float:
    """Return when the last audio that was not silence came."""
    import base64

    voice = [
        frame.t_s
        for frame in connection.frames
        if frame.type == "input.audio" and any(base64.b64decode(frame.content["audio"]))
    ]
    return max(voice)
