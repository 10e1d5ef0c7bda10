"""The conductor carries out what the state machine decides: devices, session, lamp and audio."""

import asyncio

import numpy as np
import pytest
from msgspec.structs import replace
from tests.rigs.parts import RATE_HZ, FakeFactory, device
from tests.rigs.still_loop import StillLoop

from voicekiosk.agent import events as agent
from voicekiosk.audio import events as audio
from voicekiosk.audio.earcons import earcon
from voicekiosk.config.diff import compare
from voicekiosk.config.schema import Audio, Capture, Config, Conversation, Panel, Playback
from voicekiosk.errors import RefusedError
from voicekiosk.kiosk import events as kiosk
from voicekiosk.kiosk.conductor import Conductor
from voicekiosk.kiosk.events import Fault
from voicekiosk.kiosk.hearing import play_last_question
from voicekiosk.kiosk.state import Name, Turn, name_of
from voicekiosk.kiosk.uplink import FRAME_SAMPLES
from voicekiosk.panel.lamp import Sign

READY = agent.Ready("sess_1", resumed=False, continued=False)


class Kiosk:
    """A conductor with stand-ins, in a loop whose time the test moves."""

    def __init__(self, config=None, **factory):
        self.loop = StillLoop()
        asyncio.set_event_loop(self.loop)
        self.factory = FakeFactory(**factory)
        self.conductor = Conductor(config or Config(), self.factory, clock=self.loop.time)
        self.conductor.start(self.loop)
        self.loop.turn()

    @property
    def mic(self):
        return self.conductor.parts.capture

    @property
    def speaker(self):
        return self.conductor.parts.playback

    @property
    def agent(self):
        return self.conductor.parts.agent

    @property
    def panel(self):
        return self.conductor.parts.panel

    @property
    def name(self):
        return name_of(self.conductor.state)

    def press(self):
        self.panel.on_edge("talk", True, self.loop.time())
        self.loop.turn()

    def release(self):
        self.panel.on_edge("talk", False, self.loop.time())
        self.loop.turn()

    def open_microphone(self):
        self.mic.first_frame = self.mic.ring.written
        self.mic.origin_s = self.loop.time() - self.mic.ring.written / RATE_HZ
        self.mic.post(audio.MicrophoneOpened(self.mic.stream))
        self.loop.turn()

    def hear(self, seconds):
        """The microphone delivers periods of 20 ms while time passes."""
        for _ in range(round(seconds * 50)):
            self.loop.pass_time(0.02)
            self.mic.hear(0.02)
            self.loop.turn()

    def ask(self):
        """A whole question: pressed, heard, released, sent, and its turn closed."""
        self.press()
        self.open_microphone()
        self.agent.say(READY)
        self.hear(1.0)
        self.agent.say(agent.SpeechStarted())
        self.release()
        self.hear(0.6)
        self.agent.say(agent.UserText("hello", final=True))

    def answer(self, reply_id="r1", seconds=1.0):
        self.agent.say(agent.ReplyStarted(reply_id))
        self.agent.say(agent.ReplyAudio(reply_id, bytes(2 * round(24000 * seconds))))


@pytest.fixture
def kiosk_():
    made = []

    def make(*args, **kwargs):
        made.append(Kiosk(*args, **kwargs))
        return made[-1]

    yield make
    for one in made:
        one.loop.run_until_complete(one.conductor.stop(0))
        one.loop.close()
        asyncio.set_event_loop(None)


def test_the_microphone_hurries_only_while_a_question_is_taken(kiosk_):
    one = kiosk_(Config(audio=Audio(capture=Capture(warm=True))))
    one.open_microphone()
    assert not one.mic.live
    one.press()
    assert one.mic.live
    one.agent.say(READY)
    one.hear(1.0)
    one.release()
    assert one.mic.live
    one.hear(0.6)
    assert not one.mic.live


def test_an_idle_kiosk_opens_nothing_and_sets_no_timer(kiosk_):
    one = kiosk_()
    assert one.mic.calls == ["start"]
    assert one.speaker.calls == ["start", "volume 80"]
    assert one.agent.calls == []
    assert one.panel.signs == [Sign.IDLE]
    assert not [timer for timer in one.loop._scheduled if not timer.cancelled()]


