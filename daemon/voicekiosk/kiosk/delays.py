"""How long a visitor waits, and for what: measures between the moments of a turn. Pure."""

from collections.abc import Mapping, Sequence
from math import ceil

from voicekiosk.service.recording import Delay, Latency

MEASURES = (
    ("press_to_first_frame", "press to first frame", "pressed", "first_frame"),
    ("press_to_first_send", "press to first send", "pressed", "first_send"),
    ("release_to_speech_stopped", "release to speech stopped", "released", "speech_stopped"),
    ("speech_stopped_to_first_reply", "speech stopped to first reply byte", "speech_stopped", "first_reply"),
    ("reply_to_sound", "reply to sound", "first_reply", "sound"),
    ("release_to_sound", "release to sound", "released", "sound"),
    ("press_to_silence", "press to silence", "barged_in", "flushed"),
)
"""Name, text, from which moment and to which."""


def delays_ms(moments: Mapping[str, float]) -> dict[str, float]:
    """Return the measures of one turn; none whose moments are missing or came the other way round."""
    return {
        name: (moments[end] - moments[start]) * 1000
        for name, _, start, end in MEASURES
        if start in moments and end in moments and moments[end] >= moments[start]
    }


def latency(turns: Sequence[Mapping[str, float]]) -> Latency:
    """Return the distribution of each measure over the moments of `turns`."""
    each = [delays_ms(moments) for moments in turns]
    return Latency(
        turns=len(turns),
        delays=[
            _delay(name, text, sorted(measured[name] for measured in each if name in measured))
            for name, text, _, _ in MEASURES
        ],
    )


def _delay(name: str, text: str, values: Sequence[float]) -> Delay:
    return Delay(
        name=name,
        text=text,
        count=len(values),
        p50_ms=_percentile(values, 0.50),
        p95_ms=_percentile(values, 0.95),
        max_ms=_percentile(values, 1.0),
    )


def _percentile(ordered: Sequence[float], share: float) -> float | None:
    """Return the smallest value that `share` of all do not exceed: a measured one, never between two."""
    return ordered[ceil(share * len(ordered)) - 1] if ordered else None
