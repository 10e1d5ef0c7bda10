"""Where the bench's table goes, and which rows it has."""

from pathlib import Path

import pytest

from benchlib import parts, summary
from benchlib.sections import talk

FIGURES = {
    "machine": {"cores": 2, "machine": "x86_64", "python": "3.11.2"},
    "start": {"ready_s": 0.3, "pythons": {"3.11.2": {"bare_s": 0.2}}},
}


def test_the_table_stands_between_the_markers_and_replaces_the_one_before(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{summary.BEGIN}\nold\n{summary.END}\nafter\n")
    summary.into_page(summary.table(FIGURES), readme)
    text = readme.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "from start to READY" in text
    assert "old" not in text


def test_sections_that_were_not_measured_have_no_row() -> None:
    assert [row[0] for row in summary.table(FIGURES).rows] == ["from start to READY"]


@pytest.mark.parametrize("text", ["", summary.BEGIN, f"{summary.END}\n{summary.BEGIN}"])
def test_a_readme_without_a_place_is_told_before_anything_is_measured(tmp_path: Path, text: str) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(text)
    assert "no place for the table" in summary.lacks_place(readme)


def test_our_readme_has_a_place() -> None:
    assert summary.lacks_place(Path(__file__).parents[3] / "README.md") == ""


@pytest.mark.parametrize(
    ("daemon", "fell_short"), [(29.0, []), (31.0, ["plainest"]), (60.0, ["plainest", "floor"])]
)
def test_talk_is_judged_beside_the_plainest_client_and_the_floor(
    daemon: float, fell_short: list[str]
) -> None:
    figures = {
        "daemon_ms_per_s": daemon, "plain_ms_per_s": 50.0, "floor_ms_per_s": 10.0, "rss_mb": 60.0, "anon_mb": 30.0,
    }  # fmt: skip
    shortfalls = talk._shortfalls(figures)
    assert len(shortfalls) == len(fell_short)
    assert all(word in text for word, text in zip(fell_short, shortfalls, strict=True))


def test_what_no_part_explains_is_said() -> None:
    table = talk.by_part({"capture": 1.0, "idle loop": 4.0, parts.VOLUME: 2.0}, 20.0)
    assert table.rows[-1][1:] == ["15.00", "75 %"]
