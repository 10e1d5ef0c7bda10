"""The simulator's parts by themselves: pacing, G.711, the ear, faults, the record, the voices' stand-in."""

import gc
import json
import random
import struct
import tracemalloc
import wave

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.rigs.plain_client import tone
from tests.rigs.virtual_session import VirtualSession

from voicekiosk.simulator import g711
from voicekiosk.simulator.agenda import Agenda
from voicekiosk.simulator.codec import ENCODINGS, BadAudio, downsample, upsample
from voicekiosk.simulator.faults import FaultPlan
from voicekiosk.simulator.http import BadRequest, Request, Response
from voicekiosk.simulator.listening import FRAME, PAD, Ear, words_of
from voicekiosk.simulator.outage import Outage
from voicekiosk.simulator.pacing import PaceCheck, RateLimit
from voicekiosk.simulator.program import verdict
from voicekiosk.simulator.record import KEPT, KEPT_BYTES, Record, WavWriter
from voicekiosk.simulator.scenario import Fault
from voicekiosk.simulator.websocket import WebSocket

# --- pacing


def worst_window(messages):
    """Return the largest (audio - duration) over all windows, by trying every one."""
    return max(
        sum(samples for samples, _ in messages[first : last + 1]) / 24000
        - (messages[last][1] - messages[first][1])
        for first in range(len(messages))
        for last in range(first, len(messages))
    )


arrivals = st.lists(st.tuples(st.integers(1, 12000), st.floats(0.0, 0.5)), min_size=1, max_size=30)


@given(arrivals)
@settings(max_examples=200)
def test_the_pace_check_finds_exactly_the_worst_window(gaps):
    now_s, messages = 0.0, []
    for samples, gap_s in gaps:
        now_s += gap_s
        messages.append((samples, now_s))
    check = PaceCheck(burst_s=1e9, tolerance_s=0.0)
    for samples, at_s in messages:
        check.take(samples, at_s)
    assert check.worst_s == pytest.approx(worst_window(messages), abs=1e-6)


@given(arrivals)
@settings(max_examples=200)
def test_it_complains_if_and_only_if_some_window_is_over_the_limit(gaps):
    now_s, messages, complained = 0.0, [], False
    check = PaceCheck(burst_s=0.2, tolerance_s=0.0)
    for samples, gap_s in gaps:
        now_s += gap_s
        messages.append((samples, now_s))
        complained |= check.take(samples, now_s) > 0
    assert complained == (worst_window(messages) > 0.2 + 1e-9)


def test_what_waited_in_this_process_is_not_held_against_the_client():
    strict, fair = PaceCheck(0.2, 0.0), PaceCheck(0.2, 0.0)
    for _ in range(10):  # sent every 40 ms, all read at once after a stall of 0.4 s
        strict.take(960, 1.0)
        assert fair.take(960, 1.0, late_s=0.4) == 0.0
    assert strict.worst_s > 0.2


def test_an_excess_is_reported_once():
    check = PaceCheck(0.2, 0.0)
    assert check.take(24000, 0.0) == pytest.approx(0.8)
    for number in range(1, 20):
        assert check.take(960, 0.04 * number) == 0.0


@given(st.lists(st.tuples(st.integers(0, 48000), st.floats(0.0, 1.0)), max_size=40))
def test_the_rate_limit_never_accepts_more_than_time_and_allowance(gaps):
    limit, now_s, accepted = RateLimit(1.5), 0.0, 0
    for samples, gap_s in gaps:
        now_s += gap_s
        taken = limit.take(samples, now_s)
        assert 0 <= taken <= samples
        accepted += taken
        assert accepted / 24000 <= now_s + 1.5 + 1e-6


# --- sound


def test_g711_is_the_inverse_of_itself_and_as_exact_as_it_can_be():
    values = np.arange(-32768, 32768, dtype=np.int32).astype(np.int16)
    for law, zero in (("ulaw", 0xFF), ("alaw", 0xD5)):
        codes = np.arange(256, dtype=np.uint8).tobytes()
        again = g711.encode(law, g711.decode(law, codes))
        assert np.array_equal(g711.decode(law, again), g711.decode(law, codes))
        there = g711.decode(law, g711.encode(law, values)).astype(int)
        error = np.abs(there - values)
        assert np.all(error <= np.maximum(16, np.abs(values.astype(int)) / 16))
        assert g711.encode(law, np.zeros(1, np.int16)) == bytes([zero])


def test_g711_has_the_known_values_of_the_standard():
    assert g711.decode("ulaw", b"\x80\x00\xff\x7f").tolist() == [32124, -32124, 0, 0]
    assert g711.decode("alaw", b"\xd5\x55\xaa\x2a").tolist() == [8, -8, 32256, -32256]


@given(st.lists(st.integers(-32768, 32767), max_size=200))
def test_8_khz_survives_the_way_up_and_down(values):
    samples = np.array(values, np.int16)
    assert np.array_equal(downsample(upsample(samples), filtered=False), samples)


