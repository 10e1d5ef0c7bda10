"""A whole kiosk and its service in invented time: all of it is real but the cards, the wire and the clock.

with VirtualKiosk(seed=1) as kiosk:
    kiosk.run(kiosk.ask(...))
"""

import asyncio
import random
import time
from unittest.mock import patch

import numpy as np
from tests.rigs.parts import FakePanel
from tests.rigs.virtual_net import VirtualLoop

from voicekiosk.agent import events as agent
from voicekiosk.agent.client import AgentClient
from voicekiosk.audio import events as audio
from voicekiosk.audio.capture import CaptureStream
from voicekiosk.audio.frames import DeviceFacts
from voicekiosk.audio.ring import Ring
from voicekiosk.audio.statistics import CaptureStatistics, PlaybackStatistics
from voicekiosk.config.schema import Agent, Config, Tool
from voicekiosk.kiosk.conductor import Conductor
from voicekiosk.kiosk.state import name_of
from voicekiosk.simulator.scenario import Scenario, change
from voicekiosk.simulator.server import Settings, Simulator

RATE_HZ = 48000
PERIOD_S = 0.02
PERIOD = round(RATE_HZ * PERIOD_S)
_noise = np.random.default_rng(0)
SPEECH = [_noise.integers(-6000, 6000, PERIOD).astype(np.int16) for _ in range(16)]
SILENCE = [_noise.integers(-6, 6, PERIOD).astype(np.int16) for _ in range(16)]
NEAR = {
    "turn.onset_ms": 300,
    "turn.end_ms": 900,
    "reply.first_audio_ms": 100,
    "reply.lead_in_ms": 100,
}
"""A service with short waits."""


def facts(direction):
    return DeviceFacts(direction, "none", "stand-in", RATE_HZ, 1, "S16_LE", PERIOD, 10 * PERIOD)


class _Card:
    def __init__(self, post):
        self.post = post
        self._timer = None

    def start(self):
        """Nothing to start."""

    def stop(self, timeout_s):
        self.close()
        return True

    def open(self):
        if self._timer is None:
            self.opened()
            self._turn(asyncio.get_running_loop().time())

    def close(self):
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self.closed()

    def progress_age_s(self, now_s):
        return None

    def _turn(self, due_s):
        due_s += PERIOD_S
        self._timer = asyncio.get_running_loop().call_at(due_s, self._turn, due_s)
        self.period()


