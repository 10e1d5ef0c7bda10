"""The report: one self-contained page about the last turns. Pure: a recording goes in, HTML comes out.

The page needs no network and no script, and forbids itself both. Every text in it is escaped: what people,
the agent and the service say must not become part of the page.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

from voicekiosk.service.lanes import NETWORK, lanes, length_s, seconds
from voicekiosk.service.render import duration, milliseconds, printable
from voicekiosk.service.report_style import STYLE

Json = Mapping[str, Any]

HEAD = (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
)
TAP_S = 0.5
KEY = (
    '<p class="soft"><small>7+2: number 7 and two more of its lane, too close to be drawn apart. '
    "\N{UP DOWN ARROW}: over the network.</small></p>"
)
BEGAN = {
    "start": "Start of the daemon",
    "question": "Question",
    "press": "Press that opened no microphone",
    "answer": "Answer without a question",
}


def page(recording: Json) -> str:
    """Return the page for a `service.recording.Recording`."""
    status, turns = recording["status"], list(reversed(recording["turns"]))
    shown = [turn if recording["words"] else _without_words(turn) for turn in turns]
    name = _text(status["name"] or "voicekiosk")
    place = f", {_text(status['place'])}" if status["place"] else ""
    made = datetime.fromtimestamp(recording["made_at_s"]).astimezone()
    parts = [
        HEAD,
        f"<title>{name}: report of {made:%Y-%m-%d %H:%M}</title><style>{STYLE}</style></head><body><main>",
        f'<header><h1>{name}{place}</h1><p class="soft">What happened until ',
        f"{made:%A, %d %B %Y, %H:%M:%S}</p><p>{_now(status)}</p></header>",
        f'<h2>How long visitors waited</h2><div class="card">{_delays(recording["latency"])}</div>',
        f'<h2>The last turns</h2><div class="card">{_index(shown)}</div>',
        "<h2>Turn by turn, the latest first</h2>",
        *(_turn(turn, is_open=index == 0) for index, turn in enumerate(shown)),
        f'<h2>The kiosk</h2><div class="card">{_facts(status)}</div>',
        f"<footer>{_promise(words=recording['words'])}</footer></main></body></html>\n",
    ]
    return "".join(parts)


# --- the whole ---------------------------------------------------------------------------------------


def _now(status: Json) -> str:
    chip = "bad" if status["reason"] else "calm"
    since = f"for {duration(status['since_s'])}"
    reason = f": {_text(status['reason'])}" if status["reason"] else ""
    return f'<span class="chip {chip}">{_text(status["state"])}</span> {since}{reason}'


def _delays(latency: Json) -> str:
    rows = "".join(
        f'<tr><th scope="row">{_text(delay["text"])}</th>{_cell(str(delay["count"]))}'
        + "".join(_cell(milliseconds(delay[key])) for key in ("p50_ms", "p95_ms", "max_ms"))
        + "</tr>"
        for delay in latency["delays"]
    )
    head = "".join(f'<th scope="col" class="number">{text}</th>' for text in ("count", "p50", "p95", "max"))
    return f'<table><thead><tr><th scope="col">from, to</th>{head}</tr></thead><tbody>{rows}</tbody></table>'


def _cell(text: str) -> str:
    return f'<td class="number">{text}</td>'


def _index(turns: Sequence[Json]) -> str:
    rows = "".join(
        f'<tr><td><a href="#turn-{turn["number"]}">{_clock(turn["at_s"])}</a></td>'
        f"<td>{BEGAN.get(turn['began'], 'Turn')}</td><td>{_outcome(turn)}</td>"
        f'<td class="number wide">{milliseconds(turn["delays_ms"].get("release_to_sound"))}</td></tr>'
        for turn in turns
        if turn["number"]
    )
    if not rows:
        return "<p>No turn yet since the start of the daemon.</p>"
    head = "".join(f'<th scope="col">{text}</th>' for text in ("when", "what", "outcome"))
    waited = '<th scope="col" class="number wide">release to sound</th>'
    return f"<table><thead><tr>{head}{waited}</tr></thead><tbody>{rows}</tbody></table>"


def _facts(status: Json) -> str:
    microphone, loudspeaker, link = status["microphone"], status["loudspeaker"], status["link"]
    config, panel = status["config"], status["panel"]
    facts = {
        "microphone": f"{microphone['device']}, {microphone['overruns']} overruns, "
        f"reopened {microphone['reopened']} times",
        "loudspeaker": f"{loudspeaker['device']}, volume {loudspeaker['volume']} %, "
        f"{loudspeaker['underruns']} underruns, reopened {loudspeaker['reopened']} times",
        "button, lamp": f"{panel['driver']} {panel['device']}, mode {panel['mode']}",
        "service": f"{link['host']}, {link['state']} {link['detail']}",
        "session": status["session"]["session_id"] or "none open",
        "configuration": f"{config['file']}, in force since {config['loaded_at']}",
        "problems": "; ".join([*config["problems"], *config["warnings"]]) or "none",
        "up for": duration(status["process"]["uptime_s"]),
        "versions": ", ".join(f"{name} {version}" for name, version in status["versions"].items()),
    }
    return (
        "<dl>" + "".join(f"<dt>{name}</dt><dd>{_text(fact)}</dd>" for name, fact in facts.items()) + "</dl>"
    )


def _promise(*, words: bool) -> str:
    said = (
        "It holds what was said, since log.transcripts is on: treat it accordingly."
        if words
        else "It holds nothing of what was said (log.transcripts is off)."
    )
    return (
        f"No sound is in this page, only how loud it was. {said} The kiosk keeps all this in memory only: "
        "the last 50 turns, until it restarts."
    )


# --- one turn ----------------------------------------------------------------------------------------


def _turn(turn: Json, *, is_open: bool) -> str:
    number, first = turn["number"], turn["number"] == 0
    when = datetime.fromtimestamp(turn["at_s"]).astimezone()
    heading = BEGAN.get(turn["began"], "Turn") + (f" {number}" if number else "")
    return (
        f'<article id="turn-{number}"><h3>{heading} <time datetime="{when.isoformat()}">'
        f"{when:%H:%M:%S}</time>{'' if first else _outcome(turn)}</h3>"
        f"<p>{'' if first else _summary(turn)}</p>{'' if first else lanes(turn)}"
        f"{_events(turn, is_open=is_open)}</article>"
    )


def _outcome(turn: Json) -> str:
    moments = turn["moments"]
    if turn["rest_s"] is None:
        look, text = "wait", "\N{HORIZONTAL ELLIPSIS} going on"
    elif "cut_short" in moments:
        look, text = "speak", "\N{CHECK MARK} cut short"
    elif turn["began"] == "answer" or "sound" in moments:
        look, text = "speak", "\N{CHECK MARK} answered"
    elif turn["began"] == "press":
        look, text = "bad", "\N{BALLOT X} refused"
    elif "first_send" not in moments:
        # A tap that was taken back, or a question that somebody waited for in vain.
        look = "bad" if moments.get("released", 0.0) > TAP_S else "calm"
        text = "\N{WHITE CIRCLE} nothing sent"
    else:
        look, text = "bad", "\N{BALLOT X} not answered"
    return f'<span class="chip {look}">{text}</span>'


def _summary(turn: Json) -> str:
    moments, delays = turn["moments"], turn["delays_ms"]
    parts = []
    if "barged_in" in moments:
        parts.append("cut the answer before it short")
    if "released" in moments:
        parts.append(f"button down for {moments['released']:.1f} s")
    if "release_to_sound" in delays:
        parts.append(f"answer heard {milliseconds(delays['release_to_sound'])} after the release")
    if turn["rest_s"] is not None:
        parts.append(f"over after {duration(max(0.0, turn['rest_s']))}")
    text = "; ".join(parts)
    return text[:1].upper() + text[1:]


def _events(turn: Json, *, is_open: bool) -> str:
    marks, number = turn["marks"], turn["number"]
    end_s = length_s(turn) if number else -1.0
    during = [
        _event(n, mark, seconds(mark["t_s"])) for n, mark in enumerate(marks, 1) if mark["t_s"] <= end_s
    ]
    after = [
        _event(n, mark, _clock(turn["at_s"] + mark["t_s"]))
        for n, mark in enumerate(marks, 1)
        if mark["t_s"] > end_s
    ]
    if turn["left_out"]:
        count = turn["left_out"]
        after.append(f'<li><span></span><span></span><span class="text">{count} more had no room</span></li>')
    html = ""
    if during:
        html += _details("What the numbers stand for", during, is_open=is_open, key=KEY)
    if after:
        html += _details("Until the next turn" if number else "Before the first turn", after, is_open=is_open)
    return html


def _details(title: str, items: Sequence[str], *, is_open: bool, key: str = "") -> str:
    return (
        f"<details{' open' if is_open else ''}><summary>{title} ({len(items)})</summary>{key}"
        f'<ol class="events">{"".join(items)}</ol></details>'
    )


def _event(number: int, mark: Json, when: str) -> str:
    words = " words" if mark["kind"] == "words" else ""
    net = '<i title="network">\N{UP DOWN ARROW}</i> ' if mark["kind"] in NETWORK else ""
    text = f'<span class="text{words}">{_text(mark["text"])}</span>'
    return f"<li><span>{net}{number}</span><span>{when}</span>{text}</li>"


def _without_words(turn: Json) -> Json:
    return {**turn, "marks": [mark for mark in turn["marks"] if mark["kind"] != "words"]}


def _clock(time_s: float) -> str:
    return f"{datetime.fromtimestamp(time_s).astimezone():%H:%M:%S}"


def _text(text: object) -> str:
    return escape(printable(str(text)))
