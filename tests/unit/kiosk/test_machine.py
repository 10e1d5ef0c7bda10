"""The state machine, told as what a visitor does and sees."""

from dataclasses import dataclass, field

import pytest

from voicekiosk.agent import events as agent
from voicekiosk.audio import events as audio
from voicekiosk.config.schema import Config
from voicekiosk.kiosk import events as kiosk
from voicekiosk.kiosk.events import Fault, Sound
from voicekiosk.kiosk.machine import step
from voicekiosk.kiosk.state import Link, Name, Rules, State, Turn, name_of, sign_of
from voicekiosk.panel.gestures import DoubleTapped, LongPressed, Pressed, Released
from voicekiosk.panel.lamp import Sign

READY = agent.Ready("sess_1", resumed=False, continued=False)
CONTINUED = agent.Ready("sess_2", resumed=False, continued=True)
RESUMED = agent.Ready("sess_1", resumed=True, continued=False)
DROPPED = agent.Dropped(agent.Cause.NETWORK, "reset", 1.0)
GIVEN_UP = agent.Dropped(agent.Cause.NETWORK, "reset", 30.0)
OPENED = audio.MicrophoneOpened(None)  # type: ignore[arg-type]
LOST = audio.MicrophoneLost("No such device", 0.25)
DRAINED = audio.SpeakerDrained(0.0, 0)


@dataclass
class Scene:
    """A kiosk and a clock; remembers every effect."""

    rules: Rules = field(default_factory=Rules)
    state: State = field(default_factory=State)
    now_s: float = 1000.0
    effects: list[kiosk.Effect] = field(default_factory=list)
    down_s: float = 0.0

    def __post_init__(self) -> None:
        self.tell(kiosk.Started())

    def tell(self, *events) -> list[kiosk.Effect]:
        new: list[kiosk.Effect] = []
        for event in events:
            self.state, effects = step(self.state, event, self.now_s, self.rules)
            new += effects
        self.effects += new
        return new

    def press(self) -> list[kiosk.Effect]:
        self.down_s = self.now_s
        return self.tell(Pressed(self.now_s))

    def release(self) -> list[kiosk.Effect]:
        return self.tell(Released(self.now_s, self.now_s - self.down_s))

    def wait(self, seconds: float, **facts) -> list[kiosk.Effect]:
        """Let time pass, with a tick at every deadline."""
        end_s, before = self.now_s + seconds, len(self.effects)
        for _ in range(1000):
            if self.state.next_deadline_s > end_s:
                break
            self.now_s = max(self.now_s, self.state.next_deadline_s)
            self.tell(kiosk.Tick(**facts))
        else:
            pytest.fail("a deadline that does not move on")
        self.now_s = end_s
        return self.effects[before:]

    @property
    def name(self) -> Name:
        return name_of(self.state)


def idle(**rules) -> Scene:
    return Scene(Rules(**rules))


def listening(**rules) -> Scene:
    scene = idle(**rules)
    scene.press()
    scene.tell(OPENED, READY)
    scene.now_s += 1.0
    return scene


def thinking(**rules) -> Scene:
    scene = listening(**rules)
    scene.tell(agent.SpeechStarted())
    scene.release()
    scene.wait(scene.rules.release_tail_s)
    scene.tell(kiosk.UtteranceSent(loud=True))
    return scene


def speaking(**rules) -> Scene:
    scene = thinking(**rules)
    scene.tell(agent.SpeechStopped(), agent.UserText("hi", final=True))
    scene.tell(agent.ReplyStarted("r1"), kiosk.AudioArrived("r1"))
    return scene


def kinds(effects) -> list[type]:
    return [type(effect) for effect in effects]


# --- the plain course --------------------------------------------------------------------------


def test_a_kiosk_that_has_started_is_idle_and_wants_nothing():
    scene = idle()
    assert scene.name is Name.IDLE
    assert not scene.state.session_wanted
    assert not scene.state.microphone_wanted
    assert scene.state.next_deadline_s == float("inf")


def test_a_press_listens_at_once_and_wants_a_session():
    scene = idle()
    effects = scene.press()
    assert effects == [kiosk.BeginUtterance(1000.0, barge_in=False)]
    assert scene.name is Name.LISTENING
    assert scene.state.session_wanted
    assert sign_of(scene.state) is Sign.MICROPHONE_LIVE_NO_LINK


def test_the_utterance_begins_at_the_edge_not_when_it_was_noticed():
    scene = idle()
    assert scene.tell(Pressed(999.9)) == [kiosk.BeginUtterance(999.9, barge_in=False)]


def test_a_ready_link_shows_the_steady_sign():
    scene = listening()
    assert sign_of(scene.state) is Sign.MICROPHONE_LIVE


def test_a_fresh_session_is_sent_the_whole_utterance():
    scene = idle()
    scene.press()
    assert kiosk.Resend(whole=True) in scene.tell(READY)


def test_release_keeps_the_microphone_for_the_tail_and_then_ends_the_utterance():
    scene = listening()
    assert scene.release() == []
    assert scene.state.microphone_live
    assert scene.wait(0.12) == [kiosk.EndUtterance(scene.now_s)]
    assert not scene.state.microphone_live
    assert scene.name is Name.THINKING


def test_pressing_again_within_the_tail_goes_on_with_the_same_question():
    scene = listening()
    scene.release()
    scene.now_s += 0.05
    assert scene.press() == []
    assert scene.wait(5) == []
    assert scene.name is Name.LISTENING


