"""docs/money.md shows what scripts/day-bill finds."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_bills_in_the_docs_are_what_the_command_prints():
    command = [sys.executable, str(ROOT / "scripts" / "lib" / "day_bill.py"), "--check"]
    found = subprocess.run(
        command,
        env={"PYTHONPATH": str(ROOT / "daemon")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
