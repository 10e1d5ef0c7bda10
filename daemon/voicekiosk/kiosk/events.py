"""What the state machine is told, and what it asks for.

Events of the button, the service and the devices come straight from their rooms (`panel.gestures`,
`agent.events`, `audio.events`); here are the ones that only the kiosk itself knows. Effects are
values: the conductor carries them out.
"""

from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """Something that keeps the kiosk from talking, or from showing that it does."""

    KEY = "key"
    SERVICE = "service"
    MICROPHONE = "microphone"
    MICROPHONE_SILENT = "microphone_silent"
    LOUDSPEAKER = "loudspeaker"
    STUCK_BUTTON = "stuck_button"
    DEAF = "deaf"
    """The service does not notice loud speech, not even in a second session."""
    BUDGET = "budget"
    """The day's money is spent."""
    PANEL = "panel"
    CONFIG = "config"
    """The configuration file is not the one in force. It keeps nobody from talking."""


class Due(StrEnum):
    """What a visitor is still waiting for when a daemon takes up what another one left."""

    NOTHING = "nothing"
    UNKNOWN = "unknown"
    """A question was asked, and nobody knows whether all of it was heard."""
    ANSWER = "answer"
    """A question was understood."""
    REST = "rest"
    """An answer was cut off."""


class Sound(StrEnum):
    """An earcon, or the spoken sentence that replaces it."""

    TICK = "tick"
    OFFLINE = "offline"
    NO_ANSWER = "no_answer"
    KEY_REFUSED = "key_refused"
    SERVICE_REFUSED = "service_refused"
    MICROPHONE_GONE = "microphone_gone"
    LOUDSPEAKER_BACK = "loudspeaker_back"
    MUTED = "muted"
    BUDGET = "budget"


@dataclass(frozen=True, slots=True)
class Work:
    """A call of a tool, as far as decisions depend on it."""

    call_id: str
    name: str
    timeout_s: float
    confirm: bool = False
    """It runs only after a tap on the button."""
    hold: bool = False
    """The agent is silent until it is done."""


# --- events ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started:
    """The daemon is ready: a press will be answered."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """The daemon has been asked to stop."""


@dataclass(frozen=True, slots=True)
class MuteSwitched:
    """Somebody asked for the microphone to be muted (True), unmuted (False) or toggled (None)."""

    on: bool | None


@dataclass(frozen=True, slots=True)
class HangUp:
    """Somebody asked for the conversation to end."""


@dataclass(frozen=True, slots=True)
class SayRequested:
    """The operator wants the agent to say something."""

    text: str


@dataclass(frozen=True, slots=True)
class UtteranceSent:
    """Everything the visitor said has gone to the service, and the closing silence has begun."""

    loud: bool
    """Whether anything in it was loud enough to be speech."""


@dataclass(frozen=True, slots=True)
class AudioArrived:
    """The first audio of a reply has arrived."""

    reply_id: str


@dataclass(frozen=True, slots=True)
class Fixed:
    """The cause of a fault may be gone (a new key, a new configuration): try again."""

    fault: Fault


@dataclass(frozen=True, slots=True)
class Failed:
    """A part that is no device and no link has failed."""

    fault: Fault


@dataclass(frozen=True, slots=True)
class Reconfigured:
    """The rules are others from now on."""


@dataclass(frozen=True, slots=True)
class LookForDevices:
    """Nobody knows yet whether these devices, which are closed now, can be opened."""

    faults: frozenset[Fault] = frozenset({Fault.MICROPHONE, Fault.LOUDSPEAKER})
    """Each by the fault that it would be."""


@dataclass(frozen=True, slots=True)
class TryOut:
    """Somebody has to know whether session and devices can be had."""


@dataclass(frozen=True, slots=True)
class Restored:
    """There is a conversation, left by a daemon that was killed in the middle of it."""

    due: Due


@dataclass(frozen=True, slots=True)
class ToolWanted:
    """The agent has called a tool, and nothing is wrong with the call."""

    work: Work


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A tool that was running has ended, well or not, and the agent has been told."""

    call_id: str


@dataclass(frozen=True, slots=True)
class EndRequested:
    """A tool wants the conversation to end after the next answer."""


