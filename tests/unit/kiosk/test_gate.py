"""A reply without words is not heard, and no reply is heard later for that."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekiosk.agent.events import AgentText, ReplyAudio, ReplyStarted
from voicekiosk.agent.lead import Intake
from voicekiosk.audio.card_queue import LOW_S
from voicekiosk.kiosk.downlink import A_MOMENT, Downlink
from voicekiosk.kiosk.gate import RUNNING_OUT_SAMPLES, Gate, has_words

SILENCE, NOISE = bytes(480), np.full(240, 3000, "<i2").tobytes()
PLENTY = RUNNING_OUT_SAMPLES + 1


class Loudspeaker:
    """Remembers what it was given; plays when the test says so."""

    def __init__(self):
        self.pcm, self.played, self.ended = b"", 0, False

    def play(self, pcm):
        self.pcm += pcm

    def end(self):
        self.ended = True

    def flush(self):
        self.played = self.enqueued_samples

    @property
    def played_samples(self):
        return self.played

    @property
    def enqueued_samples(self):
        return len(self.pcm) // 2

    @property
    def queued_samples(self):
        return self.enqueued_samples - self.played


@pytest.fixture
def kiosk():
    loudspeaker = Loudspeaker()
    return Downlink(lambda: loudspeaker, lambda *_: ""), loudspeaker


def test_silence_plays_at_once_and_sound_waits_for_a_word():
    gate = Gate(is_open=False)
    assert gate.take(SILENCE, 0) == [SILENCE]
    assert gate.take(NOISE, PLENTY) == []
    assert gate.take(SILENCE, PLENTY) == []
    assert gate.text("Yes") == [NOISE, SILENCE]
    assert gate.take(NOISE, PLENTY) == [NOISE]


def test_sound_follows_without_a_word_before_the_loudspeaker_runs_out():
    gate = Gate(is_open=False)
    assert gate.take(NOISE, PLENTY) == []
    assert gate.take(NOISE, RUNNING_OUT_SAMPLES) == [NOISE, NOISE]


@pytest.mark.parametrize("text", ["-", "–", "\ufeff", "&nbsp;", "…", " \u200b ", "- &nbsp;\n"])  # noqa: RUF001
def test_of_a_reply_that_says_nothing_nothing_is_heard(kiosk, text):
    downlink, loudspeaker = kiosk
    for _ in range(30):
        downlink.take("r", SILENCE, 0.0)
    downlink.take("r", NOISE, 0.0)
    downlink.text("r", text)
    loudspeaker.played = loudspeaker.enqueued_samples
    for _ in range(50):
        downlink.take("r", NOISE, 0.0)
    downlink.finish()
    assert not any(loudspeaker.pcm)
    assert loudspeaker.ended


def test_a_dash_before_the_words_does_no_harm(kiosk):
    downlink, loudspeaker = kiosk
    downlink.text("r", "-")
    downlink.take("r", NOISE, 0.0)
    downlink.text("r", "- Yes")
    assert loudspeaker.pcm == NOISE


def test_the_end_of_a_reply_of_pure_noise_is_still_told(kiosk):
    downlink, loudspeaker = kiosk
    downlink.text("r", "\ufeff")
    downlink.take("r", NOISE, 0.0)
    downlink.finish()
    assert loudspeaker.pcm == A_MOMENT
    assert loudspeaker.ended


def test_a_service_that_sends_no_text_at_all_is_heard(kiosk):
    downlink, loudspeaker = kiosk
    for _ in range(20):
        downlink.take("r", SILENCE, 0.0)
    downlink.take("r", NOISE, 0.0)
    downlink.finish()
    assert loudspeaker.pcm == SILENCE * 20 + NOISE


def test_a_reply_that_was_held_plays_from_its_start(kiosk):
    downlink, loudspeaker = kiosk
    downlink.hold()
    downlink.take("r", SILENCE, 0.0)
    downlink.take("r", NOISE, 0.0)
    downlink.text("r", "Yes")
    assert loudspeaker.pcm == b""
    downlink.play_held()
    assert loudspeaker.pcm == SILENCE + NOISE


def test_each_reply_has_a_gate_of_its_own(kiosk):
    downlink, loudspeaker = kiosk
    downlink.text("r1", "\ufeff")
    downlink.take("r1", NOISE, 0.0)
    downlink.flush()
    downlink.take("r2", NOISE, 0.0)
    assert loudspeaker.pcm == NOISE


@given(st.lists(st.sampled_from(["silence", "noise", "play", "word"]), max_size=60))
def test_a_reply_with_words_is_played_whole_and_in_order(steps):
    loudspeaker = Loudspeaker()
    downlink = Downlink(lambda: loudspeaker, lambda *_: "")
    came = b""
    for number, what in enumerate(steps):
        piece = SILENCE if what == "silence" else np.full(240, 3000 + number, "<i2").tobytes()
        match what:
            case "play":
                loudspeaker.played = loudspeaker.enqueued_samples
            case "word":
                downlink.text("r", "Yes")
            case _:
                came += piece
                downlink.take("r", piece, 0.0)
    downlink.text("r", "Yes")
    downlink.finish()
    assert loudspeaker.pcm == (came or A_MOMENT)


@pytest.mark.parametrize("text", ["a", "7", "é", "日", "- yes", "&nbsp;1"])
def test_letters_and_digits_of_any_script_are_words(text):
    assert has_words(text)


@pytest.mark.parametrize("words_ms", [0, 480, 900])
@pytest.mark.parametrize("silence_ms", range(0, 801, 10))
def test_the_loudspeaker_never_runs_dry_while_a_reply_waits_for_its_words(silence_ms: int, words_ms: int):
    """As the service sends it: 200 ms at once, then in time; read as seldom as the agent's side reads it."""
    loudspeaker, began = Loudspeaker(), ReplyStarted("r")
    downlink = Downlink(lambda: loudspeaker, lambda _id, _samples: "")
    intake = Intake(lambda audio: downlink.take("r", audio.pcm, 0.0))
    intake.follow(began, 60.0)
    sent, awake_ms, least = 0, 0.0, 24 * 1000
    for now_ms in range(2000):
        if now_ms >= awake_ms:
            if now_ms >= words_ms:
                intake.follow(AgentText("r", "hello", final=False, interrupted=False), 60.0)
                downlink.text("r", "hello")
            for number in range(sent, 20 + now_ms // 10):
                intake.hear(ReplyAudio("r", SILENCE if number * 10 < silence_ms else NOISE))
                sent += 1
            awake_ms = now_ms + 1000 * intake.hand_on(now_ms / 1000)
        least = min(least, loudspeaker.queued_samples)
        loudspeaker.played += 24
    assert least > 24_000 * LOW_S
