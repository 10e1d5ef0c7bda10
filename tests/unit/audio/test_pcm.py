"""Opening a card: what is asked for, what is granted, and what is said when it is not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rigs.fake_alsa import Card, Handle, World, voice

from voicekiosk.audio.devices import Direction
from voicekiosk.audio.frames import DeviceFacts, FromMono, ToMono
from voicekiosk.audio.pcm import OpenPcm, open_pcm, preferred_rate
from voicekiosk.config.schema import Capture, Playback
from voicekiosk.errors import DeviceError

NO_SYSFS = Path("/nonexistent")


def opened(card: Card, settings: Capture | Playback | None = None) -> tuple[World, OpenPcm]:
    world = World()
    world.cards["default"] = card
    return world, open_pcm(settings or Capture(), alsa=world.alsa(), sysfs=NO_SYSFS)


def refusal(card: Card, settings: Capture | Playback) -> str:
    with pytest.raises(DeviceError) as caught:
        opened(card, settings)
    assert all(handle.closed for handle in card.opened)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ([44100, 48000, 96000], 48000),
        ([44100], 44100),
        ([44100, 96000], 44100),
        ([8000, 16000, 32000], 32000),
        ([8000, 16000], 16000),
        ([16000, 96000], 96000),
        ([47999, 32000], 32000),
        (16000, 16000),
        ((8000, 96000), 48000),
        ((8000, 47123), 44100),
        ((64000, 192000), 64000),
        ((1, 5000), 5000),
    ],
)
def test_the_rate_chosen_is_48000_or_the_nearest_that_resamples_well(offered: Any, chosen: int) -> None:
    assert preferred_rate(offered) == chosen


@given(st.lists(st.integers(4000, 384000), min_size=1))
def test_the_rate_chosen_is_one_that_is_offered(offered: list[int]) -> None:
    assert preferred_rate(offered) in offered


@given(st.integers(1, 384000), st.integers(1, 384000))
def test_the_rate_chosen_from_a_range_lies_in_it(one: int, other: int) -> None:
    least, most = sorted((one, other))
    assert least <= preferred_rate((least, most)) <= most


def test_a_card_that_has_everything_is_opened_once() -> None:
    card = Card()
    _, pcm = opened(card)
    assert len(card.opened) == 1
    assert (pcm.facts.rate_hz, pcm.facts.channels, pcm.facts.format) == (48000, 1, "S16_LE")
    assert (pcm.facts.period_frames, pcm.facts.buffer_frames) == (960, 9600)


def test_the_facts_are_what_the_card_granted() -> None:
    _, pcm = opened(Card(rates=[44100], channels=[2], formats=["S32_LE"], buffer_at_least=16384))
    assert (pcm.facts.rate_hz, pcm.facts.channels, pcm.facts.format) == (44100, 2, "S32_LE")
    assert pcm.facts.buffer_frames == 16384
    assert str(pcm.facts) == "default, 44100 Hz, 2 ch, S32_LE, period 20 ms, buffer 371.519 ms"


@pytest.mark.parametrize("rate_hz", [8000, 16000, 96000])
def test_a_card_of_another_rate_has_the_period_that_was_asked_for(rate_hz: int) -> None:
    _, pcm = opened(Card(rates=[rate_hz]), Capture(period_ms=20, buffer_ms=200))
    assert (pcm.facts.period_frames, pcm.facts.buffer_frames) == (rate_hz // 50, rate_hz // 5)


def test_a_card_whose_first_choice_is_unusable_is_opened_with_a_format_we_know() -> None:
    _, pcm = opened(Card(formats=["U8", "S24_3LE"]))
    assert pcm.facts.format == "S24_3LE"


def test_the_rate_in_the_configuration_is_the_rate_of_the_card() -> None:
    assert opened(Card(), Capture(rate_hz=16000))[1].facts.rate_hz == 16000


def test_a_loudspeaker_is_opened_with_two_channels_where_it_has_them() -> None:
    assert opened(Card(), Playback())[1].facts.channels == 2
    assert opened(Card(channels=[1]), Playback())[1].facts.channels == 1


def test_the_card_of_a_loudspeaker_has_room_for_the_fade_above_the_queue() -> None:
    _, pcm = opened(Card(), Playback(queue_ms=30, period_ms=10))
    assert pcm.facts.buffer_frames == 48 * 40


def test_a_chosen_channel_opens_as_many_channels_as_it_needs() -> None:
    assert opened(Card(channels=[1, 2, 4, 6]), Capture(channel=3))[1].facts.channels == 4
    assert opened(Card(channels=[2, 6]), Capture(channel=3))[1].facts.channels == 6


@pytest.mark.parametrize(
    ("card", "settings", "parts"),
    [
        (Card(rates=[44100, 48000]), Capture(rate_hz=22050), ["22050 Hz", "44100 Hz, 48000 Hz", "audio.capture.rate_hz"]),
        (Card(rates=[48000]), Playback(rate_hz=24000), ["24000 Hz", "only 48000 Hz", "audio.playback.rate_hz"]),
        (Card(rates=(8000, 16000)), Capture(rate_hz=48000), ["only 8000 to 16000 Hz"]),
        (Card(formats=["S32_LE"]), Capture(format="S16_LE"), ["format S16_LE", "only S32_LE", "audio.capture.format"]),
        (Card(formats=["U8"]), Capture(), ["only U8", "audio.capture.format"]),
        (Card(channels=[2]), Capture(channels=1), ["1 channels", "only 2", "audio.capture.channels"]),
        (Card(channels=[2]), Capture(channel=2), ["3 channels", "only 2", "audio.capture.channel"]),
        (Card(trouble="Device or resource busy"), Capture(), ["busy", "another program has it", "audio.capture.device"]),
        (Card(trouble="Permission denied"), Playback(), ["group audio", "audio.playback.device"]),
        (Card(trouble="No such device"), Capture(), ["plug it in"]),
        (Card(trouble="Input/output error"), Capture(), ["Input/output error", "audio.capture.device"]),
    ],
)  # fmt: skip
def test_a_refusal_names_the_device_the_setting_and_what_there_is(
    card: Card, settings: Capture | Playback, parts: list[str]
) -> None:
    message = refusal(card, settings)
    assert '"auto"' in message
    for part in parts:
        assert part in message


def test_a_card_that_grants_something_else_the_second_time_is_refused() -> None:
    class Fickle(list[Handle]):
        def append(self, handle: Handle) -> None:
            super().append(handle)
            card.rates = [32000]

    card = Card(rates=[44100], formats=["U8", "S32_LE"], opened=Fickle())
    world = World()
    world.cards["default"] = card
    with pytest.raises(DeviceError, match="ALSA set up"):
        open_pcm(Capture(rate_hz=44100), alsa=world.alsa(), sysfs=NO_SYSFS)
    assert all(handle.closed for handle in card.opened)


def test_a_lost_device_is_told_from_whatever_its_driver_says() -> None:
    card = Card()
    _, pcm = opened(card)
    pcm.read()
    card.trouble = "Input/output error"
    for use in (pcm.read, pcm.avail, pcm.drop, pcm.descriptors):
        with pytest.raises(DeviceError, match='microphone "auto" is lost'):
            use()
    pcm.close()


def test_closing_twice_is_closing_once() -> None:
    card = Card()
    _, pcm = opened(card)
    pcm.close()
    pcm.close()
    assert card.handle.closed


def facts(sample_format: str, channels: int) -> DeviceFacts:
    return DeviceFacts(Direction.CAPTURE, "hw:X", "auto", 48000, channels, sample_format, 960, 1920)


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("sample_format", ["S16_LE", "S24_LE", "S24_3LE", "S32_LE"])
def test_what_is_played_in_any_format_is_heard_as_it_was(sample_format: str, channels: int) -> None:
    there, back = FromMono(facts(sample_format, channels)), ToMono(facts(sample_format, channels), "mix")
    for block in (voice(np.arange(960)), np.array([32767, -32768, 0, -1, 1], np.int16)):
        data = there(block).tobytes()
        assert len(data) == len(block) * channels * {"S16_LE": 2, "S24_3LE": 3}.get(sample_format, 4)
        np.testing.assert_array_equal(back(data), block)


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_one_channel_is_taken_alone(channel: int) -> None:
    frames = np.arange(30, dtype="<i2").reshape(10, 3)
    np.testing.assert_array_equal(ToMono(facts("S16_LE", 3), channel)(frames.tobytes()), frames[:, channel])


def test_the_mix_is_the_mean_of_all_channels_and_cannot_overflow() -> None:
    frames = np.array([[100, -50], [32767, 32767], [-32768, -32768], [1, 2], [3, 4]], "<i2")
    mixed = ToMono(facts("S16_LE", 2), "mix")(frames.tobytes())
    np.testing.assert_array_equal(mixed, [25, 32767, -32768, 2, 4])


def test_the_only_channel_is_the_microphone_whichever_was_chosen() -> None:
    block = voice(np.arange(10))
    np.testing.assert_array_equal(ToMono(facts("S16_LE", 1), 0)(block.tobytes()), block)
