"""Resampling: ripple, rejection, SINAD, delay, processor time, sameness; beside soxr, samplerate, scipy.

Sound is int16 in and out. Ripple is that of tones up to 0.9 of the lower Nyquist frequency. Rejection is the
loudest thing that a tone at full scale leaves where nothing should be: from the lower Nyquist frequency
up when going down, beside the tone when going up. 16 bits end near -98 dB; soxr adds dither, which shows
at -92 dB and as two bits. Delay is how long after its frame went in a sound comes out, when frames go in
one by one: mean and worst. Cuts is the largest difference between outputs for the same input cut
differently. CPU is for a second of audio in blocks of 20 ms; the ratio is to voicekiosk's.
"""

import argparse
import math
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchlib.outcome import Outcome, Table
from benchlib.resamplers import Maker, Sound, makers

PAIRS = ((48_000, 24_000), (44_100, 24_000), (16_000, 24_000), (8_000, 24_000), (24_000, 48_000))
AMPLITUDE = 32_000.0


def _tone(hz: float, rate: int, seconds: float) -> Sound:
    return np.rint(AMPLITUDE * np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)).astype(
        np.int16
    )


def _rms(sound: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(sound))))


def _db(ratio: float) -> float:
    return 20 * math.log10(max(ratio, 1e-12))


def _blocks(sound: Sound, frames: int) -> Iterable[Sound]:
    return (sound[start : start + frames] for start in range(0, len(sound), frames))


