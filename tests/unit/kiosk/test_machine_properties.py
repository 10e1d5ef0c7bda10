"""What holds whatever happens: invariants of the state machine over random sequences of events."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from voicekiosk.agent import events as agent
from voicekiosk.audio import events as audio
from voicekiosk.kiosk import events as kiosk
from voicekiosk.kiosk.events import Fault
from voicekiosk.kiosk.machine import step
from voicekiosk.kiosk.state import NEVER, Link, Name, Rules, State, Turn, name_of, sign_of
from voicekiosk.panel.gestures import DoubleTapped, LongPressed, Pressed, Released
from voicekiosk.panel.lamp import MICROPHONE_SIGNS

REPLIES = st.sampled_from(["r1", "r2", "r3", ""])
CAUSES = st.sampled_from(list(agent.Cause))
CALLS = st.sampled_from(["c1", "c2", "c3"])
WORK = st.builds(
    kiosk.Work, CALLS, st.just("door"), st.sampled_from([1.0, 60.0]), st.booleans(), st.booleans()
)

OTHERS = st.one_of(
    st.builds(agent.Connecting, st.integers(1, 5), st.booleans()),
    st.builds(agent.Ready, st.just("s"), st.booleans(), st.booleans()),
    st.builds(agent.Dropped, CAUSES, st.just(""), st.sampled_from([0.0, 1.0, 30.0])),
    st.builds(agent.Refused, st.just("code"), st.just(""), CAUSES),
    st.builds(agent.Ended, st.none()),
    st.builds(agent.SpeechStarted),
    st.builds(agent.SpeechStopped),
    st.builds(agent.UserText, st.just("hi"), st.booleans()),
    st.builds(agent.ReplyStarted, REPLIES),
    st.builds(agent.ReplyDone, REPLIES, st.booleans()),
    st.builds(agent.AgentText, REPLIES, st.sampled_from(["", "-", "yes"]), st.booleans(), st.booleans()),
    st.builds(kiosk.AudioArrived, REPLIES),
    st.builds(kiosk.UtteranceSent, st.booleans()),
    st.builds(kiosk.MuteSwitched, st.sampled_from([True, False, None])),
    st.builds(kiosk.HangUp),
    st.builds(kiosk.SayRequested, st.just("hello")),
    st.builds(kiosk.Fixed, st.sampled_from(list(Fault))),
    st.builds(kiosk.Reconfigured),
    st.builds(kiosk.TryOut),
    st.builds(kiosk.LookForDevices),
    st.builds(kiosk.Failed, st.sampled_from([Fault.PANEL, Fault.CONFIG])),
    st.builds(kiosk.RouteAppeared),
    st.just(audio.MicrophoneOpened(None)),
    st.builds(audio.MicrophoneClosed),
    st.builds(audio.MicrophoneLost, st.just("gone"), st.just(1.0)),
    st.builds(audio.MicrophoneSilent, st.just(5.0)),
    st.builds(audio.MicrophoneHeard),
    st.just(audio.SpeakerOpened(None)),
    st.builds(audio.SpeakerLost, st.just("gone"), st.just(1.0)),
    st.builds(audio.SpeakerDrained, st.just(0.0), st.just(0)),
    st.builds(agent.ToolCalled, CALLS, st.just("door"), st.just({})),
    st.builds(agent.ToolsVoid, st.lists(CALLS, max_size=2).map(tuple)),
    st.builds(kiosk.ToolWanted, WORK),
    st.builds(kiosk.ToolWanted, WORK),
    st.builds(kiosk.ToolFinished, CALLS),
    st.builds(kiosk.EndRequested),
    st.builds(DoubleTapped, st.just(0.0)),
    st.builds(LongPressed, st.just(0.0)),
)
BUTTON = st.just("button")
TIME = st.floats(0.01, 30.0)
SCRIPT = st.lists(st.one_of(OTHERS, OTHERS, BUTTON, TIME), min_size=1, max_size=60)
RULES = st.builds(
    Rules,
    mode=st.sampled_from(["hold", "toggle", "auto"]),
    keep_open_s=st.sampled_from([0.0, 45.0]),
    keep_question_s=st.sampled_from([0.0, 300.0]),
    release_tail_s=st.sampled_from([0.0, 0.12]),
    connect_on_boot=st.booleans(),
    greets=st.booleans(),
)
WAITS_FOR_ITS_OWNER = {Name.IDLE, Name.MUTED, Name.OFFLINE, Name.FAULT, Name.STOPPING}


def play(script, rules, check):
    """Play a script; call `check(before, event, after, effects, now_s)` after every step."""
    state, now_s, down_s = State(), 100.0, None

    def tell(event):
        nonlocal state
        before = state
        state, effects = step(before, event, now_s, rules)
        check(before, event, state, effects, now_s)

    tell(kiosk.Started())
    for item in script:
        if isinstance(item, float):
            end_s = now_s + item
            for _ in range(200):
                if state.next_deadline_s > end_s:
                    break
                now_s = max(now_s, state.next_deadline_s)
                tell(kiosk.Tick())
            else:
                raise AssertionError("a deadline that is not moved on by its tick")
            now_s = end_s
        elif item == "button":
            if down_s is None:
                down_s = now_s
                tell(Pressed(now_s))
            else:
                tell(Released(now_s, now_s - down_s))
                down_s = None
        else:
            tell(item)
    return state


@settings(max_examples=400, deadline=None)
@given(SCRIPT, RULES)
def test_the_lamp_shows_the_live_microphone_exactly_when_it_is_live(script, rules):
    def check(before, event, state, effects, now_s):
        assert (sign_of(state) in MICROPHONE_SIGNS) == (state.microphone_live and not state.stopping)
        if state.muted or state.stopping:
            assert not state.microphone_live
            assert not any(isinstance(e, kiosk.Resend | kiosk.BeginUtterance) for e in effects)

    play(script, rules, check)


@settings(max_examples=400, deadline=None)
@given(SCRIPT, RULES)
def test_every_state_that_does_not_wait_for_its_owner_has_a_deadline(script, rules):
    def check(before, event, state, effects, now_s):
        if name_of(state) not in WAITS_FOR_ITS_OWNER:
            assert state.next_deadline_s < NEVER, state
        if state.turn is not Turn.NONE:
            assert state.turn_deadline_s < NEVER, state

    play(script, rules, check)


@settings(max_examples=400, deadline=None)
@given(SCRIPT, RULES)
def test_a_press_is_always_answered_by_the_lamp_or_a_sound(script, rules):
    def check(before, event, state, effects, now_s):
        if isinstance(event, Pressed) and not before.stopping and before.turn is not Turn.LISTENING:
            heard = any(isinstance(e, kiosk.PlaySound) for e in effects)
            assert heard or sign_of(state) is not sign_of(before)

    play(script, rules, check)


@settings(max_examples=400, deadline=None)
@given(SCRIPT, RULES)
def test_utterances_are_opened_and_closed_in_turn(script, rules):
    """The uplink is told begin, then end or cancel; a live microphone always has an utterance."""
    open_ = False

    def check(before, event, state, effects, now_s):
        nonlocal open_
        for effect in effects:
            if isinstance(effect, kiosk.BeginUtterance):
                open_ = True
            elif isinstance(effect, kiosk.EndUtterance | kiosk.CancelUtterance):
                open_ = False
        assert open_ == state.microphone_live

    play(script, rules, check)


@settings(max_examples=400, deadline=None)
@given(SCRIPT, RULES)
def test_what_is_held_back_is_played_or_dropped_before_the_next_is_held(script, rules):
    held = False

    def check(before, event, state, effects, now_s):
        nonlocal held
        for effect in effects:
            if isinstance(effect, kiosk.HoldReply):
                held = True
            elif isinstance(effect, kiosk.PlayHeldReply | kiosk.DropHeldReply | kiosk.FlushSpeaker):
                held = False
        assert held == state.reply_held, (event, state)

    play(script, rules, check)


@settings(max_examples=400, deadline=None)
@given(SCRIPT, RULES)
def test_left_alone_the_kiosk_comes_to_rest(script, rules):
    """Whatever happened, an hour later nothing is live, nothing is being waited for, nothing is billed."""
    state = play(
        [*script, kiosk.MuteSwitched(on=True), kiosk.MuteSwitched(on=False), 3600.0], rules, lambda *_: None
    )
    assert state.turn is Turn.NONE
    if not rules.connect_on_boot:
        assert not state.session_wanted
        assert state.link is Link.CLOSED
        assert state.next_deadline_s == NEVER


@settings(max_examples=400, deadline=None)
@given(SCRIPT, RULES)
def test_every_tool_that_is_wanted_is_run_refused_or_cancelled_and_none_is_forgotten(script, rules):
    """What the state calls running or waiting is what the effects have begun and not ended."""
    running, waiting = set(), set()

    def check(before, event, state, effects, now_s):
        if isinstance(event, kiosk.ToolWanted):
            waiting.add(event.work.call_id)
        if isinstance(event, kiosk.ToolFinished):
            running.discard(event.call_id)
        for effect in effects:
            match effect:
                case kiosk.RunTool(call_id):
                    assert call_id in waiting
                    waiting.discard(call_id)
                    running.add(call_id)
                case kiosk.RefuseTool(call_id, why):
                    assert why
                    waiting.discard(call_id)
                case kiosk.CancelTools(call_ids):
                    running.difference_update(call_ids)
                    waiting.difference_update(call_ids)
        assert running == {work.call_id for work in state.work}
        assert waiting == ({state.confirming.call_id} if state.confirming else set())

    play(_each_call_once(script), rules, check)


@settings(max_examples=400, deadline=None)
@given(SCRIPT, RULES)
def test_a_tool_that_needs_a_tap_never_runs_without_one(script, rules):
    def check(before, event, state, effects, now_s):
        for effect in effects:
            if isinstance(effect, kiosk.RunTool) and before.confirming is not None:
                if effect.call_id == before.confirming.call_id:
                    assert isinstance(event, Released)
                    assert event.held_s < 1.0
            elif isinstance(effect, kiosk.RunTool):
                assert isinstance(event, kiosk.ToolWanted)
                assert not event.work.confirm

    play(_each_call_once(script), rules, check)


@settings(max_examples=400, deadline=None)
@given(SCRIPT, RULES)
def test_a_kiosk_at_rest_has_no_tool_at_work(script, rules):
    def check(before, event, state, effects, now_s):
        if state.turn is Turn.NONE or state.link is not Link.READY or state.stopping:
            assert not state.busy
        if state.busy:
            assert name_of(state) is not Name.IDLE

    play(script, rules, check)


def _each_call_once(script):
    """The agent room tells of a call once: give each wanted tool an id of its own."""
    names = iter(range(1000))
    return [
        kiosk.ToolWanted(structs.replace(item.work, call_id=f"c{next(names)}"))
        if isinstance(item, kiosk.ToolWanted)
        else item
        for item in script
    ]
