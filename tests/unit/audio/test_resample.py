"""The resampler: the same to the bit however it is fed, flat where speech is, silent where it would fold."""

import math
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voicekiosk.audio.resample import Resampler

DEVICE_RATES = (8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000, 192000, 384000)
PAIRS = [(rate, 24000) for rate in DEVICE_RATES] + [(24000, rate) for rate in DEVICE_RATES]

rates = st.sampled_from(DEVICE_RATES) | st.integers(8000 // 75, 384_000 // 75).map(lambda n: n * 75)
pairs = st.tuples(rates, st.just(24000)) | st.tuples(st.just(24000), rates)


def all_of(resampler: Resampler, *blocks: NDArray[np.int16]) -> NDArray[np.int16]:
    return np.concatenate([*(resampler.process(block) for block in blocks), resampler.flush()])


def tone(hz: float, rate: int, seconds: float = 0.1, amplitude: float = 32_000.0) -> NDArray[np.int16]:
    time_s = np.arange(round(rate * seconds)) / rate
    return np.rint(amplitude * np.sin(2 * np.pi * hz * time_s)).astype(np.int16)


def settled(pair: tuple[int, int], sound: NDArray[np.int16]) -> NDArray[np.float64]:
    """Resample `sound` and cut off where the filter was still filling."""
    resampler = Resampler(*pair)
    return resampler.process(sound)[math.ceil(2 * resampler.delay_s * pair[1]) :].astype(np.float64)


def fit(sound: NDArray[np.float64], hz: float, rate: int) -> tuple[float, float]:
    """Return the amplitude of the tone at `hz` and the RMS of all that is not that tone."""
    turns = 2 * np.pi * hz * np.arange(len(sound)) / rate
    basis = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    parts, *_ = np.linalg.lstsq(basis, sound, rcond=None)
    rest = sound - basis @ parts
    return float(np.hypot(*parts)), rms(rest)


def rms(sound: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(sound))))


def db(ratio: float) -> float:
    return 20 * math.log10(ratio)


# -- however the input is cut -----------------------------------------------------------------------------


@given(
    pair=pairs,
    cuts=st.lists(st.integers(0, 40) | st.integers(0, 4000), max_size=25),
    seed=st.integers(0, 2**32),
    gain=st.floats(0.01, 30),
)
@settings(max_examples=150, deadline=None)
def test_the_output_is_the_same_to_the_bit_however_the_input_is_cut(
    pair: tuple[int, int], cuts: list[int], seed: int, gain: float
) -> None:
    noise = np.random.default_rng(seed).integers(-32768, 32768, sum(cuts), endpoint=False).astype(np.int16)
    edges = np.cumsum([0, *cuts])
    blocks = [noise[begin:end] for begin, end in pairwise(edges)]
    assert np.array_equal(all_of(Resampler(*pair, gain), *blocks), all_of(Resampler(*pair, gain), noise))


def test_single_frames_and_three_seconds_at_once_give_the_same() -> None:
    noise = np.random.default_rng(1).integers(-32768, 32768, 3 * 44_100).astype(np.int16)
    whole = all_of(Resampler(44_100, 24_000), noise)
    frame_by_frame = Resampler(44_100, 24_000)
    pieces = [frame_by_frame.process(noise[i : i + 1]) for i in range(5000)]
    assert np.array_equal(np.concatenate(pieces), whole[: sum(map(len, pieces))])


