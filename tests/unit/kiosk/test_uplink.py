"""The way up, from a ring to what the service is sent."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicekiosk.audio.resample import Resampler
from voicekiosk.audio.ring import Ring
from voicekiosk.kiosk.uplink import MOST_SILENCE_SAMPLES, Uplink
from voicekiosk.kiosk.utterance import RATE_HZ


@dataclass
class Microphone:
    """A ring that is written in periods of 20 ms, and the sound that goes into it."""

    rate_hz: int = 48000
    ring: Ring = field(init=False)
    woken: int = 0

    def __post_init__(self):
        self.ring = Ring(65 * self.rate_hz, self._wake)
        rng = np.random.default_rng(self.rate_hz)
        self.sound = rng.integers(-12000, 12000, self.rate_hz * 70).astype(np.int16)

    def _wake(self):
        self.woken += 1

    def hear(self, frames):
        start = self.ring.written
        self.ring.write(self.sound[start : start + frames])


@dataclass
class Wire:
    """What goes to the service, with the time."""

    frames: list = field(default_factory=list)
    full: bool = False
    done: list = field(default_factory=list)
    now_s: float = 100.0

    def send(self, pcm):
        if self.full:
            return False
        self.frames.append((self.now_s, pcm))
        return True

    @property
    def samples(self):
        return np.frombuffer(b"".join(pcm for _, pcm in self.frames), "<i2")


class Rig:
    def __init__(self, rate_hz=48000):
        self.mic = Microphone(rate_hz)
        self.wire = Wire()
        self.up = Uplink(self.wire.send, self.wire.done.append)
        self.due_s = float("inf")
        self.woken = self.pumped = 0

    def run(self, seconds, *, hear=True, fast_ppm=0):
        """Let time pass in periods of 20 ms; pump when the ring wakes us or a frame falls due."""
        started = self.mic.ring.written
        for period in range(1, round(seconds / 0.02) + 1):
            end_s = self.wire.now_s + 0.02
            for _ in range(50):
                if self.due_s > end_s or not self.up.busy:
                    break
                self.wire.now_s = max(self.wire.now_s, self.due_s)
                self.pump()
            self.wire.now_s = end_s
            if hear:
                heard = round(period * (1 + fast_ppm / 1e6) * self.mic.rate_hz / 50)
                self.mic.hear(started + heard - self.mic.ring.written)
            if self.mic.woken != self.woken:
                self.woken = self.mic.woken
                self.pump()

    def pump(self):
        self.pumped += 1
        self.due_s = self.up.pump(self.wire.now_s) if self.up.busy else float("inf")

    def expected(self, first_frame, end_frame):
        """What our resampler makes of the whole sound, cut to the part that was asked for."""
        resampler = Resampler(self.mic.rate_hz, RATE_HZ)
        step = self.mic.rate_hz // np.gcd(self.mic.rate_hz, RATE_HZ)
        out = resampler.process(self.mic.sound[first_frame % step :])
        ratio = RATE_HZ / self.mic.rate_hz
        skip = round(resampler.delay_s * RATE_HZ)
        begin = round((first_frame - first_frame % step) * ratio) + skip
        # The last of it stays out: there the filter looks at what comes after the end.
        return out[begin : begin + int((end_frame - first_frame) * ratio) - 2 * skip]


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000, 44100, 48000, 96000])
def test_what_is_sent_is_what_was_heard_from_the_press_to_the_release(rate_hz):
    rig = Rig(rate_hz)
    rig.run(1.0)
    start = rate_hz * 9 // 10 + 7
    rig.up.connected()
    rig.up.begin(rig.mic, start)
    rig.run(1.0)
    end = rig.mic.ring.written + rate_hz // 100
    rig.up.end(end, rig.wire.now_s)
    rig.run(1.0)
    expected = rig.expected(start, end)
    sent = rig.wire.samples
    assert np.array_equal(sent[: len(expected)], expected)
    assert not np.any(sent[len(expected) + RATE_HZ // 20 :]), "silence follows"


def test_the_first_frame_leaves_with_the_first_period_and_later_ones_carry_100_ms():
    rig = Rig()
    rig.up.connected()
    rig.up.begin(rig.mic, 0)
    rig.run(0.02)
    assert len(rig.wire.frames) == 1
    rig.run(0.4)
    assert {len(pcm) for _, pcm in rig.wire.frames[1:]} == {2 * 2400}


def test_the_loop_is_woken_once_a_frame_and_never_while_idle():
    rig = Rig()
    rig.run(1.0)
    assert rig.mic.woken == 0
    rig.up.connected()
    rig.up.begin(rig.mic, rig.mic.ring.written)
    rig.run(2.0)
    assert rig.mic.woken <= 2.0 / 0.1 + 2


def test_what_was_said_before_the_link_was_there_goes_out_whole_and_paced():
    rig = Rig()
    rig.up.begin(rig.mic, 0)
    rig.run(0.5)
    assert not rig.wire.frames
    rig.up.connected()
    rig.up.resend(whole=True)
    rig.run(1.0)
    end = rig.mic.ring.written
    rig.up.end(end, rig.wire.now_s)
    rig.run(3.0)
    expected = rig.expected(0, end)
    assert np.array_equal(rig.wire.samples[: len(expected)], expected)
    total = 0
    for t_s, pcm in rig.wire.frames:
        total += len(pcm) // 2
        assert total / RATE_HZ <= t_s - rig.wire.frames[0][0] + 0.2


def test_a_first_look_that_comes_too_early_does_not_make_the_first_frame_late():
    rig = Rig()
    rig.up.connected()
    rig.up.begin(rig.mic, 0)
    rig.mic.hear(rig.mic.rate_hz * 12 // 1000)
    rig.pump()
    assert not rig.wire.frames
    rig.run(0.02)
    assert rig.wire.frames


def test_a_cold_microphone_is_sent_from_its_first_frame():
    rig = Rig()
    rig.mic.hear(4800)
    rig.up.connected()
    rig.up.begin(None, 0)
    rig.run(0.1, hear=False)
    rig.up.microphone_opened(rig.mic, 4800)
    rig.run(0.5)
    expected = rig.expected(4800, 4800 + 48000 // 4)
    assert np.array_equal(rig.wire.samples[: len(expected)], expected)


def test_a_question_is_reported_sent_once_and_silence_lasts_until_the_turn_is_closed():
    rig = Rig()
    rig.up.connected()
    rig.up.begin(rig.mic, 0)
    rig.run(0.5)
    rig.up.end(rig.mic.ring.written, rig.wire.now_s)
    rig.run(2.0)
    assert rig.wire.done == [True]
    rig.up.turn_closed()
    rig.run(0.1)
    sent = len(rig.wire.frames)
    rig.run(1.0)
    assert len(rig.wire.frames) == sent
    assert not rig.up.busy


def test_at_least_320_ms_of_silence_follow_even_a_turn_that_is_closed_at_once():
    rig = Rig()
    rig.up.connected()
    rig.up.begin(rig.mic, 0)
    rig.run(0.5)
    rig.up.end(rig.mic.ring.written, rig.wire.now_s)
    rig.run(0.06)
    rig.up.turn_closed()
    rig.run(1.0)
    sent = rig.wire.samples
    last = np.flatnonzero(sent)[-1]
    assert len(sent) - last >= RATE_HZ * 32 // 100


def test_what_is_sent_again_is_followed_by_silence_until_its_own_turn_is_closed():
    rig = Rig()
    rig.up.connected()
    rig.up.begin(rig.mic, 0)
    rig.run(0.5)
    rig.up.end(rig.mic.ring.written, rig.wire.now_s)
    rig.up.turn_closed()
    rig.run(2.0)
    assert not rig.up.busy
    rig.up.connected()
    rig.up.resend(whole=True)
    rig.due_s = rig.wire.now_s
    rig.run(2.0)
    assert rig.up.busy
    rig.up.turn_closed()
    rig.run(0.2)
    assert not rig.up.busy


def test_silence_has_an_end_even_if_the_turn_is_never_closed():
    rig = Rig()
    rig.up.connected()
    rig.up.begin(rig.mic, 0)
    rig.run(0.3)
    rig.up.end(rig.mic.ring.written, rig.wire.now_s)
    rig.run(10.0)
    assert not rig.up.busy
    assert len(rig.wire.samples) <= RATE_HZ * 0.4 + MOST_SILENCE_SAMPLES


def test_silence_goes_on_when_the_service_hears_speech_again():
    rig = Rig()
    rig.up.connected()
    rig.up.begin(rig.mic, 0)
    rig.run(0.3)
    rig.up.end(rig.mic.ring.written, rig.wire.now_s)
    rig.run(0.5)
    rig.up.turn_closed()
    rig.run(1.0)
    sent = len(rig.wire.frames)
    rig.up.turn_opened()
    rig.due_s = rig.wire.now_s
    rig.run(0.5)
    assert len(rig.wire.frames) > sent


def test_a_cancelled_question_sends_nothing_more():
    rig = Rig()
    rig.up.connected()
    rig.up.begin(rig.mic, 0)
    rig.run(0.3)
    rig.up.cancel()
    sent = len(rig.wire.frames)
    rig.run(1.0)
    assert len(rig.wire.frames) == sent
    assert rig.wire.done == []


def test_a_socket_that_does_not_drain_loses_nothing():
    rig = Rig()
    rig.up.connected()
    rig.up.begin(rig.mic, 0)
    rig.run(0.2)
    rig.wire.full = True
    rig.run(0.5)
    rig.wire.full = False
    rig.run(0.5)
    end = rig.mic.ring.written
    rig.up.end(end, rig.wire.now_s)
    rig.run(3.0)
    expected = rig.expected(0, end)
    assert np.array_equal(rig.wire.samples[: len(expected)], expected)


def test_after_a_drop_only_what_is_not_proven_goes_again():
    rig = Rig()
    rig.up.connected()
    rig.up.begin(rig.mic, 0)
    rig.run(0.6)
    before = len(rig.wire.samples)
    proven = sum(len(pcm) // 2 for _, pcm in rig.wire.frames[:5])
    rig.up.utterance.prove(proven)
    rig.up.lost()
    rig.run(0.5)
    rig.up.connected()
    rig.up.resend(whole=False)
    rig.run(1.0)
    end = rig.mic.ring.written
    rig.up.end(end, rig.wire.now_s)
    rig.run(3.0)
    again = rig.wire.samples[before:]
    expected = rig.expected(0, end)
    assert np.array_equal(again[: len(expected) - proven], expected[proven:])


def test_a_question_that_was_over_is_reported_again_when_it_was_sent_again():
    rig = Rig()
    rig.up.connected()
    rig.up.begin(rig.mic, 0)
    rig.run(0.5)
    rig.up.end(rig.mic.ring.written, rig.wire.now_s)
    rig.run(0.5)
    rig.up.lost()
    rig.up.connected()
    rig.up.resend(whole=True)
    rig.due_s = rig.wire.now_s
    rig.run(2.0)
    assert rig.wire.done == [True, True]


def test_a_microphone_that_never_delivers_the_end_does_not_keep_the_question_open():
    rig = Rig()
    rig.up.connected()
    rig.up.begin(rig.mic, 0)
    rig.run(0.3)
    rig.up.end(rig.mic.ring.written + 4800, rig.wire.now_s)
    rig.due_s = rig.up.pump(rig.wire.now_s)
    rig.run(1.0, hear=False)
    assert rig.wire.done == [True]


def test_a_microphone_that_comes_back_at_another_rate_goes_on():
    rig = Rig()
    rig.up.connected()
    rig.up.begin(rig.mic, 0)
    rig.run(0.5)
    other = Microphone(44100)
    rig.up.microphone_opened(other, 0)
    rig.mic = other
    rig.run(0.5)
    end = other.ring.written
    rig.up.end(end, rig.wire.now_s)
    rig.run(1.0)
    assert len(np.flatnonzero(rig.wire.samples)) > RATE_HZ * 0.9


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.02, 0.6), st.floats(0, 1)), min_size=1, max_size=8), st.integers(0, 2**16)
)
def test_no_sample_is_lost_over_any_drops_when_resumed(pieces, start):
    """Each new connection goes on exactly where the one before was proven to have come."""
    rig = Rig()
    rig.run(2.0)
    start = min(start, rig.mic.ring.written)
    rig.up.connected()
    rig.up.begin(rig.mic, start)
    everything = rig.expected(start, start + 48000 * 60)
    for seconds, proven in pieces:
        begin = rig.up.utterance.sent
        rig.run(round(seconds, 2))
        sent = rig.wire.samples
        assert np.array_equal(sent, everything[begin : begin + len(sent)])
        rig.up.utterance.prove(int(proven * len(sent)))
        rig.wire.frames.clear()
        rig.up.lost()
        rig.up.connected()
        rig.up.resend(whole=False)
        assert rig.up.utterance.sent <= begin + proven * len(sent)
    begin = rig.up.utterance.sent
    end = rig.mic.ring.written
    rig.up.end(end, rig.wire.now_s)
    rig.pump()
    rig.run(4.0 + 2 * sum(seconds for seconds, _ in pieces))
    expected = rig.expected(start, end)[begin:]
    assert np.array_equal(rig.wire.samples[: len(expected)], expected)


class Watcher:
    def __init__(self):
        self.captured_frames, self.sent_at_s, self.proofs = 0, [], []

    def captured(self, block, rate_hz, now_s):
        self.captured_frames += len(block)

    def sent(self, now_s):
        self.sent_at_s.append(now_s)

    def proven(self, now_s, *, whole):
        self.proofs.append(whole)


def test_a_watcher_is_told_what_goes_by_and_what_is_proven():
    rig = Rig()
    rig.up.watcher = watcher = Watcher()
    rig.up.connected()
    rig.up.begin(rig.mic, 0)
    rig.run(1.0)
    rig.up.prove(RATE_HZ // 2, rig.wire.now_s)
    rig.up.prove(RATE_HZ // 2, rig.wire.now_s)
    rig.up.end(rig.mic.ring.written, rig.wire.now_s)
    rig.run(0.5)
    rig.up.prove(2 * RATE_HZ, rig.wire.now_s)
    assert watcher.captured_frames == 48000
    assert len(watcher.sent_at_s) >= 10
    assert watcher.proofs == [False, True]


def test_what_the_ring_has_overwritten_is_sent_as_silence_and_counted():
    rig = Rig()
    rig.mic.hear(rig.mic.rate_hz * 66)
    rig.up.connected()
    rig.up.begin(rig.mic, 0)
    rig.run(0.1)
    missed = rig.up.missed_frames
    assert missed >= rig.mic.rate_hz
    assert not np.any(np.frombuffer(rig.up.utterance.heard(0, RATE_HZ // 2), "<i2"))


def test_a_microphone_whose_clock_is_3000_ppm_fast_adds_no_delay_to_a_question_of_22_s():
    rig = Rig()
    rig.up.connected()
    rig.up.begin(rig.mic, 0)
    waits = []
    rig.up._send = lambda pcm: (
        waits.append(rig.mic.ring.written // 2 - len(rig.wire.samples)) or rig.wire.send(pcm)
    )
    rig.run(22.0, fast_ppm=3000)
    tenth = len(waits) // 10
    assert abs(np.median(waits[-tenth:]) - np.median(waits[tenth : 2 * tenth])) < 0.01 * RATE_HZ


@pytest.mark.parametrize("late_ms", [0, 100, 150, 180, 210, 500])
def test_a_question_that_began_late_costs_one_wake_up_a_frame_all_the_same(late_ms):
    rig = Rig()
    rig.run(1.0)
    rig.up.connected()
    rig.up.begin(rig.mic, rig.mic.ring.written - rig.mic.rate_hz * late_ms // 1000)
    rig.run(1.0)
    frames, pumped = len(rig.wire.frames), rig.pumped
    rig.run(8.0)
    assert len(rig.wire.frames) - frames >= 78
    assert rig.pumped - pumped <= 90
