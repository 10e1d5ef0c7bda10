import pytest

from voicekiosk.service.render import (
    caption_line,
    duration,
    event_line,
    latency_text,
    outcome_text,
    printable,
    status_line,
    status_text,
)
from voicekiosk.service.status import Status

STATUS: Status = {
    "name": "lobby",
    "place": "Berlin",
    "state": "thinking",
    "since_s": 3.25,
    "reason": "",
    "lamp": "thinking",
    "muted": False,
    "link": {
        "state": "ready",
        "since_s": 125.0,
        "host": "agents.assemblyai.com",
        "cause": "",
        "detail": "",
        "attempt": 0,
        "retry_in_s": None,
        "round_trip_ms": 43.2,
    },
    "microphone": {
        "open": True,
        "live": False,
        "device": "hw:CARD=Headset",
        "card": "Jabra",
        "rate_hz": 48000,
        "channels": 1,
        "format": "S16_LE",
        "overruns": 1,
        "missed_frames": 960,
        "reopened": 0,
        "fault": "",
    },
    "loudspeaker": {
        "open": False,
        "device": "hw:CARD=Headset",
        "card": "",
        "rate_hz": None,
        "channels": None,
        "format": "",
        "underruns": 0,
        "starved": 2,
        "reopened": 1,
        "volume": 80,
        "fault": "unplugged; plug it in",
    },
    "panel": {"driver": "gpio", "mode": "hold", "fault": ""},
    "session": {"session_id": "abc", "open_s": 41.0, "turns": 3, "sessions": 7, "connected_s": 720.0},
    "config": {
        "file": "/etc/voicekiosk/config.toml",
        "loaded_at": "2026-11-22T12:00:01+01:00",
        "problems": [],
    },
    "key": "credential",
    "versions": {"voicekiosk": "0.1.0", "python": "3.11.2"},
    "process": {"pid": 123, "uptime_s": 90061.0},
}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (3.25, "3.2 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (125, "2 min 5 s"),
        (3725, "1 h 2 min"),
        (90061, "1 d 1 h"),
    ],
)
def test_a_duration_is_told_in_its_two_largest_units(seconds, text):
    assert duration(seconds) == text


def test_the_status_can_be_read_at_a_glance():
    assert status_text(STATUS).splitlines() == [
        "state        thinking for 3.2 s, lobby (Berlin)",
        "lamp         thinking",
        "link         ready for 2 min 5 s, agents.assemblyai.com, round trip 43 ms",
        "microphone   open, hw:CARD=Headset (Jabra), 48000 Hz, 1 ch, S16_LE, 1 overruns (960 frames), reopened 0 times",
        "loudspeaker  closed, hw:CARD=Headset, volume 80 %, 0 underruns, network late 2 times, reopened 1 times",
        "             fault: unplugged; plug it in",
        "panel        gpio, hold",
        "session      abc, open for 41 s, 3 turns",
        "             7 sessions since the start, 12 min connected",
        "config       /etc/voicekiosk/config.toml, loaded 2026-11-22T12:00:01+01:00",
        "key          from credential",
        "versions     voicekiosk 0.1.0, python 3.11.2",
        "process      pid 123, up 1 d 1 h",
    ]


def test_what_is_wrong_is_told_with_its_cause():
    text = status_text(
        STATUS
        | {
            "state": "offline",
            "reason": "no network: is the cable in?",
            "muted": True,
            "key": "none",
            "link": STATUS["link"]
            | {
                "state": "waiting",
                "cause": "dns",
                "detail": "name not found",
                "attempt": 3,
                "retry_in_s": 8.0,
            },
            "microphone": STATUS["microphone"] | {"live": True, "fault": "silent (muted?)"},
            "panel": STATUS["panel"] | {"fault": "GPIO not permitted"},
            "session": STATUS["session"] | {"session_id": ""},
            "config": STATUS["config"] | {"problems": ["config.toml:4:1: gian: unknown key"]},
        }
    )
    for line in [
        "state        offline for 3.2 s, muted, lobby (Berlin)",
        "             no network: is the cable in?",
        "             dns: name not found",
        "             fault: silent (muted?)",
        "             fault: GPIO not permitted",
        "session      none",
        "             the file is not in force:",
        "             config.toml:4:1: gian: unknown key",
        "key          none",
    ]:
        assert line in text.splitlines()
    assert "attempt 3, next in 8.0 s" in text
    assert "microphone   live" in text


def test_a_status_of_another_version_is_shown_as_far_as_it_goes():
    text = status_text(
        {"state": "idle", "link": {}, "microphone": {}, "loudspeaker": {}, "session": {}, "config": {}}
    )
    assert text.startswith("state        idle")


def test_a_change_is_one_line():
    assert status_line(STATUS) == "thinking      lamp thinking  link ready"
    assert status_line(STATUS | {"muted": True, "reason": "x\ny"}).endswith("link ready  muted  x y")


def test_words_of_others_cannot_steer_the_terminal():
    assert printable("a\x1b[2Jb\r\nc") == "a [2Jb  c"
    message = {"time": 0.0, "event": {"who": "agent", "text": "\x1b]0;x\x07hi", "final": True}}
    assert "\x1b" not in caption_line(message)
    assert "\x1b" not in status_text(STATUS | {"reason": "\x1b[31m"})


def test_an_event_is_one_line_with_its_facts():
    message = {"time": 0.0, "event": {"kind": "link", "text": "ready", "fields": {"attempt": 2}}}
    assert event_line(message).endswith(" link: ready attempt=2")


def test_captions_show_whether_they_are_final_or_cut_short():
    caption = {"who": "agent", "text": "hello", "final": True, "interrupted": False}
    assert caption_line({"time": 0.0, "event": caption}).endswith(" agent: hello")
    assert caption_line({"time": 0.0, "event": caption | {"final": False}}).endswith(" agent: hello …")
    assert caption_line({"time": 0.0, "event": caption | {"interrupted": True}}).endswith(
        "hello [interrupted]"
    )


def test_what_was_missed_is_said():
    assert "missed 3 events" in event_line({"topic": "events", "missed": 3})
    assert "missed 3 captions" in caption_line({"topic": "transcript", "missed": 3})


def test_an_outcome_is_its_message_or_else_its_state():
    assert outcome_text({"state": "idle", "message": ""}, as_json=False) == "idle"
    assert outcome_text({"state": "fault", "message": "no microphone"}, as_json=False) == "no microphone"
    assert (
        outcome_text({"state": "idle", "message": ""}, as_json=True)
        == '{\n  "state": "idle",\n  "message": ""\n}'
    )


def test_delays_are_a_table_with_a_dash_where_nobody_waited():
    delays = [
        {"text": "press to silence", "count": 3, "p50_ms": 46.7, "p95_ms": 1823.4, "max_ms": 1823.4},
        {"text": "reply to sound", "count": 0, "p50_ms": None, "p95_ms": None, "max_ms": None},
    ]
    head, first, second = latency_text({"turns": 3, "delays": delays}).splitlines()
    assert head.split() == ["last", "3", "turns", "count", "p50", "p95", "max"]
    assert first.split() == ["press", "to", "silence", "3", "47", "ms", "1.82", "s", "1.82", "s"]
    assert second.split() == ["reply", "to", "sound", "0", "-", "-", "-"]
    assert len({len(line) for line in (head, first, second)}) == 1


def test_without_a_turn_there_are_no_delays():
    assert latency_text({"turns": 0, "delays": []}).startswith("no turn yet")
