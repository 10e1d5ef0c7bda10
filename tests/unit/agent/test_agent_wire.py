import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekiosk.agent import wire


def decode(message: object) -> object:
    return wire.decode(json.dumps(message).encode())


def test_reply_audio_comes_as_bytes():
    frame = {"type": "reply.audio", "reply_id": "r", "data": base64.b64encode(b"\x01\x02").decode()}
    assert decode(frame) == wire.ReplyAudio(data=b"\x01\x02", reply_id="r")


@pytest.mark.parametrize("timestamp", [1790000000.1, "2026-09-26T10:00:00Z", None])
def test_a_timestamp_may_have_any_form(timestamp):
    event = decode({"type": "input.speech.started", "timestamp": timestamp})
    assert event == wire.SpeechStarted()


def test_unknown_fields_are_ignored():
    assert decode({"type": "reply.started", "reply_id": "r", "mood": {"a": [1]}}) == wire.ReplyStarted("r")


def test_an_unknown_type_is_told_by_name():
    assert decode({"type": "reply.content_part.started"}) == wire.Unknown("reply.content_part.started")


def test_error_is_an_alias_of_session_error():
    assert decode({"type": "error", "code": "x", "message": "m"}) == wire.SessionError("x", "m")


def test_an_object_with_a_code_and_no_type_is_an_error():
    assert decode({"code": "UNAUTHORIZED", "message": "m"}) == wire.SessionError("UNAUTHORIZED", "m")


def test_an_error_in_an_error_object_is_found():
    assert decode({"type": "error", "error": {"code": "x", "message": "m"}}) == wire.SessionError("x", "m")


def test_a_type_in_capitals_is_understood():
    assert decode({"type": "Reply.Done", "reply_id": "r"}) == wire.ReplyDone("r", "completed")


def test_null_counts_as_missing():
    event = decode({"type": "session.error", "code": "c", "message": None, "param": None})
    assert event == wire.SessionError("c", "", "")


def test_a_missing_status_means_completed():
    assert decode({"type": "reply.done", "reply_id": "r", "status": None}) == wire.ReplyDone("r", "completed")


def test_a_ready_without_an_id_is_still_ready():
    assert decode({"type": "session.ready"}) == wire.SessionReady()


def test_a_ready_with_a_broken_echo_is_still_ready():
    event = decode({"type": "session.ready", "session_id": "s", "config": {"system_prompt": 7}})
    assert event == wire.SessionReady(session_id="s")


@pytest.mark.parametrize(
    "arguments",
    [
        {"arguments": {"a": 1}},
        {"args": {"a": 1}},
        {"arguments": '{"a": 1}'},
        {"args": '{"a": 1}'},
    ],
)
def test_arguments_are_taken_in_every_form_that_was_ever_sent(arguments):
    event = decode({"type": "tool.call", "call_id": "c", "name": "n"} | arguments)
    assert event == wire.ToolCall("c", "n", {"a": 1})


@pytest.mark.parametrize("arguments", [None, "not json", "[1]", 5, [1]])
def test_a_call_with_unusable_arguments_still_has_to_be_answered(arguments):
    event = decode({"type": "tool.call", "call_id": "c", "name": "n", "arguments": arguments})
    assert event == wire.ToolCall("c", "n", {})


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (b"", "not JSON"),
        (b"hello", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b'{"type":"\xff"}', "not JSON"),
        (b"[" * 200_000, "not JSON"),
        (b"[1]", "not an object"),
        (b"null", "not an object"),
        (b"{}", "no type"),
        (b'{"type":5}', "no type"),
        (b'{"type":"reply.audio","reply_id":"r"}', "reply.audio"),
        (b'{"type":"reply.audio","data":"%%%"}', "reply.audio"),
        (b'{"type":"reply.audio","data":"AAA"}', "reply.audio"),
        (b'{"type":"transcript.user","text":[1]}', "transcript.user"),
        (b'{"type":"tool.call","arguments":{}}', "tool.call"),
    ],
)
def test_an_unusable_frame_is_a_value_and_no_exception(frame, kind):
    event = wire.decode(frame)
    assert isinstance(event, wire.Malformed)
    assert event.kind == kind


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(frame):
    wire.decode(frame)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
types = st.sampled_from([*wire._BY_TYPE, "error", "ERROR", "nope"])
names = st.sampled_from(
    [
        "code",
        "message",
        "param",
        "data",
        "text",
        "delta",
        "reply_id",
        "status",
        "arguments",
        "args",
        "call_id",
        "name",
        "start_ms",
        "interrupted",
        "config",
        "session_id",
        "resume_token",
        "error",
    ]
)


@given(st.dictionaries(names, json_values), types | st.none())
def test_no_message_makes_it_raise(message, type_):
    decode(message if type_ is None else message | {"type": type_})


@given(st.binary(max_size=4000))
def test_audio_goes_out_under_the_key_audio_as_base64(pcm):
    message = json.loads(wire.encode_audio(pcm))
    assert message.keys() == {"type", "audio"}
    assert message["type"] == "input.audio"
    assert base64.b64decode(message["audio"], validate=True) == pcm


def test_reply_create_without_instructions_leaves_the_key_out():
    assert json.loads(wire.encode_reply_create()) == {"type": "reply.create"}
    assert json.loads(wire.encode_reply_create("go on"))["instructions"] == "go on"


def test_a_tool_result_is_text():
    message = json.loads(wire.encode_tool_result("c", '{"a":1}', is_error=True))
    assert message == {"type": "tool.result", "call_id": "c", "result": '{"a":1}', "is_error": True}
