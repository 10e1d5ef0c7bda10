"""Split the locks for a target: what has a wheel for it, what must be built from source, and what builds it.

    target_lock.py MACHINE VERSION DIRECTORY    writes wheels.lock, sources.lock and build.lock there

Markers are judged for the target here, as pip would judge them for the machine that it runs on.
"""

import re
import sys
from pathlib import Path

from pip._vendor.packaging.requirements import Requirement

# Published as source only; everything else that the lock names for a machine has wheels for it.
SOURCE_ONLY = {"pyalsaaudio", "systemd-python"}
SOURCE_ONLY_ON = {"armv7l": {"msgspec"}}


def main() -> None:
    """Read the two locks and write the three."""
    machine, version, directory = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    environment = {
        "platform_machine": machine,
        "python_version": version,
        "python_full_version": f"{version}.0",
        "sys_platform": "linux",
        "implementation_name": "cpython",
    }
    source_only = SOURCE_ONLY | SOURCE_ONLY_ON.get(machine, set())
    needed = for_target(Path("requirements.lock"), environment)
    written = {
        "wheels": [block for name, block in needed if name not in source_only],
        "sources": [block for name, block in needed if name in source_only],
        "build": [block for _, block in for_target(Path("requirements-build.lock"), environment)],
    }
    for name, blocks in written.items():
        (directory / f"{name}.lock").write_text("".join(blocks), encoding="utf-8")


def for_target(lock: Path, environment: dict[str, str]) -> list[tuple[str, str]]:
    """Return name and lines, without markers, of what a lock holds for the environment."""
    found = []
    for block in re.split(r"^(?=[a-z])", lock.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        requirement = Requirement(re.split(r"\s*\\\n", block, maxsplit=1)[0])
        if requirement.marker is None or requirement.marker.evaluate(environment):
            found.append((requirement.name, re.sub(r"^(\S+==\S+) ;[^\\]*", r"\1 ", block)))
    return found


main()
