"""Tools beside the turns of a conversation: working, confirming, owed an answer."""

from copy import copy

import pytest

from voicekiosk.agent import events as agent
from voicekiosk.audio import events as audio
from voicekiosk.kiosk import events as kiosk
from voicekiosk.kiosk import work
from voicekiosk.kiosk.events import CancelTools, CreateReply, PlaySound, RefuseTool, RunTool, Sound
from voicekiosk.kiosk.machine import step
from voicekiosk.kiosk.state import NEVER, Link, Name, Rules, State, Turn, name_of, replace, sign_of
from voicekiosk.panel.gestures import DoubleTapped, LongPressed, Pressed, Released
from voicekiosk.panel.lamp import Sign

RULES = Rules(release_tail_s=0.0)


class Scene:
    """A kiosk that has been asked something and thinks; the reply that calls a tool has begun."""

    def __init__(self, rules=RULES):
        self.rules, self.now_s = rules, 100.0
        self.state = State(
            started=True,
            link=Link.READY,
            session_wanted=True,
            turn=Turn.THINKING,
            turn_deadline_s=112.0,
            understood=True,
            heard=True,
            loud=True,
        )
        self.tell(agent.ReplyStarted("r"))

    def tell(self, *events):
        effects = []
        for event in events:
            self.state, more = step(self.state, event, self.now_s, self.rules)
            effects += more
        return effects

    def wait(self, seconds):
        """Let time pass, with a tick at each deadline."""
        effects, end_s = [], self.now_s + seconds
        while self.state.next_deadline_s <= end_s:
            self.now_s = max(self.now_s, self.state.next_deadline_s)
            effects += self.tell(kiosk.Tick())
        self.now_s = end_s
        return effects

    def call(self, call_id="c", *, timeout_s=10.0, **settings):
        called = agent.ToolCalled(call_id, "door", {})
        return self.tell(called, kiosk.ToolWanted(kiosk.Work(call_id, "door", timeout_s, **settings)))

    def press(self):
        return self.tell(Pressed(self.now_s))

    def release(self, held_s):
        self.now_s += held_s
        return self.tell(Released(self.now_s, held_s))

    @property
    def name(self):
        return name_of(self.state)


DONE = agent.ReplyDone("r", interrupted=False)


QUESTION = (agent.ReplyStarted("q"), kiosk.AudioArrived("q"))


def asking():
    """A tool waits for a tap, and the agent was told to ask for it."""
    scene = Scene()
    scene.call(confirm=True)
    scene.tell(DONE)
    return scene


def confirming():
    """The question can be heard."""
    scene = asking()
    scene.tell(*QUESTION)
    return scene


def test_a_tool_runs_at_once_and_the_lamp_shows_it():
    scene = Scene()
    assert scene.call() == [RunTool("c")]
    assert scene.name is Name.WORKING
    assert sign_of(scene.state) is Sign.WORKING


def test_the_silent_reply_that_calls_a_tool_is_no_empty_answer():
    scene = Scene()
    scene.call()
    assert scene.tell(DONE) == []
    assert scene.state.turn is Turn.THINKING


def test_a_call_that_only_the_server_answers_makes_no_empty_answer_either():
    scene = Scene()
    scene.tell(agent.ToolCalled("c", "hours", {}, ours=False))
    assert scene.tell(DONE) == []
    assert scene.name is Name.THINKING


def test_the_answer_to_a_tool_ends_the_turn_as_any_other():
    scene = Scene()
    scene.call()
    scene.tell(DONE, kiosk.ToolFinished("c"), agent.ReplyStarted("r2"), kiosk.AudioArrived("r2"))
    assert scene.name is Name.SPEAKING
    scene.tell(agent.ReplyDone("r2", interrupted=False), audio.SpeakerDrained(0.0, 0))
    assert scene.name is Name.IDLE
    assert not scene.state.busy


def test_an_answer_that_stays_away_after_the_result_is_given_up():
    scene = Scene()
    scene.call()
    scene.tell(DONE, kiosk.ToolFinished("c"))
    effects = scene.wait(work.ANSWER_S + RULES.thinking_timeout_s + 0.1)
    assert PlaySound(Sound.NO_ANSWER) in effects
    assert scene.name is Name.IDLE