def test_a_plain_turn_from_question_to_idle():
    scene = speaking()
    assert scene.name is Name.SPEAKING
    assert kiosk.TurnClosed() in scene.effects
    assert scene.tell(agent.ReplyDone("r1", interrupted=False)) == [kiosk.FinishReply()]
    assert scene.name is Name.SPEAKING, "the loudspeaker has not finished"
    scene.tell(DRAINED)
    assert scene.name is Name.IDLE
    assert scene.state.session_wanted


def test_the_session_is_hung_up_some_time_after_the_last_word():
    scene = speaking(keep_open_s=45)
    scene.tell(agent.ReplyDone("r1", interrupted=False), DRAINED)
    scene.wait(44)
    assert scene.state.session_wanted
    scene.wait(1)
    assert not scene.state.session_wanted
    assert scene.state.link is Link.CLOSED


def test_on_boot_the_session_is_wanted_from_the_start_and_never_hung_up():
    scene = idle(connect_on_boot=True)
    assert scene.state.session_wanted
    scene.tell(READY)
    scene.wait(10_000)
    assert scene.state.session_wanted


def test_on_boot_the_microphone_is_open_only_during_a_conversation():
    scene = idle(connect_on_boot=True, keep_open_s=45)
    scene.tell(READY)
    assert not scene.state.microphone_wanted, "closed until somebody presses"
    scene.press()
    scene.wait(1)
    scene.release()
    scene.wait(0.2)
    scene.tell(kiosk.UtteranceSent(loud=True), agent.SpeechStarted(), agent.UserText("hi", final=True))
    scene.tell(agent.ReplyStarted("r1"), kiosk.AudioArrived("r1"))
    scene.tell(agent.ReplyDone("r1", interrupted=False), DRAINED)
    scene.wait(44)
    assert scene.state.microphone_wanted, "the visitor goes on"
    scene.wait(1)
    assert not scene.state.microphone_wanted
    assert scene.state.session_wanted
    assert scene.state.link is Link.READY


def test_double_tap_ends_the_conversation():
    scene = speaking()
    effects = scene.tell(DoubleTapped(scene.now_s))
    assert kinds(effects) == [kiosk.CancelUtterance, kiosk.FlushSpeaker]
    assert not scene.state.session_wanted
    assert scene.name is Name.IDLE


# --- the modes of the button -------------------------------------------------------------------


def test_hold_takes_a_short_press_back():
    scene = idle()
    scene.press()
    scene.now_s += 0.1
    assert scene.release() == [kiosk.CancelUtterance()]
    assert scene.name is not Name.LISTENING
    assert scene.state.turn is Turn.NONE


def test_auto_latches_a_tap_and_ends_at_the_second():
    scene = idle(mode="auto")
    scene.press()
    scene.tell(OPENED, READY)
    scene.now_s += 0.2
    scene.release()
    assert scene.state.latched
    scene.now_s += 3
    scene.press()
    scene.now_s += 0.1
    scene.release()
    assert kinds(scene.wait(0.2)) == [kiosk.EndUtterance]


def test_auto_holds_when_held_longer():
    scene = listening(mode="auto")
    scene.release()
    assert kinds(scene.wait(0.2)) == [kiosk.EndUtterance]


def test_toggle_listens_from_tap_to_tap():
    scene = idle(mode="toggle")
    scene.press()
    scene.tell(OPENED, READY)
    scene.now_s += 0.1
    scene.release()
    assert scene.state.microphone_live
    scene.now_s += 2
    scene.press()
    assert kinds(scene.wait(0.2)) == [kiosk.EndUtterance]


def test_a_latched_question_ends_when_the_service_closes_the_turn():
    scene = idle(mode="toggle")
    scene.press()
    scene.tell(OPENED, READY, agent.SpeechStarted())
    scene.now_s += 30
    assert kinds(scene.tell(agent.SpeechStopped())) == [kiosk.EndUtterance, kiosk.TurnClosed]
    assert scene.name is Name.THINKING


def test_a_latched_question_without_speech_is_taken_back():
    scene = idle(mode="toggle")
    scene.press()
    scene.tell(OPENED, READY)
    assert scene.wait(9.9) == []
    assert scene.wait(0.2) == [kiosk.CancelUtterance()]
    assert not scene.state.microphone_live


def test_a_held_question_is_not_ended_by_a_pause():
    scene = listening()
    scene.tell(agent.SpeechStarted(), agent.SpeechStopped(), agent.UserText("so", final=True))
    assert scene.name is Name.LISTENING


def test_a_stuck_button_asks_what_was_said_and_shows_a_fault_until_released():
    scene = listening(max_hold_s=60)
    effects = scene.wait(60)
    assert kiosk.EndUtterance in kinds(effects)
    assert not scene.state.microphone_live
    assert Fault.STUCK_BUTTON in scene.state.faults
    assert scene.name is Name.FAULT
    scene.release()
    assert Fault.STUCK_BUTTON not in scene.state.faults


def test_long_press_mutes_in_toggle_mode_only():
    scene = idle(mode="toggle")
    scene.tell(LongPressed(scene.now_s))
    assert scene.name is Name.MUTED
    scene = idle(mode="hold")
    scene.tell(LongPressed(scene.now_s))
    assert scene.name is Name.IDLE


def test_muting_takes_a_question_back_and_a_press_is_only_answered():
    scene = listening()
    assert kiosk.CancelUtterance() in scene.tell(kiosk.MuteSwitched(on=True))
    assert scene.name is Name.MUTED
    assert not scene.state.microphone_wanted
    assert scene.press() == [kiosk.PlaySound(Sound.MUTED)]
    assert not scene.state.microphone_live
    scene.tell(kiosk.MuteSwitched(on=None))
    assert scene.name is Name.IDLE


