"""`scripts/demo`: play the main job, then verify it. See docs/architecture.md for what is behind it."""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from demolib import judge, report
from demolib.acts import Stage, play
from demolib.paths import from_here, writable_from_here
from demolib.server import KEY, Connection, Server, read
from demolib.sound import BLOCK_S, Ear, Mouth
from demolib.stalls import Stalls
from demolib.timeline import Timeline

LIVE_CONFIG = """\
[agent]
url = {url}

[panel]
driver = "keyboard"
"""


def main() -> int:
    """Run the demo and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/demo",
        description="Show the main job with nothing but what this machine has; verify every sample.",
    )
    parser.add_argument(
        "--json", metavar="FILE", type=writable_from_here, help="write the result as data, too"
    )
    parser.add_argument(
        "--live", action="store_true", help="your microphone, loudspeaker and keyboard, against the simulator"
    )
    parser.add_argument(
        "--keep", metavar="DIR", type=from_here, help="keep recordings, records and logs in DIR"
    )
    args = parser.parse_args()
    if args.live and args.json:
        parser.error("--live verifies nothing, so there is nothing for --json to write")
    try:
        with _folder(args.keep) as folder:
            return live(folder) if args.live else demo(folder, args.json)
    except (judge.RigError, OSError, RuntimeError, ValueError, subprocess.SubprocessError) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def demo(folder: Path, json_file: Path | None) -> int:
    """Play, judge, report."""
    timeline = Timeline()
    print(
        "A kiosk is played here from end to end: the real daemon, real ALSA devices (PulseAudio behind\n"
        "them), a button on mock pins, recorded voices at the microphone, and the simulator as the agent.\n"
        "Afterwards every sample is looked for."
    )
    print(f"(Priority of everything that takes part: {_be_punctual()}.)")
    from tests.rigs.pulse import PulseRig

    with PulseRig() as rig, Server(folder / "record", folder / "server.log") as server:
        microphone, speaker = rig.microphone.record(), rig.record()
        _be_punctual(*_children())
        stage = Stage(
            folder=folder,
            url=server.url,
            environment={**rig.environment, "ASSEMBLYAI_API_KEY": KEY},
            capture_device="rig_mic",
            playback_device="rig_spk",
            mouth=Mouth(rig.microphone.environment),
            listen=rig.record,
            timeline=timeline,
        )
        try:
            with Stalls() as stalls:
                play(stage)
            statistics = server.stats()
        finally:
            stage.mouth.stop()
            microphone.stop()
            speaker.stop()
            microphone.save(folder / "microphone.wav")
            speaker.save(folder / "speaker.wav")
    _be_patient()
    print("\nlooking for every sample …\n", flush=True)
    violations = [broken for connection in statistics["connections"] for broken in connection["violations"]]
    connections = read(folder / "record")
    verdict = _judge(stage, connections, microphone, speaker, stalls)
    verdict.failures += report.check(verdict, violations, connections)
    print(report.text(verdict, violations, 1000 * BLOCK_S))
    if json_file is not None:
        result = report.data(verdict, violations, timeline.data(), stalls.longest_s)
        json_file.write_text(json.dumps(result, indent=1) + "\n")
    if verdict.failures:
        print("\nNOT as it should be:")
        for failure in verdict.failures:
            print(f"  - {failure}")
        print("What the kiosks counted, which nothing was judged by:")
        for line in stage.counted:
            print(f"  {line}")
        print(
            f"  (load of this machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores;"
            f" it stood still for up to {1000 * stalls.longest_s:.0f} ms)"
        )
        return 1
    print("\nEverything that was said arrived, and everything that was answered was heard.")
    return 0


def live(folder: Path) -> int:
    """Let a person talk to the simulator with this machine's own devices."""
    if not sys.stdin.isatty():
        raise RuntimeError("--live needs a terminal: its space bar is the button")
    if not list(Path("/proc/asound").glob("card[0-9]*")):
        raise RuntimeError(
            "--live needs a microphone and a loudspeaker, and this machine has no sound card: "
            "plug in a headset, or see it with the stand-in card: scripts/demo"
        )
    with Server(folder / "record", folder / "server.log") as server:
        config = folder / "live.toml"
        config.write_text(LIVE_CONFIG.format(url=json.dumps(server.url)))
        print(
            "The simulator is the agent: it says back what it hears. Wear headphones, or keep it low.\n"
            "Space: press and hold to talk, let go for the answer. q: end.\n"
        )
        environment = {
            **os.environ,
            "ASSEMBLYAI_API_KEY": KEY,
            "VOICEKIOSK_SOCKET": str(folder / "control.sock"),
        }
        code = subprocess.call(
            [sys.executable, "-m", "voicekiosk", "run", "--config", str(config)], env=environment
        )
        violations = [broken for one in server.stats()["connections"] for broken in one["violations"]]
    print(f"\nRules of the protocol broken: {len(violations) or 'none'}")
    return code


def _judge(
    stage: Stage, connections: list[Connection], microphone: Ear, speaker: Ear, stalls: Stalls
) -> judge.Verdict:
    verdict = judge.Verdict()
    for take in stage.takes:
        until_s = min((press for press in stage.presses if press > take.pressed_s), default=float("inf"))
        verdict.sent.append(judge.judge_sent(take, connections, microphone, until_s))
    for connection in connections:
        verdict.played += [
            judge.judge_played(reply, speaker, stage.presses, stalls.within) for reply in connection.replies
        ]
    return verdict


def _be_punctual(*threads: int) -> str:
    """Take the best priority that is allowed, for `threads` or this one and all it starts; return its name.

    A sound card of silicon is never late. The one here is a program, and other work on a busy machine
    would tear holes into its sound that no card has.
    """
    with contextlib.suppress(OSError):
        for thread in threads or (0,):
            os.sched_setscheduler(thread, os.SCHED_RR, os.sched_param(5))
        return "real-time"
    with contextlib.suppress(OSError):
        os.nice(-5)
        return "raised, as systemd/voicekiosk.service has it"
    return "normal; should sound be torn, end other work on this machine or run the demo as root"


def _children() -> list[int]:
    """Return every thread of every child process: PulseAudio gives up the priority that it inherits."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(task.name) for child in children for task in Path(f"/proc/{child}/task").iterdir()]


def _be_patient() -> None:
    """Give up the priority that was taken."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Give a folder to work in; it goes away afterwards unless it is to be kept."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix="voicekiosk-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    raise SystemExit(main())
