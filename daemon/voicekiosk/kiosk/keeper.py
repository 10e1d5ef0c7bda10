"""The configuration in force: watched, applied, kept for the next start, and taken back when it fails.

Belongs to the event loop's thread; only the disk that a good configuration is kept on is waited for
elsewhere.
"""

import asyncio
import logging
from datetime import datetime
from typing import Protocol

from voicekiosk.config.last_good import Kept, LastGood
from voicekiosk.config.live import Accepted, Held, LiveConfig, Rejected, Unchanged
from voicekiosk.config.problems import Problem
from voicekiosk.config.watch import Watcher
from voicekiosk.errors import RefusedError
from voicekiosk.kiosk import events as kiosk
from voicekiosk.kiosk.conductor import Conductor
from voicekiosk.kiosk.events import Fault
from voicekiosk.kiosk.machine import AnyEvent
from voicekiosk.kiosk.state import State
from voicekiosk.kiosk.trial import Trial

KEEP_WITHIN_S = 1.0
HOLD_S = 5.0
"""A file that may have been cut off is believed after this long: its writer is done, or gone."""


class Owner(Protocol):
    """What the keeper needs of the daemon."""

    def configured(self, accepted: Accepted) -> None:
        """Take a configuration that is in force from now on."""

    def tell(self, level: int, text: str) -> None:
        """Say something about the configuration, to the journal and to whoever watches."""

    def restate(self) -> None:
        """Let systemd and watchers know of a reason that may be another."""

    def reason(self, state: State) -> str:
        """Say in words what is wrong."""


