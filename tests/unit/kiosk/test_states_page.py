"""docs/states.md is what the code does."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_picture_of_the_states_is_up_to_date():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "state-diagram", "--check"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
