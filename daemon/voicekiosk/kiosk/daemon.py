"""The daemon: the conductor with everything around it that a service needs."""

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from voicekiosk.config.diff import Effect
from voicekiosk.config.last_good import Kept, LastGood
from voicekiosk.config.live import Accepted, LiveConfig, Rejected, Unchanged
from voicekiosk.kiosk import events as kiosk
from voicekiosk.kiosk import sounds
from voicekiosk.kiosk.chronicle import Chronicle
from voicekiosk.kiosk.conductor import Conductor
from voicekiosk.kiosk.eraser import FILE_NAME as SESSIONS_FILE_NAME
from voicekiosk.kiosk.eraser import Eraser
from voicekiosk.kiosk.events import Fault
from voicekiosk.kiosk.handover import FILE_NAME, Handover
from voicekiosk.kiosk.keeper import Keeper
from voicekiosk.kiosk.loudness import FILE_NAME as VOLUME_FILE_NAME
from voicekiosk.kiosk.loudness import Loudness
from voicekiosk.kiosk.machine import AnyEvent
from voicekiosk.kiosk.operator import Operator
from voicekiosk.kiosk.parts import Factory, RealParts
from voicekiosk.kiosk.recorder import Recorder
from voicekiosk.kiosk.state import State, sign_of
from voicekiosk.kiosk.till import FILE_NAME as MONEY_FILE_NAME
from voicekiosk.kiosk.till import Till
from voicekiosk.service import journal
from voicekiosk.service.control import ControlServer
from voicekiosk.service.credential import Credential, read_key
from voicekiosk.service.notify import Notifier
from voicekiosk.service.protocol import Topic
from voicekiosk.service.routes import Routes
from voicekiosk.service.runtime import RuntimeFile
from voicekiosk.service.statefile import StateFile
from voicekiosk.service.watchdog import Watchdog

logger = logging.getLogger("voicekiosk")

STOP_WITHIN_S = 2.7
"""Session and tools 1.7 s, devices 0.5 s, the disk what is left: nobody waits 3 s for a kiosk to stop."""