def _steady(make: Maker, pair: tuple[int, int], hz: float) -> NDArray[np.float64]:
    """Return what becomes of a tone, without the beginning and the end."""
    stream = make(*pair)
    out = np.concatenate([stream.process(block) for block in _blocks(_tone(hz, pair[0], 0.5), pair[0] // 50)])
    return out[len(out) // 3 : -len(out) // 10].astype(np.float64)


def _fit(sound: NDArray[np.float64], hz: float, rate: int) -> tuple[float, float]:
    """Return the RMS of the tone at `hz` and that of all else."""
    turns = 2 * np.pi * hz * np.arange(len(sound)) / rate
    basis = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    parts = np.linalg.lstsq(basis, sound, rcond=None)[0]
    return float(np.hypot(*parts)) / math.sqrt(2), _rms(sound - basis @ parts)


def _rejection_db(make: Maker, pair: tuple[int, int]) -> float:
    rate_in, rate_out = pair
    if rate_in < rate_out:
        tones = [_fit(_steady(make, pair, hz), hz, rate_out) for hz in np.linspace(150, 0.45 * rate_in, 16)]
        return max(_db(rest / tone) for tone, rest in tones)
    # The filter is weakest just above the edge, so that is where to look closely.
    near, far = rate_out / 2 + 1, 0.55 * rate_out
    frequencies = [*np.linspace(near, far, 16), *np.linspace(far, rate_in / 2 - 50, 16)]
    return max(_db(_rms(_steady(make, pair, hz)) / (AMPLITUDE / math.sqrt(2))) for hz in frequencies)


def _delay_ms(make: Maker, pair: tuple[int, int]) -> tuple[float, float]:
    """Return the mean and the worst time between a sound's frame and its sample."""
    rate_in, rate_out = pair
    time_s = np.arange(round(0.4 * rate_in)) / rate_in
    bell = np.rint(20_000 * np.exp(-0.5 * ((time_s - 0.15) / 0.001) ** 2)).astype(np.int16)
    stream = make(*pair)
    out = [stream.process(block) for block in _blocks(bell, 1)]
    lengths = np.array([len(block) for block in out])
    sound = np.concatenate(out).astype(np.float64)
    shift_s = float(np.sum(sound * np.arange(len(sound))) / np.sum(sound)) / rate_out - 0.15
    given_s = np.repeat(np.arange(len(lengths)), lengths) / rate_in
    late_s = given_s - (np.arange(len(sound)) / rate_out - shift_s)
    settled = late_s[len(late_s) // 3 :]
    return float(settled.mean()) * 1e3, float(settled.max()) * 1e3


def _cuts_lsb(make: Maker, pair: tuple[int, int]) -> int:
    """Return the largest difference between the outputs for differently cut input."""
    rng = np.random.default_rng(1)
    noise = rng.integers(-32768, 32768, pair[0] // 3).astype(np.int16)
    outputs = []
    for frames in (pair[0] // 50, 1, 479, len(noise)):
        stream = make(*pair)
        outputs.append(
            np.concatenate([stream.process(block) for block in _blocks(noise, frames)]).astype(int)
        )
    common = min(map(len, outputs))
    return max(int(np.abs(out[:common] - outputs[0][:common]).max(initial=0)) for out in outputs)


def _cpu_ms_per_s(streams: dict[str, Maker], pair: tuple[int, int]) -> dict[str, float]:
    """Return the processor time for a second of audio in blocks of 20 ms: the best of rounds in turn."""
    noise = np.random.default_rng(2).integers(-16_000, 16_000, pair[0]).astype(np.int16)
    blocks = list(_blocks(noise, pair[0] // 50))
    best = dict.fromkeys(streams, math.inf)
    running = {name: make(*pair) for name, make in streams.items()}
    for _ in range(12):
        for name, stream in running.items():
            begin = time.process_time()
            for block in blocks:
                stream.process(block)
            best[name] = min(best[name], (time.process_time() - begin) * 1e3)
    return best


def _measure(make: Maker, pair: tuple[int, int]) -> dict[str, Any]:
    passband = [
        _db(_fit(_steady(make, pair, hz), hz, pair[1])[0]) for hz in np.linspace(100, 0.45 * min(pair), 24)
    ]
    tone, rest = _fit(_steady(make, pair, 997), 997, pair[1])
    mean_ms, worst_ms = _delay_ms(make, pair)
    return {
        "ripple_db": max(passband) - min(passband),
        "rejection_db": _rejection_db(make, pair),
        "sinad_db": _db(tone / rest),
        "delay_ms": mean_ms,
        "delay_worst_ms": worst_ms,
        "cuts_lsb": _cuts_lsb(make, pair),
    }


def _shortfalls(title: str, lower_rate: int, own: dict[str, Any]) -> Iterable[str]:
    most_ms = 6 if lower_rate >= 16_000 else 9
    promises = (
        ("ripple_db", own["ripple_db"] < 0.1, "under 0.1"),
        ("rejection_db", own["rejection_db"] < -90, "under -90"),
        ("sinad_db", own["sinad_db"] >= 90, "at least 90"),
        ("delay_worst_ms", own["delay_worst_ms"] < most_ms, f"under {most_ms}"),
        ("cuts_lsb", own["cuts_lsb"] <= 1, "at most 1"),
    )
    return (
        f"resample {title}: {name} is {own[name]:.3g}, promised {bound}"
        for name, kept, bound in promises
        if not kept
    )


def run(options: argparse.Namespace) -> Outcome:  # noqa: ARG001
    outcome = Outcome()
    streams = makers()
    for pair in PAIRS:
        title = f"{pair[0]} to {pair[1]} Hz"
        figures = {name: _measure(make, pair) for name, make in streams.items()}
        for name, ms_per_s in _cpu_ms_per_s(streams, pair).items():
            figures[name]["cpu_ms_per_s"] = ms_per_s
        own = figures["voicekiosk"]
        rows = [
            [
                name,
                f"{seen['ripple_db']:.3f}",
                f"{seen['rejection_db']:.1f}",
                f"{seen['sinad_db']:.1f}",
                f"{seen['delay_ms']:.1f}",
                f"{seen['delay_worst_ms']:.1f}",
                str(seen["cuts_lsb"]),
                f"{seen['cpu_ms_per_s']:.2f}",
                f"{seen['cpu_ms_per_s'] / own['cpu_ms_per_s']:.1f}",
            ]
            for name, seen in figures.items()
        ]
        columns = [
            "",
            "ripple dB",
            "rejection dB",
            "SINAD dB",
            "delay ms",
            "worst ms",
            "cuts LSB",
            "CPU ms/s",
            "ratio",
        ]
        outcome.tables.append(Table(title, columns, rows))
        outcome.figures[f"{pair[0]}_{pair[1]}"] = figures
        outcome.shortfalls += _shortfalls(title, min(pair), own)
    return outcome