def test_what_is_not_base64_or_odd_is_bad_audio():
    for text in ("*", "AAA", "AA==", "AAAA\n", "A A="):
        with pytest.raises(BadAudio):
            ENCODINGS["audio/pcm"].decode(text)


def test_silence_of_each_encoding_is_what_the_document_says():
    assert ENCODINGS["audio/pcm"].silence == bytes(480)
    assert ENCODINGS["audio/pcmu"].silence == b"\xff" * 300
    assert len(ENCODINGS["audio/pcma"].silence) == 300


# --- the ear


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=30))
def test_the_ear_hears_the_same_however_sound_is_cut(cuts):
    sound = np.concatenate((np.zeros(5000, np.int16), tone(0.5), np.zeros(9000, np.int16)))

    def listen(pieces):
        ear, start = Ear(-45.0, 60.0), 0
        for size in pieces:
            for _ in ear.feed(sound[start : start + size]):
                pass
            start += size
        return ear.onset, ear.last_voiced, ear.voiced, ear.start(), ear.end(), ear.heard().tobytes()

    cuts = [*cuts, sound.size - sum(cuts)] if sum(cuts) < sound.size else [sound.size]
    assert listen(cuts) == listen([sound.size])


def test_what_is_heard_begins_just_before_the_first_voice():
    ear = Ear(-45.0, 60.0)
    sound = np.concatenate((np.zeros(24000, np.int16), tone(0.5), np.zeros(24000, np.int16)))
    for _ in ear.feed(sound):
        pass
    assert ear.onset == 24000
    assert (ear.start(), ear.end()) == (24000 - PAD, 36000 + PAD)
    assert np.array_equal(ear.heard(), sound[ear.start() : ear.end()])


def test_an_endless_turn_is_kept_only_up_to_its_limit():
    ear = Ear(-45.0, limit_s=1.0)
    for _ in range(50):
        for _ in ear.feed(tone(0.2)):
            pass
    assert ear.heard().size <= 24000 + FRAME
    ear.forget()
    for _ in ear.feed(np.zeros(24000, np.int16)):
        pass
    for _ in ear.feed(tone(0.5, 300.0)):
        pass
    assert np.array_equal(ear.heard()[-12000:], tone(0.5, 300.0))


def test_the_same_sound_gives_the_same_words_and_more_sound_more_of_them():
    whole = words_of(tone(4.0))
    assert words_of(tone(4.0)) == whole
    assert len(whole) >= 10
    assert words_of(tone(4.0)[:48000]) == whole[: len(words_of(tone(4.0)[:48000]))]


# --- bookkeeping


def test_the_agenda_runs_in_order_of_time_and_then_of_entry():
    agenda, ran = Agenda(), []
    agenda.at(2.0, lambda _: ran.append("c"))
    agenda.at(1.0, lambda _: (ran.append("a"), agenda.at(1.5, lambda _: ran.append("b2"))))
    agenda.at(1.0, lambda _: ran.append("b"))
    agenda.at(1.2, lambda _: ran.append("never"), owner := object())
    agenda.cancel(owner)
    agenda.run(1.9)
    assert ran == ["a", "b", "b2"]
    assert agenda.next_due_s == 2.0


def test_a_fault_happens_at_its_count_and_as_often_as_it_may():
    faults = (
        Fault(do="drop", after="reply.audio", count=2, times=1),
        Fault(do="deaf", at_s=3.0, connection=2),
    )
    left = {0: 1, 1: 1}
    first = FaultPlan(faults, left, connection=1)
    assert first.timed() == []
    assert [first.after("reply.audio") for _ in range(3)] == [[], [faults[0]], []]
    second = FaultPlan(faults, left, connection=2)
    assert [at_s for at_s, _ in second.timed()] == [3.0]
    assert [second.after("reply.audio") for _ in range(3)] == [[], [], []]


def test_a_wav_is_readable_after_every_flush(tmp_path):
    path = tmp_path / "x.wav"
    writer = WavWriter(path)
    for size in (10, 20):
        writer.write(bytes(2 * size))
        writer.flush()
        with wave.open(str(path)) as file:
            assert file.getnframes() == size if size == 10 else 30
    writer.close()


def test_what_a_record_keeps_in_memory_is_bounded():
    record = Record(1, None, kept_audio_s=1.0)
    for number in range(KEPT + 500):
        record.message(0.0, "client", f"type {number}", b"{}", {"type": "x"})
        record.violate(4, "x", 0.0)
        record.received(bytes(4800))
    assert len(record.messages) == KEPT
    assert (len(record.violations), record.violation_count) == (KEPT, KEPT + 500)
    assert len(record.counts["client"]) <= 101
    assert len(record.up) == 48000
    for _ in range(30):
        record.message(0.0, "client", "big", b"x" * 200_000, {"type": "x"})
    assert len(record.messages) * 200_000 <= KEPT_BYTES
    record.message(0.0, "client", "bigger", b"x" * (KEPT_BYTES + 1), {"type": "bigger"})
    assert record.messages[-1][2]["type"] == "x"


