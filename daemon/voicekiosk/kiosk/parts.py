"""The devices and the link that the conductor leads: made, started, replaced, stopped."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Protocol

from voicekiosk.agent.client import AgentClient
from voicekiosk.agent.events import AgentEvent
from voicekiosk.audio.capture import Capture
from voicekiosk.audio.events import AudioEvent
from voicekiosk.audio.playback import Playback
from voicekiosk.config import schema
from voicekiosk.panel.driver import OnEdge, OnFaults, Panel, make_panel
from voicekiosk.service.redact import REDACTOR

logger = logging.getLogger(__name__)

STOP_S = 0.5


class Factory(Protocol):
    """How parts are made; tests make others."""

    def capture(
        self, settings: schema.Capture, post: Callable[[AudioEvent], None], wake: Callable[[], None]
    ) -> Capture:
        """Make a closed microphone."""
        ...

    def playback(self, settings: schema.Playback, post: Callable[[AudioEvent], None]) -> Playback:
        """Make a closed loudspeaker."""
        ...

    def agent(self, config: schema.Config, on_event: Callable[[AgentEvent], None]) -> AgentClient:
        """Make a client that is not connected."""
        ...

    def panel(self, settings: schema.Panel) -> Panel:
        """Make a panel that is not started."""
        ...


class RealParts:
    """Parts on the machine's own devices; `credential` is asked for the key at each connection."""

    def __init__(self, credential: Callable[[], str | None]) -> None:
        self._credential = credential

    def capture(
        self, settings: schema.Capture, post: Callable[[AudioEvent], None], wake: Callable[[], None]
    ) -> Capture:
        """Make a closed microphone."""
        return Capture(settings, post, wake)

    def playback(self, settings: schema.Playback, post: Callable[[AudioEvent], None]) -> Playback:
        """Make a closed loudspeaker."""
        return Playback(settings, post)

    def agent(self, config: schema.Config, on_event: Callable[[AgentEvent], None]) -> AgentClient:
        """Make a client that is not connected."""
        return AgentClient(config, self._credential, on_event, hide=REDACTOR.hide_for_now)

    def panel(self, settings: schema.Panel) -> Panel:
        """Make a panel that is not started."""
        return make_panel(settings)


class Parts:
    """The parts of one kiosk. Belongs to the event loop's thread."""

    def __init__(
        self,
        config: schema.Config,
        factory: Factory,
        post: Callable[[AudioEvent], None],
        wake: Callable[[], None],
        on_agent: Callable[[AgentEvent], None],
    ) -> None:
        self._factory = factory
        self._post = post
        self._wake = wake
        self.capture = factory.capture(config.audio.capture, post, wake)
        self.playback = factory.playback(config.audio.playback, post)
        self.agent = factory.agent(config, on_agent)
        self.panel = factory.panel(config.panel)

    def start(self, loop: asyncio.AbstractEventLoop, on_edge: OnEdge, on_faults: OnFaults) -> None:
        """Start the threads and the panel."""
        self.capture.start()
        self.playback.start()
        self.panel.start(loop, on_edge, on_faults)

    def stop(self) -> None:
        """Stop everything; blocks for as long as a driver takes to close, at most `STOP_S` for both."""
        until_s = time.monotonic() + STOP_S
        for part, name in ((self.capture, "microphone"), (self.playback, "loudspeaker")):
            if not part.stop(max(0.0, until_s - time.monotonic())):
                logger.warning("the %s did not close within %g s; leaving it to the kernel", name, STOP_S)
        self.panel.close()

    async def replace_capture(self, settings: schema.Capture) -> None:
        """Close the microphone and put one with other settings in its place, closed."""
        await asyncio.to_thread(self.capture.stop, 2.0)
        self.capture = self._factory.capture(settings, self._post, self._wake)
        self.capture.start()

    async def replace_playback(self, settings: schema.Playback) -> None:
        """Close the loudspeaker and put one with other settings in its place, closed."""
        await asyncio.to_thread(self.playback.stop, 2.0)
        self.playback = self._factory.playback(settings, self._post)
        self.playback.start()

    def replace_panel(
        self, settings: schema.Panel, loop: asyncio.AbstractEventLoop, on_edge: OnEdge, on_faults: OnFaults
    ) -> None:
        """Give button and lamp back and take those of other settings."""
        self.panel.close()
        self.panel = self._factory.panel(settings)
        self.panel.start(loop, on_edge, on_faults)
