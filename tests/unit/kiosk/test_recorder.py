"""The flight recorder: what it keeps of a turn, and that it never keeps more than it may."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicekiosk.agent import events as agent
from voicekiosk.audio import events as audio
from voicekiosk.kiosk import events as kiosk
from voicekiosk.kiosk.delays import latency
from voicekiosk.kiosk.machine import step
from voicekiosk.kiosk.recorder import CHANGES, FIRST_MARKS, LAST_MARKS, TURNS, WORDS, Recorder
from voicekiosk.kiosk.state import NEVER, Rules, State, sign_of
from voicekiosk.kiosk.traces import BIN_S, BINS, Playing, Trace
from voicekiosk.panel.gestures import Pressed, Released
from voicekiosk.service.client import _LONGEST_ANSWER_BYTES

READY = agent.Ready("sess_1", resumed=False, continued=False)
WALL_S = 1_800_000_000.0


def tone(seconds, rate_hz, peak):
    return np.full(round(seconds * rate_hz), peak, np.int16)


class Scene:
    """A recorder that watches the real state machine, and a clock that is set by hand."""

    def __init__(self, **rules):
        self.now_s = 1000.0
        self.recorder = Recorder(self.now_s)
        self.state = State()
        self.rules = Rules(**{"release_tail_s": 0.0, **rules})
        self.tell(kiosk.Started())

    def tell(self, *events):
        for event in events:
            before = self.state
            self.state, _ = step(before, event, self.now_s, self.rules)
            self.recorder.observe(event, before, self.state, str(sign_of(self.state)), self.now_s)

    def at(self, now_s, *events):
        self.now_s = now_s
        self.tell(*events)

    @property
    def turns(self):
        return self.recorder.turns(self.now_s, WALL_S)

    @property
    def turn(self):
        return self.turns[-1]


def answered():
    """A question of two seconds and its answer."""
    scene = Scene()
    scene.at(1001.0, Pressed(1001.0))
    scene.at(1001.1, READY)
    scene.recorder.captured(tone(0.04, 48000, 3277), 48000, 1001.10)
    scene.recorder.sent(1001.12)
    scene.recorder.sent(1001.16)
    scene.recorder.proven(1001.2, whole=False)
    scene.at(1002.0, agent.SpeechStarted())
    scene.at(1003.0, Released(1003.0, 2.0), kiosk.UtteranceSent(loud=True))
    scene.recorder.proven(1003.1, whole=True)
    scene.at(1003.5, agent.SpeechStopped())
    scene.at(1003.6, agent.ReplyStarted("r1"))
    scene.at(1004.0, kiosk.AudioArrived("r1"))
    scene.recorder.queued(tone(1.0, 24000, 16384).tobytes(), 1004.0)
    scene.at(1004.02, audio.SpeakerStarted(1004.02))
    scene.at(1004.5, agent.ReplyDone("r1", interrupted=False))
    return scene


def test_a_turn_is_told_from_its_press_to_rest():
    scene = answered()
    scene.at(1005.1, audio.SpeakerDrained(1005.1, 24000))
    turn = scene.turn
    assert (turn["number"], turn["began"], turn["rest_s"]) == (1, "question", pytest.approx(4.1))
    assert turn["moments"] == pytest.approx(
        {
            "pressed": 0.0,
            "first_frame": 0.06,
            "first_send": 0.12,
            "proven": 0.2,
            "released": 2.0,
            "all_proven": 2.1,
            "speech_stopped": 2.5,
            "first_reply": 3.0,
            "sound": 3.02,
        }
    )
    assert turn["delays_ms"] == pytest.approx(
        {
            "press_to_first_frame": 60.0,
            "press_to_first_send": 120.0,
            "release_to_speech_stopped": 500.0,
            "speech_stopped_to_first_reply": 500.0,
            "reply_to_sound": 20.0,
            "release_to_sound": 1020.0,
        }
    )


def test_the_lanes_say_what_button_lamp_state_and_session_were():
    scene = answered()
    scene.at(1005.1, audio.SpeakerDrained(1005.1, 24000))
    lanes = {lane: [change["label"] for change in changes] for lane, changes in scene.turn["lanes"].items()}
    assert lanes == {
        "button": ["down", "up"],
        "lamp": ["microphone_live_no_link", "microphone_live", "thinking", "speaking", "idle"],
        "state": ["listening", "thinking", "speaking", "idle"],
        "session": ["connecting", "ready"],
    }


def test_the_time_of_day_comes_from_one_anchor_at_the_end():
    scene = Scene()
    scene.at(1001.0, Pressed(1001.0))
    scene.now_s = 1011.0
    assert [turn["at_s"] for turn in scene.turns] == [WALL_S - 11.0, WALL_S - 10.0]


def test_a_barge_in_tells_how_long_it_took_to_silence():
    scene = answered()
    scene.at(1004.3, Pressed(1004.3))
    scene.at(1004.34, audio.SpeakerFlushed(1004.33, 7000))
    assert scene.turn["delays_ms"] == pytest.approx({"press_to_silence": 30.0})


def test_what_a_barge_in_cut_off_is_not_shown_as_heard():
    scene = answered()
    scene.at(1004.52, Pressed(1004.52), audio.SpeakerFlushed(1004.52, 12000))
    first, second = scene.turns[1:]
    heard = first["levels"]["loudspeaker"]["dbfs"]
    assert len(heard) * BIN_S == pytest.approx(3.5, abs=BIN_S)
    assert second["levels"]["loudspeaker"]["dbfs"] == []


def test_levels_stand_where_they_were_heard():
    turn = answered().turn
    microphone, loudspeaker = (turn["levels"][name]["dbfs"] for name in ("microphone", "loudspeaker"))
    assert [index for index, level in enumerate(microphone) if level is not None] == [1]
    assert microphone[1] == -20
    assert loudspeaker[:60] == [None] * 60
    assert set(loudspeaker[60:80]) == {-6}
    assert len(loudspeaker) in (80, 81)


def test_audio_that_comes_while_the_loudspeaker_plays_follows_what_is_queued():
    trace, playing = Trace(0.0), Playing()
    playing.queued(tone(0.1, 24000, 16384).tobytes(), trace, 0.0)
    assert trace.level()["dbfs"] == [], "nothing is heard before the loudspeaker begins"
    playing.started(trace, 0.2)
    playing.queued(tone(0.1, 24000, 3277).tobytes(), trace, 0.21)
    assert trace.level()["dbfs"] == [None] * 4 + [-6, -6, -20, -20]
    playing.stopped()
    playing.queued(tone(0.1, 24000, 16384).tobytes(), trace, 0.5)
    assert len(trace.level()["dbfs"]) == 8


@pytest.mark.parametrize("hours", [0.01, 0.1, 1, 1000])
def test_a_long_signal_is_kept_coarser_and_whole(hours):
    trace = Trace(0.0)
    for index in range(1000):
        trace.add(index * hours * 3.6, 0.05, 1036 if index % 2 else 16384)
    level = trace.level()
    assert len(level["dbfs"]) <= BINS
    assert len(level["dbfs"]) * level["bin_s"] >= 999 * hours * 3.6
    assert level["dbfs"][0] == -6
    assert level["dbfs"][-1] in (-6, -30)


def test_a_signal_from_before_the_press_is_left_out():
    trace = Trace(10.0)
    trace.add(9.9, 0.05, 20000)
    assert trace.level()["dbfs"] == []


def test_presses_that_open_no_microphone_are_one_turn_for_a_minute():
    scene = Scene()
    scene.tell(kiosk.MuteSwitched(True))
    for second in range(5):
        scene.at(1010.0 + second, Pressed(scene.now_s), Released(scene.now_s, 0.1))
    assert [turn["began"] for turn in scene.turns] == ["start", "press"]
    scene.at(1080.0, Pressed(1080.0))
    assert [turn["began"] for turn in scene.turns] == ["start", "press", "press"]
    assert scene.turn["rest_s"] is None, "the button is down"
    scene.at(1081.0, Released(1081.0, 1.0))
    assert scene.turn["rest_s"] == 1.0


def test_a_greeting_is_a_turn_without_a_question():
    scene = Scene(connect_on_boot=True, greets=True)
    scene.tell(kiosk.SayRequested("hello"))
    scene.at(1002.0, READY, agent.ReplyStarted("r1"))
    assert scene.turn["began"] == "answer"
    assert "pressed" not in scene.turn["moments"]


def test_the_tail_after_the_release_belongs_to_the_question():
    scene = Scene(release_tail_s=0.12)
    scene.at(1001.0, Pressed(1001.0), READY)
    scene.at(1002.0, Released(1002.0, 1.0))
    scene.at(1002.12, kiosk.Tick())
    assert scene.turn["moments"]["released"] == 1.0


def test_a_pause_in_the_question_is_not_its_end():
    scene = Scene()
    scene.at(1001.0, Pressed(1001.0), READY, agent.SpeechStarted())
    scene.at(1002.0, agent.SpeechStopped())
    assert "release_to_speech_stopped" not in scene.turn["delays_ms"]
    scene.at(1003.0, Released(1003.0, 2.0))
    scene.at(1004.0, agent.SpeechStopped())
    assert scene.turn["delays_ms"]["release_to_speech_stopped"] == pytest.approx(1000.0)


def test_an_earcon_is_no_answer():
    scene = Scene()
    scene.at(1001.0, Pressed(1001.0), audio.SpeakerStarted(1001.0))
    assert "sound" not in scene.turn["moments"]


def test_notes_keep_their_beginning_and_their_end():
    recorder = Recorder(0.0)
    for number in range(1000):
        recorder.note("network", f"{number}", float(number))
    (turn,) = recorder.turns(1000.0, WALL_S)
    texts = [int(mark["text"]) for mark in turn["marks"]]
    assert texts == [*range(FIRST_MARKS), *range(1000 - LAST_MARKS, 1000)]
    assert turn["left_out"] == 1000 - FIRST_MARKS - LAST_MARKS


def test_words_are_forgotten_when_they_are_no_longer_allowed():
    recorder = Recorder(0.0)
    for number in range(FIRST_MARKS + 2):
        recorder.note(WORDS if number % 2 else "speech", "x", float(number))
    recorder.forget_words()
    (turn,) = recorder.turns(1.0, WALL_S)
    assert {mark["kind"] for mark in turn["marks"]} == {"speech"}


def test_percentiles_are_delays_that_somebody_had():
    turns = [{"pressed": 0.0, "first_frame": n / 1000} for n in range(1, 21)]
    first, *others = latency([*turns, {"pressed": 5.0, "first_frame": 4.0}])["delays"]
    assert (first["count"], first["p50_ms"], first["p95_ms"], first["max_ms"]) == (20, 10.0, 19.0, 20.0)
    assert {other["p50_ms"] for other in others} == {None}


def test_the_start_is_no_turn_to_measure():
    scene = Scene()
    scene.tell(agent.SpeechStopped())
    assert scene.recorder.latency()["turns"] == 0


TIMES = st.floats(0.0, 1e7)
STEPS = st.lists(
    st.one_of(
        st.builds(Pressed, TIMES),
        st.builds(Released, TIMES, TIMES),
        st.sampled_from(
            [
                READY,
                agent.SpeechStarted(),
                agent.SpeechStopped(),
                agent.ReplyStarted("r1"),
                kiosk.AudioArrived("r1"),
                kiosk.UtteranceSent(loud=True),
                kiosk.HangUp(),
                kiosk.Tick(),
                kiosk.MuteSwitched(None),
                agent.ReplyDone("r1", interrupted=False),
            ]
        ),
        st.builds(audio.SpeakerStarted, TIMES),
        st.builds(audio.SpeakerFlushed, TIMES, st.just(0)),
        st.builds(audio.SpeakerDrained, TIMES, st.just(0)),
        st.tuples(st.just("captured"), st.integers(0, 70000), st.sampled_from([8000, 48000])),
        st.tuples(st.just("queued"), st.integers(0, 70000), st.just(24000)),
        st.tuples(st.just("note"), st.integers(0, 300), st.just(0)),
        st.just("sent"),
        st.floats(0.0, 1e5),
    ),
    max_size=120,
)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_it_takes_whatever_comes_and_stays_bounded(steps):
    scene = Scene()
    recorder = scene.recorder
    for item in steps:
        match item:
            case float():
                scene.now_s += item
            case "sent":
                recorder.sent(scene.now_s)
            case ("captured", count, rate_hz):
                recorder.captured(np.ones(count, np.int16), rate_hz, scene.now_s)
            case ("queued", count, _):
                recorder.queued(bytes(2 * count), scene.now_s)
            case ("note", count, _):
                for _ in range(count):
                    recorder.note("x", "y" * count, scene.now_s)
            case _:
                scene.tell(item)
    turns = scene.turns
    assert len(turns) <= TURNS
    for turn in turns:
        assert len(turn["marks"]) <= FIRST_MARKS + LAST_MARKS
        assert all(len(changes) <= CHANGES for changes in turn["lanes"].values())
        assert all(len(level["dbfs"]) <= BINS for level in turn["levels"].values())
        assert all(ms >= 0 for ms in turn["delays_ms"].values())
    recorder.latency()


def test_fifty_turns_are_kept_and_the_oldest_goes_first():
    scene = Scene()
    for number in range(TURNS + 10):
        scene.at(2000.0 + 10 * number, Pressed(scene.now_s), Released(scene.now_s, 1.0), kiosk.HangUp())
    assert [turn["number"] for turn in scene.turns] == list(range(11, TURNS + 11))
    assert scene.state.tail_until_s == NEVER


def test_the_loudest_and_the_quietest_sample_have_their_place():
    trace = Trace(0.0)
    trace.add(0.0, 0.05, 32768)
    trace.add(0.05, 0.05, 0)
    assert trace.level()["dbfs"] == [0, -120]


def test_a_recorder_that_is_full_of_penguins_fits_through_the_control_socket():
    scene = Scene()
    for number in range(TURNS):
        scene.at(2000.0 + 100 * number, Pressed(2000.0 + 100 * number))
        for mark in range(FIRST_MARKS + LAST_MARKS):
            scene.recorder.note("dropped", "\N{PENGUIN}" * 1000, scene.now_s + mark / 10)
        for change in range(CHANGES):
            lamp = ("microphone_live_no_link", "microphone_live")[change % 2]
            scene.recorder.observe(kiosk.Tick(), scene.state, scene.state, lamp, scene.now_s + change / 10)
        scene.recorder.captured(tone(60.0, 8000, 30000), 8000, scene.now_s + 60.0)
        scene.at(scene.now_s + 60.0, Released(scene.now_s + 60.0, 60.0), kiosk.HangUp())
    turns = scene.turns
    assert {len(turn["marks"]) for turn in turns} == {FIRST_MARKS + LAST_MARKS}
    assert {len(turn["lanes"]["lamp"]) for turn in turns} == {CHANGES}
    assert len(msgspec.json.encode(turns)) < _LONGEST_ANSWER_BYTES * 3 // 4