def test_a_press_opens_devices_and_session_and_lights_the_lamp(kiosk_):
    one = kiosk_()
    one.press()
    assert one.mic.calls[-1] == "open"
    assert one.speaker.calls[-1] == "open"
    assert "open" in one.agent.calls
    assert one.panel.signs[-1] is Sign.MICROPHONE_LIVE_NO_LINK


def test_a_question_goes_up_and_its_answer_goes_to_the_loudspeaker(kiosk_):
    one = kiosk_()
    one.ask()
    sent = np.frombuffer(one.agent.sent, "<i2")
    assert len(sent) > 24000
    assert one.name is Name.THINKING
    one.answer()
    assert one.name is Name.SPEAKING
    assert len(one.speaker.pcm) == 48000
    one.agent.say(agent.ReplyDone("r1", interrupted=False))
    assert one.speaker.calls[-1] == "end"
    one.speaker.post(audio.SpeakerDrained(one.loop.time(), 24000))
    one.loop.turn()
    assert one.name is Name.IDLE


def test_nothing_leaves_after_the_turn_is_closed(kiosk_):
    one = kiosk_()
    one.ask()
    one.hear(0.5)
    sent = len(one.agent.sent)
    one.hear(2.0)
    assert len(one.agent.sent) == sent


def test_a_press_while_speaking_silences_the_loudspeaker_and_discards_the_rest(kiosk_):
    one = kiosk_()
    one.ask()
    one.answer()
    one.speaker.played_samples = 4800
    one.press()
    assert one.speaker.calls[-1] == "flush"
    assert "discard" in one.agent.calls
    assert ("played", "r1", 4800) in one.agent.calls
    before = len(one.speaker.pcm)
    one.agent.say(agent.ReplyAudio("r1", bytes(480)))
    assert len(one.speaker.pcm) == before


def test_a_reply_that_begins_while_held_waits_for_the_release(kiosk_):
    one = kiosk_()
    one.press()
    one.open_microphone()
    one.agent.say(READY)
    one.hear(1.0)
    one.agent.say(agent.SpeechStarted())
    one.answer(seconds=0.5)
    assert one.speaker.pcm == b""
    one.agent.say(agent.ReplyAudio("r1", bytes(480)))
    one.release()
    one.hear(0.2)
    assert len(one.speaker.pcm) == 24000 + 480
    assert one.name is Name.SPEAKING


def test_a_held_reply_is_dropped_when_the_visitor_goes_on(kiosk_):
    one = kiosk_()
    one.press()
    one.open_microphone()
    one.agent.say(READY)
    one.hear(1.0)
    one.answer()
    one.agent.say(agent.SpeechStarted())
    one.release()
    one.hear(0.2)
    assert one.speaker.pcm == b""
    assert "discard" in one.agent.calls


def test_the_session_is_closed_after_the_last_word_and_the_devices_with_it(kiosk_):
    one = kiosk_()
    one.ask()
    one.answer()
    one.agent.say(agent.ReplyDone("r1", interrupted=False))
    one.speaker.post(audio.SpeakerDrained(one.loop.time(), 24000))
    one.loop.turn()
    one.loop.pass_time(46)
    assert one.agent.calls[-1] == "close"
    assert one.mic.calls[-1] == "close"
    assert one.speaker.calls[-1] == "close"


def test_a_cold_microphone_gives_nothing_from_before_it_was_open(kiosk_):
    one = kiosk_()
    one.mic.hear(1.0)
    one.press()
    one.open_microphone()
    one.agent.say(READY)
    one.hear(0.5)
    assert len(one.agent.sent) // 2 <= 0.5 * 24000


def test_a_warm_microphone_reaches_back_before_the_press(kiosk_):
    config = Config(audio=Audio(capture=Capture(warm=True, preroll_ms=300)))
    one = kiosk_(config)
    assert one.mic.calls[-1] == "open"
    one.open_microphone()
    assert one.panel.signs[-1] is Sign.IDLE_WARM
    one.hear(1.0)
    one.press()
    one.agent.say(READY)
    one.hear(0.5)
    assert one.conductor.uplink.utterance.taken > 0.8 * 24000 - FRAME_SAMPLES, (
        "all but the frame that is filling"
    )
    paced = (0.15 + 0.5) * 24000
    assert paced - FRAME_SAMPLES < len(one.agent.sent) // 2 <= paced, (
        "what is late goes out at the pace of speech"
    )


