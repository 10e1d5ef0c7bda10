"""Results of the control socket as text for people. Pure; the command line prints it."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

_COLUMN = 13


def printable(text: str) -> str:
    """Return `text` without control characters: what people and the agent say must not steer a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def duration(seconds: float) -> str:
    """Return a duration in its two largest units.

    >>> duration(3725)
    '1 h 2 min'
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return _pair(whole // 60, "min", whole % 60, "s")
    if whole < 86400:
        return _pair(whole // 3600, "h", whole % 3600 // 60, "min")
    return _pair(whole // 86400, "d", whole % 86400 // 3600, "h")


def clock(time_s: float) -> str:
    """Return the local time of day of an event."""
    return datetime.fromtimestamp(time_s).astimezone().strftime("%H:%M:%S")


def json_text(result: object) -> str:
    """Return a result for scripts."""
    return json.dumps(result, indent=2)


def outcome_text(outcome: Mapping[str, Any], *, as_json: bool) -> str:
    """Return the result of press, release, mute, unmute or say: its message, else the state it led to."""
    if as_json:
        return json_text(outcome)
    return printable(str(outcome.get("message") or outcome.get("state", "")))


def latency_text(latency: Mapping[str, Any]) -> str:
    """Return a `service.recording.Latency` as a table."""
    turns = int(latency.get("turns", 0))
    which = "last turn" if turns == 1 else f"last {turns} turns"
    lines = [f"{which:36}{'count':>6}{'p50':>10}{'p95':>10}{'max':>10}"]
    for delay in latency.get("delays", ()):
        cells = "".join(f"{milliseconds(delay.get(key)):>10}" for key in ("p50_ms", "p95_ms", "max_ms"))
        lines.append(f"{printable(str(delay.get('text', ''))):36}{delay.get('count', 0):>6}{cells}")
    return (
        "\n".join(lines)
        if turns
        else "no turn yet since the start of the daemon: press the button, and ask again"
    )


def milliseconds(ms: float | None) -> str:
    """Return a delay as people say it; a dash for none.

    >>> milliseconds(46.7), milliseconds(1823.4), milliseconds(None)
    ('47 ms', '1.82 s', '-')
    """
    if ms is None:
        return "-"
    return f"{ms:.0f} ms" if ms < 1000 else f"{ms / 1000:.2f} s"


def status_text(status: Mapping[str, Any]) -> str:
    """Return the whole of a `service.status.Status`.

    Takes what it finds: during an upgrade, daemon and command line may be of two versions.
    """
    lines = [_headline(status)]
    if status.get("reason"):
        lines.append(_row("", status["reason"]))
    lines.append(_row("lamp", status.get("lamp", "?")))
    rows = {
        "link": _link,
        "microphone": _microphone,
        "loudspeaker": _loudspeaker,
        "panel": _panel,
        "session": _session,
        "money": _money,
        "config": _config,
    }
    for name, describe in rows.items():
        if isinstance(facts := status.get(name), Mapping):
            lines.extend(_rows(name, describe(facts)))
    lines.append(_row("key", "none" if status.get("key") == "none" else f"from {status.get('key', '?')}"))
    versions = status.get("versions", {})
    lines.append(_row("versions", ", ".join(f"{name} {version}" for name, version in versions.items())))
    process = status.get("process", {})
    lines.append(
        _row("process", f"pid {process.get('pid', '?')}, up {duration(process.get('uptime_s', 0.0))}")
    )
    return "\n".join(lines)


def status_line(status: Mapping[str, Any]) -> str:
    """Return a `Status` in one line, as `status --watch` prints each change."""
    link = status.get("link", {})
    parts = [
        f"{status.get('state', '?'):12}",
        f"lamp {status.get('lamp', '?')}",
        f"link {link.get('state', '?')}",
    ]
    if status.get("muted"):
        parts.append("muted")
    if status.get("reason"):
        parts.append(printable(status["reason"]))
    return "  ".join(parts)


def event_line(message: Mapping[str, Any]) -> str:
    """Return a message of topic `events` in one line."""
    if "missed" in message:
        return f"(missed {message['missed']} events: reading too slowly)"
    event = message["event"]
    fields = "".join(f" {name}={value}" for name, value in event.get("fields", {}).items())
    return printable(f"{clock(message['time'])} {event.get('kind', '?')}: {event.get('text', '')}{fields}")


def caption_line(message: Mapping[str, Any]) -> str:
    """Return a message of topic `transcript` in one line."""
    if "missed" in message:
        return f"(missed {message['missed']} captions: reading too slowly)"
    caption = message["event"]
    ending = " [interrupted]" if caption.get("interrupted") else "" if caption.get("final") else " …"
    return printable(f"{clock(message['time'])} {caption.get('who', '?')}: {caption.get('text', '')}{ending}")


def _headline(status: Mapping[str, Any]) -> str:
    place = f" ({status['place']})" if status.get("place") else ""
    muted = ", muted" if status.get("muted") else ""
    state = f"{status.get('state', '?')} for {duration(status.get('since_s', 0.0))}{muted}"
    return _row("state", f"{state}, {status.get('name', 'kiosk')}{place}")


def _link(link: Mapping[str, Any]) -> Iterable[str]:
    first = [f"{link.get('state', '?')} for {duration(link.get('since_s', 0.0))}"]
    if link.get("host"):
        first.append(str(link["host"]))
    if link.get("round_trip_ms") is not None:
        first.append(f"round trip {link['round_trip_ms']:.0f} ms")
    if link.get("attempt"):
        first.append(f"attempt {link['attempt']}")
    if link.get("retry_in_s") is not None:
        first.append(f"next in {duration(link['retry_in_s'])}")
    yield ", ".join(first)
    if link.get("cause"):
        yield f"{link['cause']}: {link.get('detail', '')}"


def _microphone(microphone: Mapping[str, Any]) -> Iterable[str]:
    how = "live" if microphone.get("live") else "open" if microphone.get("open") else "closed"
    yield ", ".join(
        [
            how,
            *_device(microphone),
            f"{microphone.get('overruns', 0)} overruns ({microphone.get('missed_frames', 0)} frames)",
            f"reopened {microphone.get('reopened', 0)} times",
        ]
    )
    if microphone.get("fault"):
        yield f"fault: {microphone['fault']}"


def _loudspeaker(loudspeaker: Mapping[str, Any]) -> Iterable[str]:
    yield ", ".join(
        [
            "open" if loudspeaker.get("open") else "closed",
            *_device(loudspeaker),
            f"volume {loudspeaker.get('volume', '?')} %",
            f"{loudspeaker.get('underruns', 0)} underruns",
            f"network late {loudspeaker.get('starved', 0)} times",
            f"reopened {loudspeaker.get('reopened', 0)} times",
        ]
    )
    if loudspeaker.get("fault"):
        yield f"fault: {loudspeaker['fault']}"


def _device(device: Mapping[str, Any]) -> Iterable[str]:
    card = f" ({device['card']})" if device.get("card") else ""
    yield f"{device.get('device') or 'no device'}{card}"
    if device.get("rate_hz"):
        yield f"{device['rate_hz']} Hz, {device.get('channels', '?')} ch, {device.get('format', '?')}"


def _panel(panel: Mapping[str, Any]) -> Iterable[str]:
    yield f"{panel.get('driver', '?')}, {panel.get('mode', '?')}"
    if panel.get("fault"):
        yield f"fault: {panel['fault']}"


def _session(session: Mapping[str, Any]) -> Iterable[str]:
    if session.get("session_id"):
        open_s = session.get("open_s")
        lasting = "" if open_s is None else f", open for {duration(open_s)}"
        yield f"{session['session_id']}{lasting}, {session.get('turns', 0)} turns"
    else:
        yield "none"
    connected = duration(session.get("connected_s", 0.0))
    yield f"{session.get('sessions', 0)} sessions since the start, {connected} connected"


def _money(money: Mapping[str, Any]) -> Iterable[str]:
    currency, cap = money.get("currency", ""), money.get("daily_cap")
    today = f"{money.get('today', 0.0):.2f}" + (f" of {cap:.2f}" if cap else "") + f" {currency} today"
    yield (
        f"{today} in {money.get('turns_today', 0)} turns, {money.get('month', 0.0):.2f} {currency} this month"
    )
    match money.get("level"):
        case "warning":
            yield "nearly at the daily cap"
        case "spent":
            yield "at the daily cap: presses are refused until midnight"


def _config(config: Mapping[str, Any]) -> Iterable[str]:
    yield f"{config.get('file', '?')}, loaded {config.get('loaded_at', '?')}"
    if problems := config.get("problems"):
        yield "the file is not in force:"
        yield from problems
    yield from config.get("warnings") or ()
    if (left_s := config.get("confirm_in_s")) is not None:
        yield f"on trial for {duration(left_s)} more; to let it stay: voicekiosk config confirm"


def _rows(name: str, texts: Iterable[str]) -> Iterable[str]:
    for text in texts:
        yield _row(name, text)
        name = ""


def _row(name: str, text: str) -> str:
    return f"{name:{_COLUMN}}{printable(str(text))}".rstrip()


def _pair(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large} {large_unit} {small} {small_unit}" if small else f"{large} {large_unit}"
