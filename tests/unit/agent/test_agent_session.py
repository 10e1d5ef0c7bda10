import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicekiosk.agent import events
from voicekiosk.agent.events import Cause
from voicekiosk.agent.failures import Failure, Remedy
from voicekiosk.agent.outputs import Attempt, Close, Note, Send
from voicekiosk.agent.session import Phase, Session
from voicekiosk.config.schema import Agent, Config, Network, TurnDetection

READY = {"type": "session.ready", "session_id": "sess_1", "resume_token": "token-1"}


class Talk:
    """A session with a clock that stands still until told, and everything that came out of it."""

    def __init__(self, agent: dict[str, Any] | None = None, **network: Any) -> None:
        self.session = Session(Config(agent=Agent(**(agent or {})), network=Network(**network)))
        self.now_s = 1000.0
        self.out: list[Any] = []

    def connect(self) -> Attempt:
        attempt = self.session.attempt(self.now_s)
        self.keep(self.session.connected(attempt, self.now_s))
        return attempt

    def keep(self, outputs: tuple[Any, ...]) -> tuple[Any, ...]:
        self.out += outputs
        return outputs

    def hear(self, type_: str | None = None, **fields: Any) -> tuple[Any, ...]:
        message = fields if type_ is None else {"type": type_} | fields
        return self.keep(self.session.received(json.dumps(message).encode(), self.now_s))

    def ready(self, **fields: Any) -> Attempt:
        attempt = self.connect()
        self.hear(**(READY | fields))
        return attempt

    def drop(self, code: int | None = None, reason: str = "") -> Any:
        return self.session.closed(code, reason, self.now_s)

    @property
    def sent(self) -> list[dict[str, Any]]:
        return [json.loads(output.frame) for output in self.out if isinstance(output, Send)]


def test_the_first_message_on_a_new_socket_is_one_update():
    talk = Talk()
    talk.connect()
    assert [message["type"] for message in talk.sent] == ["session.update"]


def test_an_open_socket_is_not_a_session():
    talk = Talk()
    talk.connect()
    assert not talk.session.ready
    talk.hear("session.updated", config={})
    assert not talk.session.ready
    assert talk.hear(**READY) == (events.Ready("sess_1", resumed=False, continued=False),)
    assert talk.session.ready


def test_a_second_ready_only_brings_new_ids():
    talk = Talk()
    talk.ready()
    assert talk.hear(**(READY | {"session_id": "sess_2", "resume_token": "t2"})) == ()
    assert talk.session.session_id == "sess_2"


def test_turn_events_before_ready_are_ignored():
    talk = Talk()
    talk.connect()
    assert talk.hear("reply.started", reply_id="r") == ()
    assert talk.hear("reply.audio", reply_id="r", data="AAAA") == ()
    assert talk.hear("input.speech.started") == ()


def test_a_session_that_is_never_ready_is_given_up():
    talk = Talk(ready_timeout_s=10)
    talk.connect()
    assert talk.session.next_deadline_s == talk.now_s + 10
    assert talk.session.tick(talk.now_s + 9.9) == ()
    assert talk.session.tick(talk.now_s + 10) == (Close(suspect=True),)
    talk.now_s += 10
    failure = talk.drop()
    assert (failure.code, failure.remedy) == ("ready_timeout", Remedy.LATER)


def test_a_session_that_is_ended_before_it_was_ready_is_tried_again_later():
    talk = Talk()
    talk.connect()
    talk.hear("session.ended")
    failure = talk.drop(1000)
    assert (failure.code, failure.remedy) == ("session_ended", Remedy.LATER)


def test_a_session_that_was_ended_while_it_is_resumed_is_followed_by_a_fresh_one():
    talk = Talk()
    talk.ready()
    talk.drop()
    assert talk.connect().resuming
    talk.hear("session.ended")
    assert talk.drop(1000).remedy is Remedy.FRESH
    assert not talk.connect().resuming


