import asyncio
import io
import json
import sys

import pytest
from tests.rigs.control import control_server, until

from voicekiosk.cli import main
from voicekiosk.service.protocol import Topic
from voicekiosk.service.requests import Mute, Press, Release, Say, SetKey, Unmute, Volume

KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
async def daemon(tmp_path, monkeypatch):
    path = tmp_path / "control.sock"
    monkeypatch.setenv("VOICEKIOSK_SOCKET", str(path))
    async with control_server(path) as served:
        yield served


@pytest.fixture
def voicekiosk(capsys):
    async def run(*arguments):
        code = await asyncio.to_thread(main, list(arguments))
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.mark.parametrize(
    ("arguments", "request_", "printed"),
    [
        (["press"], Press(), "listening"),
        (["release"], Release(), "idle"),
        (["mute"], Mute(), "muted"),
        (["unmute"], Unmute(), "idle"),
        (["say", "good", "morning"], Say(text="good morning"), "speaking"),
        (["volume", "35"], Volume(percent=35), "35 %"),
        (["volume"], Volume(), "80 %"),
    ],
)
async def test_each_command_is_carried_out_and_its_outcome_printed(
    daemon, voicekiosk, arguments, request_, printed
):
    assert await voicekiosk(*arguments) == (0, printed + "\n", "")
    assert daemon[1].requests == [request_]


@pytest.mark.parametrize(
    "arguments", [["press"], ["volume"], ["say", "x"], ["mute"], ["status"], ["version"]]
)
async def test_every_command_speaks_json(daemon, voicekiosk, arguments):
    code, out, _ = await voicekiosk(*arguments, "--json")
    assert code == 0
    assert isinstance(json.loads(out), dict)


async def test_press_for_a_while_holds_and_releases(daemon, voicekiosk):
    code, out, _ = await voicekiosk("press", "--for", "0.05")
    assert (code, out) == (0, "idle\n")
    assert daemon[1].requests == [Press(), Release()]


async def test_press_for_a_while_releases_also_when_interrupted(daemon, voicekiosk, monkeypatch):
    def interrupted(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupted)
    code, _, _ = await voicekiosk("press", "--for", "5")
    assert code == 130
    assert daemon[1].requests == [Press(), Release()]


@pytest.mark.parametrize(
    "arguments", [["volume", "101"], ["volume", "loud"], ["press", "--for", "-1"], ["say"]]
)
async def test_wrong_arguments_are_a_usage_error_and_never_reach_the_daemon(daemon, voicekiosk, arguments):
    code, _, err = await voicekiosk(*arguments)
    assert code == 2
    assert err
    assert daemon[1].asked == []


async def test_a_command_refused_in_this_state_exits_with_4_and_the_reason(daemon, voicekiosk):
    await voicekiosk("mute")
    assert await voicekiosk("press") == (4, "", "muted: unmute it first\n")


async def test_reloading_a_wrong_configuration_exits_with_2_and_its_problems(daemon, voicekiosk):
    assert await voicekiosk("reload") == (2, "", "config.toml:4:1: gian: unknown key\n")


@pytest.mark.parametrize("command", ["status", "press", "events", "transcript", "reload", "volume"])
async def test_without_a_daemon_each_command_exits_with_3(tmp_path, monkeypatch, voicekiosk, command):
    monkeypatch.setenv("VOICEKIOSK_SOCKET", str(tmp_path / "nobody.sock"))
    code, _, err = await voicekiosk(command)
    assert code == 3
    assert "not running" in err


async def test_version_works_without_a_daemon(tmp_path, monkeypatch, voicekiosk):
    monkeypatch.setenv("VOICEKIOSK_SOCKET", str(tmp_path / "nobody.sock"))
    code, out, _ = await voicekiosk("version", "--json")
    assert code == 0
    assert json.loads(out)["daemon"] == "not running"


async def test_version_says_when_a_daemon_of_another_version_is_running(daemon, voicekiosk):
    code, out, _ = await voicekiosk("version")
    assert code == 0
    assert "0.0.9" in out
    assert "systemctl restart" in out


