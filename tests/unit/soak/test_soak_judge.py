"""The soak's verdict on made-up records: nothing lost when all arrived, and every sample that did not."""

import json

import numpy as np
import pytest

from soaklib.judge import FRAME, KEPT_SILENCE, Arrived, Asked, coverage, judge, look
from soaklib.voice import QUIET, SERVER_HZ, Expected, Speech

SPOKEN = (Speech.between(100.0, 101.0), Speech.between(102.0, 103.0))
QUESTION = Expected(SPOKEN)
SENT = QUESTION.phases[0][: QUESTION.length]
(FIRST, FIRST_END), (SECOND, SECOND_END) = QUESTION.stretches()
SPEECH = FIRST_END - FIRST + SECOND_END - SECOND
# Where something happens: in the middle of the first stretch of speech.
CUT = (FIRST + FIRST_END) // 2
# What may be taken for one more or less at a seam, where two samples happen to be alike.
SEAM = 4


def part(start=0, stop=QUESTION.length):
    return SENT[start:stop]


def together(*parts):
    return np.concatenate(parts)


def zeros(seconds):
    return np.zeros(round(seconds * SERVER_HZ), np.int16)


def verdict(*connections):
    """Judge connections, each a session, what it got, and whether the turn was taken there."""
    return judge(
        QUESTION,
        [
            Arrived(session, coverage(QUESTION, received), turn_taken)
            for session, received, turn_taken in connections
        ],
    )


def test_the_question_is_speech_with_a_pause_in_it():
    assert np.abs(SENT[FIRST:FIRST_END].astype(int)).max() > 50 * QUIET
    assert np.abs(SENT[FIRST_END + 100 : SECOND - 100].astype(int)).max() <= 2 * QUIET


@pytest.mark.parametrize("phase", [0, 1])
@pytest.mark.parametrize("around", [0.0, 0.7])
def test_a_question_that_arrived_whole_lost_nothing(phase, around):
    sent = together(zeros(around), QUESTION.phases[phase], zeros(around))
    heard = verdict(("a", sent, True))
    assert (heard.lost, heard.repeated, heard.sessions) == (0, (), 1)


def test_a_last_bit_that_another_processor_rounds_otherwise_is_no_loss():
    other = SENT + np.random.default_rng(1).integers(-1, 2, len(SENT)).astype(np.int16)
    assert verdict(("a", other, True)).lost == 0


@pytest.mark.parametrize("samples", [1, 100, 960, 9600])
def test_every_sample_of_speech_that_is_missing_is_counted(samples):
    heard = verdict(("a", together(part(0, CUT), part(CUT + samples)), True))
    assert heard.lost == pytest.approx(samples, abs=min(SEAM, samples - 1))
    assert heard.lost > 0


def test_speech_that_was_put_out_of_place_by_silence_is_not_lost():
    assert verdict(("a", together(part(0, CUT), zeros(0.5), part(CUT)), True)).lost == 0


def test_other_sound_in_the_place_of_speech_is_a_loss():
    noise = np.random.default_rng(2).integers(-8000, 8000, 2400).astype(np.int16)
    heard = verdict(("a", together(part(0, CUT), noise, part(CUT + 2400)), True))
    assert heard.lost == pytest.approx(2400, abs=SEAM)


def test_a_question_of_which_nothing_arrived_is_lost_whole():
    heard = verdict(("a", zeros(3.0), True))
    assert heard.lost == SPEECH + KEPT_SILENCE - 2 * FRAME
    assert heard.sessions == 0
    assert judge(QUESTION, []).lost == heard.lost


# A resumed session


def test_what_a_resumed_session_is_sent_again_is_counted_as_repeated_and_not_as_lost():
    heard = verdict(("a", part(0, CUT), False), ("a", part(CUT - 2400), True))
    assert heard.lost == 0
    (repeated,) = heard.repeated
    assert repeated == pytest.approx(2400, abs=SEAM)
    assert heard.sessions == 1


def test_each_resumption_has_its_own_repetition():
    heard = verdict(
        ("a", part(0, CUT), False),
        ("a", part(CUT - 1200, SECOND + 4800), False),
        ("a", part(SECOND + 4800 - 480), True),
    )
    assert heard.repeated == pytest.approx((1200, 480), abs=SEAM)
    assert heard.lost == 0


