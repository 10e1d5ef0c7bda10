"""The daemon: the conductor with everything around it that a service needs."""

import asyncio
import logging
import signal
from collections.abc import Callable

from voicekiosk.config.live import Accepted, LiveConfig, Rejected
from voicekiosk.kiosk import events as kiosk
from voicekiosk.kiosk.chronicle import IN_WORDS, Chronicle
from voicekiosk.kiosk.conductor import Conductor
from voicekiosk.kiosk.events import Fault
from voicekiosk.kiosk.operator import Operator
from voicekiosk.kiosk.parts import Factory, RealParts
from voicekiosk.kiosk.state import State, name_of
from voicekiosk.service import journal
from voicekiosk.service.control import ControlServer
from voicekiosk.service.credential import Credential, read_key
from voicekiosk.service.notify import Notifier
from voicekiosk.service.protocol import Topic
from voicekiosk.service.routes import Routes
from voicekiosk.service.watchdog import Watchdog

logger = logging.getLogger("voicekiosk")


class Daemon:
    """One kiosk, from its start to its end. Belongs to the event loop's thread."""

    def __init__(self, live: LiveConfig, *, factory: Factory | None = None) -> None:
        """Put the kiosk together; nothing is opened before `run`."""
        self.live = live
        self.credential = read_key()
        self._notifier = Notifier.from_environment()
        config = live.last_good
        self.conductor = Conductor(config, factory or RealParts(self._key))
        self._chronicle = Chronicle(
            self._notifier, self._publish, self._reason, transcripts=config.log.transcripts
        )
        self._operator = Operator(self.conductor, self._chronicle, self)
        self._control = ControlServer(self._operator)
        self._watchdog = Watchdog(self._notifier, self._ages_s)
        self._routes = Routes(self.conductor.network_returned)
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises `KioskError` when the control socket cannot be had."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopped.set)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        await self._control.start()
        self.conductor.observe = self._chronicle.observe
        self.conductor.start(loop)
        self._routes.start(loop)
        if self.credential.key is None:
            logger.warning("%s", self.credential.problem)
            self.conductor.dispatch(kiosk.Failed(Fault.KEY))
        self._notifier.ready(IN_WORDS[name_of(self.conductor.state)])
        self._watchdog.start(loop)
        try:
            await self._stopped.wait()
        finally:
            self._notifier.stopping("stopping")
            self._routes.close()
            await self.conductor.stop()
            await self._control.close()
            self._watchdog.stop()

    def stop(self) -> None:
        """Have `run` return."""
        self._stopped.set()

    def _key(self) -> str | None:
        return self.credential.key

    def set_credential(self, credential: Credential) -> None:
        """Use another key from now on; a session that is open goes on with the one before."""
        self.credential = credential
        self.conductor.dispatch(kiosk.Fixed(Fault.KEY))

    def _reason(self, state: State) -> str:
        return self._operator.reason(state)

    def _publish(self, topic: Topic, event: object) -> None:
        if self._control.listeners(topic):
            self._control.publish(topic, self._operator.status() if topic is Topic.STATUS else event)

    def _ages_s(self, now_s: float) -> dict[str, float | None]:
        parts = self.conductor.parts
        return {
            "capture": parts.capture.progress_age_s(now_s),
            "playback": parts.playback.progress_age_s(now_s),
        }

    def _hang_up(self) -> None:
        """SIGHUP: read the configuration again, as systemd's reload expects it."""
        self._notifier.reloading()
        self.reload()
        self._notifier.ready()

    def reload(self) -> None:
        """Read the configuration file again; a bad one changes nothing but what the journal says."""
        match self.live.reload():
            case Accepted() as accepted:
                self.apply(accepted)
            case Rejected(problems):
                for problem in problems:
                    logger.error("%s", problem)
                logger.error("the configuration before stays in force")
            case _:
                pass

    def apply(self, accepted: Accepted) -> None:
        """Take another configuration, and say what that changes."""
        for warning in accepted.warnings:
            logger.warning("%s", warning)
        for change in accepted.changes.changes:
            logger.info("%s", change)
        journal.configure(accepted.config.log.level)
        self._chronicle.transcripts = accepted.config.log.transcripts
        self.conductor.apply(accepted.config, accepted.changes)


def run(
    live: LiveConfig, factory: Factory | None = None, started: Callable[[Daemon], None] | None = None
) -> None:
    """Run a kiosk in this thread until it is told to stop; `started` is given it before it serves."""

    async def serve() -> None:
        daemon = Daemon(live, factory=factory)
        if started is not None:
            started(daemon)
        await daemon.run()

    asyncio.run(serve())
