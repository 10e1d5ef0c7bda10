"""What the state machine is told, and what it asks for.

Events of the button, the service and the devices come straight from their rooms (`panel.gestures`,
`agent.events`, `audio.events`); here are the ones that only the kiosk itself knows. Effects are
values: the conductor carries them out.
"""

from enum import StrEnum

from msgspec import Struct


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


class Work(Struct, frozen=True):
    """A call of a tool, as far as decisions depend on it."""

    call_id: str
    name: str
    timeout_s: float
    confirm: bool = False
    """It runs only after a tap on the button."""
    hold: bool = False
    """The agent is silent until it is done."""


# --- events ------------------------------------------------------------------------------------


class Started(Struct, frozen=True):
    """The daemon is ready: a press will be answered."""


class Stopping(Struct, frozen=True):
    """The daemon has been asked to stop."""


class MuteSwitched(Struct, frozen=True):
    """Somebody asked for the microphone to be muted (True), unmuted (False) or toggled (None)."""

    on: bool | None


class HangUp(Struct, frozen=True):
    """Somebody asked for the conversation to end."""


class SayRequested(Struct, frozen=True):
    """The operator wants the agent to say something."""

    text: str


class UtteranceSent(Struct, frozen=True):
    """Everything the visitor said has gone to the service, and the closing silence has begun."""

    loud: bool
    """Whether anything in it was loud enough to be speech."""


class AudioArrived(Struct, frozen=True):
    """The first audio of a reply has arrived."""

    reply_id: str


class Fixed(Struct, frozen=True):
    """The cause of a fault may be gone (a new key, a new configuration): try again."""

    fault: Fault


class Failed(Struct, frozen=True):
    """A part that is no device and no link has failed."""

    fault: Fault


class Reconfigured(Struct, frozen=True):
    """The rules are others from now on."""


class LookForDevices(Struct, frozen=True):
    """Nobody knows yet whether these devices, which are closed now, can be opened."""

    faults: frozenset[Fault] = frozenset({Fault.MICROPHONE, Fault.LOUDSPEAKER})
    """Each by the fault that it would be."""


class TryOut(Struct, frozen=True):
    """Somebody has to know whether session and devices can be had."""


class Restored(Struct, frozen=True):
    """There is a conversation, left by a daemon that was killed in the middle of it."""

    due: Due


class ToolWanted(Struct, frozen=True):
    """The agent has called a tool, and nothing is wrong with the call."""

    work: Work


class ToolFinished(Struct, frozen=True):
    """A tool that was running has ended, well or not, and the agent has been told."""

    call_id: str


class EndRequested(Struct, frozen=True):
    """A tool wants the conversation to end after the next answer."""


class RouteAppeared(Struct, frozen=True):
    """The kernel reports a way to the network."""


class Tick(Struct, frozen=True):
    """A deadline may have passed. The facts are what a stalled answer is told by."""

    queued_samples: int = 0
    """24 kHz samples that the loudspeaker has still to play."""
    audio_at_s: float = float("-inf")
    """When the last reply audio arrived."""


# --- effects -----------------------------------------------------------------------------------


class BeginUtterance(Struct, frozen=True):
    """Take the microphone from `from_s` on, or from a pre-roll before it, to the service."""

    from_s: float
    barge_in: bool
    """The kiosk itself was heard or is going to be: no pre-roll, it would hold its own voice."""


class EndUtterance(Struct, frozen=True):
    """What was captured up to `until_s` belongs to the question; silence follows until the turn closes."""

    until_s: float


class CancelUtterance(Struct, frozen=True):
    """Send nothing more of what was captured."""


class TurnOpened(Struct, frozen=True):
    """The service hears speech again: the silence after the question must go on."""


class TurnClosed(Struct, frozen=True):
    """The service has closed the turn: the silence after the question may stop."""


class Resend(Struct, frozen=True):
    """The link is new: send again what may not have arrived, or (`whole`) the utterance from its start."""

    whole: bool


class FlushSpeaker(Struct, frozen=True):
    """Silence the loudspeaker at once and ignore what else comes of that reply."""


class FinishReply(Struct, frozen=True):
    """The reply is complete: say when its last sample has left the loudspeaker."""


class HoldReply(Struct, frozen=True):
    """Keep the audio of the reply that begins now: somebody is still speaking."""


class PlayHeldReply(Struct, frozen=True):
    """Play what was kept, from its start."""


class DropHeldReply(Struct, frozen=True):
    """Throw away what was kept."""


class CreateReply(Struct, frozen=True):
    """Ask the service for a reply without new speech (protocol §2.6)."""

    instructions: str | None = None
    go_on: bool = False
    """It is the rest of the last one: tell how far that was heard."""


class RenewSession(Struct, frozen=True):
    """Replace a session that does not hear by a fresh one that continues it (protocol §8.3)."""


class ConnectNow(Struct, frozen=True):
    """Try the link at once, whatever back-off is running."""


class KeepConversation(Struct, frozen=True):
    """The session is given up, but not yet what was said: who presses within `for_s` goes on with it."""

    for_s: float


class RetryDevices(Struct, frozen=True):
    """Open a lost microphone or loudspeaker now, whatever back-off is running."""


class SetPatience(Struct, frozen=True):
    """Have the service wait longer for the end of what the visitor says, or as configured again."""

    on: bool


class PlaySound(Struct, frozen=True):
    """Let the visitor hear a sign."""

    sound: Sound
    wordless: bool = False
    """Only the earcon: somebody is about to speak."""


class RunTool(Struct, frozen=True):
    """Run the tool of this call; `ToolFinished` follows."""

    call_id: str


class RefuseTool(Struct, frozen=True):
    """Tell the agent why the tool of this call does not run."""

    call_id: str
    why: str


class CancelTools(Struct, frozen=True):
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
