"""The play: five scenes, each with a button, a voice and an answer."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tests.rigs.pulse import Recording

from demolib.clips import Clip, Samples, clip, recording, spoken
from demolib.judge import Take
from demolib.kiosk import Kiosk
from demolib.sound import RATE_HZ, Mouth
from demolib.timeline import Timeline

PREROLL_MS = 300
BREATH_S = 0.1
"""Between finger and voice: nobody is quicker, and a closed microphone takes a part of it to open."""
QUESTION = "Good morning. When does the museum open on Sunday, and how much is a ticket for two?"
THOUGHT = "Excuse me, I have just one more question. Where do I find the lift to the third floor?"


@dataclass(slots=True)
class Stage:
    """What the play is played with."""

    folder: Path
    url: str
    environment: dict[str, str]
    capture_device: str
    playback_device: str
    mouth: Mouth
    listen: Callable[[], Recording]
    """Begins to record the loudspeaker."""
    timeline: Timeline
    takes: list[Take] = field(default_factory=list)
    presses: list[float] = field(default_factory=list)
    counted: list[str] = field(default_factory=list)
    """What the kiosks themselves count, for whoever has to find out why something failed."""


def play(stage: Stage) -> None:
    """Play all scenes; the takes are in `stage.takes` afterwards. Raises TimeoutError or RuntimeError."""
    front, left, right = (recording(name) for name in ("Front_Center", "Front_Left", "Front_Right"))
    rear_left, rear_right = recording("Rear_Left"), recording("Rear_Right")
    question, thought = spoken(QUESTION), spoken(THOUGHT)
    folder = stage.folder
    first = clip(folder, "1-first", "front center, front left", front, left, seed=1)
    second = clip(folder, "2-question", QUESTION, question, seed=2)
    third = clip(
        folder, "3-barge-in", "rear left, rear right, front right", rear_left, rear_right, right, seed=3
    )
    fourth = clip(folder, "4-warm-up", "front right", right, seed=4)
    fifth = clip(folder, "5-warm", THOUGHT, 0.2, thought, seed=5)

    kiosk = _kiosk(stage, "kiosk", warm=False)
    try:
        stage.timeline.chapter("1. A press wakes a kiosk that sleeps: microphone closed, no session")
        _ask(stage, kiosk, "cold", first, session_open=False)
        _answer(stage, kiosk)

        stage.timeline.chapter("2. A longer question while the session is still open")
        _ask(stage, kiosk, "session open", second)

        _wait_for_a_loud_moment(stage, kiosk)
        stage.timeline.chapter("3. A press cuts the answer short, and is the next question")
        _ask(stage, kiosk, "barge-in", third, interrupts=True)
        _answer(stage, kiosk)

        stage.timeline.chapter("4. Two taps end the conversation")
        for _ in range(2):
            stage.presses.append(kiosk.press())
            time.sleep(0.08)
            kiosk.release()
            time.sleep(0.12)
        kiosk.wait_for("the session to end", lambda status: status["link"]["state"] == "closed")
    finally:
        _stop(stage, kiosk)

    kiosk = _kiosk(stage, "kiosk-warm", warm=True)
    try:
        stage.timeline.chapter(
            f"5. A warm microphone: the question begins before the press ({PREROLL_MS} ms pre-roll)"
        )
        _ask(stage, kiosk, "warm, first", fourth, session_open=False, warm=True)
        _answer(stage, kiosk)
        # The pre-roll never holds what the loudspeaker said.
        time.sleep(0.5)
        stage.mouth.speak(fifth.path)
        stage.timeline.say("somebody begins to speak, and presses a second later")
        time.sleep(1.2)
        pressed_s = kiosk.press()
        time.sleep(3.0)
        # In the middle of a word: what was said until then must arrive, and nothing waits for the end.
        released_s = kiosk.release()
        stage.takes.append(Take("warm", fifth, pressed_s, released_s, preroll_s=PREROLL_MS / 1000, warm=True))
        stage.presses.append(pressed_s)
        _answer(stage, kiosk)
        stage.mouth.stop()
    finally:
        _stop(stage, kiosk)


def _kiosk(stage: Stage, name: str, *, warm: bool) -> Kiosk:
    settings: dict[str, dict[str, Any]] = {
        "agent": {"url": stage.url},
        "audio.capture": {"device": stage.capture_device, "warm": warm, "preroll_ms": PREROLL_MS},
        "audio.playback": {"device": stage.playback_device, "volume": 100},
        "panel": {"driver": "gpio", "mode": "hold"},
        "panel.lamp": {"kind": "led"},
    }
    config = stage.folder / f"{name}.toml"
    config.write_text(
        "\n".join(
            f"[{table}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
            for table, keys in settings.items()
        )
    )
    return Kiosk(config, stage.folder, stage.environment, stage.timeline.watch)


def _ask(
    stage: Stage,
    kiosk: Kiosk,
    name: str,
    what: Clip,
    *,
    session_open: bool = True,
    warm: bool = False,
    interrupts: bool = False,
) -> None:
    """Press, say it to the end, release."""
    pressed_s = kiosk.press()
    time.sleep(BREATH_S)
    stage.mouth.speak(what.path)
    stage.timeline.say(f"somebody says: {what.words!r}")
    stage.mouth.wait(what.seconds + 20)
    time.sleep(0.1)
    released_s = kiosk.release()
    stage.presses.append(pressed_s)
    stage.takes.append(
        Take(name, what, pressed_s, released_s, warm=warm, session_open=session_open, interrupts=interrupts)
    )


def _answer(stage: Stage, kiosk: Kiosk) -> None:
    """Wait until the answer has been spoken."""
    kiosk.wait_for("an answer", _state("speaking"))
    kiosk.wait_for("the answer's end", _state("idle"), timeout_s=40)
    stage.timeline.say("the answer has been heard to its end")
    time.sleep(0.3)


def _wait_for_a_loud_moment(stage: Stage, kiosk: Kiosk) -> None:
    """Wait until the loudspeaker is in the middle of a sound: silence could not be cut short."""
    kiosk.wait_for("an answer", _state("speaking"))
    ear = stage.listen()
    try:
        if not ear.wait_for(_loud_after_a_while, 15.0):
            raise TimeoutError("the answer that was to be interrupted was never loud enough to be heard")
    finally:
        ear.stop()


def _loud_after_a_while(samples: Samples) -> bool:
    last = samples[-RATE_HZ // 25 :].astype(np.float64)
    said = np.count_nonzero(np.abs(samples[::48]) > 300) / 1000
    return bool(len(last) and np.sqrt(np.mean(np.square(last))) > 1500 and said > 0.3)


def _stop(stage: Stage, kiosk: Kiosk) -> None:
    stage.counted.append(kiosk.counted())
    code = kiosk.stop()
    stage.timeline.say("the kiosk was asked to stop" + (f" and ended with exit code {code}" if code else ""))
    if code:
        raise RuntimeError(f"the kiosk ended with exit code {code}:\n{kiosk.log[-2000:]}")


def _state(name: str) -> Callable[[dict[str, Any]], bool]:
    return lambda status: status.get("state") == name