def test_the_same_seed_gives_the_same_session_and_another_one_another():
    def run(seed):
        session = VirtualSession(seed=seed)
        session.ready(greeting="Hello there, friend")
        session.speak(tone(2.0))
        session.silence(3.0)
        session.run(10.0)
        return json.dumps(session.events)

    assert run(5) == run(5)
    assert run(5) != run(6)


def test_four_failed_connections_within_a_second_are_no_back_off():
    def complaints(times_s):
        world = VirtualSession().world
        return [bool(world.failed("one", at_s)) for at_s in times_s]

    assert complaints([0.0, 0.1, 0.2, 0.3]) == [False, False, False, True]
    assert complaints([0.0, 1.0, 2.0, 3.0, 4.0]) == [False] * 5


def test_failures_of_several_clients_are_counted_apart():
    world = VirtualSession().world
    assert not any(world.failed(f"client {number}", 0.01 * number) for number in range(10))


def test_what_waited_in_a_dead_link_may_come_at_once():
    limit = RateLimit(1.5)
    assert limit.take(24000, 0.0) == 24000
    assert limit.take(24000 * 10, 10.0, late_s=10.0) == 24000 * 10
    assert limit.take(24000 * 10, 10.1) < 24000
    assert RateLimit(1.5).take(24000 * 5, 20.0, late_s=4.0) == 24000 * 5


def test_lateness_after_an_outage_is_its_length_and_wears_off():
    outage = Outage()
    assert (outage.late_s(1.0), outage.last_s(1.0)) == (0.0, -np.inf)
    outage.begin(2.0)
    outage.begin(3.0)
    assert outage.active
    assert outage.last_s(3.5) == 3.5
    outage.end(4.0)
    assert not outage.active
    assert outage.last_s(9.0) == 4.0
    assert [outage.late_s(at_s) for at_s in (4.0, 5.0, 6.0, 7.0)] == [2.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize("text", ["0" * 5000, "1" * 21, "-1", "1e3", "", "²"])
def test_a_length_that_is_no_sane_number_is_a_bad_request(text):
    with pytest.raises(BadRequest):
        _ = Request("POST", "/", {}, {"content-length": text}).body_length


@pytest.mark.parametrize("status", [299, 429, 499, 599])
def test_any_status_can_be_answered(status):
    assert Response(status).encode().startswith(b"HTTP/1.1 %d " % status)


class Pipe:
    """A transport that swallows."""

    def is_closing(self):
        return False

    def write(self, data):
        pass

    def get_write_buffer_size(self):
        return 0


def test_endless_empty_fragments_take_no_memory():
    socket = WebSocket(Pipe(), max_size=1000, compression=False)
    assert socket.upgrade(
        b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    socket.feed(b"\x01\x81\0\0\0\0[" + b"\x00\x80\0\0\0\0" * 100)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(50):
            socket.feed(b"\x00\x80\0\0\0\0" * 100)
        assert tracemalloc.get_traced_memory()[0] - before < 20_000
    finally:
        tracemalloc.stop()
    (message,) = socket.feed(b"\x80\x81\0\0\0\0]")
    assert message.data == b"[]"


def test_a_refused_credential_may_be_tried_again_after_a_minute():
    world = VirtualSession().world
    assert world.refused("x", 0.0) is None
    assert world.refused("y", 1.0) is None
    assert world.refused("x", 59.0)
    assert world.refused("x", 120.0) is None


def test_the_verdict_counts_what_it_does_not_show():
    facts = {"violation_count": 3, "connections_opened": 2, "general_violations": [],
             "connections": [{"connection": 1, "violations": [{"rule": 9, "text": "null", "t_s": 1.0}]}]}  # fmt: skip
    assert verdict(facts) == [
        "connection 1 at 1.000 s: rule 9: null",
        "… and 2 more",
        "2 connections: 3 violations of checklist 12.1",
    ]


def test_nothing_that_comes_raises():
    """A short walk over hostile values; the long one is the fuzz run."""
    rng = random.Random(3)
    session = VirtualSession()
    session.ready()
    for text in (b"", b"\x00", b"{" * 1000, b'{"type":[]}', b'{"type":"session.update","session":[]}',
                 b'{"type":"tool.result","call_id":"","result":"","is_error":null}'):  # fmt: skip
        session.raw(text)
    for _ in range(200):
        session.raw(rng.randbytes(20).decode("latin-1").encode())
    session.session.binary(struct.pack("<I", 5), session.now_s)
    assert session.wire.closed is None
    assert {event["code"] for event in session.all("session.error")} == {"invalid_format"}