@pytest.mark.parametrize("link", ["late", "lost"])
def test_muting_takes_back_what_was_asked_and_has_not_arrived(link):
    scene = listening()
    if link == "lost":
        scene.tell(DROPPED)
    scene.release()
    scene.wait(0.2)
    if link == "lost":
        scene.tell(kiosk.UtteranceSent(loud=True))
    assert kiosk.CancelUtterance() in scene.tell(kiosk.MuteSwitched(on=True))
    assert scene.name is Name.MUTED
    assert scene.state.turn is Turn.NONE
    assert scene.tell(RESUMED) == []


def test_muting_leaves_a_question_that_has_arrived_to_be_answered():
    scene = thinking()
    assert scene.tell(kiosk.MuteSwitched(on=True)) == []
    scene.tell(agent.UserText("hi", final=True), agent.ReplyStarted("r1"), kiosk.AudioArrived("r1"))
    assert scene.state.turn is Turn.SPEAKING
    assert scene.tell(kiosk.MuteSwitched(on=False), kiosk.MuteSwitched(on=True)) == []


def test_a_question_that_a_drop_left_open_is_not_sent_again_under_the_sign_of_a_closed_microphone():
    scene = thinking()
    scene.tell(kiosk.MuteSwitched(on=True), DROPPED)
    effects = scene.tell(CONTINUED)
    assert kinds(effects) == [kiosk.CancelUtterance, kiosk.TurnClosed, kiosk.PlaySound]
    assert scene.state.turn is Turn.NONE


def test_muting_forgets_a_question_that_waits_for_the_network():
    scene = offline(keep_question_s=600)
    assert scene.tell(kiosk.MuteSwitched(on=True)) == [kiosk.CancelUtterance()]
    assert not scene.state.session_wanted
    scene = thinking(keep_question_s=600)
    scene.tell(kiosk.MuteSwitched(on=True), DROPPED, GIVEN_UP)
    assert kiosk.CancelUtterance() in scene.effects
    assert not scene.state.session_wanted


# --- barge-in ----------------------------------------------------------------------------------


def test_a_press_while_speaking_silences_the_loudspeaker_before_anything_else():
    scene = speaking()
    effects = scene.press()
    assert kinds(effects) == [kiosk.FlushSpeaker, kiosk.BeginUtterance]
    assert effects[1].barge_in
    assert scene.name is Name.LISTENING


def test_what_the_service_says_of_the_cut_reply_changes_nothing():
    scene = speaking()
    scene.press()
    before = scene.state
    assert scene.tell(agent.AgentText("r1", "Hel", final=True, interrupted=True)) == []
    assert scene.tell(agent.ReplyDone("r1", interrupted=True)) == []
    assert scene.state == before


def test_a_tap_while_speaking_only_silences():
    scene = speaking()
    scene.press()
    scene.now_s += 0.1
    scene.release()
    assert scene.state.turn is Turn.NONE


@pytest.mark.parametrize("event", [agent.SpeechStarted(), agent.ReplyDone("r1", interrupted=True)])
def test_an_interruption_by_the_service_flushes_and_waits_for_the_next_answer(event):
    scene = speaking()
    effects = scene.tell(event)
    assert kiosk.FlushSpeaker() in effects
    assert scene.name is Name.THINKING


def test_after_an_interruption_that_is_never_answered_the_kiosk_asks_once():
    scene = speaking()
    scene.tell(agent.ReplyDone("r1", interrupted=True))
    effects = scene.wait(20)
    assert effects.count(kiosk.CreateReply()) == 1
    assert scene.state.turn is Turn.NONE


def test_speech_noticed_late_brings_the_silence_back():
    scene = thinking()
    scene.tell(agent.SpeechStopped())
    assert kiosk.TurnOpened() in scene.tell(agent.SpeechStarted())


# --- replies while the button is held ----------------------------------------------------------


def test_a_reply_that_begins_while_held_is_kept_and_played_at_the_release():
    scene = listening()
    scene.tell(agent.SpeechStarted(), agent.SpeechStopped())
    assert scene.tell(agent.ReplyStarted("r1"), kiosk.AudioArrived("r1")) == [kiosk.HoldReply()]
    assert scene.name is Name.LISTENING
    scene.release()
    assert kiosk.PlayHeldReply() in scene.wait(0.2)
    assert scene.name is Name.SPEAKING


def test_a_kept_reply_that_is_already_complete_is_finished_too():
    scene = listening()
    scene.tell(agent.SpeechStarted(), agent.ReplyStarted("r1"), kiosk.AudioArrived("r1"))
    scene.tell(agent.ReplyDone("r1", interrupted=False))
    scene.release()
    assert kinds(scene.wait(0.2)) == [kiosk.EndUtterance, kiosk.PlayHeldReply, kiosk.FinishReply]


@pytest.mark.parametrize("event", [agent.SpeechStarted(), agent.ReplyDone("r1", interrupted=True)])
def test_a_kept_reply_is_dropped_when_the_visitor_goes_on(event):
    scene = listening()
    scene.tell(agent.SpeechStarted(), agent.ReplyStarted("r1"), kiosk.AudioArrived("r1"))
    assert scene.tell(event) == [kiosk.DropHeldReply()]
    scene.release()
    assert kiosk.PlayHeldReply() not in scene.wait(0.2)
    assert scene.name is Name.THINKING


def test_a_greeting_never_plays_while_the_button_is_down():
    scene = idle(greets=True)
    scene.press()
    scene.tell(OPENED, READY)
    effects = scene.tell(agent.ReplyStarted("greeting"), kiosk.AudioArrived("greeting"))
    assert effects == [kiosk.FlushSpeaker()]
    scene.now_s += 1
    scene.release()
    assert kiosk.PlayHeldReply() not in scene.wait(0.2)


