"""What the kiosk is doing: a few independent facts, and what follows from them.

The one name that people see, the lamp's sign, whether the microphone is live, which devices and
whether a session is wanted, and when something must happen next: all are computed here from the
facts. Nobody sets them by hand, so they cannot disagree.
"""

from enum import StrEnum
from typing import TYPE_CHECKING, Literal

import msgspec.structs
from msgspec import Struct

from voicekiosk.config.persona import agent_of
from voicekiosk.config.schema import Config
from voicekiosk.kiosk.events import Fault, Work
from voicekiosk.panel.lamp import Sign

if TYPE_CHECKING:
    # mypy knows by this name alone which facts there are, and of what type.
    from dataclasses import replace as replace  # noqa: PLC0414
else:
    replace = msgspec.structs.replace

NEVER = float("inf")
PAST = float("-inf")

NUDGE_AFTER_S = {"min_latency": 2.0, "balanced": 2.5, "max_accuracy": 4.0}
"""When to ask for an answer that does not come, by transcription mode (protocol §6.5)."""


class Link(StrEnum):
    """The way to the service."""

    CLOSED = "closed"
    CONNECTING = "connecting"
    READY = "ready"
    RESUMING = "resuming"
    """Lost in the middle of a conversation, being brought back."""
    WAITING = "waiting"
    """Not to be had; the next attempt waits for a timer, a press or a route."""


class Turn(StrEnum):
    """Whose turn it is."""

    NONE = "none"
    LISTENING = "listening"
    THINKING = "thinking"
    SPEAKING = "speaking"


class Question(StrEnum):
    """The question that asks for a tap: until it can be heard, no press is an answer to it."""

    DUE = "due"
    WANTED = "wanted"
    BEGUN = "begun"
    HEARD = "heard"


class Name(StrEnum):
    """The one name that people see."""

    STARTING = "starting"
    IDLE = "idle"
    CONNECTING = "connecting"
    LISTENING = "listening"
    THINKING = "thinking"
    SPEAKING = "speaking"
    WORKING = "working"
    CONFIRMING = "confirming"
    RECONNECTING = "reconnecting"
    OFFLINE = "offline"
    MUTED = "muted"
    FAULT = "fault"
    STOPPING = "stopping"


class Rules(Struct, frozen=True):
    """The settings that decisions depend on."""

    mode: Literal["hold", "toggle", "auto"] = "hold"
    take_back_s: float = 0.15
    latch_below_s: float = 0.3
    max_hold_s: float = 60.0
    latched_silence_s: float = 10.0
    release_tail_s: float = 0.12
    thinking_timeout_s: float = 12.0
    nudge_after_s: float = 2.0
    speaking_stall_s: float = 5.0
    connecting_s: float = 10.0
    reconnecting_s: float = 25.0
    offline_s: float = 60.0
    keep_open_s: float = 45.0
    keep_question_s: float = 0.0
    connect_on_boot: bool = False
    warm: bool = False
    greets: bool = False
    still_working_s: float = 10.0
    patience: bool = False

    @classmethod
    def of(cls, config: Config) -> "Rules":
        """Take the rules out of a configuration."""
        talk, agent = config.conversation, agent_of(config)
        nudge_after_s = talk.nudge_after_s
        if nudge_after_s is None:
            nudge_after_s = NUDGE_AFTER_S[agent.transcription_mode]
        return cls(
            mode=config.panel.mode,
            max_hold_s=talk.max_hold_s,
            latched_silence_s=talk.latched_silence_s,
            release_tail_s=talk.release_tail_ms / 1000,
            thinking_timeout_s=talk.thinking_timeout_s,
            nudge_after_s=nudge_after_s,
            speaking_stall_s=talk.speaking_stall_s,
            connecting_s=config.network.connect_timeout_s,
            keep_open_s=talk.keep_open_s,
            keep_question_s=talk.keep_question_s,
            connect_on_boot=talk.connect == "on_boot",
            warm=config.audio.capture.warm,
            greets=bool(agent.greeting),
            still_working_s=talk.still_working_s,
            patience=config.patience.enabled,
        )


