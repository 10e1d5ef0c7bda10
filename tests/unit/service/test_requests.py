import json
import os
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekiosk.errors import ConfigError, DeviceError, KioskError, RefusedError
from voicekiosk.service.protocol import ErrorCode, code_of, error_of
from voicekiosk.service.requests import (
    REQUESTS,
    BadRequestError,
    Press,
    Request,
    Say,
    SetKey,
    Volume,
    is_permitted,
    parse_envelope,
    parse_request,
)


def parse(command, args=None, **more):
    message = {"v": 1, "id": 1, "command": command, **more}
    if args is not None:
        message["args"] = args
    return parse_request(parse_envelope(json.dumps(message).encode()))


@pytest.mark.parametrize("command", ["set-key", "hear", "hear-aloud"])
def test_only_root_and_at_a_desk_whoever_runs_the_daemon_may_do_what_is_not_for_everybody(
    command, monkeypatch
):
    monkeypatch.setattr(os, "getuid", lambda: 999)
    service = {"NOTIFY_SOCKET": "/run/systemd/notify"}
    assert is_permitted(command, 0, service)
    assert is_permitted(command, 999, {})
    assert not is_permitted(command, 999, service)
    assert not is_permitted(command, 1000, {})
    assert is_permitted("press", 1000, service)


def refusal(line):
    with pytest.raises(BadRequestError) as caught:
        parse_request(parse_envelope(line))
    return caught.value


def test_each_command_becomes_its_own_type():
    assert parse("press") == Press()
    assert parse("say", {"text": "hello"}) == Say(text="hello")
    assert parse("volume", {"percent": 60}) == Volume(percent=60)
    assert parse("volume", {"percent": None}) == Volume()
    assert parse("set-key", {"key": "abc"}) == SetKey(key="abc")


def test_every_type_has_a_command():
    assert set(REQUESTS.values()) == set(typing.get_args(Request))


def test_a_key_does_not_show_in_its_request():
    assert "abc" not in repr(SetKey(key="abc"))


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"{\n",
        b"[]\n",
        b"null\n",
        b"7\n",
        b'"status"\n',
        b"\xff\xfe\n",
        b"[" * 60_000 + b"\n",
        b'{"v":1}{}\n',
    ],
)
def test_a_line_that_is_not_an_object_is_a_bad_request(line):
    assert refusal(line).code is ErrorCode.BAD_REQUEST


@pytest.mark.parametrize("version", [None, 0, 2, "1", [], {}])
def test_another_version_of_the_protocol_is_named(version):
    error = refusal(json.dumps({"v": version, "id": 9, "command": "status"}).encode())
    assert error.code is ErrorCode.UNSUPPORTED_VERSION
    assert error.request_id == 9


@pytest.mark.parametrize("more", [{"command": 7}, {"command": "press", "args": []}, {"args": {}}])
def test_an_envelope_of_the_wrong_form_is_a_bad_request_with_its_id(more):
    error = refusal(json.dumps({"v": 1, "id": "a", **more}).encode())
    assert (error.code, error.request_id) == (ErrorCode.BAD_REQUEST, "a")


def test_an_unknown_command_is_answered_with_the_known_ones():
    error = refusal(b'{"v":1,"id":3,"command":"dance"}')
    assert error.code is ErrorCode.UNKNOWN_COMMAND
    assert "press" in str(error)


@pytest.mark.parametrize(
    ("command", "args"),
    [
        ("volume", {"percent": 101}),
        ("volume", {"percent": -1}),
        ("volume", {"percent": True}),
        ("volume", {"percent": "60"}),
        ("say", {}),
        ("say", {"text": ""}),
        ("say", {"text": "x" * 4001}),
        ("press", {"hard": True}),
        ("set-key", {}),
    ],
)
def test_wrong_arguments_are_refused(command, args):
    with pytest.raises(BadRequestError, match="wrong arguments"):
        parse(command, args)


def test_what_is_wrong_with_a_key_is_not_repeated():
    with pytest.raises(BadRequestError) as caught:
        parse("set-key", {"key": "abc", "s3cret": 1})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("odd", [1.5, True, [], {}, "x" * 65, 2**60])
def test_an_id_that_cannot_be_given_back_is_answered_without(odd):
    assert parse_envelope(json.dumps({"v": 1, "id": odd, "command": "press"}).encode()).id is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.binary())
def test_any_bytes_are_a_request_or_a_bad_request(line):
    try:
        parse_request(parse_envelope(line))
    except BadRequestError as error:
        assert str(error)  # noqa: PT017


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "v": st.just(1) | JSON,
            "id": JSON,
            "command": st.sampled_from(list(REQUESTS)) | JSON,
            "args": JSON,
        },
    )
)
def test_any_object_is_a_request_or_a_bad_request(message):
    try:
        parse_request(parse_envelope(json.dumps(message).encode()))
    except BadRequestError as error:
        assert error.code in ErrorCode  # noqa: PT017


@pytest.mark.parametrize("kind", [KioskError, ConfigError, DeviceError, RefusedError])
def test_an_error_keeps_its_exit_code_across_the_socket(kind):
    back = error_of(code_of(kind("x")), "x")
    assert back.exit_code == kind.exit_code
    assert str(back) == "x"


def test_an_error_code_of_a_later_version_is_an_ordinary_failure():
    assert type(error_of("melted", "x")) is KioskError
