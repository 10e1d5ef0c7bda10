"""Reply audio on its way to the loudspeaker, or kept back while somebody is still speaking."""

from collections.abc import Callable

from voicekiosk.audio.playback import Playback
from voicekiosk.kiosk.gate import Gate

A_MOMENT = bytes(2 * 240)


class Downlink:
    """The way down. Belongs to the event loop's thread."""

    def __init__(self, playback: Callable[[], Playback], tell_played: Callable[[str, int], str]) -> None:
        """Queue audio with whatever `playback()` is the loudspeaker now.

        `tell_played` is told how much of a reply that ends early is heard, in samples; it returns the words.
        """
        self._playback = playback
        self._tell_played = tell_played
        self._ended_early = ("", 0)
        self._heard = ""
        self._held: list[bytes] | None = None
        self._gate = Gate()
        self._reply_id = self._texts_of = ""
        # Where in the loudspeaker's count the reply begins.
        self._begins_at = 0
        self.watch: Callable[[bytes], None] | None = None
        """Told what is queued for the loudspeaker, as it is queued."""
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
        if first and self._texts_of != reply_id:
            self._gate, self._texts_of = Gate(is_open=False), reply_id
        if self._held is not None:
            self._held.append(pcm)
        else:
            self._play(self._gate.take(pcm, self._playback().queued_samples))
        return first

    def text(self, reply_id: str, text: str) -> None:
        """Take what the agent says in a reply so far: nothing is heard of one without words."""
        if reply_id != self._texts_of:
            self._gate, self._texts_of = Gate(is_open=False), reply_id
        kept = self._gate.text(text)
        if self._held is None:
            self._play(kept)

    def text_is_complete(self, reply_id: str, text: str, *, trimmed: bool) -> None:
        """Take the whole text of a reply, for one that ended early; `trimmed`: it is what was heard."""
        ended, samples = self._ended_early
        if samples and reply_id == ended:
            self._heard = text if trimmed else self._tell_played(ended, samples)

    def heard(self, reply_id: str) -> str:
        """Return the words of a reply that were heard before it ended early."""
        return self._heard if reply_id == self._ended_early[0] else ""

    def broken_off(self) -> None:
        """Note that no more of the reply comes: what is queued will be heard."""
        self._end_early(self.enqueued_samples)

    def _end_early(self, samples: int) -> None:
        self._ended_early = self.played(samples)
        self._heard = self._tell_played(*self._ended_early) if self._reply_id else ""

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
            self._play(self._gate.take(pcm, self._playback().queued_samples))

    def drop_held(self) -> None:
        """Throw away what was kept."""
        self._held = None

    def finish(self) -> None:
        """Let the loudspeaker say when it has played everything."""
        self._play(self._gate.finish())
        if self.enqueued_samples == self._begins_at:
            # Of a reply that was nothing but a noise: the loudspeaker says only of something that it is over.
            self._play([A_MOMENT])
        self._playback().end()

    def _play(self, pieces: list[bytes]) -> None:
        for pcm in pieces:
            self._playback().play(pcm)
            if self.watch is not None:
                self.watch(pcm)

    def flush(self) -> None:
        """Silence the loudspeaker and forget what was kept."""
        self._end_early(self._playback().played_samples)
        self._held, self._gate = None, Gate()
        self._playback().flush()
