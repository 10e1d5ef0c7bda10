"""One turn of the report as lanes over one time axis. Pure: a turn goes in, HTML comes out.

Positions are percent of the axis, so that one layout serves a desk and a phone; what could collide there
is laid out for the narrowest.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

AFTERWARDS_S = 3.0
"""What happens this long after the kiosk came to rest still belongs to the picture of the turn."""
STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
MOST_TICKS = 6
FLAG_PERCENT = 14.0
"""The room of a flag: "97+31" on a telephone 360 pixels wide."""
QUIETEST_DBFS = -60

Json = Mapping[str, Any]

NETWORK = {
    *("connecting", "session", "dropped", "refused", "ended", "trouble", "first_send", "proven"),
    *("all_proven", "sent", "speech", "speech_end", "reply", "first_reply", "reply_done"),
}
"""Kinds of marks that came over the network, or went out by it; the others are the kiosk's own."""
LOOKS = {
    "live": ("microphone_live", "microphone_live_no_link", "listening", "down"),
    "speak": ("speaking",),
    "wait": ("thinking", "working", "confirming", "connecting", "reconnecting", "resuming", "starting"),
    "bad": ("fault", "offline", "waiting", "muted"),
    "ready": ("ready",),
}
LOOK_OF = {label: look for look, labels in LOOKS.items() for label in labels}


def seconds(t_s: float) -> str:
    """Return a time since the press."""
    return f"{t_s:+.2f} s" if abs(t_s) < 100 else f"{t_s:+.0f} s"


def length_s(turn: Json) -> float:
    """Return how much of a turn is drawn: to its rest and a little of what follows."""
    end_s = float("inf") if turn["rest_s"] is None else turn["rest_s"] + AFTERWARDS_S
    times = [mark["t_s"] for mark in turn["marks"]]
    times += [change["t_s"] for changes in turn["lanes"].values() for change in changes]
    times += [len(level["dbfs"]) * level["bin_s"] for level in turn["levels"].values()]
    return float(max(1.0, turn["rest_s"] or 0.0, *(t_s for t_s in times if t_s <= end_s)))


def lanes(turn: Json) -> str:
    """Return the picture of a turn."""
    end_s = length_s(turn)
    step_s = next((step_s for step_s in STEPS_S if end_s / step_s <= MOST_TICKS), end_s)
    numbered = list(enumerate(turn["marks"], 1))
    drawn = [(number, mark) for number, mark in numbered if mark["t_s"] <= end_s]
    network = [(number, mark["t_s"]) for number, mark in drawn if mark["kind"] in NETWORK]
    own = [(number, mark["t_s"]) for number, mark in drawn if mark["kind"] not in NETWORK]
    rows = [
        _lane("Button", "", "spans", _spans(turn["lanes"].get("button", ()), end_s, without="up")),
        _lane("Lamp", "", "spans", _spans(turn["lanes"].get("lamp", ()), end_s)),
        _lane("Kiosk", "", "spans", _spans(turn["lanes"].get("state", ()), end_s)),
        _level_lane("Microphone", "mic", turn["levels"]["microphone"], end_s),
        _level_lane("Loudspeaker", "loud", turn["levels"]["loudspeaker"], end_s),
        _lane("Session", "", "spans", _spans(turn["lanes"].get("session", ()), end_s)),
        _lane("Network events", "", "flags", _flags(network, end_s)),
        _lane("Kiosk events", "", "flags", _flags(own, end_s)),
        _lane(
            "Time", "since the press" if "pressed" in turn["moments"] else "", "axis", _axis(step_s, end_s)
        ),
    ]
    return f'<div class="lanes" style="--step:{_percent(step_s, end_s):.3f}%">{"".join(rows)}</div>'


def _lane(name: str, note: str, look: str, inside: str) -> str:
    small = f" <small>{escape(note)}</small>" if note else ""
    return (
        f'<div class="lane" data-lane="{escape(name)}"><div class="name">{escape(name)}{small}</div>'
        f'<div class="track {look}">{inside}</div></div>'
    )