class Microphone(_Card):
    """Hears noise while somebody speaks, and next to nothing otherwise."""

    speaking = False

    def __init__(self, settings, post, wake):
        super().__init__(post)
        self._ring = Ring(65 * RATE_HZ, wake)
        self._origin_s = self._first = 0
        self.stream = None

    def set_live(self, live):
        """It always is."""

    def frame_at(self, t_s):
        return max(int(self._first), round((t_s - self._origin_s) * RATE_HZ))

    def statistics(self):
        return CaptureStatistics(self._ring.written, 0, 0, 0, 1)

    def opened(self):
        self.stream = CaptureStream(self._ring, RATE_HZ, facts("capture"))
        self._first = self._ring.written
        self._origin_s = asyncio.get_running_loop().time() - self._first / RATE_HZ
        self.post(audio.MicrophoneOpened(self.stream))

    def closed(self):
        self.post(audio.MicrophoneClosed())

    def period(self):
        heard = SPEECH if self.speaking else SILENCE
        self._ring.write(heard[self._ring.written // PERIOD % 16])


class Loudspeaker(_Card):
    """Plays at the pace of sound, to nobody."""

    def __init__(self, settings, post):
        super().__init__(post)
        self.enqueued_samples = self.played_samples = 0
        self._ended = False

    def set_volume(self, percent):
        """There is nothing to hear."""

    @property
    def queued_samples(self):
        return self.enqueued_samples - self.played_samples

    def play(self, pcm):
        self.enqueued_samples += len(pcm) // 2

    def end(self):
        self._ended = True

    def flush(self):
        self.enqueued_samples, self._ended = self.played_samples, False
        now_s = asyncio.get_running_loop().time()
        self.post(audio.SpeakerFlushed(now_s, self.played_samples))

    def statistics(self):
        return PlaybackStatistics(self.enqueued_samples, self.played_samples, 0, 0, 0, 0, 0, 0, 0, 1)

    def opened(self):
        self.post(audio.SpeakerOpened(facts("playback")))

    def closed(self):
        self.post(audio.SpeakerClosed())

    def period(self):
        self.played_samples += min(self.queued_samples, round(24000 * PERIOD_S))
        if self._ended and not self.queued_samples:
            self._ended = False
            now_s = asyncio.get_running_loop().time()
            self.post(audio.SpeakerDrained(now_s, self.played_samples))


class _Parts:
    """The real client; cards and panel are stand-ins."""

    def __init__(self, key, rng):
        self._key, self._rng = key, rng

    def capture(self, settings, post, wake):
        return Microphone(settings, post, wake)

    def playback(self, settings, post):
        return Loudspeaker(settings, post)

    def panel(self, settings):
        return FakePanel(settings)

    def agent(self, config, on_event):
        return AgentClient(config, lambda: self._key, on_event, self._rng)


class VirtualKiosk:
    """A kiosk whose tools take as long as they are told to, with the service that it talks to."""

    def __init__(self, *, seed=1, changes=None, script=(), tools=(), tool_s=lambda: 1.0, **agent):
        self.rng = random.Random(seed)
        self.loop = VirtualLoop()
        self.network = self.loop.network
        self.tool_s = tool_s
        self.states = []
        self.log = []
        self._patches = [
            patch.object(time, "monotonic", self.loop.time),
            patch("voicekiosk.tools.functions.load_function", lambda _: self._tool),
        ]
        scenario = change(Scenario(script=script), NEAR | (changes or {}))
        self.config = Config(
            agent=Agent(url="ws://127.0.0.1:4242/v1/ws", transcription_mode="min_latency", **agent),
            tools=tuple(
                Tool(name=name, description="does something", python=name, **more) for name, more in tools
            ),
        )
        self._settings = Settings(scenario=scenario, seed=seed)

    def __enter__(self):
        for one in self._patches:
            one.start()
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._start())
        return self

    def __exit__(self, *_):
        self.network.go_on()
        self.network.accepting = True
        self.run(self._stop())
        self.loop.close()
        asyncio.set_event_loop(None)
        for one in self._patches:
            one.stop()

    async def _start(self):
        self.simulator = Simulator(self._settings)
        await self.simulator.start()
        parts = _Parts(self.simulator.key, self.rng)
        self.conductor = Conductor(self.config, parts, clock=self.loop.time)
        self.conductor.observe = self._observe
        self.conductor.start(self.loop)
        await asyncio.sleep(0.1)

    async def _stop(self):
        await self.conductor.stop()
        await self.simulator.stop()

    async def _tool(self) -> str:
        """Do something."""
        await asyncio.sleep(self.tool_s())
        return "nobody knows"

    def _observe(self, event, before, after):
        now_s = self.loop.time()
        self.log.append((now_s, event, after))
        if name_of(after) is not name_of(before):
            self.states.append((now_s, str(name_of(after))))

    def run(self, coroutine):
        """Let time pass until the coroutine is done."""
        return self.loop.run_until_complete(coroutine)

    @property
    def state(self):
        return self.conductor.state

    @property
    def name(self):
        return str(name_of(self.conductor.state))

    def edge(self, down):
        """Press the button, or let it go."""
        self.conductor.parts.panel.on_edge("talk", down, self.loop.time())

    async def speak(self, seconds):
        """Speak for as long."""
        microphone = self.conductor.parts.capture
        microphone.speaking = True
        await asyncio.sleep(seconds)
        microphone.speaking = False

    async def until(self, condition, within_s):
        """Wait until it holds; tell whether it came to that."""
        end_s = self.loop.time() + within_s
        while not condition():
            if self.loop.time() >= end_s:
                return False
            await asyncio.sleep(0.01)
        return True

    def calls_left(self):
        """Return the calls that the kiosk has heard of and that the service still has no answer to."""
        left = set()
        for _, event, _ in self.log:
            match event:
                case agent.ToolCalled(call_id):
                    left.add(call_id)
                case agent.ToolsVoid(call_ids):
                    left.difference_update(call_ids)
                case agent.Ready(resumed=False):
                    left.clear()
        records = [link.record for link in self.simulator.connections]
        return left - {told["call_id"] for record in records for told in record.tool_results}
