"""Keeps a reply without words from being heard. Pure.

A model that has nothing to say answers with an invisible character or a dash, and the service's voice makes
a noise of it. The words of a reply come some 480 ms after its first audio, but a reply begins with 200 to
800 ms of silence, and that may play meanwhile: what follows it is kept until a word has come, or until the
loudspeaker has nearly run out of that silence. So the gate never makes an answer later; a wordless reply
with a shorter silence than most begins to be heard.
"""

import numpy as np

from voicekiosk.audio.levels import peak_dbfs

QUIET_DBFS = -50.0
PIECE_BYTES = 2 * 240
RUNNING_OUT_SAMPLES = 24 * 100
"""24 kHz samples that the loudspeaker still has when what was kept must follow."""


class Gate:
    """Stands between one reply and the loudspeaker."""

    def __init__(self, *, is_open: bool = True) -> None:
        """Let everything through, or only silence until a word comes."""
        self._open = is_open
        self._wordless = False
        self._kept: list[bytes] = []

    def take(self, pcm: bytes, queued_samples: int) -> list[bytes]:
        """Return what may be played now that `pcm` has come."""
        if self._open:
            return [pcm]
        passed: list[bytes] = []
        # Looked at in pieces, as silence and what follows it may come in one.
        for at in range(0, len(pcm), PIECE_BYTES):
            passed += self._take_piece(
                pcm[at : at + PIECE_BYTES], queued_samples + sum(map(len, passed)) // 2
            )
        return passed

    def _take_piece(self, pcm: bytes, queued_samples: int) -> list[bytes]:
        if self._open:
            return [pcm]
        if not self._kept and peak_dbfs(np.frombuffer(pcm, "<i2")) < QUIET_DBFS:
            return [pcm]
        self._kept.append(pcm)
        if not self._wordless and queued_samples <= RUNNING_OUT_SAMPLES:
            return self._let_go()
        return []

    def text(self, text: str) -> list[bytes]:
        """Return what may be played now that the reply's text is this."""
        if self._open or not text:
            return []
        if has_words(text):
            return self._let_go()
        self._wordless = True
        return []

    def finish(self) -> list[bytes]:
        """Return what may be played now that the reply is complete: nothing of one that said no word."""
        if self._wordless:
            self._kept = []
        return [] if self._open else self._let_go()

    def _let_go(self) -> list[bytes]:
        kept, self._kept, self._open = self._kept, [], True
        return kept


def has_words(text: str) -> bool:
    """Return whether there is anything to say in `text`: a letter or a digit of any script."""
    return any(character.isalnum() for character in text.replace("&nbsp;", " "))
