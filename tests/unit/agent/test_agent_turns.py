from hypothesis import given
from hypothesis import strategies as st

from voicekiosk.agent import events, wire
from voicekiosk.agent.memory import Memory
from voicekiosk.agent.turns import Turns

PCM = b"\x01\x00" * 240


def turns() -> Turns:
    return Turns(Memory(6))


def audio(reply_id: str, pcm: bytes = PCM) -> wire.ReplyAudio:
    return wire.ReplyAudio(data=pcm, reply_id=reply_id)


def test_audio_of_the_present_reply_is_handed_on():
    it = turns()
    it.take(wire.ReplyStarted("a"))
    assert it.take(audio("a")) == (events.ReplyAudio("a", PCM),)


def test_audio_of_a_flushed_reply_is_dropped_until_the_next_reply_starts():
    it = turns()
    it.take(wire.ReplyStarted("a"))
    assert it.take(wire.SpeechStarted()) == (events.SpeechStarted(),)
    assert it.take(audio("a")) == ()
    it.take(wire.ReplyStarted("b"))
    assert it.take(audio("a")) == ()
    assert it.take(audio("b")) == (events.ReplyAudio("b", PCM),)


def test_late_audio_of_a_flushed_reply_is_dropped_after_the_next_one_is_done():
    it = turns()
    it.take(wire.ReplyStarted("a"))
    it.take(wire.SpeechStarted())
    it.take(wire.ReplyStarted("b"))
    it.take(wire.ReplyDone("b"))
    assert it.take(audio("a")) == ()


def test_an_interrupted_reply_is_flushed():
    it = turns()
    it.take(wire.ReplyStarted("a"))
    assert it.take(wire.ReplyDone("a", "interrupted")) == (events.ReplyDone("a", True),)
    assert it.take(audio("a")) == ()


def test_a_press_flushes_the_reply():
    it = turns()
    it.take(wire.ReplyStarted("a"))
    it.discard_reply()
    assert it.take(audio("a")) == ()


def test_a_late_end_of_an_old_reply_leaves_the_present_one_alone():
    it = turns()
    it.take(wire.ReplyStarted("a"))
    it.take(wire.ReplyStarted("b"))
    assert it.take(wire.ReplyDone("a", "interrupted")) == (events.ReplyDone("a", True),)
    assert it.take(audio("b")) == (events.ReplyAudio("b", PCM),)


def test_audio_after_a_completed_reply_still_belongs_to_it():
    it = turns()
    it.take(wire.ReplyStarted("a"))
    it.take(wire.ReplyDone("a"))
    assert it.take(audio("a")) == (events.ReplyAudio("a", PCM),)


def test_a_reply_whose_start_got_lost_starts_with_its_audio():
    it = turns()
    assert it.take(audio("a")) == (events.ReplyStarted("a"), events.ReplyAudio("a", PCM))


def test_a_reply_without_an_end_gives_way_to_the_next():
    it = turns()
    it.take(wire.ReplyStarted("a"))
    assert it.take(wire.ReplyStarted("b")) == (events.ReplyStarted("b"),)
    assert it.take(audio("b")) == (events.ReplyAudio("b", PCM),)


def test_a_sample_cut_in_two_is_put_together():
    it = turns()
    it.take(wire.ReplyStarted("a"))
    assert it.take(audio("a", b"\x01\x02\x03")) == (events.ReplyAudio("a", b"\x01\x02"),)
    assert it.take(audio("a", b"\x04\x05\x06\x07")) == (events.ReplyAudio("a", b"\x03\x04\x05\x06"),)


def test_an_odd_byte_is_not_carried_into_the_next_reply():
    it = turns()
    it.take(wire.ReplyStarted("a"))
    it.take(audio("a", b"\x01\x02\x03"))
    it.take(wire.ReplyStarted("b"))
    assert it.take(audio("b")) == (events.ReplyAudio("b", PCM),)


def test_empty_audio_is_no_event():
    it = turns()
    it.take(wire.ReplyStarted("a"))
    assert it.take(audio("a", b"")) == ()


def test_the_visitors_words_replace_what_came_before():
    it = turns()
    assert it.take(wire.UserDelta("where")) == (events.UserText("where", final=False),)
    assert it.take(wire.UserDelta("where is")) == (events.UserText("where is", final=False),)
    assert it.take(wire.UserDelta(delta="where is it")) == (events.UserText("where is it", final=False),)
    assert it.take(wire.User("Where is it?")) == (events.UserText("Where is it?", final=True),)


def test_the_agents_words_are_appended():
    it = turns()
    it.take(wire.ReplyStarted("a"))
    it.take(wire.AgentDelta("It", "a"))
    assert it.take(wire.AgentDelta("is", "a")) == (
        events.AgentText("a", "It is", final=False, interrupted=False),
    )
    assert it.take(wire.Agent("It is", "a", interrupted=True)) == (
        events.AgentText("a", "It is", final=True, interrupted=True),
    )


def test_an_unwanted_greeting_is_swallowed_whole():
    it = turns()
    it.greeting_unwanted = True
    assert it.take(wire.ReplyStarted("g")) == ()
    assert it.take(audio("g")) == ()
    assert it.take(wire.AgentDelta("Hello", "g")) == ()
    assert it.take(wire.Agent("Hello", "g")) == ()
    assert it.take(wire.ReplyDone("g")) == ()
    assert it.take(wire.ReplyStarted("a")) == (events.ReplyStarted("a"),)


def test_an_answer_to_speech_is_no_greeting():
    it = turns()
    it.greeting_unwanted = True
    it.take(wire.SpeechStarted())
    assert it.take(wire.ReplyStarted("a")) == (events.ReplyStarted("a"),)


def test_a_failed_reply_is_trouble():
    assert turns().take(wire.ReplyError("a", "llm", "down")) == (events.Trouble("llm", "down"),)


def test_it_is_quiet_when_nobody_speaks():
    it = turns()
    assert it.quiet
    it.take(wire.SpeechStarted())
    assert not it.quiet
    it.take(wire.SpeechStopped())
    it.take(wire.ReplyStarted("a"))
    assert not it.quiet
    it.take(wire.ReplyDone("a"))
    assert it.quiet


ids = st.sampled_from(["", "a", "b", "c"])
steps = st.one_of(
    st.builds(wire.ReplyStarted, ids),
    st.builds(audio, ids),
    st.builds(wire.ReplyDone, ids, st.sampled_from(["completed", "interrupted", "cancelled"])),
    st.builds(wire.AgentDelta, st.text(max_size=3), ids, st.none() | st.floats(0, 1e6)),
    st.builds(wire.Agent, st.text(max_size=5), ids, st.booleans()),
    st.builds(wire.User, st.text(max_size=5)),
    st.just(wire.SpeechStarted()),
    st.just(wire.SpeechStopped()),
    st.just("press"),
)


@given(st.lists(steps, max_size=40))
def test_in_any_order_no_audio_comes_between_a_flush_and_the_next_start(sequence):
    it, flushed = turns(), False
    for step in sequence:
        if step == "press":
            it.discard_reply()
            flushed = True
            continue
        for event in it.take(step):
            match event:
                case events.SpeechStarted():
                    flushed = True
                case events.ReplyStarted():
                    flushed = False
                case events.ReplyAudio():
                    assert not flushed
                    assert len(event.pcm) % 2 == 0
