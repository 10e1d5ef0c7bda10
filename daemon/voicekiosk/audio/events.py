"""What the audio threads tell the event loop: frozen values, posted through a mailbox in order.

Times are `time.monotonic()` seconds. `played_samples` are 24 kHz positions, cumulative since the
daemon started, of what has really left the loudspeaker.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voicekiosk.audio.capture import CaptureStream
    from voicekiosk.audio.frames import DeviceFacts


@dataclass(frozen=True, slots=True)
class MicrophoneOpened:
    """The microphone is live; after a loss, live again. `stream.ring` fills from now on."""

    stream: "CaptureStream"


@dataclass(frozen=True, slots=True)
class MicrophoneClosed:
    """The microphone was closed because `Capture.close` asked for it: nothing can hear."""


@dataclass(frozen=True, slots=True)
class MicrophoneLost:
    """The microphone cannot be used; it is tried again in `retry_in_s`, or at the next `Capture.open`."""

    reason: str
    retry_in_s: float


@dataclass(frozen=True, slots=True)
class MicrophoneOverrun:
    """`frames` of sound were lost because the daemon was late; the ring holds silence in their place."""

    frames: int


@dataclass(frozen=True, slots=True)
class MicrophoneSilent:
    """A live microphone has given the same sample for `seconds`: muted by a switch, or broken."""

    seconds: float


@dataclass(frozen=True, slots=True)
class MicrophoneHeard:
    """A microphone that was reported silent gives a signal again."""


@dataclass(frozen=True, slots=True)
class SpeakerOpened:
    """The loudspeaker is ready; after a loss, ready again."""

    device: "DeviceFacts"


@dataclass(frozen=True, slots=True)
class SpeakerClosed:
    """The loudspeaker was closed because `Playback.close` asked for it."""


@dataclass(frozen=True, slots=True)
class SpeakerLost:
    """The loudspeaker cannot be used; it is tried again in `retry_in_s`, or at the next `Playback.open`."""

    reason: str
    retry_in_s: float


@dataclass(frozen=True, slots=True)
class SpeakerStarted:
    """The first sample of a reply was handed to the card."""

    t_s: float


@dataclass(frozen=True, slots=True)
class SpeakerDrained:
    """The last sample of a reply that was ended with `Playback.end` has left the loudspeaker."""

    t_s: float
    played_samples: int


@dataclass(frozen=True, slots=True)
class SpeakerFlushed:
    """`Playback.flush` is done: the loudspeaker is silent and what was queued is discarded."""

    t_s: float
    played_samples: int


@dataclass(frozen=True, slots=True)
class SpeakerUnderrun:
    """The card ran dry because the daemon was late; `count` underruns so far."""

    count: int


MicrophoneEvent = (
    MicrophoneOpened
    | MicrophoneClosed
    | MicrophoneLost
    | MicrophoneOverrun
    | MicrophoneSilent
    | MicrophoneHeard
)
SpeakerEvent = (
    SpeakerOpened
    | SpeakerClosed
    | SpeakerLost
    | SpeakerStarted
    | SpeakerDrained
    | SpeakerFlushed
    | SpeakerUnderrun
)
AudioEvent = MicrophoneEvent | SpeakerEvent