# --- answers that do not come ------------------------------------------------------------------


def test_an_answer_that_does_not_come_is_asked_for_once():
    scene = thinking(nudge_after_s=2)
    assert scene.wait(1.9) == []
    assert scene.wait(0.2) == [kiosk.CreateReply()]
    effects = scene.wait(30)
    assert kiosk.CreateReply() not in effects
    assert kiosk.PlaySound(Sound.NO_ANSWER) in effects
    assert scene.name is Name.IDLE


def test_silence_is_not_asked_about():
    scene = listening()
    scene.release()
    scene.wait(0.2)
    scene.tell(kiosk.UtteranceSent(loud=False))
    effects = scene.wait(5)
    assert kiosk.CreateReply() not in effects
    assert scene.state.turn is Turn.NONE


def test_an_empty_reply_is_no_answer_and_is_asked_for_once():
    scene = thinking()
    scene.tell(agent.ReplyStarted("r1"))
    assert scene.tell(agent.ReplyDone("r1", interrupted=False)) == [kiosk.CreateReply()]
    scene.tell(agent.ReplyStarted("r2"))
    assert kiosk.PlaySound(Sound.NO_ANSWER) in scene.tell(agent.ReplyDone("r2", interrupted=False))
    assert scene.state.turn is Turn.NONE


def test_a_duplicate_done_changes_nothing():
    scene = speaking()
    scene.tell(agent.ReplyDone("r1", interrupted=False))
    before = scene.state
    assert scene.tell(agent.ReplyDone("r1", interrupted=False)) == []
    assert scene.state == before


def test_done_without_started_changes_nothing():
    scene = thinking()
    before = scene.state
    assert scene.tell(agent.ReplyDone("r9", interrupted=False)) == []
    assert scene.state == before


def test_an_answer_that_stops_in_the_middle_ends_after_five_seconds():
    scene = speaking(speaking_stall_s=5)
    started_s = scene.now_s
    effects = scene.wait(20, queued_samples=0, audio_at_s=started_s + 3)
    assert kiosk.FlushSpeaker() in effects
    assert scene.state.turn is Turn.NONE


def test_a_long_answer_that_still_plays_is_not_cut():
    scene = speaking(speaking_stall_s=5)
    assert scene.wait(55, queued_samples=24000, audio_at_s=scene.now_s) == []
    assert scene.name is Name.SPEAKING


# --- the link ----------------------------------------------------------------------------------


def test_no_link_within_ten_seconds_is_offline_and_says_so():
    scene = idle()
    scene.press()
    effects = scene.wait(10)
    assert kinds(effects) == [kiosk.CancelUtterance, kiosk.PlaySound, kiosk.KeepConversation]
    assert scene.name is Name.OFFLINE
    assert not scene.state.microphone_live


def test_a_press_while_offline_says_no_network_and_tries_at_once():
    scene = idle()
    scene.press()
    scene.wait(10)
    scene.release()
    scene.now_s += 5
    assert scene.press() == [kiosk.PlaySound(Sound.OFFLINE), kiosk.ConnectNow()]
    assert not scene.state.microphone_live
    scene.release()
    scene.tell(READY)
    assert scene.name is Name.IDLE


def test_a_press_while_the_link_that_was_given_up_is_still_ending_gets_the_next_one():
    scene = idle()
    scene.press()
    scene.wait(10)
    scene.release()
    scene.press()
    scene.release()
    scene.tell(agent.Ended(None))
    scene.tell(READY)
    assert scene.name is Name.IDLE
    scene.press()
    assert scene.name is Name.LISTENING
    scene.wait(12)
    assert scene.name is Name.LISTENING, "the link is known to be there"


def test_offline_is_left_by_itself_after_a_while_or_when_a_route_appears():
    for leave in (lambda s: s.wait(61), lambda s: s.tell(kiosk.RouteAppeared())):
        scene = idle()
        scene.press()
        scene.wait(10)
        leave(scene)
        assert scene.name is Name.IDLE


def test_a_drop_while_listening_goes_on_listening_and_sends_what_is_not_proven():
    scene = listening()
    assert scene.tell(DROPPED) == []
    assert scene.state.microphone_live
    assert sign_of(scene.state) is Sign.MICROPHONE_LIVE_NO_LINK
    assert scene.tell(RESUMED) == [kiosk.Resend(whole=False)]


def test_a_drop_while_listening_sends_the_whole_utterance_to_a_fresh_session():
    scene = listening()
    scene.tell(DROPPED)
    assert scene.tell(CONTINUED) == [kiosk.Resend(whole=True)]


def test_a_drop_after_the_turn_was_closed_asks_the_fresh_session_for_the_answer():
    scene = thinking()
    scene.tell(agent.SpeechStopped(), agent.UserText("hi", final=True))
    assert scene.tell(DROPPED) == [kiosk.PlaySound(Sound.TICK)]
    assert scene.name is Name.RECONNECTING
    assert scene.tell(CONTINUED) == [kiosk.CreateReply()]


def test_a_drop_before_the_turn_was_closed_sends_the_question_again():
    scene = thinking()
    scene.tell(DROPPED)
    assert scene.tell(CONTINUED) == [kiosk.Resend(whole=True)]


def paused_and_went_on(**rules) -> Scene:
    """A visitor whose first sentence was closed by a pause, and whose second one is not noticed yet."""
    scene = listening(**rules)
    scene.tell(agent.SpeechStarted(), agent.SpeechStopped(), agent.UserText("hi", final=True))
    scene.now_s += 0.5
    return scene