def test_the_rest_of_an_answer_is_asked_for_with_the_last_words_that_were_heard():
    talk = Talk()
    talk.ready()
    talk.hear("reply.started", reply_id="r")
    talk.hear("transcript.agent", reply_id="r", text="It is [on] the left.", interrupted=False)
    talk.drop()
    talk.ready()
    talk.keep(talk.session.create_reply("Go on.", go_on=True))
    instructions = talk.sent[-1]["instructions"]
    assert instructions == 'Go on. The last words of it that were heard: "… It is on the left."'


def test_where_no_answer_was_cut_off_nothing_is_said_of_its_words():
    talk = Talk()
    talk.ready()
    talk.hear("transcript.user", text="Hello")
    talk.keep(talk.session.create_reply("Go on.", go_on=True))
    assert talk.sent[-1]["instructions"] == "Go on."


# Errors before ready


@pytest.mark.parametrize("code", ["invalid_format", "agent_not_found", "anything"])
def test_any_error_before_ready_ends_the_attempt(code):
    talk = Talk()
    talk.connect()
    assert talk.hear("session.error", code=code, message="m") == (Close(),)
    assert talk.drop(1008).code == code


def test_a_refused_key_stops():
    talk = Talk()
    talk.connect()
    talk.hear("session.error", code="UNAUTHORIZED", message="Authentication failed")
    failure = talk.drop(1008)
    assert (failure.cause, failure.remedy) == (Cause.KEY, Remedy.STOP)


def test_an_error_without_a_type_counts():
    talk = Talk()
    talk.connect()
    assert talk.hear(code="unauthorized", message="m") == (Close(),)


def test_a_refused_voice_is_left_out_once():
    talk = Talk(agent={"voice": "ivy"})
    talk.connect()
    talk.hear("session.error", code="invalid_value", param="output.voice", message="Invalid voice 'ivy'")
    assert talk.drop(1008).remedy is Remedy.FRESH
    talk.connect()
    assert "voice" not in talk.sent[-1]["session"]["output"]
    talk.hear("session.error", code="invalid_value", param="output.voice", message="Invalid voice")
    assert talk.drop(1008).remedy is Remedy.STOP


def test_a_refused_voice_is_recognised_by_the_message_alone():
    talk = Talk(agent={"voice": "ivy"})
    talk.connect()
    talk.hear("session.error", code="invalid_value", message="Invalid voice 'ivy'. Must be one of: alba")
    assert talk.drop(1008).remedy is Remedy.FRESH


def test_a_voice_from_a_new_configuration_is_tried_again():
    talk = Talk(agent={"voice": "ivy"})
    talk.connect()
    talk.hear("session.error", code="invalid_value", param="output.voice", message="")
    talk.drop(1008)
    talk.session.reconfigure(Config(agent=Agent(voice="eve")))
    talk.connect()
    assert talk.sent[-1]["session"]["output"]["voice"] == "eve"


def test_another_refused_value_stops():
    talk = Talk()
    talk.connect()
    talk.hear("session.error", code="invalid_value", param="input.keyterms", message="too many")
    failure = talk.drop(1008)
    assert (failure.cause, failure.remedy) == (Cause.CONFIG, Remedy.STOP)


def test_a_code_in_the_close_reason_is_understood():
    talk = Talk()
    talk.connect()
    assert talk.drop(1008, "UNAUTHORIZED").cause is Cause.KEY


# Errors after ready


def test_an_error_in_a_session_is_trouble_and_no_end():
    talk = Talk()
    talk.ready()
    assert talk.hear("session.error", code="Invalid_Audio", message="Invalid audio data") == (
        events.Trouble("invalid_audio", "Invalid audio data"),
    )
    assert talk.session.ready


def test_an_error_explains_the_close_that_follows_it():
    talk = Talk()
    talk.ready()
    talk.hear("session.error", code="internal_error", message="oops")
    failure = talk.drop(1011)
    assert (failure.cause, failure.remedy, failure.detail) == (Cause.SERVER, Remedy.LATER, "oops")


def test_an_error_of_long_ago_does_not_explain_a_drop():
    talk = Talk()
    talk.ready()
    talk.hear("session.error", code="internal_error", message="oops")
    talk.now_s += 60
    assert talk.drop().cause is Cause.NETWORK