@pytest.mark.parametrize(
    ("arguments", "published", "printed"),
    [
        (["events"], (Topic.EVENTS, {"kind": "press", "text": "down", "fields": {}}), "press: down"),
        (["events", "--json"], (Topic.EVENTS, {"kind": "press"}), '"event": {"kind": "press"}'),
        (["transcript"], (Topic.TRANSCRIPT, {"who": "visitor", "text": "hi", "final": True}), "visitor: hi"),
        (["transcript", "--partial"], (Topic.TRANSCRIPT, {"who": "agent", "text": "he"}), "agent: he …"),
        (
            ["status", "--watch"],
            (Topic.STATUS, {"state": "thinking", "lamp": "thinking"}),
            "thinking      lamp",
        ),
        (["status", "--watch", "--json"], (Topic.STATUS, {"state": "thinking"}), '{"state": "thinking"}'),
    ],
)
async def test_streams_print_until_the_daemon_stops(daemon, voicekiosk, arguments, published, printed):
    server, _ = daemon
    topic, event = published
    running = asyncio.create_task(voicekiosk(*arguments))
    await until(lambda: server.listeners(topic))
    server.publish(topic, event)
    # The daemon lets clients read what was sent before it goes.
    await until(lambda: server.statistics().requests >= (2 if "status" in arguments else 1))
    await server.close()
    code, out, err = await running
    assert code == 3
    assert printed in out
    assert "stopped" in err


async def test_unfinished_captions_are_shown_only_when_asked_for(daemon, voicekiosk):
    server, _ = daemon
    running = asyncio.create_task(voicekiosk("transcript"))
    await until(lambda: server.listeners(Topic.TRANSCRIPT))
    server.publish(Topic.TRANSCRIPT, {"who": "visitor", "text": "he", "final": False})
    server.publish(Topic.TRANSCRIPT, {"who": "visitor", "text": "hello", "final": True})
    await server.close()
    _, out, _ = await running
    assert [line.split(" ", 1)[1] for line in out.splitlines()] == ["visitor: hello"]


async def test_a_key_is_stored_and_handed_to_the_running_daemon(daemon, voicekiosk, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(KEY + "\n"))
    file = tmp_path / "api-key"
    code, out, err = await voicekiosk("key", "set", "--file", str(file))
    assert code == 0
    assert "in use" in out
    assert KEY not in out + err
    assert file.read_text() == KEY + "\n"
    assert daemon[1].requests == [SetKey(key=KEY)]


async def test_a_key_is_stored_also_without_a_daemon(voicekiosk, tmp_path, monkeypatch):
    monkeypatch.setenv("VOICEKIOSK_SOCKET", str(tmp_path / "nobody.sock"))
    monkeypatch.setattr(sys, "stdin", io.StringIO(KEY))
    code, out, _ = await voicekiosk("key", "set", "--file", str(tmp_path / "api-key"), "--json")
    assert code == 0
    assert json.loads(out)["in_use"] is False


async def test_a_wrong_key_is_neither_stored_nor_shown(daemon, voicekiosk, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"Bearer {KEY}"))
    code, out, err = await voicekiosk("key", "set", "--file", str(tmp_path / "api-key"))
    assert code == 2
    assert "space" in err
    assert KEY not in out + err
    assert not (tmp_path / "api-key").exists()
    assert daemon[1].asked == []


async def test_a_daemon_that_does_not_take_the_key_is_told_though_it_is_stored(
    daemon, voicekiosk, tmp_path, monkeypatch
):
    from voicekiosk.errors import RefusedError

    daemon[1].failure = RefusedError("stopping")
    monkeypatch.setattr(sys, "stdin", io.StringIO(KEY))
    code, _, err = await voicekiosk("key", "set", "--file", str(tmp_path / "api-key"))
    assert code == 4
    assert "stored, but" in err
    assert (tmp_path / "api-key").exists()


async def test_at_a_terminal_the_key_is_asked_for_without_echo(daemon, voicekiosk, tmp_path, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda prompt: KEY)
    code, _, _ = await voicekiosk("key", "set", "--file", str(tmp_path / "api-key"))
    assert code == 0
    assert daemon[1].requests == [SetKey(key=KEY)]


async def test_a_key_that_is_not_text_is_refused(daemon, voicekiosk, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfe\x00"), encoding="utf-8"))
    code, _, err = await voicekiosk("key", "set", "--file", str(tmp_path / "api-key"))
    assert (code, err.count("\n")) == (2, 1)
    assert not (tmp_path / "api-key").exists()
