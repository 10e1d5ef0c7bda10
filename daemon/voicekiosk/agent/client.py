"""The owner of the conversation: connects while one is wanted, and tells the house what happens."""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial

from voicekiosk.agent import events
from voicekiosk.agent.dial import LinkError
from voicekiosk.agent.dialler import Dialler
from voicekiosk.agent.events import AgentEvent, Cause
from voicekiosk.agent.facts import LinkFacts, LinkState
from voicekiosk.agent.failures import Failure, Remedy
from voicekiosk.agent.ladder import Ladder
from voicekiosk.agent.lead import Intake
from voicekiosk.agent.link import CLOSE_TIMEOUT_S, Link
from voicekiosk.agent.opening import host_name, warm_up
from voicekiosk.agent.outputs import Attempt, Close, Note, Outputs, Send
from voicekiosk.agent.prompts import for_now
from voicekiosk.agent.session import Session
from voicekiosk.agent.snapshot import Left, Snapshot
from voicekiosk.config.schema import Config

log = logging.getLogger("voicekiosk.agent")


class AgentClient:
    """One conversation at a time with the agent. Everything is called in the event loop."""

    def __init__(
        self,
        config: Config,
        credential: Callable[[], str | None],
        on_event: Callable[[AgentEvent], None],
        rng: random.Random | None = None,
        hide: Callable[[str], object] = str,
    ) -> None:
        """Prepare without connecting.

        `credential` is asked at each attempt, so a new key is used without a restart. `on_event` is
        called in the event loop and must not block. `hide` is told each token that must not be.
        """
        self._config = config
        self._credential = credential
        self._on_event = on_event
        self._rng = rng or random.Random()  # noqa: S311  # spreads reconnects, guards nothing
        self._session = Session(config, hide)
        self._ladder = Ladder.of(config.network, self._rng)
        self._dialler = Dialler(credential, hide)
        self._intake = Intake(self._emit)
        self._link: Link | None = None
        self._task: asyncio.Task[None] | None = None
        self._wanted = False
        self._ending = asyncio.Event()
        # Set when the present conversation is over; there is none yet.
        self._over = asyncio.Event()
        self._over.set()
        self._speaking = False
        self._deadline_s: float | None = None
        self._deadline_timer: asyncio.TimerHandle | None = None
        # Set to cut a pause short; `_abandon` also cuts an attempt in flight.
        self._nudged = asyncio.Event()
        self._abandon = asyncio.Event()
        self._refused_key: str | None = None
        self._refusal: events.Refused | None = None
        self._state = LinkState.CLOSED
        self._since_s = 0.0
        self._failure: Failure | None = None
        self._retry_at_s: float | None = None
        self._left = Left()
        self._drops = self._resumed = self._continued = 0

    # Wishes

    def open(self) -> None:
        """Want a session. Connects now, skipping any pause, unless the key is known to be refused."""
        if self._refusal is not None and self._credential() == self._refused_key:
            self._emit(self._refusal)
            return
        self._refusal = None
        self._wanted = True
        self._ladder.reset()
        self._nudged.set()
        if self._task is None or self._task.done():
            self._ending.clear()
            self._over = asyncio.Event()
            self._task = asyncio.get_running_loop().create_task(self._run(), name="agent")

    async def close(self, timeout_s: float = 2.0) -> None:
        """End the conversation: `session.end`, at most `timeout_s` for `session.ended`, then `Ended`."""
        self._wanted = False
        over = self._over
        if over.is_set():
            return
        self._ending.set()
        self._abandon.set()
        self._nudged.set()
        self._apply(self._session.end(self._now_s(), timeout_s))
        if self._state is LinkState.READY:
            self._enter(LinkState.ENDING)
        if not await _happens(over, timeout_s + CLOSE_TIMEOUT_S) and self._link is not None:
            self._link.abort("not ended in time")
            await _happens(over, CLOSE_TIMEOUT_S)

    @property
    def ready(self) -> bool:
        """Whether audio may be sent."""
        return self._link is not None and self._session.ready

    def send_audio(self, pcm: bytes) -> bool:
        """Send 24 kHz mono s16le; False when nothing was sent: the link is not ready or does not drain."""
        link = self._link
        return link is not None and self._session.ready and link.send_audio(pcm)

    @property
    def audio_sent_samples(self) -> int:
        """How much audio was sent on this connection."""
        return 0 if self._link is None else self._link.audio_sent_samples

    def speech_going_up(self, speaking: bool) -> None:
        """Tell whether the visitor's speech goes up: the link is watched closely, no pause waited for."""
        self._speaking = speaking
        if speaking:
            self._ladder.reset()
            self._nudged.set()
        if self._link is not None:
            self._link.speech_going_up(speaking)

    def create_reply(self, instructions: str | None = None, *, go_on: bool = False) -> bool:
        """Ask for a reply, or (`go_on`) for the rest of one; False when there is no session."""
        outputs = self._session.create_reply(instructions, go_on=go_on)
        self._apply(outputs)
        return bool(outputs)

    def answer(self, call_id: str, epoch: int, text: str, *, is_error: bool = False) -> None:
        """Answer a `ToolCalled`; `text` is JSON. It is sent when the rules allow it (protocol §7.2)."""
        self._apply(self._session.answer(call_id, epoch, text, self._now_s(), is_error=is_error))

    def be_patient(self, patient: bool) -> None:
        """Have the service wait longer for the visitor's answer, or as configured again."""
        self._apply(self._session.be_patient(patient))

    def discard_reply(self) -> None:
        """Throw away the audio of the present reply."""
        self._session.discard_reply()

    def played(self, reply_id: str, samples: int) -> str:
        """Tell how much of a reply was heard, for a session after a drop; return the words."""
        return self._session.memory.played(reply_id, samples)

    def renew(self, detail: str, cause: Cause = Cause.SERVER) -> None:
        """Replace a session that does not work (protocol 8.3) by a fresh one that continues it."""
        self._apply(self._session.renew(cause, detail, self._now_s()))

    def network_returned(self) -> None:
        """Try at once, giving up an attempt in flight: the kernel has a new route."""
        if self._wanted and not self._session.ready:
            self._ladder.reset()
            self._abandon.set()
            self._nudged.set()

    def reconfigure(self, config: Config) -> None:
        """Take a new configuration; what a running session cannot take on holds for the next one."""
        self._config = config
        self._refusal = None
        self._ladder = Ladder.of(config.network, self._rng)
        self._apply(self._session.reconfigure(self._for_now()))

    def snapshot(self, reply_id: str = "", played_samples: int = 0) -> Snapshot | None:
        """Return what another process needs to go on, with a reply as far as it was heard."""
        return self._session.snapshot(host_name(self._config), reply_id, played_samples)

    def restore(self, snapshot: Snapshot, age_s: float) -> None:
        """Have the next conversation be the one that another process left `age_s` ago."""
        self._left.put(snapshot, dropped_s=self._now_s() - age_s, until_s=float("inf"))

    def keep(self, for_s: float) -> None:
        """Give the session up, but let a conversation within `for_s` go on from this one; 0 forgets it."""
        self._left.put(self.snapshot() if for_s > 0 else None, until_s=self._now_s() + for_s)

    def warm_up(self) -> None:
        """Do now what the first connection would have to wait for: reading certificates takes a while."""
        warm_up(self._config)

    def facts(self) -> LinkFacts:
        """Return what is known about the connection."""
        link, failure = self._link, self._failure
        return LinkFacts(
            state=self._state,
            since_s=self._since_s,
            host=host_name(self._config),
            session_id=self._session.session_id,
            attempt=self._ladder.attempts,
            cause=None if failure is None else failure.cause,
            detail="" if failure is None else failure.detail,
            retry_at_s=self._retry_at_s,
            round_trip_s=None if link is None else link.round_trip_s,
            audio_sent_samples=0 if link is None else link.audio_sent_samples,
            audio_proven_samples=0 if link is None else link.audio_proven_samples,
            drops=self._drops,
            resumed=self._resumed,
            continued=self._continued,
            skipped=dict(self._session.skipped),
            ending=self._session.ending,
        )

    # The loop

    async def _run(self) -> None:
        while True:
            self._session.reconfigure(self._for_now())
            self._session.begin(*self._left.take(self._now_s()))
            self._failure = None
            ended = await self._converse()
            self._retry_at_s = None
            refused = isinstance(ended, events.Refused)
            # Whoever wants a session in answer to a refusal has to say so again.
            self._wanted = self._wanted and not refused
            self._enter(LinkState.REFUSED if refused else LinkState.CLOSED)
            self._over.set()
            self._emit(ended)
            if not self._wanted:
                return
            self._ending.clear()
            self._over = asyncio.Event()

    async def _converse(self) -> events.Ended | events.Refused:
        while not self._ending.is_set():
            try:
                outcome = await self._attempt()
            except Exception:
                log.exception("an attempt at a session broke")
                detail = "an internal error; see the journal"
                outcome = Failure(Cause.SERVER, Remedy.LATER, "internal", detail)
            if isinstance(outcome, events.Ended):
                return outcome
            if self._ending.is_set():
                break
            self._failure = outcome = self._dialler.judged(self._config, outcome)
            if outcome.remedy is Remedy.STOP:
                return self._refuse(outcome)
            now_s = self._now_s()
            pause_s = self._ladder.failed(outcome, now_s, lived_s=self._session.lived_s)
            self._retry_at_s = now_s + pause_s
            self._enter(LinkState.WAITING)
            log.debug("no session: %s; next attempt in %.1f s", outcome.detail, pause_s)
            self._nudged.clear()
            self._emit(events.Dropped(outcome.cause, outcome.detail, pause_s))
            await _happens(self._nudged, pause_s)
        return events.Ended(None)

    async def _attempt(self) -> Failure | events.Ended:
        now_s = self._now_s()
        attempt = self._session.attempt(now_s)
        limit_s = self._ladder.began(now_s)
        self._enter(LinkState.CONNECTING)
        self._emit(events.Connecting(self._ladder.attempts, attempt.resuming))
        self._session.lived_s = None
        try:
            link = await self._connect(attempt, limit_s)
        except LinkError as error:
            return self._session.handshake_failed(attempt, error.failure)
        self._link = link
        link.speech_going_up(self._speaking)
        self._apply(self._session.connected(attempt, self._now_s()))
        link.listen()
        if self._ending.is_set():
            self._apply(self._session.end(self._now_s()))
        try:
            closed = await asyncio.shield(link.closed)
        finally:
            self._link = None
            link.abort("no longer wanted")
        was_ready = self._session.ready
        outcome = self._session.closed(closed.code, closed.reason, self._now_s(), link.unproven)
        self._arm()
        if was_ready and isinstance(outcome, Failure):
            self._drops += 1
        return outcome

    async def _connect(self, attempt: Attempt, limit_s: float) -> Link:
        self._abandon.clear()
        if self._ending.is_set():
            self._abandon.set()
        make = partial(
            Link,
            on_text=self._received,
            on_binary=lambda: self._apply(self._session.binary_received()),
            on_proven=self._proven,
            on_read=self._hand_on_audio,
            dead_after_s=self._config.network.dead_after_s,
        )
        timed_out = self._ladder.timed_out
        return await self._dialler.dial(
            self._config, attempt, make, limit_s=limit_s, abandon=self._abandon, timed_out=timed_out
        )

    # What the link says

    def _received(self, frame: bytes) -> None:
        self._apply(self._session.received(frame, self._now_s()))

    def _proven(self, samples: int) -> None:
        self._emit(events.Proven(samples))

    def _apply(self, outputs: Outputs) -> None:
        for output in outputs:
            if not isinstance(output, events.ReplyAudio):
                self._hand_on_audio()
            match output:
                case events.ReplyAudio():
                    self._intake.hear(output)
                case Send() if self._link is not None:
                    self._link.send(output.frame)
                case Close(True) if self._link is not None:
                    self._link.abort("the service does not answer")
                case Close() if self._link is not None:
                    self._link.close()
                case Send() | Close():
                    pass
                case Note():
                    log.warning("%s", output.text)
                case _:
                    self._intake.follow(output, self._config.audio.playback.cushion_ms)
                    if isinstance(output, events.Ready):
                        self._got_ready(output)
                    self._emit(output)
        self._arm()

    def _hand_on_audio(self) -> None:
        rest_s = self._intake.hand_on(self._now_s())
        if self._link is not None:
            self._link.rest(rest_s)

    def _got_ready(self, ready: events.Ready) -> None:
        self._ladder.ready()
        self._failure = self._retry_at_s = None
        self._resumed += ready.resumed
        self._continued += ready.continued
        self._enter(LinkState.READY)
        how = "resumed" if ready.resumed else "continued in a fresh one" if ready.continued else "new"
        log.debug("session %s ready (%s)", ready.session_id, how)

    def _arm(self) -> None:
        """Have `_tick` called at the session's deadline; costs nothing while that stays the same."""
        deadline_s = self._session.next_deadline_s
        if deadline_s == self._deadline_s:
            return
        if self._deadline_timer is not None:
            self._deadline_timer.cancel()
            self._deadline_timer = None
        self._deadline_s = deadline_s
        if deadline_s is not None:
            self._deadline_timer = asyncio.get_running_loop().call_at(deadline_s, self._tick)

    def _tick(self) -> None:
        self._deadline_timer = self._deadline_s = None
        self._apply(self._session.tick(self._now_s()))

    # Small things

    def _emit(self, event: AgentEvent) -> None:
        try:
            self._on_event(event)
        except Exception:
            # One bad event must not end the conversation: to the visitor that is a dead agent.
            log.exception("handling %s failed", type(event).__name__)

    def _enter(self, state: LinkState) -> None:
        if state is not self._state:
            self._state, self._since_s = state, self._now_s()

    def _refuse(self, failure: Failure) -> events.Refused:
        refused = events.Refused(failure.code, failure.detail, failure.cause)
        if failure.cause is Cause.KEY:
            self._refusal, self._refused_key = refused, self._credential()
        log.debug("the service refuses: %s", failure.detail)
        return refused

    def _for_now(self) -> Config:
        return for_now(self._config, datetime.now().astimezone())

    @staticmethod
    def _now_s() -> float:
        # The clock of the event loop, without asking which loop that is.
        return time.monotonic()


async def _happens(event: asyncio.Event, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
