"""Print the coverage of the parts that must be covered, and exit 3 when one of them is not.

Usage: coverage_gate.py COVERAGE.json (made by `coverage json` from a run with branches measured).
"""

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

REQUIRED_PERCENT = 95.0
PARTS = ("kiosk/", "agent/session.py", "audio/ring.py", "audio/resample.py", "config/")


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a part ran: lines, and the ways out of every decision."""

    lines: int
    lines_run: int
    branches: int
    branches_run: int

    @property
    def line_percent(self) -> float:
        return 100 * self.lines_run / self.lines if self.lines else 100.0

    @property
    def branch_percent(self) -> float:
        return 100 * self.branches_run / self.branches if self.branches else 100.0

    @property
    def enough(self) -> bool:
        """Whether both reach the bound; a part without a line in it was not found, and does not."""
        return self.lines > 0 and min(self.line_percent, self.branch_percent) >= REQUIRED_PERCENT


def of_part(part: str, files: dict[str, dict[str, dict[str, int]]]) -> Coverage:
    """Add up the files of a part: a module, or a folder when the name ends in a slash."""
    inside = [data["summary"] for path, data in files.items() if f"/voicekiosk/{part}" in f"/{path}"]
    return Coverage(
        sum(summary["num_statements"] for summary in inside),
        sum(summary["covered_lines"] for summary in inside),
        sum(summary["num_branches"] for summary in inside),
        sum(summary["covered_branches"] for summary in inside),
    )


def missing_in(part: str, files: dict[str, dict[str, list[object]]]) -> Iterable[str]:
    """Name what did not run, one line a file."""
    for path, data in sorted(files.items()):
        if f"/voicekiosk/{part}" in f"/{path}" and (data["missing_lines"] or data["missing_branches"]):
            ways = [f"{a}->{b}" for a, b in data["missing_branches"]]  # type: ignore[misc]
            yield f"    {path}: lines {data['missing_lines']}, ways {ways}"


def main() -> int:
    files = json.loads(Path(sys.argv[1]).read_text())["files"]
    print(f"\ncoverage, at least {REQUIRED_PERCENT:.0f} % each      lines  branches")
    failed = False
    for part in PARTS:
        coverage = of_part(part, files)
        mark = "" if coverage.enough else "   <-- too low"
        print(f"  {part:<28} {coverage.line_percent:7.1f} % {coverage.branch_percent:7.1f} %{mark}")
        if not coverage.enough:
            failed = True
            print("\n".join(missing_in(part, files)) or "    none of its code ran, or it is not there")
    return 3 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