def test_a_silent_sound_before_the_result_does_not_end_the_turn():
    scene = Scene()
    scene.tell(kiosk.AudioArrived("r"))
    scene.call()
    scene.tell(DONE, audio.SpeakerDrained(0.0, 0))
    assert scene.name is Name.WORKING
    assert scene.state.turn is Turn.THINKING


def test_a_tool_that_takes_its_whole_time_and_more_is_given_up():
    scene = Scene()
    scene.call(timeout_s=30.0)
    scene.tell(DONE)
    scene.wait(30.0 + work.GRACE_S - 0.1)
    assert scene.name is Name.WORKING
    effects = scene.wait(0.2)
    assert CancelTools(("c",)) in effects
    assert scene.name is Name.IDLE


def test_nobody_asks_again_while_a_tool_runs():
    scene = Scene()
    scene.call()
    scene.tell(DONE, kiosk.UtteranceSent(loud=True))
    assert not any(isinstance(effect, CreateReply) for effect in scene.wait(9.0))


def test_a_press_listens_and_the_tool_goes_on():
    scene = Scene()
    scene.call()
    scene.tell(DONE)
    scene.press()
    assert scene.name is Name.LISTENING
    assert scene.state.work
    scene.tell(kiosk.ToolFinished("c"))
    assert scene.name is Name.LISTENING


def test_a_short_press_taken_back_leaves_the_tool_at_work():
    scene = Scene()
    scene.call()
    scene.tell(DONE)
    scene.press()
    effects = scene.release(0.1)
    assert scene.name is Name.WORKING
    assert not any(isinstance(effect, CancelTools) for effect in effects)


@pytest.mark.parametrize(
    "event",
    [
        DoubleTapped(0.0),
        kiosk.HangUp(),
        kiosk.Stopping(),
        agent.Dropped(agent.Cause.NETWORK, "", 1.0),
        agent.Refused("code", "", agent.Cause.KEY),
    ],
    ids=lambda event: type(event).__name__,
)
def test_whatever_ends_the_conversation_or_the_link_stops_the_tools(event):
    scene = Scene()
    scene.call("a")
    scene.call("b", confirm=True)
    effects = scene.tell(event)
    assert CancelTools(("a", "b")) in effects
    assert not scene.state.busy


def test_a_lost_link_keeps_the_visitor_waiting_for_the_answer():
    scene = Scene()
    scene.call()
    scene.tell(DONE, agent.Dropped(agent.Cause.NETWORK, "", 1.0))
    assert scene.name is Name.RECONNECTING
    assert scene.state.turn is Turn.THINKING
    assert CreateReply() in scene.tell(agent.Ready("s", resumed=False, continued=True))


def test_tools_of_an_interrupted_reply_are_stopped():
    scene = Scene()
    scene.call("a")
    scene.call("b")
    assert CancelTools(("a",)) in scene.tell(agent.ToolsVoid(("a",)))
    assert [it.call_id for it in scene.state.work] == ["b"]


def test_a_tool_that_nobody_waits_for_is_refused():
    scene = Scene()
    scene.tell(kiosk.HangUp())
    assert scene.call() == [RefuseTool("c", work.NOT_NOW)]


# --- consent -----------------------------------------------------------------------------------


def test_a_tool_that_needs_consent_does_not_run_and_the_agent_asks_once():
    scene = Scene()
    assert scene.call(confirm=True) == []
    (asks,) = scene.tell(DONE)
    assert isinstance(asks, CreateReply)
    assert "tap the button" in asks.instructions
    assert scene.tell(copy(DONE)) == []
    assert scene.name is Name.THINKING
    scene.tell(*QUESTION)
    assert scene.name is Name.CONFIRMING


def test_the_agent_asks_even_if_its_reply_is_never_done():
    scene = Scene()
    scene.call(confirm=True)
    effects = scene.wait(work.ASK_WITHIN_S + 0.1)
    assert [type(effect) for effect in effects] == [CreateReply]


def test_a_tap_is_a_yes():
    scene = confirming()
    effects = scene.press()
    assert PlaySound(Sound.TICK) in effects
    assert not scene.state.microphone_live
    assert RunTool("c") in scene.release(0.2)
    assert scene.name is Name.WORKING


def test_a_release_after_a_second_is_a_no():
    scene = confirming()
    scene.press()
    assert RefuseTool("c", work.REFUSED) in scene.release(1.0)
    assert scene.name is Name.THINKING


