"""Split requirements.lock for a target: what has a wheel for it, and what must be built from source.

    target_lock.py MACHINE VERSION DIRECTORY    writes DIRECTORY/wheels.lock and DIRECTORY/sources.lock

Markers are judged for the target here, as pip would judge them for the machine that it runs on.
"""

import re
import sys
from pathlib import Path

from pip._vendor.packaging.requirements import Requirement

# Published as source only; everything else that the lock names for a machine has wheels for it.
SOURCE_ONLY = {"pyalsaaudio", "systemd-python"}


def main() -> None:
    """Read the lock and write the two."""
    machine, version, directory = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    environment = {
        "platform_machine": machine,
        "python_version": version,
        "python_full_version": f"{version}.0",
        "sys_platform": "linux",
        "implementation_name": "cpython",
    }
    blocks = re.split(
        r"^(?=[a-z])", Path("requirements.lock").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    wheels, sources = [], []
    for block in blocks[1:]:
        requirement = Requirement(re.split(r"\s*\\\n", block, maxsplit=1)[0])
        if requirement.marker is not None and not requirement.marker.evaluate(environment):
            continue
        plain = re.sub(r"^(\S+==\S+) ;[^\\]*", r"\1 ", block)
        (sources if requirement.name in SOURCE_ONLY else wheels).append(plain)
    (directory / "wheels.lock").write_text("".join(wheels), encoding="utf-8")
    (directory / "sources.lock").write_text("".join(sources), encoding="utf-8")


main()