def test_a_session_that_the_service_forgot_is_closed_by_us():
    talk = Talk()
    talk.ready()
    assert talk.hear("session.error", code="session_not_found", message="")[-1] == Close()
    talk.drop(1000)
    assert talk.connect().resuming is False


def test_an_expired_session_is_replaced_without_resuming():
    talk = Talk()
    talk.ready()
    talk.hear("session.error", code="session_expired", message="")
    failure = talk.drop(1008)
    assert (failure.cause, failure.remedy) == (Cause.EXPIRED, Remedy.FRESH)
    assert not talk.connect().resuming


def test_an_unasked_end_is_replaced_without_resuming():
    talk = Talk()
    talk.ready()
    assert talk.hear("session.ended", session_duration_seconds=10_800) == ()
    assert not talk.session.ready
    failure = talk.drop(1000)
    assert (failure.cause, failure.remedy) == (Cause.EXPIRED, Remedy.FRESH)
    assert not talk.connect().resuming


def test_a_socket_that_stays_open_after_an_unasked_end_is_closed():
    talk = Talk()
    talk.ready()
    talk.hear("session.ended")
    assert talk.session.next_deadline_s == talk.now_s + 2
    assert talk.session.tick(talk.now_s + 2) == (Close(suspect=True),)


# Resume and continue


def test_a_drop_is_resumed_once_with_the_token():
    talk = Talk()
    talk.ready()
    assert talk.drop().remedy is Remedy.AGAIN
    talk.now_s += 3
    attempt = talk.connect()
    assert attempt == Attempt(resuming=True, token="token-1")
    assert talk.sent[-1] == {"type": "session.resume", "session_id": "sess_1"}
    talk.drop()
    assert talk.connect() == Attempt(resuming=False)


def test_a_resumed_session_is_ready_without_an_update():
    talk = Talk()
    talk.ready()
    talk.drop()
    talk.connect()
    ready = talk.hear(**(READY | {"resume_token": "token-2"}))
    assert ready == (events.Ready("sess_1", resumed=True, continued=False),)
    assert [message["type"] for message in talk.sent] == ["session.update", "session.resume"]
    talk.drop()
    assert talk.connect().token == "token-2"


@pytest.mark.parametrize(
    "code", ["session_not_found", "session_forbidden", "session_expired", "unauthorized"]
)
def test_a_refused_resume_ends_only_the_resume(code):
    talk = Talk()
    talk.ready()
    talk.drop()
    talk.connect()
    assert talk.hear("session.error", code=code, message="no") == (Close(),)
    assert talk.drop(1008).remedy is Remedy.FRESH
    assert not talk.connect().resuming
    assert talk.sent[-1]["type"] == "session.update"
    assert talk.hear(**READY) == (events.Ready("sess_1", resumed=False, continued=True),)


def test_a_resume_without_an_answer_is_given_up():
    talk = Talk()
    talk.ready()
    talk.drop()
    talk.connect()
    assert talk.session.tick(talk.now_s + 4) == (Close(suspect=True),)
    talk.now_s += 4
    assert talk.drop().remedy is Remedy.FRESH


def test_a_token_refused_by_http_ends_only_the_resume():
    talk = Talk()
    talk.ready()
    talk.drop()
    attempt = talk.session.attempt(talk.now_s)
    refused = Failure(Cause.KEY, Remedy.STOP, "http_401", "")
    assert talk.session.handshake_failed(attempt, refused).remedy is Remedy.FRESH
    assert talk.session.handshake_failed(talk.session.attempt(talk.now_s), refused) == refused


def test_a_network_failure_while_resuming_leaves_the_resume_for_the_next_attempt():
    talk = Talk()
    talk.ready()
    talk.drop()
    lost = Failure(Cause.DNS, Remedy.AGAIN, "dns", "")
    assert talk.session.handshake_failed(talk.session.attempt(talk.now_s), lost) == lost
    assert talk.session.attempt(talk.now_s).resuming


def test_after_the_window_nothing_is_resumed():
    talk = Talk(resume_window_s=25)
    talk.ready()
    talk.drop()
    talk.now_s += 25.1
    assert not talk.connect().resuming