def test_a_tap_may_cut_the_question_short():
    scene = confirming()
    assert scene.name is Name.CONFIRMING
    effects = scene.press()
    assert kiosk.FlushSpeaker() in effects
    assert RunTool("c") in scene.release(0.3)


def test_silence_after_the_question_is_a_no():
    scene = confirming()
    scene.now_s += 5
    scene.tell(agent.ReplyDone("q", interrupted=False), audio.SpeakerDrained(0.0, 0))
    assert not any(isinstance(e, RefuseTool) for e in scene.wait(work.CONFIRM_S - 0.1))
    assert RefuseTool("c", work.NOT_CONFIRMED) in scene.wait(0.2)


def test_a_second_tool_that_needs_consent_has_to_wait_its_turn():
    scene = confirming()
    assert scene.call("d", confirm=True) == [RefuseTool("d", work.ANOTHER_WAITS)]
    assert scene.state.confirming.call_id == "c"


def test_a_button_that_was_down_before_the_question_is_no_answer_to_it():
    scene = Scene()
    scene.press()
    scene.call(confirm=True)
    effects = scene.release(0.5)
    assert not any(isinstance(e, RunTool | RefuseTool) for e in effects)
    (asks,) = (e for e in scene.wait(work.ASK_AGAIN_S) if isinstance(e, CreateReply))
    assert "tap the button" in asks.instructions
    scene.tell(*QUESTION)
    assert scene.name is Name.CONFIRMING


def unasked():
    scene = Scene()
    scene.call(confirm=True)
    return scene


def unheard():
    scene = asking()
    scene.tell(agent.ReplyStarted("q"))
    return scene


def sounding_on():
    """The reply before the question is never done, and still sounds."""
    scene = Scene()
    scene.tell(kiosk.AudioArrived("r"))
    scene.call(confirm=True)
    scene.wait(work.ASK_WITHIN_S)
    scene.tell(kiosk.AudioArrived("r"))
    return scene


@pytest.mark.parametrize("scene", [unasked, asking, unheard, sounding_on])
@pytest.mark.parametrize("held_s", [0.1, 0.5, 1.5])
def test_a_press_before_the_question_can_be_heard_is_no_answer_to_it(scene, held_s):
    scene = scene()
    scene.press()
    assert scene.name is Name.LISTENING
    effects = scene.release(held_s)
    assert not any(isinstance(e, RunTool | RefuseTool) for e in effects)
    assert scene.state.confirming is not None
    # It was cut off before it began, so it is asked anew, and that can be answered.
    (asks,) = (e for e in scene.wait(work.ASK_AGAIN_S) if isinstance(e, CreateReply))
    assert "tap the button" in asks.instructions
    scene.tell(agent.ReplyStarted("q2"), kiosk.AudioArrived("q2"))
    scene.press()
    assert RunTool("c") in scene.release(0.2)


def test_what_the_visitor_said_instead_is_answered_before_the_question_comes_again():
    scene = asking()
    scene.press()
    scene.release(2.0)
    scene.tell(agent.UserText("wait", final=True), agent.ReplyStarted("a"), kiosk.AudioArrived("a"))
    assert scene.name is Name.SPEAKING
    (asks,) = (e for e in scene.tell(agent.ReplyDone("a", interrupted=False)) if isinstance(e, CreateReply))
    assert "tap the button" in asks.instructions


def test_a_question_that_never_sounds_is_a_no_in_the_end():
    scene = asking()
    assert RefuseTool("c", work.NOT_CONFIRMED) in scene.wait(work.ASKING_S + work.CONFIRM_S + 0.1)


def test_a_long_reply_that_the_results_wait_for_is_not_given_up_on():
    scene = Scene()
    scene.call()
    scene.tell(DONE, agent.ReplyStarted("long"), kiosk.AudioArrived("long"), kiosk.ToolFinished("c"))
    for _ in range(30):
        scene.now_s += 1.0
        scene.tell(kiosk.AudioArrived("long"))
    scene.tell(agent.ReplyDone("long", interrupted=False), audio.SpeakerDrained(0.0, 0))
    assert PlaySound(Sound.NO_ANSWER) not in scene.wait(work.ANSWER_S)
    scene.tell(agent.ReplyStarted("answer"), kiosk.AudioArrived("answer"))
    assert scene.name is Name.SPEAKING


