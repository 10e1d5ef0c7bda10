"""From the service's replies to frames: nothing lost, nothing from before a discard."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekiosk.audio.card_queue import Ledger
from voicekiosk.audio.reply import Reply, ReplyQueue, Speech, faded, gain_of
from voicekiosk.audio.resample import Resampler


def block(size: int, value: int = 1) -> np.ndarray:
    return np.full(size, value, np.int16)


def taken(reply: Reply) -> np.ndarray:
    parts = []
    while reply.samples:
        parts.append(reply.take(7))
    return np.concatenate(parts) if parts else np.zeros(0, np.int16)


def test_what_is_put_until_an_end_is_one_reply() -> None:
    queue = ReplyQueue()
    for value in (1, 2):
        queue.put(block(10, value))
    queue.end()
    queue.put(block(5, 3))
    assert not queue.collect(0.0)
    first, second = queue.replies
    assert (first.ended, second.ended) == (True, False)
    assert taken(first).tolist() == [1] * 10 + [2] * 10
    assert taken(second).tolist() == [3] * 5


def test_a_discard_takes_everything_before_it_and_nothing_after() -> None:
    queue = ReplyQueue()
    queue.put(block(10, 1))
    queue.collect(0.0)
    queue.put(block(10, 2))
    queue.discard()
    queue.put(block(10, 3))
    assert queue.is_waiting
    assert queue.collect(1.0)
    assert [taken(reply).tolist() for reply in queue.replies] == [[3] * 10]
    assert not queue.collect(2.0)


@given(st.lists(st.one_of(st.integers(1, 9), st.sampled_from(["end", "discard", "collect"])), max_size=60))
def test_the_thread_sees_what_a_plain_list_of_replies_would_hold(acts: list[object]) -> None:
    queue = ReplyQueue()
    expected: list[tuple[list[int], bool]] = []
    value = 0
    for act in [*acts, "collect"]:
        match act:
            case "end":
                queue.end()
                if not expected or expected[-1][1]:
                    expected.append(([], True))
                else:
                    expected[-1] = (expected[-1][0], True)
            case "discard":
                queue.discard()
                expected = []
            case "collect":
                queue.collect(0.0)
            case int(size):
                value += 1
                queue.put(block(size, value))
                if not expected or expected[-1][1]:
                    expected.append(([], False))
                expected[-1][0].extend([value] * size)
    seen = [(taken(reply).tolist(), reply.ended) for reply in queue.replies]
    assert seen == expected


@given(
    rate_hz=st.sampled_from([16000, 24000, 44100, 48000]),
    sizes=st.lists(st.integers(1, 900), min_size=1, max_size=8),
    takes=st.lists(st.integers(1, 700), min_size=1, max_size=10),
)
def test_however_it_is_taken_a_reply_is_its_resampled_self(
    rate_hz: int, sizes: list[int], takes: list[int]
) -> None:
    pcm = np.random.default_rng(1).integers(-20000, 20000, sum(sizes)).astype(np.int16)
    reply, speech = Reply(0.0), Speech(rate_hz)
    reply.ended = True
    for end, size in zip(np.cumsum(sizes), sizes, strict=True):
        reply.add(pcm[end - size : end])
    parts, samples = [], [0]
    while not speech.is_finished(reply):
        parts.append(speech.take(reply, takes[len(parts) % len(takes)], 1.0))
        samples.append(speech.samples)
    resampler = Resampler(24000, rate_hz)
    expected = np.concatenate([resampler.process(pcm), resampler.flush()])
    np.testing.assert_array_equal(np.concatenate(parts), expected)
    assert samples == sorted(samples)
    assert samples[-1] == len(pcm)


def test_samples_are_counted_less_the_delay_of_the_resampler() -> None:
    reply, speech = Reply(0.0), Speech(48000)
    reply.add(block(24000))
    speech.take(reply, 9600, 1.0)
    assert speech.samples == 4800 - Resampler(24000, 48000).delay_frames_in
    assert speech.held_samples == 24000 - reply.samples - speech.samples


def test_a_change_of_volume_waits_for_frames_to_be_spread_over() -> None:
    reply, speech = Reply(0.0), Speech(24000)
    reply.add(block(100, 10000))
    speech.take(reply, 100, 1.0)
    assert len(speech.take(reply, 100, 0.0)) == 0
    reply.add(block(100, 10000))
    ramp = speech.take(reply, 100, 0.0).astype(int)
    assert np.abs(np.diff(ramp)).max() <= 101
    assert ramp[-1] == 0


@pytest.mark.parametrize(("percent", "gain"), [(0, 0.0), (50, 0.25), (100, 1.0)])
def test_the_volume_is_squared(percent: int, gain: float) -> None:
    assert gain_of(percent) == gain


def test_a_fade_goes_evenly_and_ends_where_it_should() -> None:
    assert faded(block(4, 1000), 1.0, 0.0).tolist() == [750, 500, 250, 0]


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(0, 300)), min_size=1, max_size=20), st.data())
def test_the_ledger_knows_what_was_heard_to_the_sample(
    blocks: list[tuple[int, int]], data: st.DataObject
) -> None:
    ledger, end = Ledger(), 0
    for frames, samples in blocks:
        ledger.wrote(end, end + frames, samples)
        end += frames
    frame = data.draw(st.integers(0, end))
    heard = ledger.heard(frame)
    exact = sum(
        samples * min(1.0, max(0.0, (frame - begin) / frames))
        for begin, (frames, samples) in zip(np.cumsum([0, *(f for f, _ in blocks)]), blocks, strict=False)
    )
    assert heard == pytest.approx(exact, abs=1)
    assert ledger.cut(frame) == sum(samples for _, samples in blocks) - heard
    assert ledger.heard(end) == heard
