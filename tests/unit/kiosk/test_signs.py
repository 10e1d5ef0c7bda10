from datetime import UTC, datetime

import numpy as np
import pytest
from tests.rigs.wav import tone, wav

from voicekiosk.audio.earcons import earcon
from voicekiosk.audio.sentences import read_wav
from voicekiosk.config.schema import Config, Lamp, Panel, Sounds
from voicekiosk.kiosk import sounds
from voicekiosk.kiosk.events import Sound
from voicekiosk.kiosk.sounds import EARCONS, WORDLESS, Signs

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 22, 0, 30, tzinfo=UTC)
NIGHT = Panel(lamp=Lamp(night_from="22:00", night_to="06:00"))
PLAIN = Config(sounds=Sounds(words=False))


class Speaker:
    def __init__(self):
        self.played = []

    def play(self, pcm):
        self.played.append(pcm)

    def end(self):
        self.played.append("end")

    def flush(self):
        self.played.append("flush")


def seconds(pcm):
    return len(pcm) / 2 / 24000


def peak(pcm):
    return int(np.abs(np.frombuffer(pcm, "<i2").astype(int)).max())


def test_every_sound_has_a_sign():
    assert set(EARCONS) == set(Sound)


@pytest.mark.parametrize("language", ["en", "de", "fr", "es"])
@pytest.mark.parametrize("sound", sorted(set(Sound) - WORDLESS))
def test_what_keeps_the_kiosk_from_answering_is_said_in_every_language(sound, language):
    spoken = sounds.pcm_of(sound, Config(sounds=Sounds(language=language)), NOON)
    assert 1 < seconds(spoken) < 7


def test_the_tick_never_has_words():
    assert sounds.pcm_of(Sound.TICK, Config(), NOON) == earcon("tick")


def test_where_somebody_is_about_to_speak_the_sign_is_all():
    assert sounds.pcm_of(Sound.OFFLINE, Config(), NOON, wordless=True) == earcon("offline")


@pytest.mark.parametrize("sound", sorted(Sound))
def test_a_sign_can_be_a_file_of_the_owners(sound, tmp_path):
    (tmp_path / f"earcon-{EARCONS[sound]}.wav").write_bytes(wav(tone(48000, 0.2), 48000))
    own = Config(sounds=Sounds(words=False, directory=str(tmp_path)))
    assert seconds(sounds.pcm_of(sound, own, NOON)) == pytest.approx(0.2, abs=0.02)
    assert peak(sounds.pcm_of(sound, own, NOON)) == pytest.approx(8000, abs=400)


def test_what_is_said_after_the_start_begins_with_the_owners_sign(tmp_path):
    (tmp_path / "earcon-ready.wav").write_bytes(wav(tone(24000, 0.1)))
    own = Config(sounds=Sounds(words=False, directory=str(tmp_path), announce_ready=True))
    assert sounds.ready(own, NOON) == read_wav(wav(tone(24000, 0.1)))


def test_a_sign_of_the_owners_does_not_reach_into_what_somebody_is_about_to_say(tmp_path):
    (tmp_path / "earcon-offline.wav").write_bytes(wav(tone(24000, 1.9)))
    own = Config(sounds=Sounds(directory=str(tmp_path)))
    assert sounds.pcm_of(Sound.OFFLINE, own, NOON, wordless=True) == earcon("offline")


def test_a_sign_of_the_owners_that_cannot_be_used_is_ours_and_told_once(tmp_path, caplog):
    (tmp_path / "earcon-tick.wav").write_bytes(wav(tone(24000, 2.5)))
    own = Config(sounds=Sounds(directory=str(tmp_path)))
    for _ in range(3):
        assert sounds.pcm_of(Sound.TICK, own, NOON) == earcon("tick")
    (told,) = caplog.messages
    assert "earcon-tick.wav cannot be played: it is 2.5 s long; expected at most 2 s" in told


def test_a_sign_of_the_owners_that_is_empty_is_silence(tmp_path):
    (tmp_path / "earcon-tick.wav").write_bytes(wav([]))
    assert sounds.pcm_of(Sound.TICK, Config(sounds=Sounds(directory=str(tmp_path))), NOON) == b""


def test_a_sign_that_was_silenced_can_be_heard_again_at_once():
    speaker = Speaker()
    signs = Signs(lambda: speaker)
    signs.show(Sound.OFFLINE, PLAIN)
    signs.hush()
    signs.show(Sound.OFFLINE, PLAIN)
    assert speaker.played == [earcon("offline"), "end", "flush", earcon("offline"), "end"]


def test_without_words_the_sign_is_all():
    assert sounds.pcm_of(Sound.OFFLINE, PLAIN, NOON) == earcon("offline")


def test_in_the_night_hours_signs_are_softer():
    config = Config(panel=NIGHT, sounds=Sounds(night_volume=25))
    by_day, by_night = (sounds.pcm_of(Sound.OFFLINE, config, when) for when in (NOON, MIDNIGHT))
    assert peak(by_night) == pytest.approx(peak(by_day) / 4, rel=0.01)


def test_the_kiosk_says_that_it_is_ready_only_when_asked_to():
    assert sounds.ready(Config(), NOON) == b""
    assert seconds(sounds.ready(Config(sounds=Sounds(announce_ready=True)), NOON)) > 0.5


def test_the_same_sign_is_not_queued_twice():
    speaker = Speaker()
    signs = Signs(lambda: speaker)
    signs.show(Sound.OFFLINE, PLAIN)
    signs.show(Sound.OFFLINE, PLAIN)
    assert speaker.played == [earcon("offline"), "end"]


def test_another_sign_follows_the_one_before():
    speaker = Speaker()
    signs = Signs(lambda: speaker)
    signs.show(Sound.TICK, PLAIN)
    signs.show(Sound.OFFLINE, PLAIN)
    assert speaker.played == [earcon("tick"), "end", earcon("offline"), "end"]


def test_a_sign_is_silenced_before_somebody_speaks():
    speaker = Speaker()
    signs = Signs(lambda: speaker)
    signs.show(Sound.OFFLINE, PLAIN)
    signs.hush()
    assert speaker.played[-1] == "flush"


def test_silence_needs_no_silencing():
    speaker = Speaker()
    Signs(lambda: speaker).hush()
    assert speaker.played == []
