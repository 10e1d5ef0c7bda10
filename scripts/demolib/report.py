"""The demo's result: in words, as data, and as a list of what did not hold."""

from typing import Any

from demolib.judge import Pause, Played, Sent, Verdict
from demolib.server import Connection

LEAST_CORRELATION = 0.999
PRESS_TO_FIRST_AUDIO_MS = 80.0
PRESS_TO_SILENCE_MS = 100.0
BORNE_MS = 15.0
"""A shorter moment without processor is no reason for a pause: a card holds as much at the least."""
SILENCE_MS = 25.0
"""How much longer than this machine stood still a pause may be: so much silence is written at once."""


def latencies_ms(verdict: Verdict) -> dict[str, float | None]:
    """Return the worst of each latency; None where there was nothing to measure."""

    def worst(values: list[float]) -> float | None:
        return round(1000 * max(values), 1) if values else None

    open_takes = [sent for sent in verdict.sent if sent.take.session_open]
    return {
        "press_to_first_audio": worst([sent.first_audio_s for sent in open_takes if not sent.take.warm]),
        "press_to_first_audio_warm": worst([sent.first_audio_s for sent in open_takes if sent.take.warm]),
        "reply_to_sound": worst([played.sound_s for played in verdict.played]),
        "press_to_silence": worst(
            [played.silent_after_s for played in verdict.played if played.silent_after_s is not None]
        ),
    }


def data(
    verdict: Verdict,
    violations: list[dict[str, Any]],
    timeline: list[dict[str, Any]],
    longest_stall_s: float = 0.0,
) -> dict[str, Any]:
    """Return what `--json` writes."""
    return {
        "mic": {"frames": sum(sent.frames for sent in verdict.sent)},
        "server": {
            "samples": sum(sent.samples for sent in verdict.sent),
            "lost_samples": sum(sent.lost for sent in verdict.sent),
            "correlation": round(min((sent.correlation for sent in verdict.sent), default=0.0), 6),
            "violations": violations,
        },
        "speaker": {
            "samples": sum(played.samples for played in verdict.played),
            "lost_samples": sum(played.lost for played in verdict.played),
            "pauses_ms": [
                {"length": _ms(pause.seconds), "machine_stood_still": _ms(pause.stood_still_s)}
                for played in verdict.played
                for pause in played.pauses
            ],
            "correlation": round(min((played.correlation for played in verdict.played), default=0.0), 6),
        },
        "latency_ms": latencies_ms(verdict),
        "machine": {"longest_stall_ms": _ms(longest_stall_s)},
        "timeline": timeline,
        "failures": verdict.failures,
    }


def check(verdict: Verdict, violations: list[dict[str, Any]], connections: list[Connection]) -> list[str]:
    """Return a sentence for everything that did not hold."""
    failures: list[str] = []
    for sent in verdict.sent:
        failures += _check_sent(sent)
    for played in verdict.played:
        failures += _check_played(played)
    if len(verdict.played) < len(verdict.sent):
        failures.append(f"{len(verdict.sent)} questions got only {len(verdict.played)} answers")
    failures += [f"the client broke rule {broken['rule']}: {broken['text']}" for broken in violations]
    latency = latencies_ms(verdict)
    for name, bound in (
        ("press_to_first_audio", PRESS_TO_FIRST_AUDIO_MS),
        ("press_to_silence", PRESS_TO_SILENCE_MS),
    ):
        value = latency[name]
        if value is None:
            failures.append(f"{name} could not be measured: what it needs did not happen")
        elif value >= bound:
            failures.append(f"{name} took {value:.0f} ms, and {bound:.0f} ms are allowed")
    for connection in connections:
        if connection.first("session.ready") and not connection.first("session.ended"):
            failures.append(f"session {connection.number} was never ended, so it would be billed on")
    return failures


def text(verdict: Verdict, violations: list[dict[str, Any]], uncertainty_ms: float) -> str:
    """Return the result for a person."""
    lines = ["What the server received, against what was fed to the microphone:"]
    for sent in verdict.sent:
        began = sent.voice_after_press_s * 1000
        when = (
            f"voice {began:.0f} ms after the press" if began >= 0 else f"voice since {-began:.0f} ms before"
        )
        hears = sent.hears_after_press_s * 1000
        when += f", heard from {abs(hears):.0f} ms {'after' if hears >= 0 else 'before'} it on"
        lines.append(
            f"  {sent.take.name:14} {sent.frames:7} frames -> {sent.samples:7} samples, {sent.lost} lost,"
            f" {sent.extra} too many, correlation {sent.correlation:.5f} ({when})"
        )
    lines.append("What the loudspeaker played, against what the server sent:")
    for played in verdict.played:
        cut = ""
        if played.silent_after_s is not None:
            cut = f", cut: silent {played.silent_after_s * 1000:.0f} ms after the press"
        lines.append(
            f"  {_of(played):26} {played.samples:7} samples, {played.lost} lost,"
            f" correlation {played.correlation:.5f}{cut}"
        )
        lines += [f"  {'':26} {_paused(pause)}" for pause in played.pauses]
    lines.append(f"Rules of the protocol broken: {len(violations) or 'none'}")
    lines.append(f"Latencies (the worst of each, give or take {uncertainty_ms:.0f} ms of the rig):")
    names = {
        "press_to_first_audio": "press to first audio at the server, session open",
        "press_to_first_audio_warm": "the same with a warm microphone",
        "reply_to_sound": "reply at the server to sound at the loudspeaker",
        "press_to_silence": "press to silence in the middle of an answer",
    }
    for key, value in latencies_ms(verdict).items():
        lines.append(f"  {names[key]:50} {'-' if value is None else f'{value:6.1f} ms'}")
    return "\n".join(lines)


def _check_sent(sent: Sent) -> list[str]:
    failures = []
    where = f": {'; '.join(sent.breaks[:5])}" if sent.breaks else ""
    if sent.lost:
        failures.append(
            f"'{sent.take.name}': {sent.lost} of {sent.samples} samples were lost on the way up{where}"
        )
    if sent.extra:
        failures.append(
            f"'{sent.take.name}': {sent.extra} samples arrived that the microphone never heard{where}"
        )
    if sent.correlation < LEAST_CORRELATION:
        failures.append(
            f"'{sent.take.name}' arrived changed: correlation {sent.correlation:.4f},"
            f" at least {LEAST_CORRELATION} was expected"
        )
    return failures


def _check_played(played: Played) -> list[str]:
    failures = []
    if played.lost:
        failures.append(
            f"{played.lost} of {played.samples} samples of {_of(played)} never came out of the loudspeaker"
        )
    if played.extra:
        failures.append(f"{played.extra} samples were heard in {_of(played)} that nobody sent")
    if played.correlation < LEAST_CORRELATION:
        failures.append(
            f"{_of(played)} came out of the loudspeaker changed: correlation {played.correlation:.4f},"
            f" at least {LEAST_CORRELATION} was expected"
        )
    failures += [
        f"{_of(played)} {_paused(pause)}"
        for pause in played.pauses
        if pause.stood_still_s < BORNE_MS / 1000 or pause.seconds > pause.stood_still_s + SILENCE_MS / 1000
    ]
    return failures


def _paused(pause: Pause) -> str:
    if not pause.stood_still_s:
        return f"paused for {_ms(pause.seconds):g} ms in the middle, while this machine kept running"
    return (
        f"paused for {_ms(pause.seconds):g} ms in the middle, as this machine stood still"
        f" for {_ms(pause.stood_still_s):g} ms"
    )


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 1)


def _of(played: Played) -> str:
    return f"the answer {played.reply.id[:14]}"
