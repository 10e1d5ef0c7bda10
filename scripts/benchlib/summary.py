"""The figures in one small table, and where in the README it goes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchlib.outcome import Table

BEGIN, END = "<!-- made by scripts/bench --readme -->", "<!-- end of the bench -->"
Figures = dict[str, Any]
Row = tuple[str, str, str, str]


def _talk(f: Figures) -> Row:
    talk = f["talk"]
    daemon, plain, floor = (talk[f"{name}_ms_per_s"] for name in ("daemon", "plain", "floor"))
    beside = f"{plain:.0f} ms/s: the plainest Python client; {floor:.0f}: the same in C"
    return "talking and listening at once", f"{daemon:.0f} ms/s of a core", beside, "0.6 of it; 5 times it"


def _turns(f: Figures) -> Row:
    turns = f["talk"]["turns"]
    daemon, plain, floor = (turns[f"{name}_ms_per_s"] for name in ("daemon", "plain", "floor"))
    beside = f"{plain:.0f} ms/s: the plainest Python client; {floor:.0f}: the same in C"
    return "talking and listening in turns", f"{daemon:.0f} ms/s of a core", beside, ""


def _used(one: Figures) -> str:
    return f"{one['cpu_ms_per_s']:.2f} ms/s, {one['wakeups_per_s']:.1f} wake-ups/s"


def _idle(f: Figures) -> Row:
    idle = f["idle"]
    own = f["machine"]["python"]
    beside = [f"{_used(idle['others']['plain client, connected'])}: the plainest client"]
    beside += [
        f"{_used(seen['closed'])}: on Python {version}"
        for version, seen in idle["pythons"].items()
        if version != own
    ]
    return "idle, microphone closed", _used(idle), "; ".join(beside), "1 ms/s"


def _idle_warm(f: Figures) -> Row:
    return "idle, microphone kept warm", _used(f["idle"]["others"]["warm"]), "", ""


def _start(f: Figures) -> Row:
    start = f["start"]
    own = f["machine"]["python"]
    beside = [f"{start['pythons'][own]['bare_s']:.2f} s: Python with asyncio, ssl and numpy"]
    beside += [
        f"{seen['ready_s']:.2f} s: on Python {version}"
        for version, seen in start["pythons"].items()
        if version != own
    ]
    return "from start to READY", f"{start['ready_s']:.2f} s", "; ".join(beside), "0.5 s"


def _memory(f: Figures) -> Row:
    memory = f["memory"]
    beside = f"{memory['plain_rss_mb']:.0f} MB: the plainest client"
    got = f"{memory['rss_mb']:.0f} MB, {memory['anon_mb']:.0f} of it its own"
    return "memory in a conversation", got, beside, "70 MB, 40 of it its own"


def _growth(f: Figures) -> Row:
    return "memory that a day of conversations adds", f"{f['memory']['growth_kb']} kB", "", "1 MB"


def _latency(name: str, words: str, promised: str, *, worst: bool = False) -> Callable[[Figures], Row]:
    def row(f: Figures) -> Row:
        seen = f["latency"][name]
        p50, p99, most = (f"{seen[key]:.0f} ms" for key in ("p50", "p99", "max"))
        if worst:
            return words, f"{most}, the worst of {seen['of']}", f"{p50}: the median", promised
        return words, p50, f"{p99} at the 99th percentile, {most} the worst of {seen['of']}", promised

    return row


ROWS: tuple[Callable[[Figures], Row], ...] = (
    _talk,
    _turns,
    _idle,
    _idle_warm,
    _start,
    _memory,
    _growth,
    _latency("press_to_first_audio_warm", "press to first audio, microphone warm", "25 ms"),
    _latency("press_to_first_audio_closed", "press to first audio, microphone closed", "60 ms"),
    _latency("press_to_first_audio", "press to first audio, in the middle of an answer", ""),
    _latency("press_to_silence", "press to silence, in the middle of an answer", "60 ms", worst=True),
    _latency("reply_to_sound", "first audio of an answer to sound", "cushion (60 ms) + 15 ms"),
)


def table(figures: Figures) -> Table:
    """Return the rows for which there are figures."""
    rows = []
    for row in ROWS:
        try:
            rows.append(row(figures))
        except KeyError:
            continue
    machine = figures["machine"]
    where = f"{machine['cores']} cores of {machine['machine']}, Python {machine['python']}"
    note = f"{where}; medians but for what says so."
    return Table("", ["what", "measured", "beside", "to be at most"], rows, note)


def lacks_place(page: Path, begin: str = BEGIN) -> str:
    """Return what is wrong with a page's markers, "" for nothing."""
    if END in page.read_text().partition(begin)[2]:
        return ""
    return f"{page} has no place for the table: add a line {begin}, and after it one {END}"


def into_page(table: Table, page: Path, begin: str = BEGIN) -> None:
    """Put a table without its title between a page's markers. Raises ValueError when they are not there."""
    if problem := lacks_place(page, begin):
        raise ValueError(problem)
    before, _, rest = page.read_text().partition(begin)
    after = rest.partition(END)[2]
    body = str(table).partition("\n")[2].strip()
    page.write_text(f"{before}{begin}\n\n{body}\n\n{END}{after}")