class Keeper:
    """Decides what becomes of each save of the configuration file, and sees to it."""

    def __init__(
        self, live: LiveConfig, store: LastGood, kept: Kept | None, conductor: Conductor, owner: Owner
    ) -> None:
        """Look after `live`, which was started with `kept` (what `store` held) to fall back to."""
        self.live = live
        self.loaded_at = datetime.now().astimezone()
        self.trial = Trial()
        self._store = store
        # What to go back to: the last configuration that was confirmed, or has worked.
        self._confirmed = kept
        self._conductor = conductor
        self._owner = owner
        self._watcher = Watcher(live.path, self._changed)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._keeping: asyncio.Task[None] | None = None
        self.hold_s = HOLD_S
        self._held: asyncio.TimerHandle | None = None

    # --- life ----------------------------------------------------------------------------------

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to watch; say if the kiosk did not start with what the file says."""
        self._loop = loop
        try:
            self._watcher.start(loop)
        except OSError as error:
            self._owner.tell(
                logging.WARNING,
                f"changes of {self.live.path} are not noticed by themselves ({error.strerror}); "
                "after a change: voicekiosk reload",
            )
        if not self.live.is_current:
            self._refused(self.live.problems, "started with the last good configuration")
        elif self._confirmed is not None and self._confirmed.config != self.live.last_good:
            # The change was made while it was down, or the last trial was cut off by a restart.
            self._begin_trial()
        else:
            self.confirm_silently()
        # It may have been saved since it was read.
        self._changed()

    async def close(self) -> None:
        """Stop watching, and let the disk have what is to be kept."""
        self._watcher.close()
        self._let_go()
        self._end_trial()
        if self._keeping is not None:
            await asyncio.wait([self._keeping], timeout=KEEP_WITHIN_S)

    # --- what happens to the file --------------------------------------------------------------

    def reload(self) -> Accepted | Rejected | Unchanged:
        """Look at the file because somebody said so, and take what is new in it."""
        outcome = self.live.reload()
        self._follow(outcome)
        return outcome

    def _follow(self, outcome: Accepted | Rejected | Unchanged) -> None:
        self._let_go()
        match outcome:
            case Accepted():
                self._take(outcome)
                self._show()
                self._begin_trial()
            case Rejected(problems):
                self._refused(problems, "the configuration before stays in force")
            case Unchanged():
                pass

    def confirm(self) -> str:
        """Let the configuration in force stay. Raises `RefusedError` when that is not what the file says."""
        if not self.live.is_current:
            raise RefusedError(f"{self.live.path} is not in force: {self.problem()}")
        running = self.trial.running
        self.confirm_silently()
        if not running:
            return "nothing was waiting to be confirmed"
        self._owner.tell(logging.INFO, "the configuration was confirmed")
        return "confirmed: this configuration stays"

    def confirm_silently(self) -> None:
        """Make the file that is in force the one to go back to."""
        self._end_trial()
        if self.live.source is not None:
            self._confirmed = Kept(self.live.last_good, self.live.source)
            self._keep()

    def observe(self, event: AnyEvent, state: State) -> None:
        """Notice what the kiosk can do, for a configuration on trial."""
        self.trial.observe(event, state)
        if isinstance(event, kiosk.TryOut) and self.trial.running:
            # It may have waited long for a quiet moment: its time begins here.
            self._arm()

    def problem(self) -> str:
        """Say what is wrong with the newer file that was not taken; empty when the file is in force."""
        if self.live.is_current or not self.live.problems:
            return ""
        first, *more = self.live.problems
        return str(first) + (f" (and {len(more)} more)" if more else "")

    def _changed(self) -> None:
        outcome = self.live.look()
        if not isinstance(outcome, Held):
            self._follow(outcome)
        elif self._held is None and self._loop is not None:
            self._owner.tell(
                logging.WARNING,
                f"{self.live.path} has only the beginning of what is in force, as when a copy is cut off: "
                f"the rest may come for {self.hold_s:g} s; if this is all, at once: voicekiosk reload",
            )
            self._held = self._loop.call_later(self.hold_s, self.reload)

    def _let_go(self) -> None:
        if self._held is not None:
            self._held.cancel()
            self._held = None

    def _take(self, accepted: Accepted) -> None:
        for warning in accepted.warnings:
            self._owner.tell(logging.WARNING, str(warning))
        for change in accepted.changes.changes:
            self._owner.tell(logging.INFO, str(change))
        self.loaded_at = datetime.now().astimezone()
        self._owner.configured(accepted)
        self._conductor.apply(accepted.config, accepted.changes)

    def _refused(self, problems: tuple[Problem, ...], consequence: str) -> None:
        for problem in problems:
            self._owner.tell(logging.ERROR, str(problem))
        self._owner.tell(logging.ERROR, consequence)
        self._show()

    def _show(self) -> None:
        """Let lamp and status say whether the file is what is in force."""
        fault = not self.live.is_current
        if fault != (Fault.CONFIG in self._conductor.state.faults):
            event = kiosk.Failed(Fault.CONFIG) if fault else kiosk.Fixed(Fault.CONFIG)
            self._conductor.dispatch(event)
        else:
            self._owner.restate()

    # --- trial ---------------------------------------------------------------------------------

    def _begin_trial(self) -> None:
        within_s = self._within_s
        confirmed = self._confirmed
        if not within_s or self._loop is None or confirmed is None or confirmed.config == self.live.last_good:
            self.confirm_silently()
            return
        self._end_trial()
        self.trial.begin(self._loop.time(), within_s)
        self._owner.tell(
            logging.INFO,
            f"the configuration is on trial for {within_s:g} s; to let it stay: voicekiosk config confirm",
        )
        self._try_out()

    def _try_out(self) -> None:
        """Have session and devices opened once, in a quiet moment, to see whether they work."""
        self._arm()
        conductor = self._conductor
        conductor.when_quiet("the trial of the configuration", lambda: conductor.dispatch(kiosk.TryOut()))

    @property
    def _within_s(self) -> float:
        return self.live.last_good.apply.confirm_within_s

    def _arm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        if self._loop is not None:
            self.trial.prolong(self._loop.time(), self._within_s)
            self._deadline = self._loop.call_later(self._within_s, self._judge)

    def _end_trial(self) -> None:
        self.trial.end()
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _judge(self) -> None:
        state, confirmed = self._conductor.state, self._confirmed
        if self.trial.is_open(state):
            self._try_out()
            return
        if not self.trial.has_failed(state) or confirmed is None:
            self.confirm_silently()
            self._owner.tell(logging.INFO, "the configuration works and stays")
            return
        self._end_trial()
        why = self._owner.reason(state) or "the service cannot be reached"
        problem = Problem(
            file=str(self.live.path),
            key="apply.confirm_within_s",
            message=f"expected a configuration that works or is confirmed, got one with which {why}",
            hint="change it to try again",
        )
        self._take(self.live.put_back(confirmed.config, problem))
        self._refused((problem,), "went back to the last configuration that was confirmed or has worked")

    # --- for the next start --------------------------------------------------------------------

    def _keep(self) -> None:
        if self._store.path is not None and self._loop is not None and self._keeping is None:
            self._keeping = self._loop.create_task(self._write())
            self._keeping.add_done_callback(self._kept)

    async def _write(self) -> None:
        written: Kept | None = None
        while (kept := self._confirmed) is not None and kept is not written:
            try:
                # An SD card can take a second for this.
                await asyncio.to_thread(self._store.write, kept.raw)
            except OSError as error:
                self._owner.tell(
                    logging.WARNING,
                    f"{self._store.path}: the configuration cannot be kept for the next start: "
                    f"{error.strerror or error}",
                )
            written = kept

    def _kept(self, task: asyncio.Task[None]) -> None:
        del task
        self._keeping = None
