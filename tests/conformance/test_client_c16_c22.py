"""Checklist 12.1, items 16 to 22: audio. Each test says what it takes to break it."""

import asyncio
import base64

import numpy as np

from voicekiosk.agent import events as agent
from voicekiosk.audio import events as audio
from voicekiosk.audio.resample import Resampler
from voicekiosk.kiosk.state import Name

RATE_HZ = 24000


def audio_of(frames, key):
    """The samples of audio messages."""
    return np.frombuffer(b"".join(base64.b64decode(frame[key]) for frame in frames), "<i2")


async def test_c16_no_audio_before_ready(stage):
    # Break: let Link.send_audio send in every phase.
    async with stage(changes={"ready.updated_ms": 800.0}) as s:
        s.kiosk.press()
        await s.kiosk.speak(0.6)
        await s.kiosk.ready()
        await asyncio.sleep(0.3)
        s.kiosk.release()
        await asyncio.sleep(0.3)
        await s.kiosk.hang_up()
        (ready,) = s.got("session.ready")
        assert all(frame["t_s"] >= ready["t_s"] for frame in s.sent("input.audio"))
        assert s.kept_the_rules()


async def test_c17_what_goes_up_is_the_microphone_resampled_to_24_khz(stage):
    # Break: send the device's 48 kHz as they are.
    async with stage() as s:
        s.kiosk.press()
        await s.kiosk.ready()
        await s.kiosk.speak(0.6)
        s.kiosk.release()
        await asyncio.sleep(0.5)
        ring = s.kiosk.conductor.parts.capture.ring
        heard = ring.reader(0).read().samples
        await s.kiosk.hang_up()
        sent = audio_of(s.sent("input.audio"), "audio")
        expected = Resampler(48000, RATE_HZ).process(heard)
        start = round(Resampler(48000, RATE_HZ).delay_s * RATE_HZ)
        assert np.array_equal(sent[: RATE_HZ // 2], expected[start : start + RATE_HZ // 2])
        assert s.kept_the_rules()


async def test_c18_audio_is_never_faster_than_real_time_by_more_than_200_ms(stage):
    # Break: send a backlog in one go.
    async with stage(changes={"ready.updated_ms": 700.0}) as s:
        s.kiosk.press()
        await s.kiosk.speak(1.5)
        s.kiosk.release()
        await asyncio.sleep(2.0)
        await s.kiosk.hang_up()
        frames = s.sent("input.audio")
        times = np.array([frame["t_s"] for frame in frames])
        sizes = np.array([len(base64.b64decode(frame["audio"])) / 2 / RATE_HZ for frame in frames])
        ends = np.cumsum(sizes)
        for first in range(len(frames)):
            sent_s = ends[first:] - (ends[first] - sizes[first])
            # 50 ms for a machine that hands late frames over together.
            assert np.all(sent_s <= times[first:] - times[first] + 0.25)
        assert s.kept_the_rules()


async def test_c19_audio_goes_up_as_audio_and_comes_down_as_data(stage):
    # Break: name the field `data` upstream, or read `audio` downstream.
    async with stage() as s:
        await s.kiosk.converse()
        await s.kiosk.hang_up()
        assert all(set(frame) == {"type", "audio", "t_s"} for frame in s.sent("input.audio"))
        came = audio_of(s.got("reply.audio"), "data")
        assert np.array_equal(s.kiosk.heard, came)
        assert s.kept_the_rules()


async def test_c20_replies_in_bursts_are_heard_whole(stage):
    # Break: bound the queue to a second.
    async with stage("faster-than-real-time") as s:
        await s.kiosk.converse(seconds=1.5)
        came = audio_of(s.got("reply.audio"), "data")
        assert len(came) > RATE_HZ
        assert np.array_equal(s.kiosk.heard[: len(came)], came)


async def test_c21_a_finished_reply_is_played_to_its_end(stage):
    # Break: flush at reply.done.
    async with stage("faster-than-real-time") as s:
        await s.kiosk.ask(1.5)
        await s.kiosk.until(lambda: s.kiosk.said(agent.ReplyDone))
        assert s.kiosk.name is Name.SPEAKING
        await s.kiosk.until(lambda: s.kiosk.said(audio.SpeakerDrained))
        assert len(s.kiosk.heard) == len(audio_of(s.got("reply.audio"), "data"))


async def test_c22_silence_follows_the_release_until_the_turn_is_closed(stage):
    # Break: stop sending at the release.
    async with stage(changes={"turn.end_ms": 900.0}) as s:
        await s.kiosk.ask(0.6)
        await s.kiosk.until(lambda: s.kiosk.said(agent.SpeechStopped))
        await asyncio.sleep(0.5)
        await s.kiosk.hang_up()
        sent = audio_of(s.sent("input.audio"), "audio")
        last = np.flatnonzero(np.abs(sent) > 100)[-1]
        after_s = (len(sent) - last) / RATE_HZ
        assert 0.9 <= after_s <= 1.8
        assert s.kept_the_rules()