class Daemon:
    """One kiosk, from its start to its end. Belongs to the event loop's thread."""

    def __init__(
        self,
        live: LiveConfig,
        *,
        store: LastGood | None = None,
        kept: Kept | None = None,
        factory: Factory | None = None,
    ) -> None:
        """Put the kiosk together; nothing is opened before `run`.

        `live` was started with `kept`, which is what `store` held, to fall back to.
        """
        self.credential = read_key()
        self._notifier = Notifier.from_environment()
        config = live.last_good
        self.conductor = Conductor(config, factory or RealParts(self._key))
        self.recorder = Recorder(time.monotonic())
        self.conductor.uplink.watcher = self.recorder
        self.conductor.downlink.watch = lambda pcm: self.recorder.queued(pcm, time.monotonic())
        self._chronicle = Chronicle(
            self._notifier,
            self._publish,
            self.reason,
            self.conductor.parts.agent.facts,
            self.conductor.downlink.heard,
            transcripts=config.log.transcripts,
            note=self.recorder.note,
            configured=self._configured_device,
        )
        self.keeper = Keeper(live, store or LastGood(None), kept, self.conductor, self)
        self.till = Till(self.conductor, StateFile.from_environment(MONEY_FILE_NAME))
        self.loudness = Loudness(self.conductor, StateFile.from_environment(VOLUME_FILE_NAME))
        self._eraser = Eraser(
            lambda: self.conductor.config, self._key, StateFile.from_environment(SESSIONS_FILE_NAME)
        )
        self._operator = Operator(self.conductor, self._chronicle, self)
        self._control = ControlServer(self._operator)
        self._watchdog = Watchdog(self._notifier, self._ages_s)
        self._handover = Handover(self.conductor, RuntimeFile.from_environment(FILE_NAME))
        self._routes = Routes(self.conductor.network_returned)
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises `KioskError` when the control socket cannot be had."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopped.set)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        await self._control.start()
        self.conductor.observe = self._observe
        self.conductor.volume_set = self.loudness.look
        self.conductor.start(loop)
        self._routes.start(loop)
        if not self._may_connect():
            logger.warning("%s", self.credential.problem)
            self.conductor.dispatch(kiosk.Failed(Fault.KEY))
        self._handover.start(loop, welcome=self._may_connect())
        self.till.start(loop)
        self.loudness.start(loop)
        self._eraser.start(loop)
        self.keeper.start(loop)
        self.conductor.dispatch(kiosk.LookForDevices())
        self._notifier.ready(self._chronicle.in_words(self.conductor.state))
        self._watchdog.start(loop)
        if announcement := sounds.ready(self.conductor.config, datetime.now().astimezone()):
            self.conductor.play_aloud(announcement)
        try:
            await self._stopped.wait()
        finally:
            until_s = loop.time() + STOP_WITHIN_S
            self._notifier.stopping("stopping")
            self._routes.close()
            await self.conductor.stop()
            self._handover.close()
            keepers = (self.keeper, self.till, self.loudness, self._eraser, self._control)
            # A card that takes longer has kept what was written before: no file is ever half written.
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until_s):
                    await asyncio.gather(*(keeper.close() for keeper in keepers))
            self._watchdog.stop()

    def stop(self) -> None:
        """Have `run` return."""
        self._stopped.set()

    def set_credential(self, credential: Credential) -> None:
        """Use another key from now on; a session that is open goes on with the one before."""
        self.credential = credential
        self.conductor.dispatch(kiosk.Fixed(Fault.KEY))

    def reload(self) -> Accepted | Rejected | Unchanged:
        """Read the configuration file again because somebody asked for it, and let systemd know."""
        self._notifier.reloading()
        try:
            return self.keeper.reload()
        finally:
            self._notifier.ready()

    # --- for the keeper ------------------------------------------------------------------------

    def configured(self, accepted: Accepted) -> None:
        """Take the settings that nobody else does."""
        journal.configure(accepted.config.log.level)
        self._chronicle.transcripts = accepted.config.log.transcripts
        if not accepted.config.log.transcripts:
            self.recorder.forget_words()
        if Effect.RECONNECT in accepted.changes.effects:
            # The key may be good for another address, and there may be a command instead of one.
            may = self.credential.key is not None or bool(accepted.config.agent.token_command)
            self.conductor.dispatch((kiosk.Fixed if may else kiosk.Failed)(Fault.KEY))

    def tell(self, level: int, text: str) -> None:
        """Say something about the configuration."""
        self._chronicle.tell(level, text)

    def restate(self) -> None:
        """Let systemd and watchers know of a reason that may be another."""
        self._chronicle.restate(self.conductor.state)

    def reason(self, state: State) -> str:
        """Say in words what is wrong."""
        return self._operator.reason(state)

    # --- inside --------------------------------------------------------------------------------

    def _may_connect(self) -> bool:
        return self.credential.key is not None or bool(self.conductor.config.agent.token_command)

    def _key(self) -> str | None:
        return self.credential.key

    def _configured_device(self, end: str) -> str:
        settings = self.conductor.config.audio
        return (settings.capture if end == "microphone" else settings.playback).device

    def _observe(self, event: AnyEvent, before: State, after: State) -> None:
        lamp = sign_of(after, warm=self.conductor.warm)
        self.recorder.observe(event, before, after, str(lamp), time.monotonic())
        self._chronicle.observe(event, before, after)
        self._handover.observe(event, after)
        self.till.observe(event, before, after)
        self._eraser.observe(event)
        self.keeper.observe(event, after)

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
        """SIGHUP: what systemd's reload sends. What is wrong is said again, since somebody will look."""
        if isinstance(self.reload(), Unchanged) and (problem := self.keeper.problem()):
            self.tell(logging.ERROR, problem)


def run(
    live: LiveConfig,
    *,
    store: LastGood | None = None,
    kept: Kept | None = None,
    factory: Factory | None = None,
    started: Callable[[Daemon], None] | None = None,
) -> None:
    """Run a kiosk in this thread until it is told to stop; `started` is given it before it serves."""

    async def serve() -> None:
        daemon = Daemon(live, store=store, kept=kept, factory=factory)
        if started is not None:
            started(daemon)
        await daemon.run()

    asyncio.run(serve())
