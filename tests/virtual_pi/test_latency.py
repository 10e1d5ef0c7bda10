"""How quick it is, over many presses: distributions for the results, with limits only against nonsense."""

import base64
import time
from typing import Any

import numpy as np
import pytest
from pirig import words
from pirig.pi import Pi

from demolib import server

PRESSES, LONG_PRESSES = 30, 200
NUDGE_AFTER_S = 0.5
"""How soon the kiosk is idle again after a press in which nobody spoke; that is not what is measured."""
ANY_MOMENT_S = 0.1
"""Nobody presses in step with a card's periods, as a rig does that waits for what it hears."""


def _distribution(values_s: list[float]) -> dict[str, float]:
    ms = np.array(values_s) * 1000
    quantiles = {"p50": 50, "p90": 90, "p99": 99}
    return {
        "count": len(ms),
        "min_ms": round(float(ms.min()), 1),
        **{f"{name}_ms": round(float(np.percentile(ms, at)), 1) for name, at in quantiles.items()},
        "max_ms": round(float(ms.max()), 1),
    }


def _moments_s(presses: int) -> list[float]:
    return list(np.random.default_rng(3).uniform(0, ANY_MOMENT_S, presses))


@pytest.fixture
def presses(request: pytest.FixtureRequest) -> int:
    """How often to press."""
    return LONG_PRESSES if request.config.getoption("--long") else PRESSES


def test_press_to_the_first_audio_at_the_server(pi: Pi, presses: int, figure: Any) -> None:
    pi.boot({"conversation": {"nudge_after_s": NUDGE_AFTER_S}})
    pi.converse()
    pressed: list[float] = []
    for moment_s in _moments_s(presses):
        time.sleep(moment_s)
        pressed.append(pi.finger.press())
        time.sleep(0.35)
        pi.finger.release()
        pi.kiosk.request("status")
        time.sleep(0.5)
        # Two taps would end the session; a question of noise alone is answered by nobody.
        pi.kiosk.wait_state("idle", timeout_s=20)
    pi.kiosk.stop()
    pi.service.end()
    connections = server.read(pi.record)
    pi.service.begin()
    arrivals = sorted(
        frame.t_s
        for connection in connections
        for frame in connection.frames
        if frame.type == "input.audio" and any(base64.b64decode(frame.content["audio"]))
    )
    firsts = [next(t_s for t_s in arrivals if t_s > at) - at for at in pressed]
    told = _distribution(firsts)
    figure("press_to_first_audio_at_server", told)
    assert told["max_ms"] < 1000


def test_press_to_silence_of_the_loudspeaker(pi: Pi, presses: int, figure: Any) -> None:
    pi.boot(
        {"conversation": {"release_tail_ms": 0, "nudge_after_s": NUDGE_AFTER_S}},
        scenario={"reply.during_reply": "replace"},
    )
    pi.converse()
    silences: list[float] = []
    for moment_s in _moments_s(presses):
        # Before the answer: later it would be in a pause between words now and then.
        time.sleep(moment_s)
        pi.kiosk.request("say", text="one two three four five six seven eight nine ten eleven twelve")
        pi.wait_loud()
        time.sleep(0.3)
        pressed_s = pi.wait_loud() and pi.finger.press()
        time.sleep(0.4)
        after = pi.ear.samples[pi.ear.index_at(pressed_s) :]
        loud = np.flatnonzero(np.abs(after.astype(np.int32)) > 30)
        silences.append((int(loud[-1]) if len(loud) else 0) / pi.ear.rate_hz)
        pi.finger.release()
        pi.kiosk.wait_state("idle", timeout_s=20)
    told = _distribution(silences)
    figure("press_to_silence", told)
    assert told["max_ms"] < 350


def test_the_way_of_a_whole_turn(pi: Pi, figure: Any) -> None:
    pi.boot()
    waits: list[float] = []
    for _ in range(5):
        question = pi.ask(words.question())
        waits.append(pi.wait_loud() - question.released_s)
        pi.kiosk.wait_state("idle")
    told = _distribution(waits)
    figure("release_to_answer_heard_with_a_service_of_600_ms", told)
    assert told["max_ms"] < 3000
