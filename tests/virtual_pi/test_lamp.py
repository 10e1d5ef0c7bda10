"""The lamp's rhythms, read from the chip and compared with every pattern of the panel."""

import time
from itertools import groupby

import numpy as np
import pytest
from pirig import words
from pirig.pi import Pi
from pirig.pins import Eye
from pirig.sound import MIC

from voicekiosk.panel.lamp import PATTERNS, PLAIN_THRESHOLD, Sign

SLOW = {"name": "slow", "description": "Takes its time.", "command": ["/bin/sleep", "8"]}


def _rhythm(sign: Sign) -> list[float]:
    """Return for how long, in seconds, a plain lamp is on, off, on, … with a sign; empty when it is steady."""
    steps = PATTERNS[sign].steps
    merged = [
        (lit, sum(step.duration_ms for step in group) / 1000)
        for lit, group in groupby(steps, key=lambda step: step.level >= PLAIN_THRESHOLD)
    ]
    return [seconds for _, seconds in merged] if len(merged) > 1 else []


def _error_s(seen_s: list[float], first_lit: bool, sign: Sign) -> float:
    """Return how far what was seen is from a sign's rhythm on average, begun at the best place."""
    rhythm = _rhythm(sign)
    if not rhythm:
        return float("inf")
    errors = []
    # A rhythm begins lit, so that a piece that begins lit begins at an even place.
    for begin in range(0 if first_lit else 1, len(rhythm), 2):
        expected = [rhythm[(begin + i) % len(rhythm)] for i in range(len(seen_s))]
        errors.append(float(np.mean(np.abs(np.subtract(seen_s, expected)))))
    return min(errors)


def _recognised(eye: Eye, seconds: float) -> tuple[Sign, float]:
    """Watch the lamp, and return the sign that it shows with how far off its rhythm was."""
    began_s = time.monotonic()
    time.sleep(seconds)
    changes = eye.between(began_s, time.monotonic())
    seen_s = list(np.diff([change.t_s for change in changes]))
    assert len(seen_s) >= 2, "the lamp blinks"
    errors = {sign: _error_s(seen_s, changes[0].lit, sign) for sign in Sign}
    best = min(errors, key=lambda sign: errors[sign])
    return best, errors[best]


def _until(pi: Pi, sign: Sign) -> None:
    """Bring the kiosk to where it shows a sign."""
    match sign:
        case Sign.THINKING:
            pi.boot(scenario={"reply.first_audio_ms": 8000.0})
            pi.ask()
            pi.kiosk.wait_state("thinking")
        case Sign.WORKING:
            pi.boot({"tools": [SLOW]})
            pi.converse()
            pi.service.call("slow")
            pi.kiosk.wait_state("working")
        case Sign.SPEAKING:
            pi.boot()
            pi.kiosk.request("say", text="The museum closes in ten minutes, " * 4)
            pi.kiosk.wait_state("speaking")
        case Sign.RECONNECTING:
            pi.boot()
            pi.converse()
            pi.service.door(is_open=False)
            pi.finger.press()
            pi.kiosk.wait_state("listening")
            pi.service.drop()
            pi.mouth.say(words.question())
            pi.mouth.wait()
            pi.finger.release()
            pi.kiosk.wait_state("reconnecting")
        case Sign.FAULT:
            pi.boot()
            MIC.unplug()
            pi.finger.press()
            pi.kiosk.wait_state("fault")
            pi.finger.release()
        case Sign.MUTED:
            pi.boot()
            pi.kiosk.request("mute")
            pi.kiosk.wait_state("muted")
        case _:
            raise AssertionError(sign)


WATCHED_S = {
    Sign.THINKING: 4.0,
    Sign.WORKING: 4.5,
    Sign.SPEAKING: 6.0,
    Sign.RECONNECTING: 4.5,
    Sign.FAULT: 6.0,
    Sign.MUTED: 6.0,
}


@pytest.mark.parametrize("sign", WATCHED_S)
def test_who_looks_at_the_lamp_can_tell_what_it_says(pi: Pi, sign: Sign) -> None:
    _until(pi, sign)
    seen, error_s = _recognised(pi.eye, WATCHED_S[sign])
    assert seen is sign
    assert error_s < 0.06