@pytest.mark.parametrize(("resume", "token"), [("key", None), ("token", "token-1")])
def test_the_credential_of_a_resume_can_be_chosen(resume, token):
    talk = Talk(resume=resume)
    talk.ready()
    talk.drop()
    assert talk.connect().token == token


def test_an_empty_token_means_the_key():
    talk = Talk()
    talk.ready(resume_token="")
    talk.drop()
    assert talk.connect() == Attempt(resuming=True, token=None)


def test_resuming_can_be_switched_off():
    talk = Talk(resume="never")
    talk.ready()
    talk.drop()
    assert not talk.connect().resuming


def test_a_clean_close_without_an_end_is_a_drop():
    talk = Talk()
    talk.ready()
    assert isinstance(talk.drop(1000), Failure)
    assert talk.connect().resuming


def converse(talk: Talk) -> None:
    talk.hear("transcript.user", text="Where is the exit?")
    talk.hear("reply.started", reply_id="r")
    talk.hear("transcript.agent", reply_id="r", text="Behind you.", interrupted=False)
    talk.hear("reply.done", reply_id="r", status="completed")


def test_a_fresh_session_after_a_drop_is_told_what_was_said_and_does_not_greet():
    talk = Talk(agent={"greeting": "Hello!", "system_prompt": "Be kind."}, resume="never")
    talk.ready()
    assert talk.sent[-1]["session"]["greeting"] == "Hello!"
    converse(talk)
    talk.drop()
    talk.ready()
    settings = talk.sent[-1]["session"]
    assert "greeting" not in settings
    assert settings["system_prompt"].startswith("Be kind.\n")
    assert "Visitor: Where is the exit?" in settings["system_prompt"]
    assert "You: Behind you." in settings["system_prompt"]


def test_a_drop_before_a_word_was_said_does_not_greet_twice():
    talk = Talk(agent={"greeting": "Hello!"}, resume="never")
    talk.ready()
    talk.drop()
    talk.ready()
    assert "greeting" not in talk.sent[-1]["session"]


def test_a_reply_that_a_drop_cut_off_is_marked():
    talk = Talk(resume="never")
    talk.ready()
    talk.hear("reply.started", reply_id="r")
    talk.hear("transcript.agent.delta", reply_id="r", delta="The tower", start_ms=0)
    talk.drop()
    talk.connect()
    assert "You: The tower … (cut off here)" in talk.sent[-1]["session"]["system_prompt"]


def test_a_new_conversation_knows_nothing_of_the_last():
    talk = Talk(agent={"greeting": "Hello!"})
    talk.ready()
    converse(talk)
    talk.keep(talk.session.end(talk.now_s))
    talk.drop(1000)
    talk.session.begin()
    assert not talk.connect().resuming
    settings = talk.sent[-1]["session"]
    assert settings["greeting"] == "Hello!"
    assert "exit" not in settings["system_prompt"]


def test_a_stored_agent_is_told_what_was_said_through_the_echo_and_its_greeting_is_swallowed():
    talk = Talk(agent={"agent_id": "agent_1"}, resume="never")
    talk.ready()
    converse(talk)
    talk.drop()
    talk.connect()
    assert talk.sent[-1]["session"] == {"agent_id": "agent_1"}
    talk.hear(**READY, config={"system_prompt": "Stored.", "greeting": "Hi"})
    settings = talk.sent[-1]["session"]
    assert settings.keys() == {"system_prompt"}
    assert settings["system_prompt"].startswith("Stored.\n")
    assert "Where is the exit?" in settings["system_prompt"]
    assert talk.hear("reply.started", reply_id="greeting") == ()


def test_what_is_asked_for_after_a_drop_is_no_greeting():
    talk = Talk(agent={"agent_id": "agent_1"}, resume="never")
    talk.ready()
    talk.drop()
    talk.ready(config={"greeting": "Hi"})
    talk.session.create_reply("Go on.")
    assert talk.hear("reply.started", reply_id="r") == (events.ReplyStarted("r"),)


# Ending