@given(pair=pairs, cuts=st.lists(st.integers(0, 2000), max_size=20))
@settings(max_examples=100, deadline=None)
def test_after_each_block_every_sample_is_out_that_the_input_covers(
    pair: tuple[int, int], cuts: list[int]
) -> None:
    resampler = Resampler(*pair)
    frames = samples = 0
    for cut in cuts:
        frames += cut
        samples += len(resampler.process(np.zeros(cut, np.int16)))
        assert samples == -(-frames * pair[1] // pair[0])


@pytest.mark.parametrize(
    ("pair", "frames", "samples"),
    [
        ((48_000, 24_000), 960, 480),
        ((44_100, 24_000), 882, 480),
        ((16_000, 24_000), 320, 480),
        ((24_000, 48_000), 480, 960),
    ],
)
def test_twenty_milliseconds_in_are_exactly_twenty_milliseconds_out(
    pair: tuple[int, int], frames: int, samples: int
) -> None:
    resampler = Resampler(*pair)
    assert {len(resampler.process(np.zeros(frames, np.int16))) for _ in range(200)} == {samples}


def test_one_channel_of_an_interleaved_block_can_be_given_as_it_lies() -> None:
    stereo = np.random.default_rng(2).integers(-30_000, 30_000, (2000, 2)).astype(np.int16)
    given_view = Resampler(48_000, 24_000).process(stereo[:, 1])
    assert np.array_equal(given_view, Resampler(48_000, 24_000).process(stereo[:, 1].copy()))


def test_a_returned_block_is_not_touched_by_the_next() -> None:
    resampler = Resampler(48_000, 24_000)
    first = resampler.process(tone(997, 48_000, 0.02))
    kept = first.copy()
    resampler.process(tone(440, 48_000, 0.02))
    assert np.array_equal(first, kept)


def test_hours_of_blocks_take_no_more_memory_than_the_first() -> None:
    resampler = Resampler(44_100, 24_000)
    block = tone(997, 44_100, 0.02)
    for _ in range(10):
        resampler.process(block)
    tracemalloc.start()
    try:
        for _ in range(500):
            resampler.process(block)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 10_000


# -- what it does to sound --------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", PAIRS)
def test_the_passband_is_flat_within_a_tenth_of_a_decibel(pair: tuple[int, int]) -> None:
    top = 0.9 * min(pair) / 2
    levels = [
        db(fit(settled(pair, tone(hz, pair[0])), hz, pair[1])[0] / 32_000) for hz in np.linspace(90, top, 12)
    ]
    assert max(levels) - min(levels) < 0.1
    assert abs(levels[0]) < 0.01


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair[0] > pair[1]])
def test_nothing_above_the_new_nyquist_frequency_folds_back(pair: tuple[int, int]) -> None:
    rate_in, rate_out = pair
    frequencies = [*np.linspace(rate_out / 2, rate_out, 7), *np.linspace(rate_out, rate_in / 2, 7)]
    loudest = max(rms(settled(pair, tone(hz, rate_in))) for hz in frequencies if hz < rate_in / 2)
    assert db(max(loudest, 1e-3) / (32_000 / math.sqrt(2))) < -90


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair[0] < pair[1]])
def test_no_tone_leaves_an_image_above_the_old_nyquist_frequency(pair: tuple[int, int]) -> None:
    for hz in np.linspace(90, 0.9 * pair[0] / 2, 10):
        amplitude, rest = fit(settled(pair, tone(hz, pair[0])), hz, pair[1])
        assert db(rest / (amplitude / math.sqrt(2))) < -90


@pytest.mark.parametrize("pair", PAIRS)
def test_a_tone_of_997_hz_keeps_90_db_above_noise_and_distortion(pair: tuple[int, int]) -> None:
    amplitude, rest = fit(settled(pair, tone(997, pair[0], 0.3)), 997, pair[1])
    assert db(amplitude / math.sqrt(2) / rest) >= 90


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("level", [-32768, -1, 0, 1, 12_345, 32767])
def test_a_steady_level_comes_out_exactly(pair: tuple[int, int], level: int) -> None:
    frames = Resampler(*pair).delay_frames_in * 4 + 100
    assert set(settled(pair, np.full(frames, level, np.int16))) == {level}


@pytest.mark.parametrize("pair", PAIRS)
def test_a_square_wave_at_full_scale_saturates_and_never_wraps_around(pair: tuple[int, int]) -> None:
    rate_in, rate_out = pair
    half_in = rate_in // 50
    square = np.tile(np.repeat(np.array([32767, -32768], np.int16), half_in), 5)
    resampler = Resampler(*pair)
    out = resampler.process(square)
    source = (np.arange(len(out)) * rate_in / rate_out - resampler.delay_frames_in) / half_in
    # A fifth of each half wave is left to the edges.
    inside = (source > 0) & (source % 1 > 0.1) & (source % 1 < 0.9)
    positive = source.astype(int) % 2 == 0
    assert (out[inside & positive] > 25_000).all()
    assert (out[inside & ~positive] < -25_000).all()
    if rate_in != rate_out:
        assert out.max() == 32767
        assert out.min() == -32768


@pytest.mark.parametrize("pair", PAIRS)
def test_the_delay_is_what_it_says(pair: tuple[int, int]) -> None:
    rate_in, rate_out = pair
    resampler = Resampler(*pair)
    # A bell of 1 ms: its centre of gravity is where it went in, later by the delay.
    centre_s = 0.05
    bell = 20_000 * np.exp(-0.5 * ((np.arange(round(0.1 * rate_in)) / rate_in - centre_s) / 0.001) ** 2)
    out = all_of(resampler, np.rint(bell).astype(np.int16)).astype(np.float64)
    arrived_s = float(np.sum(out * np.arange(len(out))) / np.sum(out)) / rate_out
    assert arrived_s - centre_s == pytest.approx(resampler.delay_s, abs=20e-6)