def test_a_long_no_does_not_mute_in_toggle_mode():
    scene = confirming()
    scene.rules = replace(RULES, mode="toggle")
    scene.press()
    scene.now_s += 2
    scene.tell(LongPressed(scene.now_s))
    assert not scene.state.muted


# --- what is said meanwhile --------------------------------------------------------------------


def test_a_long_hold_says_now_and_then_that_it_still_works():
    scene = Scene(Rules(still_working_s=8.0))
    scene.call(timeout_s=60.0, hold=True)
    scene.tell(DONE)
    said = [effect for effect in scene.wait(25.0) if isinstance(effect, CreateReply)]
    assert len(said) == 3
    assert "door is still running" in said[0].instructions


def test_a_hold_says_nothing_when_told_not_to_and_nothing_after_its_end():
    quiet = Scene(Rules(still_working_s=0.0))
    quiet.call(timeout_s=60.0, hold=True)
    assert not any(isinstance(effect, CreateReply) for effect in quiet.wait(50.0))
    scene = Scene()
    scene.call(timeout_s=60.0, hold=True)
    scene.tell(DONE, kiosk.ToolFinished("c"))
    assert scene.state.speak_at_s == NEVER


def test_an_interactive_tool_leaves_the_talking_to_the_agent():
    scene = Scene()
    scene.call(timeout_s=60.0)
    assert not any(isinstance(effect, CreateReply) for effect in scene.wait(50.0))


def test_the_conversation_ends_after_the_goodbye():
    scene = Scene()
    scene.call()
    scene.tell(kiosk.EndRequested(), DONE, kiosk.ToolFinished("c"), agent.ReplyStarted("bye"))
    scene.tell(kiosk.AudioArrived("bye"), agent.ReplyDone("bye", interrupted=False))
    assert scene.state.session_wanted
    scene.tell(audio.SpeakerDrained(0.0, 0))
    assert not scene.state.session_wanted


def test_a_visitor_who_speaks_again_is_not_hung_up_on():
    scene = Scene()
    scene.call()
    scene.tell(kiosk.EndRequested(), DONE, kiosk.ToolFinished("c"))
    scene.press()
    assert not scene.state.ending


def test_a_tap_that_ends_after_the_tool_has_gone_means_nothing():
    scene = confirming()
    scene.press()
    scene.tell(agent.ToolsVoid(("c",)))
    effects = scene.release(0.2)
    assert not any(isinstance(e, RunTool | RefuseTool) for e in effects)
    assert not scene.state.busy


def test_a_result_of_a_tool_that_was_cancelled_changes_nothing():
    scene = Scene()
    before = scene.state
    assert scene.tell(kiosk.ToolFinished("unknown")) == []
    assert scene.state == before


def test_whoever_is_still_pressing_when_time_is_up_is_waited_for():
    scene = confirming()
    scene.tell(agent.ReplyDone("q", interrupted=False), audio.SpeakerDrained(0.0, 0))
    scene.press()
    assert not any(isinstance(e, RefuseTool) for e in scene.wait(work.CONFIRM_S + 1.0))
    assert RunTool("c") in scene.release(0.2)


def test_a_hold_tool_says_nothing_while_the_agent_speaks_and_goes_on_after():
    scene = Scene(Rules(still_working_s=4.0, speaking_stall_s=60.0))
    scene.call(timeout_s=60.0, hold=True)
    scene.tell(DONE, agent.ReplyStarted("r2"), kiosk.AudioArrived("r2"))
    assert not any(isinstance(e, CreateReply) for e in scene.wait(5.0))
    scene.tell(agent.ReplyDone("r2", interrupted=False), audio.SpeakerDrained(0.0, 0))
    assert any(isinstance(e, CreateReply) for e in scene.wait(5.0))


def test_a_tool_that_needs_a_tap_is_asked_about_after_the_visitor_has_spoken():
    scene = Scene()
    scene.tell(DONE)
    scene.press()
    effects = scene.call(confirm=True)
    assert not any(isinstance(e, CreateReply) for e in effects)
    assert not any(isinstance(e, CreateReply) for e in scene.wait(5.0))
    scene.release(0.5)
    assert any(isinstance(e, CreateReply) for e in scene.wait(work.ASK_AGAIN_S))
