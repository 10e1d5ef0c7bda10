"""The report as somebody sees it who opens it: at a desk and on a phone, by day and by night."""

import itertools

import pytest
from tests.rigs.browser import browser
from tests.rigs.recordings import morning

from voicekiosk.service.report import page

SIZES = {"desk": (1280, 900), "phone": (390, 844)}
LANES = {"Button", "Lamp", "Kiosk", "Microphone", "Loudspeaker", "Session", "Network events", "Kiosk events"}
# Boxes of all text that is drawn: labels of a lane are cut where their box ends, so the box is what counts.
BOXES = """[...document.querySelectorAll('h1, h3, .name, .span, .at, .flag, .chip, td, th, dt, dd, .text, time')]
    .filter(e => e.checkVisibility())
    .map(e => [e.getBoundingClientRect(), e])
    .map(([r, e]) => ({x: r.x, y: r.y + scrollY, right: r.right, bottom: r.bottom + scrollY,
        text: e.textContent, clipped: e.scrollWidth > e.clientWidth + 1 && !e.matches('.span, .at, h3, time, .chip'),
        inside: e.matches('h3 *, td *, p *')}))"""
LABELS = "[...document.querySelectorAll('article')].map(a => [a.id, [...a.querySelectorAll('.name')].map(e => e.innerText)])"
COLOURS = (
    "['color', 'backgroundColor'].map(c => getComputedStyle(document.body)[c].match(/\\d+/g).map(Number))"
)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(page(morning().recording(words=True)), encoding="utf-8")
    return file.as_uri()


def overlaps(boxes):
    """Return the texts of boxes that share more than a hair of space."""
    return [
        (one["text"], other["text"])
        for one, other in itertools.combinations(boxes, 2)
        if min(one["right"], other["right"]) - max(one["x"], other["x"]) > 0.6
        and min(one["bottom"], other["bottom"]) - max(one["y"], other["y"]) > 0.6
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
async def test_the_report_is_quiet_whole_and_legible(tmp_path, report, size, scheme):
    width, height = SIZES[size]
    async with browser(tmp_path) as tab:
        await tab.show(report, width=width, height=height, scheme=scheme)
        # Everything that can be opened is open: nothing may hide behind a click.
        await tab.value("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert await tab.value("document.documentElement.scrollWidth") <= width, "nobody scrolls sideways"
        for article, names in await tab.value(LABELS):
            if article != "turn-0":
                assert all(any(name.startswith(lane) for name in names) for lane in LANES)
        boxes = await tab.value(BOXES)
        assert len(boxes) > 300
        assert {"down", "listening", "microphone live"} <= {box["text"] for box in boxes}
        assert overlaps([box for box in boxes if not box["inside"]]) == []
        assert [box["text"] for box in boxes if box["clipped"]] == []
        assert [box["text"] for box in boxes if box["right"] > width or box["x"] < 0] == []
        ink, paper = await tab.value(COLOURS)
        assert (sum(ink) < sum(paper)) == (scheme == "light")
        assert tab.complaints == []
        assert tab.requests == [report]


async def test_the_rig_would_notice_a_request_and_a_complaint(tmp_path):
    bad = tmp_path / "bad.html"
    bad.write_text("<!doctype html><img src='missing.png'><script>console.error('no')</script>")
    async with browser(tmp_path) as tab:
        await tab.show(bad.as_uri(), width=390, height=844, scheme="light")
        assert len(tab.requests) == 2
        assert tab.complaints != []