@pytest.mark.parametrize(("ready", "whole"), [(RESUMED, False), (CONTINUED, True)])
def test_what_was_said_after_a_pause_is_sent_again_though_the_service_had_closed_the_turn(ready, whole):
    scene = paused_and_went_on()
    scene.tell(DROPPED)
    scene.release()
    scene.wait(0.2)
    assert scene.tell(ready) == [kiosk.Resend(whole=whole)]


@pytest.mark.parametrize(("ready", "whole"), [(RESUMED, False), (CONTINUED, True)])
def test_what_was_said_after_a_pause_is_sent_again_when_the_drop_comes_after_the_release(ready, whole):
    scene = paused_and_went_on()
    scene.release()
    scene.wait(0.2)
    scene.tell(DROPPED)
    assert scene.tell(ready) == [kiosk.Resend(whole=whole)]


@pytest.mark.parametrize("ready", [RESUMED, CONTINUED])
def test_the_answer_to_half_a_question_gives_way_to_the_other_half_that_a_drop_held_up(ready):
    scene = paused_and_went_on()
    scene.tell(agent.ReplyStarted("r1"), kiosk.AudioArrived("r1"))
    scene.release()
    scene.wait(0.2)
    assert scene.name is Name.SPEAKING
    assert scene.tell(DROPPED) == [kiosk.FlushSpeaker()]
    assert scene.tell(ready) == [kiosk.Resend(whole=ready is CONTINUED)]


def test_a_latched_question_that_the_service_has_ended_is_not_asked_again():
    scene = listening(mode="toggle")
    scene.tell(agent.SpeechStarted(), agent.SpeechStopped(), agent.UserText("hi", final=True))
    scene.tell(DROPPED)
    assert scene.tell(CONTINUED) == [kiosk.CreateReply()]


@pytest.mark.parametrize(("ready", "whole"), [(RESUMED, False), (CONTINUED, True)])
def test_a_question_whose_text_has_not_come_is_sent_again_though_its_turn_was_closed(ready, whole):
    scene = thinking()
    assert scene.tell(agent.SpeechStopped()) == [kiosk.TurnClosed()]
    scene.tell(DROPPED)
    assert scene.tell(ready) == [kiosk.Resend(whole=whole)]


def test_whoever_waits_for_the_link_hears_that_it_is_being_brought_back():
    scene = thinking()
    scene.tell(DROPPED)
    assert scene.wait(10) == [kiosk.PlaySound(Sound.TICK)] * 4
    scene.tell(RESUMED)
    assert kiosk.PlaySound(Sound.TICK) not in scene.wait(10)


def test_nobody_who_speaks_or_who_asked_nothing_hears_the_link_being_brought_back():
    scene = listening()
    scene.tell(DROPPED)
    assert scene.wait(10) == []
    scene = speaking()
    scene.tell(agent.ReplyDone("r1", interrupted=False), DRAINED, DROPPED)
    assert scene.wait(10) == []


def test_a_fresh_session_that_does_not_hear_the_question_again_is_not_asked_about_it():
    scene = thinking()
    scene.tell(DROPPED, CONTINUED, kiosk.UtteranceSent(loud=True))
    effects = scene.wait(5)
    assert kiosk.RenewSession() in effects
    assert kiosk.CreateReply() not in effects


def test_a_drop_while_speaking_plays_what_came_and_takes_the_answer_up_again():
    scene = speaking()
    assert scene.tell(DROPPED) == [kiosk.FinishReply()]
    assert scene.state.turn is Turn.SPEAKING
    scene.tell(DRAINED)
    assert scene.name is Name.RECONNECTING
    effects = scene.tell(CONTINUED)
    assert kinds(effects) == [kiosk.CreateReply]
    assert effects[0].instructions


def test_a_drop_after_the_service_had_finished_the_reply_costs_nothing():
    scene = speaking()
    scene.tell(agent.ReplyDone("r1", interrupted=False))
    assert scene.tell(DROPPED) == []
    scene.tell(CONTINUED, DRAINED)
    assert scene.name is Name.IDLE


def outage(keep_open_s: float, quiet_s: float = 0.0) -> Scene:
    """A conversation whose link is lost after `quiet_s` without a word, and given up."""
    scene = speaking(keep_open_s=keep_open_s)
    scene.tell(agent.ReplyDone("r1", interrupted=False), DRAINED)
    scene.wait(quiet_s)
    scene.tell(DROPPED)
    scene.tell(GIVEN_UP)
    assert not scene.state.session_wanted
    return scene


@pytest.mark.parametrize(("quiet_s", "rest_s"), [(0.0, 45.0), (15.0, 30.0)])
def test_what_was_said_is_kept_over_an_outage_for_as_long_as_the_session_would_have_been(quiet_s, rest_s):
    scene = outage(45.0, quiet_s)
    [kept] = [effect for effect in scene.effects if isinstance(effect, kiosk.KeepConversation)]
    assert kept.for_s == pytest.approx(rest_s)


def test_a_link_given_up_while_somebody_waits_keeps_what_was_said_from_then_on():
    scene = thinking(keep_open_s=45)
    scene.tell(DROPPED)
    assert kiosk.KeepConversation(45.0) in scene.tell(GIVEN_UP)


def test_a_conversation_that_is_ended_while_offline_is_forgotten():
    scene = outage(45.0)
    assert kiosk.KeepConversation(0.0) in scene.tell(DoubleTapped(scene.now_s))


def test_a_link_given_up_in_the_middle_is_offline():
    scene = listening()
    scene.tell(DROPPED)
    effects = scene.tell(GIVEN_UP)
    assert kiosk.PlaySound(Sound.OFFLINE) in effects
    assert scene.name is Name.OFFLINE