def test_an_end_is_said_and_waited_for():
    talk = Talk()
    talk.ready()
    assert talk.session.end(talk.now_s, 2.0) == (Send(b'{"type":"session.end"}'),)
    assert not talk.session.ready
    assert talk.hear("session.ended", session_duration_seconds=18.3) == (Close(),)
    assert talk.drop(1000) == events.Ended(18.3)


def test_an_end_without_an_answer_is_over_after_the_wait():
    talk = Talk()
    talk.ready()
    talk.session.end(talk.now_s, 2.0)
    assert talk.session.next_deadline_s == talk.now_s + 2
    assert talk.session.tick(talk.now_s + 2) == (Close(suspect=True),)
    assert talk.drop() == events.Ended(None)


def test_a_session_that_becomes_ready_after_the_end_was_wished_is_ended():
    talk = Talk()
    talk.connect()
    assert talk.session.end(talk.now_s) == ()
    assert talk.hear(**READY) == (Send(b'{"type":"session.end"}'),)
    assert talk.drop() == events.Ended(None)


def test_a_session_that_never_becomes_ready_is_ended_by_time():
    talk = Talk()
    talk.connect()
    talk.session.end(talk.now_s, 2.0)
    assert talk.session.next_deadline_s == talk.now_s + 2
    assert talk.session.tick(talk.now_s + 2) == (Close(suspect=True),)
    assert talk.drop() == events.Ended(None)


def test_nothing_is_heard_of_a_session_that_is_ending():
    talk = Talk()
    talk.ready()
    talk.session.end(talk.now_s)
    assert talk.hear("reply.started", reply_id="r") == ()
    assert talk.hear("session.error", code="x", message="") == ()


def test_ending_what_is_closed_does_nothing():
    assert Talk().session.end(0.0) == ()


# Renewal


def test_a_session_near_the_end_of_its_life_is_renewed_when_it_is_quiet():
    talk = Talk()
    talk.ready()
    converse(talk)
    talk.now_s += 10_500
    assert talk.session.next_deadline_s == talk.now_s
    assert talk.session.tick(talk.now_s) == (Send(b'{"type":"session.end"}'),)
    talk.hear("session.ended")
    failure = talk.drop(1000)
    assert (failure.cause, failure.remedy) == (Cause.EXPIRED, Remedy.FRESH)
    assert not talk.connect().resuming
    assert "exit" in talk.sent[-1]["session"]["system_prompt"]


def test_a_session_is_not_renewed_in_the_middle_of_a_sentence_while_there_is_time():
    talk = Talk()
    talk.ready()
    talk.hear("input.speech.started")
    began_s = talk.now_s
    while talk.session.tick(talk.session.next_deadline_s) == ():
        pass
    assert talk.session.phase is Phase.ENDING
    assert 10_735 < talk.session.next_deadline_s - began_s < 10_750


def test_a_session_that_does_not_work_is_renewed_once_asked():
    talk = Talk()
    talk.ready()
    assert talk.session.renew(Cause.SERVER, "deaf", talk.now_s) == (Send(b'{"type":"session.end"}'),)
    assert talk.session.renew(Cause.SERVER, "deaf", talk.now_s) == ()
    assert talk.drop(1000) == Failure(Cause.SERVER, Remedy.FRESH, "renewed", "deaf")


def test_an_end_during_a_renewal_is_an_end():
    talk = Talk()
    talk.ready()
    talk.session.renew(Cause.SERVER, "deaf", talk.now_s)
    talk.session.end(talk.now_s)
    assert talk.drop(1000) == events.Ended(None)


# Wishes and odd frames


def test_wishes_before_ready_do_nothing():
    talk = Talk()
    talk.connect()
    assert talk.session.create_reply() == ()
    assert talk.session.renew(Cause.SERVER, "", 0.0) == ()
    assert talk.session.reconfigure(Config(agent=Agent(volume=5))) == ()


def test_a_running_session_is_told_of_a_new_configuration():
    talk = Talk()
    talk.ready()
    talk.keep(talk.session.reconfigure(Config(agent=Agent(volume=5, voice="eve", greeting="Hi"))))
    assert talk.sent[-1] == {"type": "session.update", "session": {"output": {"volume": 5}}}
    assert talk.session.reconfigure(Config(agent=Agent(volume=5, voice="eve", greeting="Hey"))) == ()


