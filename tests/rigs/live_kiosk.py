"""A whole kiosk in the test's event loop: the real conductor, session and socket; only the devices stand in.

The microphone delivers periods of 20 ms at real time, speech while the test says so and silence else; the
loudspeaker plays at real time what it is given. Everything between is what runs on a Pi.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
from tests.rigs.parts import FakeCapture, FakeFactory, FakePlayback, device

from voicekiosk.agent import events as agent
from voicekiosk.agent.client import AgentClient
from voicekiosk.audio import events as audio
from voicekiosk.config.schema import Agent, Config, Conversation, Network
from voicekiosk.kiosk.conductor import Conductor
from voicekiosk.kiosk.state import Name, name_of

PERIOD_S = 0.02
KEY = "sim-key"


class LiveCapture(FakeCapture):
    """A microphone that is open or not, and hears speech or a quiet room."""

    speaking = False

    def start(self):
        super().start()
        self._task = None

    def open(self):
        super().open()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._deliver())

    def close(self):
        super().close()
        if self._task is not None:
            self._task.cancel()
            self._task = None
            self.post(audio.MicrophoneClosed())

    def stop(self, timeout_s):
        self.close()
        return super().stop(timeout_s)

    async def _deliver(self):
        loop = asyncio.get_running_loop()
        self.first_frame = self.ring.written
        self.origin_s = loop.time() - self.first_frame / 48000
        self.post(audio.MicrophoneOpened(self.stream))
        due_s = loop.time()
        while True:
            due_s += PERIOD_S
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            self.hear(PERIOD_S, level=8000 if self.speaking else 3)


class LivePlayback(FakePlayback):
    """A loudspeaker that plays at real time; `heard` is what came out of it."""

    def start(self):
        super().start()
        self.heard = b""
        self._cut = 0
        self._ended = False
        self._task = asyncio.get_running_loop().create_task(self._play())

    def open(self):
        super().open()
        self.post(audio.SpeakerOpened(device("playback")))

    def play(self, pcm):
        super().play(pcm)
        self._ended = False

    def end(self):
        super().end()
        self._ended = True

    def flush(self):
        super().flush()
        self.pcm = self.pcm[: 2 * self.played_samples]
        self.post(audio.SpeakerFlushed(asyncio.get_running_loop().time(), self.played_samples))

    def stop(self, timeout_s):
        self._task.cancel()
        return super().stop(timeout_s)

    async def _play(self):
        loop, due_s = asyncio.get_running_loop(), asyncio.get_running_loop().time()
        while True:
            due_s += PERIOD_S
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            samples = min(480, self.queued_samples)
            self.heard += self.pcm[2 * self.played_samples : 2 * (self.played_samples + samples)]
            self.played_samples += samples
            if self._ended and not self.queued_samples:
                self._ended = False
                self.post(audio.SpeakerDrained(loop.time(), self.played_samples))


class LiveFactory(FakeFactory):
    """Stand-in devices, the real client."""

    def __init__(self, key: str = KEY) -> None:
        super().__init__()
        self.key = key

    def capture(self, settings, post, wake):
        return self._keep(LiveCapture(settings, post, wake))

    def playback(self, settings, post):
        return self._keep(LivePlayback(settings, post))

    def agent(self, config, on_event):
        return self._keep(AgentClient(config, lambda: self.key, on_event))


class LiveKiosk:
    """`async with LiveKiosk(url) as kiosk`: press, speak, release, and see what happens."""

    def __init__(
        self,
        url: str,
        *,
        key: str = KEY,
        agent: dict[str, Any] | None = None,
        network: dict[str, Any] | None = None,
        conversation: dict[str, Any] | None = None,
        **tables: Any,
    ) -> None:
        config = Config(
            agent=Agent(url=url, **(agent or {})),
            network=Network(**(network or {})),
            conversation=Conversation(**(conversation or {})),
            **tables,
        )
        self.factory = LiveFactory(key)
        self.conductor = Conductor(config, self.factory)
        self.events: list[Any] = []
        self.names: list[Name] = []
        self._changed = asyncio.Event()

    async def __aenter__(self):
        self.conductor.observe = self._observe
        self.conductor.start(asyncio.get_running_loop())
        return self

    async def __aexit__(self, *_):
        await self.conductor.stop()

    def _observe(self, event, before, after):
        del before
        self.events.append(event)
        if not self.names or name_of(after) is not self.names[-1]:
            self.names.append(name_of(after))
        self._changed.set()

    @property
    def state(self):
        return self.conductor.state

    @property
    def name(self):
        return name_of(self.state)

    @property
    def heard(self) -> np.ndarray:
        """What came out of the loudspeaker."""
        return np.frombuffer(self.conductor.parts.playback.heard, "<i2")

    def said(self, kind: type) -> list[Any]:
        """The events of a kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    def press(self) -> None:
        self.conductor.edge("talk", True, asyncio.get_running_loop().time())

    def release(self) -> None:
        self.conductor.edge("talk", False, asyncio.get_running_loop().time())

    async def speak(self, seconds: float) -> None:
        self.conductor.parts.capture.speaking = True
        await asyncio.sleep(seconds)
        self.conductor.parts.capture.speaking = False

    async def until(self, condition, timeout_s: float = 15.0) -> None:
        """Wait until the condition holds; it is looked at after each event."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def ready(self) -> None:
        await self.until(lambda: self.said(agent.Ready))

    async def ask(self, seconds: float = 0.6) -> None:
        """Press, speak, release."""
        self.press()
        await asyncio.sleep(0.1)
        await self.speak(seconds)
        await asyncio.sleep(0.1)
        self.release()

    async def converse(self, seconds: float = 0.6) -> None:
        """Ask, and hear the answer to its end."""
        before = len(self.said(audio.SpeakerDrained))
        await self.ask(seconds)
        await self.until(lambda: len(self.said(audio.SpeakerDrained)) > before)

    async def hang_up(self) -> None:
        """End the conversation and wait until the service has."""
        from voicekiosk.kiosk.events import HangUp

        before = len(self.said(agent.Ended))
        self.conductor.dispatch(HangUp())
        await self.until(lambda: len(self.said(agent.Ended)) > before)


def frames(folder: Path, connection: int = 1, sender: str = "client") -> list[dict[str, Any]]:
    """What a connection's record holds: the frames of one side, with `t_s` added."""
    lines = (folder / f"{connection}.jsonl").read_text().splitlines()
    found = []
    for line in lines:
        entry = json.loads(line)
        if entry["from"] == sender:
            frame = entry["frame"]
            frame = json.loads(frame) if isinstance(frame, str) else frame
            found.append({**frame, "t_s": entry["t_s"]})
    return found