def test_reconnecting_is_given_up_after_its_deadline():
    scene = thinking()
    scene.tell(DROPPED)
    effects = scene.wait(25)
    assert kiosk.PlaySound(Sound.OFFLINE) in effects
    assert scene.name is Name.OFFLINE


def test_a_refused_key_is_a_fault_that_no_press_retries():
    scene = idle()
    scene.press()
    effects = scene.tell(agent.Refused("unauthorized", "Authentication failed", agent.Cause.KEY))
    assert kiosk.PlaySound(Sound.KEY_REFUSED) in effects
    assert scene.name is Name.FAULT
    scene.release()
    assert scene.press() == [kiosk.PlaySound(Sound.KEY_REFUSED)]
    assert not scene.state.session_wanted
    scene.release()
    scene.tell(kiosk.Fixed(Fault.KEY))
    scene.press()
    assert scene.name is Name.LISTENING


def test_a_refused_configuration_names_the_cause_and_tries_again_at_a_press():
    scene = idle()
    scene.press()
    scene.tell(agent.Refused("agent_not_found", "Agent not found", agent.Cause.CONFIG))
    assert scene.name is Name.FAULT
    scene.release()
    assert scene.press() == [kiosk.PlaySound(Sound.SERVICE_REFUSED), kiosk.ConnectNow()]
    scene.tell(READY)
    assert scene.name is Name.IDLE


def test_what_the_operator_wants_said_does_not_send_an_earlier_question_again() -> None:
    scene = listening(keep_open_s=5.0)
    scene.now_s += 1
    scene.release()
    scene.wait(0.5)
    scene.tell(kiosk.UtteranceSent(loud=True), agent.SpeechStopped())
    scene.tell(
        agent.ReplyStarted("r1"), kiosk.AudioArrived("r1"), agent.ReplyDone("r1", interrupted=False), DRAINED
    )
    scene.wait(6.0)
    assert not scene.state.session_wanted
    scene.tell(kiosk.SayRequested("We close soon."), agent.Connecting(1, resuming=False))
    effects = scene.tell(READY)
    assert [type(effect) for effect in effects] == [kiosk.CreateReply]


def test_what_the_operator_wants_said_may_take_as_long_as_any_answer() -> None:
    scene = idle()
    scene.tell(kiosk.SayRequested("We close soon."), agent.Connecting(1, resuming=False), READY)
    assert not any(isinstance(effect, kiosk.PlaySound) for effect in scene.wait(5.0))
    scene.tell(agent.ReplyStarted("r1"), kiosk.AudioArrived("r1"))
    assert scene.name is Name.SPEAKING


def test_the_operator_can_let_the_agent_speak_and_the_link_comes_first():
    scene = idle()
    assert scene.tell(kiosk.SayRequested("We close soon.")) == []
    effects = scene.tell(READY)
    assert "We close soon." in effects[0].instructions


# --- devices -----------------------------------------------------------------------------------


def test_a_microphone_that_does_not_open_takes_the_question_back_and_says_so():
    scene = idle()
    scene.press()
    effects = scene.tell(LOST)
    assert effects == [kiosk.PlaySound(Sound.MICROPHONE_GONE), kiosk.CancelUtterance()]
    assert scene.name is Name.FAULT


def test_a_microphone_pulled_out_while_listening_is_told_and_waited_for():
    scene = listening()
    assert scene.tell(LOST) == [kiosk.PlaySound(Sound.MICROPHONE_GONE)]
    assert scene.tell(LOST) == []
    scene.tell(OPENED)
    assert not scene.state.faults
    assert scene.name is Name.LISTENING


def test_a_press_with_a_lost_microphone_names_it_and_tries_again():
    scene = idle()
    scene.press()
    scene.tell(LOST)
    scene.release()
    assert scene.press() == [kiosk.PlaySound(Sound.MICROPHONE_GONE), kiosk.RetryDevices()]


def test_a_lost_loudspeaker_ends_the_answer_after_a_while():
    scene = speaking()
    scene.tell(audio.SpeakerLost("gone", 0.25))
    scene.wait(6, queued_samples=48000, audio_at_s=scene.now_s)
    assert scene.state.turn is Turn.NONE
    assert scene.name is Name.FAULT


BACK = audio.SpeakerOpened(None)  # type: ignore[arg-type]


def test_a_loudspeaker_that_is_back_says_so_to_whoever_waits():
    scene = speaking()
    scene.tell(audio.SpeakerLost("gone", 0.25))
    scene.wait(6, queued_samples=48000, audio_at_s=scene.now_s)
    assert scene.tell(BACK) == [kiosk.PlaySound(Sound.LOUDSPEAKER_BACK)]
    assert scene.name is Name.IDLE
    assert scene.tell(BACK) == []


def test_a_loudspeaker_that_is_back_while_somebody_speaks_or_is_answered_says_nothing():
    for scene in (listening(), thinking(), speaking()):
        scene.tell(audio.SpeakerLost("gone", 0.25))
        assert scene.tell(BACK) == []


def test_a_loudspeaker_that_is_back_says_nothing_into_an_empty_room():
    scene = idle()
    scene.tell(kiosk.LookForDevices(), audio.SpeakerLost("gone", 0.25))
    assert scene.tell(BACK) == []
    scene = speaking(keep_open_s=20.0)
    scene.tell(audio.SpeakerLost("gone", 0.25))
    scene.wait(60, queued_samples=48000, audio_at_s=scene.now_s)
    assert scene.tell(BACK) == []


def test_a_silent_microphone_is_a_visible_fault_until_it_is_heard():
    scene = listening()
    scene.tell(audio.MicrophoneSilent(5.0))
    scene.release()
    scene.wait(0.2)
    assert scene.name is Name.FAULT
    scene.tell(audio.MicrophoneHeard())
    assert scene.name is Name.THINKING


