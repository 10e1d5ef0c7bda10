"""The report: self-contained, escaped, without words unless they are allowed, and laid out so that nothing collides."""

import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rigs.recordings import HOSTILE, SAID, STATUS, WALL_S, Morning, morning

from voicekiosk.panel.gestures import Pressed
from voicekiosk.service.lanes import FLAG_PERCENT, flags, lanes, length_s
from voicekiosk.service.report import page
from voicekiosk.service.report_style import STYLE

LANES = [
    "Button",
    "Lamp",
    "Kiosk",
    "Microphone",
    "Loudspeaker",
    "Session",
    "Network events",
    "Kiosk events",
    "Time",
]


class Outline(HTMLParser):
    """Tags and attributes of a page, and whether every tag that was opened was closed."""

    VOID = frozenset({"meta", "br", "img", "link", "input", "hr", "base"})

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.open = [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def day():
    return morning()


def test_the_page_is_whole_and_takes_nothing_from_anywhere(day):
    outline = Outline(page(day.recording(words=True)))
    assert outline.open == []
    assert not {"script", "img", "link", "iframe", "object", "base", "form"} & set(outline.tags)
    names = {name for _, name, _ in outline.attributes}
    assert not {"src", "srcset", "action"} & names
    assert not {name for name in names if name.startswith("on")}
    assert {value[0] for tag, name, value in outline.attributes if name == "href"} == {"#"}


def test_the_style_fetches_nothing_either(day):
    html = page(day.recording())
    style = html[html.index("<style>") : html.index("</style>")]
    assert not re.search(r"url\(|@import|http", style)


def test_what_others_say_is_text_and_not_part_of_the_page(day):
    html = page(day.recording(words=True))
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)" in html


@pytest.mark.parametrize("field", ["name", "place", "state", "reason"])
def test_the_status_is_text_too(day, field):
    recording = day.recording()
    html = page({**recording, "status": {**STATUS, field: HOSTILE}})
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_words_are_there_only_if_they_are_allowed(day):
    assert SAID in page(day.recording(words=True))
    assert SAID not in page(day.recording(words=False))
    assert "log.transcripts is on" in page(day.recording(words=True))


def test_each_turn_has_every_lane(day):
    recording = day.recording()
    html = page(recording)
    turns = [turn["number"] for turn in recording["turns"] if turn["number"]]
    assert turns == [1, 2, 3, 4, 5]
    for number in turns:
        article = html[html.index(f'<article id="turn-{number}">') :]
        article = article[: article.index("</article>")]
        assert re.findall('data-lane="([^"]+)"', article) == LANES
        assert f'href="#turn-{number}"' in html


@pytest.mark.parametrize(
    ("number", "outcome"),
    [(1, "answered"), (2, "cut short"), (3, "nothing sent"), (4, "nothing sent"), (5, "refused")],
)
def test_each_turn_says_how_it_went(day, number, outcome):
    html = page(day.recording())
    article = html[html.index(f'<article id="turn-{number}">') :]
    assert outcome in article[: article.index("</h3>")]


def test_a_turn_that_nobody_answered_and_one_that_is_going_on_say_so():
    day = Morning()
    day.ask(1.0)
    assert "going on" in page(day.recording())
    day.after(60.0)
    recording = day.recording()
    recording["turns"][-1]["rest_s"] = 20.0
    assert "not answered" in page(recording)


def test_a_fresh_daemon_has_a_page_too():
    html = page(Morning().recording())
    assert "No turn yet" in html
    assert "Start of the daemon" in html


def test_what_happened_long_after_the_turn_is_told_and_not_drawn(day):
    recording = day.recording()
    turn = next(turn for turn in recording["turns"] if turn["number"] == 1)
    turn["marks"].append({"t_s": 5000.0, "kind": "ended", "text": "session ended"})
    assert length_s(turn) < 20
    html = page(recording)
    assert "Until the next turn" in html


def test_what_had_no_room_is_counted(day):
    for number in range(300):
        day.recorder.note("dropped", f"{number}", day.now_s)
    assert "more had no room" in page(day.recording())


@given(st.lists(st.floats(0, 100), max_size=130))
def test_flags_never_collide_and_none_is_lost(places):
    marks = list(enumerate(sorted(places), 1))
    laid = flags(marks)
    assert [number for _, numbers in laid for number in numbers] == [number for number, _ in marks]
    lefts = [left for left, _ in laid]
    assert all(right - left >= FLAG_PERCENT for left, right in pairwise(lefts))
    assert all(0 <= left <= 100 - FLAG_PERCENT for left in lefts)


@given(st.floats(0.0, 1e5), st.floats(0.0, 1e5))
def test_spans_lie_side_by_side_inside_the_lane(first_s, second_s):
    day = Morning()
    day.after(1.0, Pressed(day.now_s + 1.0))
    turn = day.recorder.turns(day.now_s, WALL_S)[-1]
    times = [0.0, *sorted((first_s, second_s))]
    turn["lanes"]["lamp"] = [
        {"t_s": t_s, "label": label} for t_s, label in zip(times, ("idle", "thinking", "fault"), strict=True)
    ]
    lamp = re.search(r'data-lane="Lamp">.*?(?=<div class="lane")', lanes(turn)).group()
    boxes = [
        (float(left), float(width)) for left, width in re.findall(r"left:([\d.]+)%;width:([\d.]+)%", lamp)
    ]
    ends = [left + width for left, width in boxes]
    assert all(end <= left + 0.002 for end, (left, _) in zip(ends[:-1], boxes[1:], strict=True))
    assert all(end <= 100.002 for end in ends)


def luminance(colour):
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(scheme):
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", STYLE.split("@media")[scheme]))
    pairs = [(f"{look}-ink", look) for look in ("calm", "wait", "live", "speak", "ready", "bad", "flag")]
    pairs += [(ink, paper) for ink in ("ink", "soft", "link") for paper in ("paper", "card")]
    for ink, paper in pairs:
        low, high = sorted(luminance(colours[name]) for name in (ink, paper))
        assert (high + 0.05) / (low + 0.05) >= 4.5, f"{ink} on {paper}"
