"""The packages that voicekiosk is compared with: never needed to run it, so kept in a place of their own."""

import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

_ROOT = Path(__file__).resolve().parents[2]
_DIRECTORY = _ROOT / f".venv-bench-{sys.version_info.major}.{sys.version_info.minor}"


def _entries(lock: str) -> list[str]:
    """Return the entries of a lock file: a package's line and the indented ones after it."""
    return re.findall(r"(?m)^\w.*\n(?: .*\n)*", (_ROOT / lock).read_text())


def _name(entry: str) -> str:
    return entry.partition("==")[0]


def install() -> int:
    """Install what requirements-bench.lock has beside requirements.lock; return pip's exit code."""
    own = {_name(entry) for entry in _entries("requirements.lock")}
    wanted = "".join(entry for entry in _entries("requirements-bench.lock") if _name(entry) not in own)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]
    options = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "--target", str(_DIRECTORY)]
    return subprocess.run(
        [*pip, *options, "-r", "/dev/stdin"], input=wanted, text=True, check=False
    ).returncode


def offer() -> None:
    """Let the peers be imported, after everything of the environment's own."""
    sys.path.append(str(_DIRECTORY))


def peer(name: str) -> ModuleType | None:
    """Import a peer, or say how to get it and return None."""
    try:
        return importlib.import_module(name)
    except ImportError:
        advice = "scripts/bench --install-peers gets it"
        print(f"bench: {name} is not installed and not compared with; {advice}", file=sys.stderr)
        return None