@dataclass(frozen=True, slots=True)
class RouteAppeared:
    """The kernel reports a way to the network."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A deadline may have passed. The facts are what a stalled answer is told by."""

    queued_samples: int = 0
    """24 kHz samples that the loudspeaker has still to play."""
    audio_at_s: float = float("-inf")
    """When the last reply audio arrived."""


# --- effects -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BeginUtterance:
    """Take the microphone from `from_s` on, or from a pre-roll before it, to the service."""

    from_s: float
    barge_in: bool
    """The kiosk itself was heard or is going to be: no pre-roll, it would hold its own voice."""


@dataclass(frozen=True, slots=True)
class EndUtterance:
    """What was captured up to `until_s` belongs to the question; silence follows until the turn closes."""

    until_s: float


@dataclass(frozen=True, slots=True)
class CancelUtterance:
    """Send nothing more of what was captured."""


@dataclass(frozen=True, slots=True)
class TurnOpened:
    """The service hears speech again: the silence after the question must go on."""


@dataclass(frozen=True, slots=True)
class TurnClosed:
    """The service has closed the turn: the silence after the question may stop."""


@dataclass(frozen=True, slots=True)
class Resend:
    """The link is new: send again what may not have arrived, or (`whole`) the utterance from its start."""

    whole: bool


@dataclass(frozen=True, slots=True)
class FlushSpeaker:
    """Silence the loudspeaker at once and ignore what else comes of that reply."""


@dataclass(frozen=True, slots=True)
class FinishReply:
    """The reply is complete: say when its last sample has left the loudspeaker."""


@dataclass(frozen=True, slots=True)
class HoldReply:
    """Keep the audio of the reply that begins now: somebody is still speaking."""


@dataclass(frozen=True, slots=True)
class PlayHeldReply:
    """Play what was kept, from its start."""


@dataclass(frozen=True, slots=True)
class DropHeldReply:
    """Throw away what was kept."""


@dataclass(frozen=True, slots=True)
class CreateReply:
    """Ask the service for a reply without new speech (protocol §2.6)."""

    instructions: str | None = None
    go_on: bool = False
    """It is the rest of the last one: tell how far that was heard."""


@dataclass(frozen=True, slots=True)
class RenewSession:
    """Replace a session that does not hear by a fresh one that continues it (protocol §8.3)."""


@dataclass(frozen=True, slots=True)
class ConnectNow:
    """Try the link at once, whatever back-off is running."""


@dataclass(frozen=True, slots=True)
class KeepConversation:
    """The session is given up, but not yet what was said: who presses within `for_s` goes on with it."""

    for_s: float


@dataclass(frozen=True, slots=True)
class RetryDevices:
    """Open a lost microphone or loudspeaker now, whatever back-off is running."""


@dataclass(frozen=True, slots=True)
class SetPatience:
    """Have the service wait longer for the end of what the visitor says, or as configured again."""

    on: bool


@dataclass(frozen=True, slots=True)
class PlaySound:
    """Let the visitor hear a sign."""

    sound: Sound
    wordless: bool = False
    """Only the earcon: somebody is about to speak."""


@dataclass(frozen=True, slots=True)
class RunTool:
    """Run the tool of this call; `ToolFinished` follows."""

    call_id: str


@dataclass(frozen=True, slots=True)
class RefuseTool:
    """Tell the agent why the tool of this call does not run."""

    call_id: str
    why: str


@dataclass(frozen=True, slots=True)
class CancelTools:
    """Stop the tools of these calls: nobody waits for them any more."""

    call_ids: tuple[str, ...]


Event = (
    Started
    | Stopping
    | MuteSwitched
    | HangUp
    | SayRequested
    | UtteranceSent
    | AudioArrived
    | Fixed
    | Failed
    | Reconfigured
    | LookForDevices
    | TryOut
    | Restored
    | RouteAppeared
    | Tick
    | ToolWanted
    | ToolFinished
    | EndRequested
)
Effect = (
    BeginUtterance
    | EndUtterance
    | CancelUtterance
    | TurnOpened
    | TurnClosed
    | Resend
    | FlushSpeaker
    | FinishReply
    | HoldReply
    | PlayHeldReply
    | DropHeldReply
    | CreateReply
    | RenewSession
    | ConnectNow
    | KeepConversation
    | RetryDevices
    | SetPatience
    | PlaySound
    | RunTool
    | RefuseTool
    | CancelTools
)
