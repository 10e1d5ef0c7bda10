"""What a section of the bench hands back, and how it is printed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Table:
    """A table of figures that are already words."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def __str__(self) -> str:
        """Write the table as Markdown that can also be read as it is."""
        widths = [max(map(len, column)) for column in zip(self.columns, *self.rows, strict=True)]

        def line(cells: Sequence[str]) -> str:
            first, *others = zip(cells, widths, strict=True)
            aligned = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
            return f"| {' | '.join(aligned)} |"

        rule = line(["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
        text = [f"### {self.title}", "", line(self.columns), rule, *map(line, self.rows)]
        return "\n".join([*text, "", self.note] if self.note else text)


@dataclass(slots=True)
class Outcome:
    """A section's figures as data, the tables that show them, and what fell short of a promise."""

    figures: dict[str, Any] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)
    shortfalls: list[str] = field(default_factory=list)
