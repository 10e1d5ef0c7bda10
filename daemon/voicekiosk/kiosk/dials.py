"""What visitors and the agent may set by themselves: the loudness, and who speaks."""

import logging
from collections.abc import Callable
from typing import Protocol

from voicekiosk.agent import events as agent
from voicekiosk.agent.events import Cause
from voicekiosk.config.persona import agent_of, takes_on, with_persona
from voicekiosk.config.schema import Config
from voicekiosk.kiosk.events import Fault, Fixed, Reconfigured

logger = logging.getLogger("voicekiosk.kiosk")


class Agent(Protocol):
    """Who speaks."""

    def renew(self, detail: str, cause: Cause) -> None:
        """Replace the session by a fresh one that continues it."""


class Kiosk(Protocol):
    """What is set."""

    config: Config
    volume: int

    def set_volume(self, percent: int) -> None:
        """Set the loudness, up to the configuration's limit."""

    def take(self, config: Config) -> None:
        """Have `config` in force."""

    def when_quiet(self, name: str, job: Callable[[], None]) -> None:
        """Do `job` as soon as nobody uses the kiosk."""

    def dispatch(self, event: Fixed | Reconfigured, /) -> None:
        """Tell the state machine."""


class Dials:
    """Loudness and persona. Belongs to the event loop's thread."""

    def __init__(self, kiosk: Kiosk, agent: Callable[[], Agent]) -> None:
        self._kiosk = kiosk
        self._agent = agent
        self._persona = ""
        # Whether the session that is open, or on its way, began as somebody that it cannot become.
        self._outgrown = False

    def turn_volume(self, steps: int) -> None:
        """Make it louder by so many steps, or quieter."""
        kiosk = self._kiosk
        kiosk.set_volume(max(0, kiosk.volume + steps * kiosk.config.panel.volume.step_percent))

    def choose_persona(self, name: str) -> None:
        """Let another persona speak, until the configuration names another one.

        A session that is open takes on at once what it can. For the rest, such as a voice, a fresh one
        continues it as soon as nobody speaks.
        """
        kiosk = self._kiosk
        if name not in kiosk.config.persona or name == kiosk.config.agent.persona:
            return
        logger.info("persona %s speaks from now on", name)
        before, self._persona = agent_of(kiosk.config), name
        kiosk.take(with_persona(kiosk.config, name))
        kiosk.dispatch(Fixed(Fault.SERVICE))
        kiosk.dispatch(Reconfigured())
        if not takes_on(before, agent_of(kiosk.config)):
            self._outgrown = True
            kiosk.when_quiet("another voice", self._renew)

    def note(self, event: object) -> None:
        """Take what the agent room has to say: only a session that is ready can be replaced."""
        match event:
            case agent.Connecting(resuming=False):
                self._outgrown = False
            case agent.Ready() if self._outgrown:
                self._kiosk.when_quiet("another voice", self._renew)

    def over(self, config: Config, changed: set[str]) -> Config:
        """Return a configuration from the file with the persona that was chosen, unless it names another."""
        if "agent.persona" in changed:
            self._persona = ""
        return with_persona(config, self._persona)

    def _renew(self) -> None:
        self._agent().renew("another persona speaks", Cause.EXPIRED)
