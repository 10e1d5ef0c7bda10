"""What microphone and loudspeaker have seen since the daemon started, for `status` and tests."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CaptureStatistics:
    """What the microphone has seen since the daemon started."""

    captured_frames: int
    overruns: int
    # Silence written in place of sound that was lost.
    filled_frames: int
    losses: int
    opened: int


@dataclass(frozen=True, slots=True)
class PlaybackStatistics:
    """What the loudspeaker has seen since the daemon started; samples at 24 kHz."""

    enqueued_samples: int
    played_samples: int
    # Flushed, or lost with the card.
    discarded_samples: int
    # Not taken, because there was no card for too long.
    refused_samples: int
    # Times the card ran dry because the thread was late, and times a reply had come no further.
    underruns: int
    starvations: int
    flushes: int
    # Flushes that had to stop the card.
    cut_off: int
    losses: int
    opened: int
