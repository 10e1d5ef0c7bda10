"""Reply audio on its way to the loudspeaker, or kept back while somebody is still speaking."""

from collections.abc import Callable

from voicekiosk.audio.playback import Playback


class Downlink:
    """The way down. Belongs to the event loop's thread."""

    def __init__(self, playback: Callable[[], Playback]) -> None:
        """Queue audio with whatever `playback()` is the loudspeaker now."""
        self._playback = playback
        self._held: list[bytes] | None = None
        self._reply_id = ""
        # Where in the loudspeaker's count the reply begins.
        self._begins_at = 0
        self.audio_at_s = float("-inf")
        """When reply audio last arrived."""

    @property
    def enqueued_samples(self) -> int:
        """What the loudspeaker has been given since the start, at 24 kHz."""
        return self._playback().enqueued_samples

    def take(self, reply_id: str, pcm: bytes, now_s: float) -> bool:
        """Queue a piece of a reply for the loudspeaker; tell whether it is the reply's first."""
        self.audio_at_s = now_s
        first = reply_id != self._reply_id
        if first:
            self._reply_id = reply_id
            self._begins_at = self.enqueued_samples
        if self._held is not None:
            self._held.append(pcm)
        else:
            self._playback().play(pcm)
        return first

    def played(self, samples: int) -> tuple[str, int]:
        """Return the latest reply and how much of it that count of the loudspeaker's is."""
        return self._reply_id, max(0, samples - self._begins_at)

    def hold(self) -> None:
        """Keep what comes from now on."""
        self._held = []

    def play_held(self) -> None:
        """Play what was kept, from its start, and what follows."""
        held, self._held = self._held, None
        self._begins_at = self.enqueued_samples
        for pcm in held or ():
            self._playback().play(pcm)

    def drop_held(self) -> None:
        """Throw away what was kept."""
        self._held = None

    def finish(self) -> None:
        """Let the loudspeaker say when it has played everything."""
        self._playback().end()

    def flush(self) -> None:
        """Silence the loudspeaker and forget what was kept."""
        self._held = None
        self._playback().flush()