def test_a_pre_roll_never_reaches_back_into_the_agents_own_words(kiosk_):
    config = Config(audio=Audio(capture=Capture(warm=True, preroll_ms=2000)))
    one = kiosk_(config)
    one.open_microphone()
    one.hear(3.0)
    one.speaker.post(audio.SpeakerDrained(one.loop.time() - 0.3, 0))
    one.loop.turn()
    one.press()
    one.agent.say(READY)
    one.hear(1.0)
    assert len(one.agent.sent) // 2 <= 1.2 * 24000 + 480


def test_a_pre_roll_never_reaches_back_into_a_sign_of_the_kiosk(kiosk_):
    one = kiosk_(Config(audio=Audio(capture=Capture(warm=True, preroll_ms=2000))))
    one.open_microphone()
    one.hear(3.0)
    one.conductor.play_aloud(bytes(2 * 24000))
    one.hear(0.5)
    one.press()
    one.agent.say(READY)
    one.hear(0.5)
    assert one.speaker.calls[-1] == "flush"
    assert one.conductor.uplink.utterance.taken <= 0.55 * 24000


@pytest.mark.parametrize("warm", [True, False])
def test_the_sign_of_no_network_is_heard_and_is_no_part_of_the_question_that_is_kept(kiosk_, warm):
    config = Config(
        audio=Audio(capture=Capture(warm=warm, preroll_ms=2000)),
        conversation=Conversation(keep_question_s=600),
    )
    one = kiosk_(config)
    one.press()
    one.loop.pass_time(11)
    one.release()
    one.loop.pass_time(1)
    assert one.name is Name.OFFLINE
    one.speaker.post(audio.SpeakerDrained(one.loop.time(), 0))
    one.loop.turn()
    if warm:
        one.open_microphone()
        one.hear(3.0)
    before = len(one.speaker.calls)
    one.press()
    if not warm:
        one.open_microphone()
    one.hear(1.0)
    assert "play" in one.speaker.calls[before:]
    assert "flush" not in one.speaker.calls[before:]
    assert one.speaker.pcm.endswith(earcon("offline")), "words would take longer than the visitor waits"
    assert one.conductor.uplink.utterance.taken == pytest.approx(0.5 * 24000, abs=960)


def test_mute_closes_a_warm_microphone(kiosk_):
    one = kiosk_(Config(audio=Audio(capture=Capture(warm=True))))
    one.open_microphone()
    one.panel.on_edge("mute", True, one.loop.time())
    one.loop.turn()
    assert one.mic.calls[-1] == "close"
    assert one.panel.signs[-1] is Sign.MUTED


def test_a_press_that_changes_no_sign_is_acknowledged_by_the_lamp(kiosk_):
    one = kiosk_()
    one.panel.on_edge("mute", True, one.loop.time())
    one.press()
    assert one.panel.acknowledged == 1
    assert one.speaker.calls[-1] in ("open", "end")


def test_an_earcon_opens_the_loudspeaker_and_closes_it_again(kiosk_):
    one = kiosk_()
    one.panel.on_edge("mute", True, one.loop.time())
    one.press()
    assert one.speaker.pcm
    assert one.speaker.calls[-1] == "open"
    one.speaker.post(audio.SpeakerDrained(one.loop.time(), 100))
    one.loop.turn()
    assert one.speaker.calls[-1] == "close"


def test_after_a_drop_the_agent_is_told_what_was_played_and_the_rest_is_kept(kiosk_):
    one = kiosk_()
    one.ask()
    one.answer(seconds=0.5)
    one.agent.say(agent.Dropped(agent.Cause.NETWORK, "reset", 1.0))
    assert ("played", "r1", 12000) in one.agent.calls
    assert one.speaker.calls[-1] == "end"