def test_a_kind_of_odd_frame_is_noted_once_and_counted():
    talk = Talk()
    talk.ready()
    first = talk.hear("from.the.future")
    assert len(first) == 1
    assert isinstance(first[0], Note)
    assert talk.hear("from.the.future") == ()
    assert talk.session.received(b"{", talk.now_s) != ()
    assert talk.session.binary_received() != ()
    assert talk.session.skipped == {"unknown type from.the.future": 2, "not JSON": 1, "binary frame": 1}


def test_the_kinds_of_odd_frames_are_bounded():
    talk = Talk()
    talk.ready()
    for number in range(1000):
        talk.hear(f"type.{number}")
    assert len(talk.session.skipped) <= 65
    assert talk.session.skipped.total() == 1000


def test_a_repr_of_an_attempt_hides_the_token():
    assert "secret" not in repr(Attempt(resuming=True, token="secret"))


def test_how_long_a_session_lived_is_known_after_its_end():
    talk = Talk()
    talk.ready()
    talk.now_s += 12
    talk.drop()
    assert talk.session.lived_s == 12
    talk.connect()
    talk.drop()
    assert talk.session.lived_s is None


def test_a_tick_without_a_deadline_does_nothing():
    talk = Talk()
    assert talk.session.tick(5.0) == ()
    talk.ready()
    talk.drop()
    assert talk.session.tick(1e9) == ()


# Any order

frames = st.sampled_from(
    [
        READY,
        {"type": "session.updated", "config": {}},
        {"type": "session.ended"},
        {"type": "session.error", "code": "session_not_found", "message": ""},
        {"type": "session.error", "code": "invalid_audio", "message": ""},
        {"type": "input.speech.started"},
        {"type": "input.speech.stopped"},
        {"type": "transcript.user", "text": "hello"},
        {"type": "reply.started", "reply_id": "r"},
        {"type": "reply.audio", "reply_id": "r", "data": base64.b64encode(b"\0" * 480).decode()},
        {"type": "transcript.agent", "reply_id": "r", "text": "hello"},
        {"type": "reply.done", "reply_id": "r"},
        {"type": "tool.call", "call_id": "c", "name": "n"},
        {"nonsense": 1},
    ]
)
actions = st.one_of(
    frames,
    st.sampled_from(["connect", "end", "renew", "reply", "tick", "begin"]),
    st.tuples(st.just("close"), st.sampled_from([None, 1000, 1001, 1006, 1008, 1011, 4001])),
    st.tuples(st.just("wait"), st.floats(0, 12_000)),
)


@settings(max_examples=300)
@given(st.lists(actions, max_size=40), st.sampled_from(["token", "key", "never"]))
def test_in_any_order_the_rules_of_the_first_message_and_of_the_end_hold(sequence, resume):
    talk = Talk(resume=resume)
    open_, is_ready, gave_up, resumed_since_ready, in_socket = False, False, False, 0, 0
    for action in sequence:
        outputs: tuple[Any, ...] = ()
        before = talk.session.ready
        if isinstance(action, dict):
            if open_:
                outputs = talk.hear(**action) if "type" in action else talk.hear(None, **action)
        elif action == "connect" and not open_:
            open_, gave_up, in_socket = True, False, 0
            resumed_since_ready += talk.connect().resuming
            outputs = tuple(talk.out[-1:])
        elif action == "end":
            outputs = talk.session.end(talk.now_s)
        elif action == "renew":
            outputs = talk.session.renew(Cause.SERVER, "", talk.now_s)
        elif action == "reply":
            outputs = talk.session.create_reply()
        elif action == "tick":
            outputs = talk.session.tick(talk.now_s)
        elif action == "begin" and not open_:
            talk.session.begin()
        elif isinstance(action, tuple) and action[0] == "close" and open_:
            open_ = False
            talk.session.closed(action[1], "", talk.now_s)
            assert talk.session.next_deadline_s is None
        elif isinstance(action, tuple) and action[0] == "wait":
            talk.now_s += action[1]
        for output in outputs:
            if isinstance(output, events.Ready):
                is_ready, resumed_since_ready = True, 0
            if isinstance(output, Send):
                assert open_
                type_ = json.loads(output.frame)["type"]
                assert (type_ in ("session.update", "session.resume")) == (in_socket == 0)
                assert in_socket == 0 or before or is_ready or type_ == "session.end"
                in_socket += 1
        assert resumed_since_ready <= 1
        if open_ and talk.session.phase in (Phase.CONFIGURING, Phase.RESUMING, Phase.ENDING):
            gave_up = gave_up or Close(suspect=True) in outputs
            assert gave_up or talk.session.next_deadline_s is not None


