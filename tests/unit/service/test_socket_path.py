"""Where the two ends of the control socket meet."""

import os
from pathlib import Path

import pytest

from voicekiosk.service import protocol


def test_the_variable_comes_first():
    assert protocol.socket_path({"VOICEKIOSK_SOCKET": "/x/y.sock", "XDG_RUNTIME_DIR": "/run/user/1"}) == Path(
        "/x/y.sock"
    )


@pytest.mark.parametrize(
    ("uid", "service", "expected"),
    [
        (1000, False, "/run/user/1000/voicekiosk.sock"),
        (1000, True, "DEFAULT"),
        (0, False, "DEFAULT"),
    ],
)
def test_without_a_service_a_person_has_a_socket_of_their_own(monkeypatch, tmp_path, uid, service, expected):
    default = tmp_path / "voicekiosk" / "control.sock"
    if service:
        default.parent.mkdir()
    monkeypatch.setattr(protocol, "DEFAULT_SOCKET", default)
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    path = protocol.socket_path({"XDG_RUNTIME_DIR": "/run/user/1000"})
    assert path == (default if expected == "DEFAULT" else Path(expected))