def _spans(changes: Sequence[Json], end_s: float, without: str = "") -> str:
    """Return what a lane showed, each label in a box of its own as long as it lasted."""
    ends = [change["t_s"] for change in changes[1:]] + [end_s]
    html = []
    for change, until_s in zip(changes, ends, strict=True):
        left, right = _percent(change["t_s"], end_s), _percent(until_s, end_s)
        label = str(change["label"])
        if right <= left or label == without:
            continue
        text = escape(label.replace("_", " "))
        what = f"{text}, {seconds(change['t_s'])} to {seconds(until_s)}"
        html.append(
            f'<div class="span {LOOK_OF.get(label, "calm")}" title="{what}" '
            f'style="left:{left:.3f}%;width:{right - left:.3f}%"><b>{text}</b></div>'
        )
    return "".join(html)


def _level_lane(name: str, look: str, level: Json, end_s: float) -> str:
    dbfs, bin_s = level["dbfs"], level["bin_s"]
    measured = [value for value in dbfs if value is not None]
    if not measured:
        return _lane(name, "nothing", "level", "")
    note = f"loudest {max(measured)} dBFS".replace("-", "\N{MINUS SIGN}")
    title = f"Peak level of the {name.lower()}, from {QUIETEST_DBFS} to 0 dBFS; {note}"
    path = "".join(
        f"M{_percent(index * bin_s, end_s) * 10:.1f} 100V{100 - _height(value):.0f}"
        f"H{_percent((index + count) * bin_s, end_s) * 10:.1f}V100Z"
        for index, count, value in _runs(dbfs)
        if value is not None
    )
    svg = (
        f'<svg viewBox="0 0 1000 100" preserveAspectRatio="none" role="img"><title>{escape(title)}</title>'
        f'<path class="{look}" d="{path}"/></svg>'
    )
    return _lane(name, note, "level", svg)


def _height(dbfs: float) -> float:
    # Silence that was measured is a thin line: another thing than nothing that was measured.
    return max(3.0, min(100.0, 100 * (dbfs - QUIETEST_DBFS) / -QUIETEST_DBFS))


def _runs(values: Sequence[int | None]) -> Iterable[tuple[int, int, int | None]]:
    """Yield where each run of one value begins, how long it is, and the value."""
    start = 0
    for index in range(1, len(values) + 1):
        if index == len(values) or values[index] != values[start]:
            yield start, index - start, values[start]
            start = index


def _flags(marks: Sequence[tuple[int, float]], end_s: float) -> str:
    """Return a line for each mark, and flags with their numbers that have room for their text."""
    ticks = "".join(
        f'<div class="tick" style="left:{min(99.8, _percent(t_s, end_s)):.3f}%"></div>' for _, t_s in marks
    )
    return ticks + "".join(
        f'<div class="flag" style="left:{left:.3f}%">{_flag(numbers)}</div>'
        for left, numbers in flags([(number, _percent(t_s, end_s)) for number, t_s in marks])
    )


def flags(marks: Iterable[tuple[int, float]]) -> list[tuple[float, list[int]]]:
    """Gather numbers whose places (percent) are too near to each other for a flag each.

    Each flag begins where its first mark is, or so far to the left that it ends with the lane.
    """
    gathered: list[tuple[float, list[int]]] = []
    for number, place in marks:
        left = min(place, 100 - FLAG_PERCENT)
        if gathered and left - gathered[-1][0] < FLAG_PERCENT:
            gathered[-1][1].append(number)
        else:
            gathered.append((left, [number]))
    return gathered


def _flag(numbers: Sequence[int]) -> str:
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}+{len(numbers) - 1}"


def _axis(step_s: float, end_s: float) -> str:
    count = int(end_s / step_s) + 1
    places = [(index * step_s, _percent(index * step_s, end_s)) for index in range(count)]
    return "".join(
        f'<div class="at" style="left:{place:.3f}%">{t_s:g} s</div>'
        for t_s, place in places
        if place <= 100 - FLAG_PERCENT or t_s == 0
    )


def _percent(t_s: float, end_s: float) -> float:
    return 100 * min(1.0, max(0.0, t_s / end_s))