def test_what_changed_while_the_session_was_on_its_way_is_told_once_it_is_ready():
    talk = Talk({"system_prompt": "old"})
    talk.connect()
    assert talk.session.reconfigure(Config(agent=Agent(system_prompt="new", volume=5, voice="eve"))) == ()
    talk.hear(**READY)
    assert talk.sent[1]["session"] == {"system_prompt": "new", "output": {"volume": 5}}
    assert isinstance(talk.out[-1], events.Ready)


def test_what_changed_during_a_drop_is_told_to_the_resumed_session():
    talk = Talk()
    talk.ready()
    talk.drop()
    talk.session.reconfigure(Config(agent=Agent(keyterms=("Rembrandt",))))
    talk.ready()
    assert [message["type"] for message in talk.sent] == [
        "session.update",
        "session.resume",
        "session.update",
    ]
    assert talk.sent[-1]["session"] == {"input": {"keyterms": ["Rembrandt"]}}


def test_a_running_session_is_told_nothing_of_another_agent():
    talk = Talk({"system_prompt": "old"})
    talk.ready()
    assert talk.session.reconfigure(Config(agent=Agent(agent_id="stored"))) == ()
    assert talk.session.reconfigure(Config(agent=Agent(system_prompt="old"))) == ()


def test_every_resume_token_is_handed_over_to_be_hidden():
    hidden: list[str] = []
    session = Session(Config(), hidden.append)
    session.connected(session.attempt(0.0), 0.0)
    session.received(json.dumps(READY).encode(), 0.0)
    session.received(json.dumps(READY | {"resume_token": "token-2"}).encode(), 0.0)
    assert hidden == ["token-1", "token-2"]


def test_how_a_socket_ended_is_kept_until_the_next_attempt():
    talk = Talk()
    talk.ready()
    assert talk.session.ending is None
    talk.hear("session.error", code="server_error", message="oh")
    talk.drop(1011, "oh no")
    ending = talk.session.ending
    assert ending is not None
    assert (ending.close_code, ending.close_reason) == (1011, "oh no")
    assert (ending.error_code, ending.error_message) == ("server_error", "oh")
    talk.connect()
    assert talk.session.ending is None


def test_a_change_of_turn_detection_leaves_the_visitor_the_time_that_a_question_gave():
    talk = Talk()
    talk.ready()
    talk.session.be_patient(True)
    talk.keep(talk.session.reconfigure(Config(agent=Agent(turn_detection=TurnDetection(vad_threshold=0.7)))))
    patient = {"min_silence": 1500, "max_silence": 5000, "vad_threshold": 0.7}
    assert talk.sent[-1]["session"] == {"input": {"turn_detection": patient}}
    talk.keep(talk.session.reconfigure(Config(agent=Agent(volume=5))))
    talk.session.be_patient(False)
    talk.keep(talk.session.reconfigure(Config(agent=Agent(turn_detection=TurnDetection(vad_threshold=0.6)))))
    assert talk.sent[-1]["session"] == {"input": {"turn_detection": {"vad_threshold": 0.6}}}


def test_a_fresh_session_knows_nothing_of_the_time_that_the_one_before_was_given():
    talk = Talk(resume="never")
    talk.ready()
    talk.session.be_patient(True)
    talk.drop()
    talk.ready()
    talk.keep(talk.session.reconfigure(Config(agent=Agent(turn_detection=TurnDetection(vad_threshold=0.7)))))
    assert talk.sent[-1]["session"] == {"input": {"turn_detection": {"vad_threshold": 0.7}}}
