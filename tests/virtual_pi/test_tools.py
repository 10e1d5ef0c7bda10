"""Tools: commands that systemd starts behind a socket, as another user, without the key."""

import json
from typing import Any

from pirig.pi import Pi

from demolib import server


def _results(pi: Pi) -> list[dict[str, Any]]:
    """End everything and return each tool.result that came."""
    pi.kiosk.stop()
    pi.service.end()
    frames = [frame for connection in server.read(pi.record) for frame in connection.frames]
    pi.service.begin()
    return [frame.content for frame in frames if frame.type == "tool.result"]


def _command(script: str) -> dict[str, Any]:
    return {"name": "probe", "description": "Looks around.", "command": ["/bin/sh", "-c", script]}


def test_a_command_is_another_user_and_has_no_key_and_its_answer_is_spoken(pi: Pi) -> None:
    look = "id -un; cat /etc/voicekiosk/api-key /run/credentials/*/* || echo no key; ls /dev/snd || echo no sound"
    pi.boot({"tools": [_command(f"{{ {look}; }} 2>/dev/null")]})
    pi.converse()
    pi.service.call("probe")
    pi.hear_answer()
    (result,) = _results(pi)
    text = json.dumps(result["result"])
    assert not result.get("is_error")
    assert "voicekiosk-tool" in text
    assert "no key" in text
    assert "no sound" in text
    assert "sim-key" not in text


def test_a_command_that_fails_is_told_to_the_agent_and_the_conversation_goes_on(pi: Pi) -> None:
    pi.boot({"tools": [_command("exit 3")]})
    pi.converse()
    pi.service.call("probe")
    pi.hear_answer()
    pi.converse()
    (result,) = _results(pi)
    assert result["is_error"]


def test_a_command_that_takes_too_much_memory_takes_nobody_with_it(pi: Pi) -> None:
    hog = "import mmap; mmap.mmap(-1, 384 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE)"
    tool = {**_command(""), "command": ["/usr/bin/python3", "-c", hog]}
    pi.boot({"tools": [tool]})
    pid = pi.kiosk.pid
    pi.converse()
    pi.service.call("probe")
    pi.hear_answer()
    pi.converse()
    assert pi.kiosk.pid == pid
    (result,) = _results(pi)
    assert result["is_error"]
