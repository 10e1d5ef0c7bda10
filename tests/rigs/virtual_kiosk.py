"""A whole kiosk and its service in invented time: all of it is real but the cards, the wire and the clock.

with VirtualKiosk(seed=1) as kiosk:
    kiosk.run(kiosk.ask(...))
"""

import asyncio
import random
import time
from unittest.mock import patch

from tests.rigs.no_cards import Loudspeaker, Microphone
from tests.rigs.parts import FakePanel
from tests.rigs.virtual_net import VirtualLoop

from voicekiosk.agent import events as agent
from voicekiosk.agent.client import AgentClient
from voicekiosk.config.schema import Agent, Config, Tool
from voicekiosk.kiosk.conductor import Conductor
from voicekiosk.kiosk.state import name_of
from voicekiosk.simulator.scenario import Scenario, change
from voicekiosk.simulator.server import Settings, Simulator

NEAR = {
    "turn.onset_ms": 300,
    "turn.end_ms": 900,
    "reply.first_audio_ms": 100,
    "reply.lead_in_ms": 100,
}
"""A service with short waits."""


class _Parts:
    """The real client; cards and panel are stand-ins."""

    def __init__(self, key, rng):
        self._key, self._rng = key, rng

    def capture(self, settings, post, wake):
        return Microphone(post, wake)

    def playback(self, settings, post):
        return Loudspeaker(post)

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