@pytest.mark.parametrize("pair", PAIRS)
def test_the_delay_is_under_6_ms_from_16_khz_up_and_under_9_ms_at_8_khz(pair: tuple[int, int]) -> None:
    assert Resampler(*pair).delay_s < (0.006 if min(pair) >= 16_000 else 0.009)


def test_rounding_is_to_the_nearest_and_favours_no_side() -> None:
    levels = np.arange(-1000, 1001, dtype=np.int16)
    error = Resampler(24_000, 24_000, gain=0.3).process(levels) - levels * 0.3
    assert np.abs(error).max() <= 0.5
    assert abs(error.mean()) < 1e-9


def test_gain_is_applied_and_saturates() -> None:
    sound = tone(997, 48_000)
    plain, half, far = (Resampler(48_000, 24_000, gain).process(sound) for gain in (1.0, 0.5, 8.0))
    assert np.abs(half - plain / 2).max() <= 1
    assert (far.min(), far.max()) == (-32768, 32767)


@pytest.mark.parametrize("rate", [8000, 24_000, 48_000])
def test_equal_rates_pass_every_sample_through_without_delay(rate: int) -> None:
    resampler = Resampler(rate, rate)
    noise = np.random.default_rng(3).integers(-32768, 32768, 5000).astype(np.int16)
    assert np.array_equal(resampler.process(noise), noise)
    assert resampler.delay_s == 0
    assert len(resampler.flush()) == 0


# -- the end of a stream ----------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", PAIRS)
def test_flush_gives_all_of_the_last_frame(pair: tuple[int, int]) -> None:
    click = np.array([20_000], np.int16)
    at_the_end = all_of(Resampler(*pair), np.zeros(3 * pair[0] // 100, np.int16), click)
    in_the_middle = all_of(
        Resampler(*pair), np.zeros(3 * pair[0] // 100, np.int16), click, np.zeros(pair[0] // 10, np.int16)
    )
    assert np.array_equal(at_the_end, in_the_middle[: len(at_the_end)])
    assert not in_the_middle[len(at_the_end) :].any()


@pytest.mark.parametrize("finish", [Resampler.flush, Resampler.reset])
def test_after_flush_and_reset_a_resampler_is_as_new(finish: object) -> None:
    used = Resampler(44_100, 24_000)
    used.process(tone(997, 44_100, 0.0333))
    finish(used)  # type: ignore[operator]
    sound = tone(440, 44_100, 0.05)
    assert np.array_equal(used.process(sound), Resampler(44_100, 24_000).process(sound))


def test_flush_gives_nothing_where_nothing_went_in() -> None:
    resampler = Resampler(48_000, 24_000)
    assert len(resampler.flush()) == 0
    resampler.process(np.zeros(0, np.int16))
    assert len(resampler.flush()) == 0
    resampler.process(np.zeros(960, np.int16))
    assert len(resampler.flush()) > 0
    assert len(resampler.flush()) == 0


# -- beside others ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", PAIRS)
def test_it_agrees_with_soxr_on_noise_within_the_passband(pair: tuple[int, int]) -> None:
    rate_in, rate_out = pair
    resampler = Resampler(*pair)
    # Silence in front makes the delay a whole number of output samples.
    lead = -resampler.delay_frames_in % (rate_in // math.gcd(*pair))
    shift = (resampler.delay_frames_in + lead) * rate_out // rate_in
    spectrum = np.random.default_rng(4).standard_normal(rate_in // 4 + 1) * np.exp(
        1j * np.arange(rate_in // 4 + 1) ** 2
    )
    spectrum[int(0.85 * min(pair) / 2 / 2) :] = 0
    noise = np.fft.irfft(spectrum)
    noise = np.rint(noise / np.abs(noise).max() * 20_000).astype(np.int16)
    ours = all_of(resampler, np.zeros(lead, np.int16), noise)[shift:].astype(np.float64)
    theirs = soxr.resample(noise.astype(np.float64), rate_in, rate_out, quality="VHQ")
    inside = slice(rate_out // 20, len(theirs) - rate_out // 20)
    assert db(rms(ours[inside] - theirs[inside]) / rms(theirs[inside])) < -80


@pytest.mark.parametrize(
    ("rate_in", "rate_out", "gain"), [(0, 24_000, 1), (24_000, -1, 1), (48_000, 24_000, 0)]
)
def test_rates_and_gains_that_make_no_sense_are_refused(rate_in: int, rate_out: int, gain: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Resampler(rate_in, rate_out, gain)


def test_a_resampler_says_what_it_does() -> None:
    assert repr(Resampler(48_000, 24_000)) == "<Resampler from 48000 to 24000 Hz, delay 2.6 ms>"
