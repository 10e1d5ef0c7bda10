"""The table in README.md, made from the figures of a soak."""

import json
from pathlib import Path

from soaklib import figures

README = Path(__file__).resolve().parents[2] / "README.md"
BEGIN, END = "<!-- soak: made by scripts/soak --readme FILE -->", "<!-- end of soak -->"


def render(data: dict[str, object]) -> str:
    """Return what stands between the markers."""
    names = ("refused", "killed", "restarted")
    rows = {"granted": data, **{name: data[name] for name in names if name in data}}
    seconds, kiosks, seed = data["seconds"], data["kiosks"], data["seed"]
    command = f"scripts/soak --drops {data['asked']} --seed {seed} --json FILE"
    cores = data["machine"]["cores"]  # type: ignore[index]
    return (
        f"{BEGIN}\n{figures.table(rows)}\n\n"  # type: ignore[arg-type]
        f"`{command}`: {seconds} s of real time, {kiosks} kiosks side by side on {cores} cores.\n{END}"
    )


def put(file: Path) -> int:
    """Put the figures of `file` between the markers; return an exit code."""
    text = README.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        print(f"{README.name} has no lines {BEGIN} and {END}")
        return 2
    README.write_text(before + render(json.loads(file.read_text())) + after)
    return 0
