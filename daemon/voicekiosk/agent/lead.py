"""How far a reply is ahead of the loudspeaker, and so how long the socket need not be read.

The service sends 10 ms a message. Waking up for each of them is most of what a reply costs, and of no
use to the visitor while 200 ms are queued already.
"""

SAMPLES_PER_S = 24_000
REST_S = 0.04
# What has to be queued before reading may rest; a pause then still leaves twice its own length.
ENOUGH_LEAD_S = 0.12


class Lead:
    """Compares the audio that came with the time that passed since the first of it."""

    def __init__(self) -> None:
        """Begin with no reply."""
        self._began_s: float | None = None
        self._samples = 0

    def reset(self) -> None:
        """Forget the reply: a new one begins, or it was flushed."""
        self._began_s = None
        self._samples = 0

    def audio_came(self, samples: int, now_s: float) -> float:
        """Count audio; return for how long reading may rest now, 0 for not at all."""
        if self._began_s is None:
            self._began_s = now_s
        self._samples += samples
        lead_s = self._samples / SAMPLES_PER_S - (now_s - self._began_s)
        if lead_s < 0:
            # The queue ran dry and plays on from here; what is owed cannot be made up for.
            self._began_s, self._samples = now_s, samples
        return REST_S if lead_s >= ENOUGH_LEAD_S else 0.0