def test_a_microphone_that_is_silent_between_questions_is_no_fault_unless_it_stays_so():
    scene = speaking()
    scene.tell(audio.MicrophoneSilent(5.0))
    assert not scene.state.faults
    scene.press()
    scene.tell(audio.MicrophoneHeard())
    scene.now_s += 1
    scene.release()
    scene.wait(0.2)
    assert not scene.state.faults
    scene = speaking()
    scene.tell(audio.MicrophoneSilent(5.0))
    scene.press()
    scene.now_s += 1
    scene.release()
    scene.wait(0.2)
    assert scene.state.faults == {Fault.MICROPHONE_SILENT}


# --- stopping ----------------------------------------------------------------------------------


def test_stopping_takes_everything_back_and_nothing_moves_it_any_more():
    scene = speaking()
    effects = scene.tell(kiosk.Stopping())
    assert kinds(effects) == [kiosk.CancelUtterance, kiosk.FlushSpeaker]
    assert scene.name is Name.STOPPING
    assert scene.press() == []
    assert not scene.state.microphone_wanted


def test_rules_come_from_the_configuration():
    rules = Rules.of(Config())
    assert rules.mode == "hold"
    assert rules.nudge_after_s == 2.0
    assert rules.release_tail_s == 0.12


def test_an_idle_warm_microphone_has_a_sign_of_its_own():
    assert sign_of(idle().state, warm=True) is Sign.IDLE_WARM
    assert sign_of(idle().state) is Sign.IDLE
    assert sign_of(State()) is Sign.STARTING


# --- questions that wait for the network -------------------------------------------------------


def offline(**rules) -> Scene:
    scene = idle(**rules)
    scene.press()
    scene.wait(10)
    scene.release()
    scene.wait(0.2)
    return scene


def test_a_question_asked_without_network_waits_for_it_where_that_is_allowed():
    scene = offline(keep_question_s=600)
    assert scene.name is Name.OFFLINE
    scene.tell(CONTINUED)
    assert scene.name is Name.THINKING
    assert scene.effects[-1] == kiosk.Resend(whole=True)


def test_a_press_while_offline_says_no_network_and_then_listens_where_that_is_allowed():
    scene = offline(keep_question_s=600)
    connect, begin, sign = scene.press()
    assert connect == kiosk.ConnectNow()
    assert begin.from_s > scene.now_s, "the sign is no part of the question"
    assert begin.barge_in, "nor is a pre-roll that reaches back into it"
    assert sign == kiosk.PlaySound(Sound.OFFLINE, wordless=True), "what begins does not silence it"
    assert sign_of(scene.state) is Sign.MICROPHONE_LIVE_NO_LINK
    scene.now_s += 3
    scene.release()
    scene.wait(0.2)
    assert scene.name is Name.OFFLINE
    assert scene.state.session_wanted
    assert scene.tell(READY) == [kiosk.Resend(whole=True)]


def test_a_question_that_waits_too_long_is_forgotten():
    scene = offline(keep_question_s=600)
    assert kiosk.CancelUtterance() in scene.wait(601)
    assert not scene.state.session_wanted
    scene.wait(120)
    assert scene.name is Name.IDLE


def test_by_default_no_question_is_kept():
    scene = offline()
    assert kiosk.CancelUtterance() in scene.effects
    assert not scene.state.session_wanted


# --- a service that does not hear --------------------------------------------------------------


def unheard() -> Scene:
    scene = listening()
    scene.release()
    scene.wait(0.2)
    scene.tell(kiosk.UtteranceSent(loud=True))
    return scene


def test_loud_speech_that_the_service_does_not_notice_is_tried_in_a_second_session_once():
    scene = unheard()
    effects = scene.wait(12)
    assert effects == [kiosk.RenewSession()], "an answer would hide that nothing is heard"
    assert scene.tell(DROPPED, CONTINUED)[-1] == kiosk.Resend(whole=True)
    scene.tell(kiosk.UtteranceSent(loud=True))
    effects = scene.wait(20)
    assert kiosk.RenewSession() not in effects
    assert Fault.DEAF in scene.state.faults
    assert scene.name is Name.FAULT


def test_a_deaf_service_is_found_out_before_anybody_asks_it_for_an_answer():
    scene = unheard()
    assert scene.wait(2.5) == [kiosk.RenewSession()]
    scene.tell(DROPPED, CONTINUED, kiosk.UtteranceSent(loud=True))
    assert kiosk.PlaySound(Sound.NO_ANSWER) in scene.wait(2.5)
    assert Fault.DEAF in scene.state.faults


def test_a_service_that_hears_again_is_no_longer_deaf():
    scene = unheard()
    scene.wait(12)
    scene.tell(DROPPED, CONTINUED, agent.SpeechStarted())
    assert Fault.DEAF not in scene.state.faults


# --- another configuration ---------------------------------------------------------------------


def test_a_bad_configuration_file_keeps_nobody_from_talking_and_the_idle_lamp_shows_it():
    scene = idle()
    scene.tell(kiosk.Failed(Fault.CONFIG))
    assert (scene.name, sign_of(scene.state)) == (Name.IDLE, Sign.IDLE_CONFIG)
    scene.press()
    scene.tell(OPENED, READY)
    assert (scene.name, sign_of(scene.state)) == (Name.LISTENING, Sign.MICROPHONE_LIVE)
    scene.now_s += 1.0
    scene.release()
    scene.wait(1.0)
    assert scene.name is Name.THINKING
    scene.tell(kiosk.HangUp(), kiosk.Fixed(Fault.CONFIG))
    assert sign_of(scene.state) is Sign.IDLE


