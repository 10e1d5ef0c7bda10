"""The packages that voicekiosk is compared with: never needed to run it, so kept in a place of their own."""

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import tomli

_ROOT = Path(__file__).resolve().parents[2]
_DIRECTORY = _ROOT / f".venv-bench-{sys.version_info.major}.{sys.version_info.minor}"


def install() -> int:
    """Install the dependency group `bench` of pyproject.toml; return pip's exit code."""
    project = tomli.loads((_ROOT / "pyproject.toml").read_text())
    wanted = project["dependency-groups"]["bench"]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]
    return subprocess.run(
        [*pip, "--only-binary", ":all:", "--target", _DIRECTORY, *wanted], check=False
    ).returncode


def offer() -> None:
    """Let the peers be imported, after everything of the environment's own."""
    sys.path.append(str(_DIRECTORY))


def peer(name: str) -> ModuleType | None:
    """Import a peer, or say how to get it and return None."""
    try:
        return importlib.import_module(name)
    except ImportError:
        print(
            f"bench: {name} is not installed and not compared with; scripts/bench --install-peers gets it",
            file=sys.stderr,
        )
        return None
