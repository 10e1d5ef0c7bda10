"""The table of signs in docs/wiring.md, made from the patterns: `python -m voicekiosk.panel.lamp_table`."""

import sys

from voicekiosk.panel import lamp

COLOURS = {
    lamp.BLUE: "blue",
    lamp.GREEN: "green",
    lamp.WHITE: "white",
    lamp.YELLOW: "yellow",
    lamp.ORANGE: "orange",
    lamp.RED: "red",
    lamp.VIOLET: "violet",
}

_STRIP_MS = 3000
_CELL_MS = 100


def strip(pattern: lamp.Pattern) -> str:
    """Draw the first three seconds on a plain LED, a character for each tenth of a second."""
    looks = [
        lamp.look(pattern, (at_ms + 1) / 1000, dimmable=False)[0] for at_ms in range(0, _STRIP_MS, _CELL_MS)
    ]
    return "".join("█" if look.level >= lamp.PLAIN_THRESHOLD else "·" for look in looks)


def markdown() -> str:
    """Write the table, most urgent sign first."""
    rows = ["| sign | three seconds of it on a plain LED | colour | meaning |", "|---|---|---|---|"]
    rows += [
        f"| `{sign}` | `{strip(pattern)}` | {COLOURS[pattern.rgb]} | {pattern.meaning} |"
        for sign, pattern in lamp.PATTERNS.items()
    ]
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