def test_an_open_microphone_and_a_graver_fault_are_shown_before_a_bad_configuration_file():
    scene = idle()
    scene.tell(kiosk.Failed(Fault.CONFIG))
    assert sign_of(scene.state, warm=True) is Sign.IDLE_WARM
    scene.tell(kiosk.Failed(Fault.PANEL))
    assert scene.name is Name.FAULT


def test_a_shorter_stay_applies_to_a_session_that_is_open_already():
    scene = speaking(keep_open_s=600.0)
    scene.tell(agent.ReplyDone("r1", interrupted=False), DRAINED)
    scene.rules = Rules(keep_open_s=5.0)
    scene.tell(kiosk.Reconfigured())
    scene.wait(6.0)
    assert not scene.state.session_wanted


def test_a_kiosk_that_is_to_keep_a_session_from_now_on_opens_one():
    scene = idle()
    scene.rules = Rules(connect_on_boot=True)
    scene.tell(kiosk.Reconfigured())
    assert scene.state.session_wanted


def test_a_trial_opens_session_and_devices_for_long_enough_to_see_them_work():
    scene = idle(keep_open_s=0.0)
    scene.tell(kiosk.TryOut())
    assert scene.state.session_wanted
    assert scene.state.microphone_wanted
    assert scene.state.speaker_wanted
    assert not scene.state.microphone_live
    scene.wait(5.0)
    assert scene.state.session_wanted
    scene.tell(READY)
    scene.wait(6.0)
    assert not scene.state.session_wanted


# --- devices that nobody has tried -------------------------------------------------------------


def test_devices_are_opened_once_to_see_whether_they_are_there():
    scene = idle()
    scene.tell(kiosk.LookForDevices())
    assert scene.state.microphone_wanted
    assert scene.state.speaker_wanted
    assert scene.name is Name.IDLE
    scene.tell(OPENED, audio.SpeakerOpened(None))  # type: ignore[arg-type]
    assert not scene.state.microphone_wanted
    assert not scene.state.speaker_wanted


def test_a_device_that_is_not_there_is_a_fault_before_anybody_presses():
    scene = idle()
    scene.tell(kiosk.LookForDevices(), LOST, audio.SpeakerLost("No such device", 0.25))
    assert scene.state.faults == {Fault.MICROPHONE, Fault.LOUDSPEAKER}
    assert scene.state.microphone_wanted
    scene.tell(OPENED, audio.SpeakerOpened(None))  # type: ignore[arg-type]
    assert scene.name is Name.IDLE
    assert not scene.state.microphone_wanted


def test_a_muted_kiosk_does_not_open_its_microphone_to_look():
    scene = idle()
    scene.tell(kiosk.MuteSwitched(on=True), kiosk.LookForDevices())
    assert not scene.state.microphone_wanted


def test_a_wish_for_the_answer_that_died_with_the_link_is_made_again():
    scene = listening()
    scene.tell(agent.SpeechStarted())
    scene.wait(1.0)
    scene.release()
    scene.wait(0.2)
    scene.tell(kiosk.UtteranceSent(loud=True))
    assert kiosk.CreateReply() in scene.wait(3.0)
    scene.tell(DROPPED, RESUMED, kiosk.UtteranceSent(loud=True))
    assert kiosk.CreateReply() in scene.wait(3.0)
    scene.tell(DROPPED, agent.UserText("hello", final=True), RESUMED)
    assert kiosk.CreateReply() in scene.wait(3.0)


# --- what comes at an odd moment ---------------------------------------------------------------


def test_a_tail_that_is_over_after_the_conversation_ended_sends_nothing():
    scene = listening(release_tail_s=0.2)
    scene.release()
    scene.tell(kiosk.HangUp())
    assert kiosk.EndUtterance not in kinds(scene.wait(1.0))
    assert scene.name is Name.IDLE


def test_an_answer_that_runs_dry_before_its_end_is_waited_for():
    scene = speaking()
    scene.tell(DRAINED)
    assert scene.name is Name.THINKING
    scene.tell(kiosk.AudioArrived("r1"))
    assert scene.name is Name.SPEAKING


def test_a_greeting_that_comes_after_the_release_is_not_taken_for_the_answer():
    scene = listening(greets=True)
    scene.release()
    scene.wait(scene.rules.release_tail_s)
    assert scene.tell(agent.ReplyStarted("greeting")) == [kiosk.FlushSpeaker()]
    assert scene.name is Name.THINKING
    scene.tell(kiosk.AudioArrived("greeting"))
    assert scene.name is Name.THINKING


def test_an_answer_that_is_interrupted_after_its_end_owes_no_other():
    scene = speaking()
    scene.tell(agent.ReplyDone("r1", interrupted=False), DRAINED)
    assert scene.tell(agent.ReplyDone("r1", interrupted=True)) == [kiosk.FlushSpeaker()]
    assert scene.name is Name.IDLE


def test_nothing_is_asked_for_once_the_conversation_is_over():
    scene = thinking()
    scene.tell(kiosk.HangUp())
    assert kiosk.CreateReply not in kinds(scene.wait(60.0))


def test_nothing_is_asked_for_while_there_is_no_link():
    scene = thinking()
    scene.tell(DROPPED, kiosk.UtteranceSent(loud=True))
    assert kiosk.CreateReply not in kinds(scene.wait(scene.rules.nudge_after_s + 0.1))
    assert scene.state.turn is Turn.THINKING


def test_a_press_without_a_release_before_it_changes_nothing():
    scene = listening()
    before = scene.state
    assert scene.press() == []
    assert scene.state == before