class State(Struct, frozen=True):
    """The facts. Times are monotonic seconds; `NEVER` stands for a deadline that is not set."""

    started: bool = False
    stopping: bool = False
    muted: bool = False
    faults: frozenset[Fault] = frozenset()

    link: Link = Link.CLOSED
    session_wanted: bool = False
    offline: bool = False
    """The last attempt to reach the service was given up, and nothing has shown since that it would work."""
    link_deadline_s: float = NEVER
    conversing: bool = False
    """Somebody has pressed, and not been silent since for as long as a session is kept open."""
    hang_up_at_s: float = NEVER
    tick_at_s: float = NEVER
    """When somebody who waits for the link hears the next sign that it is being brought back."""

    turn: Turn = Turn.NONE
    turn_deadline_s: float = NEVER
    held: bool = False
    """The button is down."""
    latched: bool = False
    """Listening goes on without the button."""
    pressed_at_s: float = 0.0
    tail_until_s: float = NEVER
    """The button was released; the microphone stays live until then."""
    heard: bool = False
    """The service has noticed speech in this utterance."""
    nudge_at_s: float = NEVER
    nudged: bool = False
    loud: bool = False
    """Something in this utterance was loud enough to be speech."""
    utterance_sent: bool = True
    """Nothing that was said is left to be sent."""
    understood: bool = False
    """The service has given the text of all of this utterance: a fresh session can be told it."""
    question_lost: bool = False
    """What was said of this utterance is gone, but for what the service has got of it."""
    renewed: bool = False
    """A session that seemed deaf was replaced for this utterance."""
    kept_until_s: float = NEVER
    """A question that could not be asked waits for the network until then."""

    reply_id: str = ""
    """The latest reply that was begun and not thrown away."""
    reply_open: bool = False
    """The service has begun that reply and not finished it."""
    reply_has_audio: bool = False
    reply_has_words: bool = False
    reply_held: bool = False
    """A reply began while somebody was speaking; its audio is kept until the release."""
    cut_off: bool = False
    """A reply was cut off by a lost link and has to be taken up again."""
    greeting_due: bool = False
    """The session is fresh, and the first reply that comes may be its greeting."""
    untried: frozenset[Fault] = frozenset()
    """Devices of which nobody knows whether they can be opened, by the fault that they would be."""
    microphone_open: bool = False
    microphone_silent: bool = False
    """The microphone gives the same sample all the time; a fault only where somebody was to be heard."""
    asked: bool = False
    """What the agent has said so far of its latest reply ends with a question."""
    patient: bool = False
    """The service was told to wait longer for the answer to one."""
    sayings: tuple[str, ...] = ()
    """What the operator wants said as soon as the link is ready."""

    work: tuple[Work, ...] = ()
    """Tools that are running."""
    confirming: Work | None = None
    """A tool that waits for a tap on the button."""
    confirm_pressed: bool = False
    """The button is down for that."""
    confirm_until_s: float = NEVER
    question: Question = Question.DUE
    """How far the agent is with asking for the tap."""
    owed: bool = False
    """The service has called tools, and answers once more when it has their results."""
    work_until_s: float = PAST
    """All of this has to be over by then."""
    speak_at_s: float = NEVER
    """When the agent is told to ask for the tap, or to say that a tool takes its time."""
    ending: bool = False
    """The conversation ends after the answer."""

    @property
    def microphone_live(self) -> bool:
        """Whether microphone audio may leave the process."""
        return self.turn is Turn.LISTENING

    @property
    def would_be_sent(self) -> bool:
        """Whether speech is left that goes to the service now, or when there is a link again."""
        unsure = self.link is not Link.READY and not self.question_lost
        return not self.understood and (unsure or not self.utterance_sent)

    @property
    def busy(self) -> bool:
        """Whether a tool has been called and its answer has not begun."""
        return bool(self.work) or self.confirming is not None or self.owed

    @property
    def quiet(self) -> bool:
        """Whether nobody uses the kiosk: something of it may be replaced."""
        return self.turn is Turn.NONE and self.kept_until_s == NEVER and not self.stopping

    @property
    def microphone_wanted(self) -> bool:
        """Whether the microphone is open for a reason of the conversation (not counting `warm`)."""
        return not (self.stopping or self.muted) and (
            self.turn is not Turn.NONE or self.conversing or Fault.MICROPHONE in self.faults | self.untried
        )

    @property
    def speaker_wanted(self) -> bool:
        """Whether the loudspeaker is to be open."""
        return not self.stopping and (
            self.turn is not Turn.NONE
            or self.session_wanted
            or Fault.LOUDSPEAKER in self.faults | self.untried
        )

    @property
    def next_deadline_s(self) -> float:
        """When a `Tick` is due."""
        return min(
            self.kept_until_s,
            self.link_deadline_s,
            self.hang_up_at_s,
            self.tick_at_s,
            self.turn_deadline_s,
            self.tail_until_s,
            self.nudge_at_s,
            self.confirm_until_s,
            self.speak_at_s,
        )


def name_of(state: State) -> Name:
    """Give the one name that people see, in `status`, the journal and on the lamp."""
    if state.stopping:
        return Name.STOPPING
    if not state.started:
        return Name.STARTING
    if state.microphone_live:
        return Name.LISTENING
    if state.faults - {Fault.CONFIG}:
        return Name.FAULT
    if state.muted:
        return Name.MUTED
    if state.offline or state.link is Link.WAITING:
        return Name.OFFLINE
    if state.link is Link.RESUMING:
        return Name.RECONNECTING
    if state.link is Link.CONNECTING and state.turn is not Turn.SPEAKING:
        return Name.CONNECTING
    if state.confirming is not None and state.question is Question.HEARD:
        return Name.CONFIRMING
    if state.work:
        return Name.WORKING
    return {Turn.SPEAKING: Name.SPEAKING, Turn.THINKING: Name.THINKING}.get(state.turn, Name.IDLE)


def sign_of(state: State, *, warm: bool = False) -> Sign:
    """Give what the lamp shows; `warm` says that the microphone is open while nothing goes on."""
    name = name_of(state)
    if name is Name.LISTENING:
        return Sign.MICROPHONE_LIVE if state.link is Link.READY else Sign.MICROPHONE_LIVE_NO_LINK
    if name is Name.IDLE and warm:
        return Sign.IDLE_WARM
    if name is Name.IDLE and Fault.CONFIG in state.faults:
        return Sign.IDLE_CONFIG
    return Sign[name.name]
