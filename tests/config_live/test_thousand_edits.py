"""A thousand edits, good and bad, written in every way, under a daemon that runs: it serves all the time."""

import os
import random
from functools import partial
from pathlib import Path

import pytest
from tests.rigs.live_audio import CARDS
from tests.rigs.live_daemon import KEY, LiveDaemon, journal_in_memory

from voicekiosk.config import load
from voicekiosk.config.schema import Config

EDITS = 1000
SEEDS = 4

GOOD = [
    "[audio.playback]\nvolume = {n}\n",
    "[conversation]\nmax_hold_s = {half}\n",
    "[agent]\nsystem_prompt = 'prompt {n}'\n",
    "[agent]\nvoice = 'v{n}'\n",
    "[panel.button]\ndebounce_ms = {n}\n",
    "[log]\nlevel = 'warning'\n",
    "[conversation]\nkeep_open_s = {n}\n",
    "",
]


def good(rng: random.Random, name: str) -> str:
    n = rng.randrange(101)
    rest = rng.choice(GOOD).format(n=n, half=5 + n // 2)
    text = CARDS.replace("[audio.playback]\n", "[audio.playback]\n#\n") + f"[kiosk]\nname = '{name}'\n"
    if rest.startswith("[audio.playback]\n"):
        return text.replace("#\n", rest.partition("\n")[2])
    return text + rest


def broken(rng: random.Random, text: str) -> bytes:
    raw = text.encode()
    at = rng.randrange(len(raw))
    match rng.randrange(6):
        case 0:
            return raw[:at]
        case 1:
            return raw[:at] + rng.choice([b"=", b"'", b'"', b"[", b"\0", b"\xff", b"]]"]) + raw[at:]
        case 2:
            return raw[:at] + bytes(rng.randrange(256) for _ in range(8)) + raw[at + 8 :]
        case 3:
            return raw.replace(b"name", b"nmae")
        case 4:
            return raw + b"[panel]\n"
        case _:
            return b""


def save(rng: random.Random, path: Path, raw: bytes) -> None:
    new = path.with_name(f"new{rng.randrange(3)}")
    match rng.randrange(5):
        case 0:
            path.write_bytes(raw)
        case 1:
            new.write_bytes(raw)
            new.replace(path)
        case 2:
            path.unlink(missing_ok=True)
            path.write_bytes(raw)
        case 3:
            path.replace(path.with_name("config.toml~"))
            path.write_bytes(raw)
        case _:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
            os.write(descriptor, raw)
            os.ftruncate(descriptor, len(raw))
            os.close(descriptor)


def settled(kiosk: LiveDaemon, config: Config | None) -> bool:
    """Whether the daemon has seen the edit: it is in force, or the file is known not to be."""
    if config is None:
        return not kiosk.daemon.keeper.live.is_current
    return kiosk.daemon.keeper.live.is_current and kiosk.conductor.config == config


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_a_quarter_of_a_thousand_random_edits_leave_the_last_good_one_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
):
    monkeypatch.setenv("VOICEKIOSK_SOCKET", str(tmp_path / "control.sock"))
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", KEY)
    rng = random.Random(seed)
    with journal_in_memory():
        async with LiveDaemon(tmp_path) as kiosk:
            # Sooner than in earnest, so that each edit is seen by itself now and then.
            kiosk.daemon.keeper._watcher._quiet_s = 0.005
            kiosk.daemon.keeper.hold_s = 0.05
            for number in range(EDITS // SEEDS):
                text = good(rng, f"kiosk {number}")
                raw = text.encode() if rng.random() < 0.5 else broken(rng, text)
                save(rng, kiosk.path, raw)
                if rng.random() < 0.2:
                    # The next one comes before anybody can have looked.
                    continue
                config, _ = load.check_bytes(raw, "")
                if not raw.strip():
                    config = None
                await kiosk.until(partial(settled, kiosk, config), f"edit {number}: {raw!r}")
                status = await kiosk.status()
                assert status["state"] in ("idle", "fault")
                assert bool(status["config"]["problems"]) == (config is None)
            kiosk.path.write_text(CARDS + "[kiosk]\nname = 'final'\n")
            await kiosk.in_force("final")
            assert (await kiosk.status())["lamp"] == "idle"