def test_what_neither_connection_of_a_session_got_is_lost():
    heard = verdict(("a", part(0, CUT), False), ("a", part(CUT + 1200), True))
    assert heard.lost == pytest.approx(1200, abs=SEAM)
    assert heard.repeated == (0,)


def test_a_connection_that_got_nothing_repeated_nothing():
    heard = verdict(("a", part(0, CUT), False), ("a", zeros(0.2), False), ("a", part(CUT), True))
    assert (heard.lost, heard.repeated) == (0, (0,))


# A session that could not be resumed


def test_a_fresh_session_has_to_get_all_of_it_again():
    heard = verdict(("a", part(0, CUT), False), ("b", SENT, True))
    assert (heard.lost, heard.repeated, heard.sessions) == (0, (), 2)


def test_what_only_the_session_before_got_is_lost_to_the_fresh_one():
    heard = verdict(("a", part(0, CUT), False), ("b", part(CUT), True))
    assert heard.lost == pytest.approx(CUT - FIRST, abs=SEAM)


def test_what_a_session_got_that_never_took_the_turn_does_not_count():
    heard = verdict(("a", SENT, False), ("b", part(CUT), True))
    assert heard.lost == pytest.approx(CUT - FIRST, abs=SEAM)


def test_a_session_that_took_the_turn_needs_no_other_to_hear_it():
    heard = verdict(("a", SENT, True), ("b", zeros(0.2), False))
    assert (heard.lost, heard.sessions) == (0, 1)


def test_where_no_session_took_the_turn_the_last_one_is_judged():
    assert verdict(("a", part(0, CUT), False), ("b", SENT, False)).lost == 0
    assert verdict(("a", SENT, False), ("b", part(CUT), False)).lost > 0


# The silence between


def without_pause(kept_s):
    """The question with so much of its pause left, half on either side."""
    half = round(kept_s * SERVER_HZ) // 2
    return together(part(0, FIRST_END + half), part(SECOND - half))


@pytest.mark.parametrize("kept_s", [0.24, 0.3, 0.5])
def test_a_pause_may_be_shortened_to_catch_up(kept_s):
    assert verdict(("a", without_pause(kept_s), True)).lost == 0


def test_a_pause_that_was_shortened_too_far_is_a_loss():
    least = KEPT_SILENCE - 2 * FRAME
    assert verdict(("a", without_pause(0.1), True)).lost == pytest.approx(least - 2400, abs=SEAM)


# The records


def record(folder, number, received, *, session="a", turn_at_s=None):
    frames = [{"type": "session.ready", "session_id": session}]
    if turn_at_s is not None:
        frames.append({"type": "transcript.user", "text": "…", "timestamp": turn_at_s})
    lines = [
        json.dumps({"t_s": 1.0, "from": "server", "frame": one}, separators=(",", ":")) for one in frames
    ]
    (folder / f"{number}.jsonl").write_text("\n".join(lines) + "\n")
    # One byte of the next sample may be there already.
    (folder / f"{number}-up.wav").write_bytes(bytes(44) + received.astype("<i2").tobytes() + b"\x01")
    (folder / f"{number}-down.wav").write_bytes(b"")


def test_a_question_is_looked_for_in_its_own_connections_and_older_records_go(tmp_path):
    record(tmp_path, 1, SENT, turn_at_s=90.0)
    record(tmp_path, 2, part(0, CUT))
    record(tmp_path, 3, part(CUT - 240), turn_at_s=104.0)
    record(tmp_path, 4, SENT, turn_at_s=110.0)
    heard = look(Asked(SPOKEN, 100.0, tmp_path, (2, 3)))
    assert (heard.lost, heard.sessions) == (0, 1)
    assert heard.repeated == pytest.approx((240,), abs=SEAM)
    assert sorted({path.name[0] for path in tmp_path.iterdir()}) == ["2", "3", "4"]


def test_a_turn_from_before_the_question_says_nothing_about_it(tmp_path):
    record(tmp_path, 1, SENT, turn_at_s=99.0)
    record(tmp_path, 2, part(CUT), session="b")
    assert look(Asked(SPOKEN, 100.0, tmp_path, (1, 2))).lost > 0
    record(tmp_path, 1, SENT, turn_at_s=104.0)
    assert look(Asked(SPOKEN, 100.0, tmp_path, (1, 2))).lost == 0