def test_a_drop_while_listening_sends_the_unproven_part_again(kiosk_):
    one = kiosk_()
    one.press()
    one.open_microphone()
    one.agent.say(READY)
    one.hear(1.0)
    sent = one.agent.sent
    one.agent.say(agent.Proven(len(sent) // 4))
    proven = one.conductor.uplink.utterance.proven
    one.agent.say(agent.Dropped(agent.Cause.NETWORK, "reset", 1.0))
    one.agent.sent = b""
    one.hear(0.5)
    assert one.agent.sent == b""
    one.agent.say(agent.Ready("sess_1", resumed=True, continued=False))
    one.hear(1.0)
    again = sent[2 * proven :]
    assert one.agent.sent[: len(again)] == again


def test_a_socket_that_does_not_drain_is_tried_again_by_a_timer(kiosk_):
    one = kiosk_()
    one.press()
    one.open_microphone()
    one.agent.say(READY)
    one.agent.takes = False
    one.hear(0.2)
    one.agent.takes = True
    one.loop.pass_time(0.1)
    assert one.agent.sent


def test_what_was_said_is_kept_when_the_link_is_given_up(kiosk_):
    one = kiosk_()
    one.ask()
    one.agent.say(agent.Dropped(agent.Cause.NETWORK, "reset", 1.0))
    one.agent.say(agent.Dropped(agent.Cause.NETWORK, "reset", 30.0))
    one.loop.turn()
    kept = one.agent.calls.index(("keep", 45.0))
    assert "close" in one.agent.calls[kept:]


def test_a_deaf_session_is_renewed(kiosk_):
    one = kiosk_()
    one.press()
    one.open_microphone()
    one.agent.say(READY)
    one.hear(1.0)
    one.release()
    one.hear(0.6)
    one.loop.pass_time(13)
    assert ("create", None) not in one.agent.calls
    assert "renew" in one.agent.calls


def test_a_route_makes_the_agent_try_at_once(kiosk_):
    one = kiosk_()
    one.press()
    one.conductor.network_returned()
    assert "network returned" in one.agent.calls
    assert one.agent.calls[-1] == "open"


def test_what_is_wrong_with_a_device_is_told_in_its_own_words_while_it_is_wrong(kiosk_):
    one = kiosk_()
    one.mic.post(audio.MicrophoneLost("microphone gone", 0.25))
    one.speaker.post(audio.SpeakerOpened(device("playback")))
    one.speaker.post(audio.SpeakerLost("loudspeaker gone", 0.25))
    one.loop.turn()
    assert one.conductor.device_problem(Fault.MICROPHONE) == "microphone gone"
    assert one.conductor.device_problem(Fault.LOUDSPEAKER) == "loudspeaker gone"
    one.open_microphone()
    assert one.conductor.device_problem(Fault.MICROPHONE) == ""


def test_a_lost_microphone_is_tried_again_at_a_press(kiosk_):
    one = kiosk_()
    one.mic.post(audio.MicrophoneLost("gone", 0.25))
    one.loop.turn()
    one.press()
    assert one.mic.calls[-1] == "open"
    assert one.conductor.state.turn is Turn.NONE


def test_a_panel_that_cannot_be_had_is_a_fault_but_the_kiosk_runs(kiosk_):
    one = kiosk_(panel_faults=("no GPIO chip",))
    assert one.name is Name.FAULT
    assert one.conductor.device_problem(Fault.PANEL) == "no GPIO chip"
    one.press()
    assert one.name is Name.LISTENING


def test_a_panel_that_works_again_is_no_fault_any_more_and_one_that_is_lost_is(kiosk_):
    one = kiosk_(panel_faults=("no GPIO chip",))
    one.panel.faults = ()
    one.panel.on_faults()
    assert one.name is Name.IDLE
    assert not one.conductor.device_problem(Fault.PANEL)
    one.panel.faults = ("the chip is lost",)
    one.panel.on_faults()
    assert one.name is Name.FAULT
    assert one.conductor.device_problem(Fault.PANEL) == "the chip is lost"


def test_volume_is_bounded_by_the_configuration(kiosk_):
    one = kiosk_(Config(audio=Audio(playback=Playback(volume=90, volume_max=70))))
    assert one.conductor.volume == 70
    one.conductor.set_volume(30)
    assert one.speaker.calls[-1] == "volume 30"


def test_the_time_of_open_sessions_is_counted(kiosk_):
    one = kiosk_()
    one.press()
    one.agent.say(READY)
    one.loop.pass_time(5)
    assert one.conductor.connected_s(one.loop.time()) == pytest.approx(5)
    one.agent.say(agent.Ended(5.0))
    one.loop.pass_time(5)
    assert one.conductor.connected_s(one.loop.time()) == pytest.approx(5)


def changed(old, **tables):
    new = replace(old, **tables)
    return new, compare(old, new)


def test_a_changed_microphone_is_reopened_when_no_turn_needs_it(kiosk_):
    config = Config(audio=Audio(capture=Capture(warm=True)))
    one = kiosk_(config)
    first = one.mic
    one.press()
    new, changes = changed(config, audio=Audio(capture=Capture(warm=True, rate_hz=16000)))
    one.conductor.apply(new, changes)
    one.loop.pass_time(0.1)
    assert one.mic is first, "somebody is speaking into it"
    one.panel.on_edge("talk", False, one.loop.time())
    one.conductor.dispatch(kiosk.HangUp())
    one.loop.run_until_complete(asyncio.gather(*asyncio.all_tasks(one.loop)))
    assert one.mic is not first
    assert first.calls[-1] == "stop"
    assert one.mic.calls == ["start", "open"]
    assert one.mic.settings.rate_hz == 16000


def test_a_changed_loudspeaker_and_panel_are_replaced_alone(kiosk_):
    config = Config()
    one = kiosk_(config)
    microphone, panel = one.mic, one.panel
    new, changes = changed(
        config,
        audio=Audio(playback=Playback(rate_hz=44100)),
        panel=Panel(mode="toggle", chip="/dev/gpiochip4"),
    )
    one.conductor.apply(new, changes)
    one.loop.run_until_complete(asyncio.gather(*asyncio.all_tasks(one.loop)))
    assert one.mic is microphone
    assert one.speaker.settings.rate_hz == 44100
    assert panel.closed
    assert one.panel.settings.chip == "/dev/gpiochip4"
    assert one.panel.signs == [Sign.IDLE]
    assert one.conductor.rules.mode == "toggle"


def test_a_changed_volume_is_taken_at_once(kiosk_):
    config = Config()
    one = kiosk_(config)
    new, changes = changed(config, audio=Audio(playback=Playback(volume=20)))
    one.conductor.apply(new, changes)
    assert one.speaker.calls[-1] == "volume 20"
    assert one.conductor.volume == 20


def test_stopping_ends_the_session_and_gives_everything_back(kiosk_):
    one = kiosk_()
    one.press()
    one.agent.say(READY)
    one.mic.stops = one.speaker.stops = False
    one.loop.run_until_complete(one.conductor.stop(0))
    assert one.agent.calls[-1] == "close"
    assert one.mic.calls[-1] == one.speaker.calls[-1] == "stop"
    assert one.panel.closed


def test_an_event_that_causes_another_is_finished_first(kiosk_):
    one = kiosk_()
    order = []
    one.conductor.observe = lambda event, before, after: order.append(type(event).__name__)
    one.agent.open = lambda: one.agent.say(agent.Connecting(1, resuming=False))
    one.press()
    assert order == ["Pressed", "Connecting"]


def test_a_session_that_cannot_be_closed_is_told_and_stops_nothing(kiosk_, caplog):
    one = kiosk_()

    async def close(timeout_s=2.0):
        raise RuntimeError("no way out")

    one.press()
    one.agent.close = close
    one.conductor.dispatch(kiosk.HangUp())
    one.loop.turn()
    one.loop.turn()
    assert "a task of the conductor failed" in caplog.text
    assert one.name is Name.IDLE


def test_a_sign_does_not_sound_over_the_agent(kiosk_):
    one = kiosk_()
    one.ask()
    one.answer()
    assert one.name is Name.SPEAKING
    before = one.speaker.enqueued_samples
    one.conductor.dispatch(kiosk.MuteSwitched(True))
    one.press()
    assert one.speaker.enqueued_samples == before


def test_the_last_question_is_not_played_while_somebody_talks(kiosk_):
    one = kiosk_()
    with pytest.raises(RefusedError, match="no question"):
        play_last_question(one.conductor)
    one.ask()
    with pytest.raises(RefusedError, match="try again when it is idle"):
        play_last_question(one.conductor)
