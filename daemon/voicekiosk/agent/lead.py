"""How far a reply is ahead of the loudspeaker, and so how long the socket need not be read.

The service sends 10 ms a message. Waking up for each of them is most of what a reply costs, and of no
use to the visitor while more than that is queued already.
"""

from collections.abc import Callable

from voicekiosk.agent.events import AgentEvent, AgentText, ReplyAudio, ReplyStarted, SpeechStarted

SAMPLES_PER_S = 24_000
# What is still queued when reading goes on: what a card holds, and a wake-up that comes late.
KEPT_S = 0.04
LEAST_REST_S = 0.015
# What else the service says, such as the reply's words, comes so much later at most.
MOST_REST_S = 0.12
# Until a reply's first words have come its audio is kept when it is loud, and has to follow before the
# loudspeaker runs dry (`kiosk.gate`): that is looked at with each read, and less is queued by then.
WORDLESS_REST_S = 0.04


class Lead:
    """Compares a reply's audio with the time that passed since it could be played."""

    def __init__(self, cushion_s: float) -> None:
        """Begin with nothing of a reply, which is played once `cushion_s` of it are there."""
        self._cushion_samples = cushion_s * SAMPLES_PER_S
        self._began_s: float | None = None
        self._samples = 0
        self._most_rest_s = WORDLESS_REST_S

    def words_came(self) -> None:
        """Note that the reply has words: all of it is played as it comes."""
        self._most_rest_s = MOST_REST_S

    def audio_came(self, samples: int, now_s: float) -> float:
        """Count audio; return for how long reading may rest now, 0 for not at all."""
        self._samples += samples
        if self._began_s is None:
            if self._samples < self._cushion_samples:
                return 0.0
            self._began_s = now_s
        lead_s = self._samples / SAMPLES_PER_S - (now_s - self._began_s)
        if lead_s < 0:
            # The queue ran dry and plays on from here; what is owed cannot be made up for.
            self._began_s, self._samples = now_s, samples
        rest_s = min(lead_s - KEPT_S, self._most_rest_s)
        return rest_s if rest_s >= LEAST_REST_S else 0.0


class Intake:
    """Hands on as one what came of a reply in one read of the socket, and says how long that may rest."""

    def __init__(self, emit: Callable[[ReplyAudio], None]) -> None:
        """Hand on with `emit`."""
        self._emit = emit
        self._heard: list[ReplyAudio] = []
        self._lead = Lead(0.0)
        self._reply_id = ""

    def follow(self, event: AgentEvent, cushion_ms: float) -> None:
        """Forget the reply where `event` begins a new one or interrupts it; note when it has words."""
        if isinstance(event, ReplyStarted | SpeechStarted):
            self._lead = Lead(cushion_ms / 1000)
        if isinstance(event, ReplyStarted):
            self._reply_id = event.reply_id
        # What was heard of a reply that was cut short is told once the next one has begun.
        elif isinstance(event, AgentText) and event.reply_id == self._reply_id:
            self._lead.words_came()

    def hear(self, audio: ReplyAudio) -> None:
        """Take a piece of the reply."""
        self._heard.append(audio)

    def hand_on(self, now_s: float) -> float:
        """Hand on all that was heard; return for how long reading may rest now, 0 for not at all."""
        if not self._heard:
            return 0.0
        heard, self._heard = self._heard, []
        pcm = b"".join(audio.pcm for audio in heard)
        self._emit(ReplyAudio(heard[0].reply_id, pcm))
        return self._lead.audio_came(len(pcm) // 2, now_s)
