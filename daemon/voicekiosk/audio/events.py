"""What the audio threads tell the event loop: frozen values, posted through a mailbox in order.

Times are `time.monotonic()` seconds. `played_samples` are 24 kHz positions, cumulative since the
daemon started, of what has really left the loudspeaker.
"""

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from voicekiosk.audio.capture import CaptureStream
    from voicekiosk.audio.frames import DeviceFacts


class MicrophoneOpened(Struct, frozen=True):
    """The microphone is live; after a loss, live again. `stream.ring` fills from now on."""

    stream: "CaptureStream"


class MicrophoneClosed(Struct, frozen=True):
    """The microphone was closed because `Capture.close` asked for it: nothing can hear."""


class MicrophoneLost(Struct, frozen=True):
    """The microphone cannot be used; it is tried again in `retry_in_s`, or at the next `Capture.open`."""

    reason: str
    retry_in_s: float


class MicrophoneOverrun(Struct, frozen=True):
    """`frames` of sound were lost because the daemon was late; the ring holds silence in their place."""

    frames: int


class MicrophoneSilent(Struct, frozen=True):
    """A live microphone has given the same sample for `seconds`: muted by a switch, or broken."""

    seconds: float


class MicrophoneHeard(Struct, frozen=True):
    """A microphone that was reported silent gives a signal again."""


class SpeakerOpened(Struct, frozen=True):
    """The loudspeaker is ready; after a loss, ready again."""

    device: "DeviceFacts"


class SpeakerClosed(Struct, frozen=True):
    """The loudspeaker was closed because `Playback.close` asked for it."""


class SpeakerLost(Struct, frozen=True):
    """The loudspeaker cannot be used; it is tried again in `retry_in_s`, or at the next `Playback.open`."""

    reason: str
    retry_in_s: float


class SpeakerStarted(Struct, frozen=True):
    """The first sample of a reply was handed to the card."""

    t_s: float


class SpeakerDrained(Struct, frozen=True):
    """The last sample of a reply that was ended with `Playback.end` has left the loudspeaker."""

    t_s: float
    played_samples: int


class SpeakerFlushed(Struct, frozen=True):
    """`Playback.flush` is done: the loudspeaker is silent and what was queued is discarded."""

    t_s: float
    played_samples: int


class SpeakerUnderrun(Struct, frozen=True):
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
