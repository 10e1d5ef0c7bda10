import contextlib
import logging

import numpy as np
import pytest
from tests.rigs.wav import tone, wav

from voicekiosk.audio.sentences import SHIPPED, WavError, read_wav, sentence

NAMES = sorted(path.stem for path in (SHIPPED / "en").glob("*.wav"))
LANGUAGES = ("en", "de", "fr", "es")


def pitch_hz(pcm):
    samples = np.frombuffer(pcm, "<i2")
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return spectrum.argmax() * 24000 / len(samples)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", NAMES)
def test_a_carried_sentence_is_audible_and_short(name, language):
    samples = np.frombuffer(sentence(name, language), "<i2")
    assert 0.4 < len(samples) / 24000 < 6
    assert 10000 < np.abs(samples.astype(int)).max() < 32767


def test_every_language_has_the_same_sentences():
    assert {
        language: sorted(p.stem for p in (SHIPPED / language).glob("*.wav")) for language in LANGUAGES
    } == (dict.fromkeys(LANGUAGES, NAMES))


def test_the_carried_sentences_stay_small():
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*.wav")) < 1_500_000


def test_an_unknown_sentence_is_silence():
    assert sentence("nothing_of_the_kind", "en") == b""


def test_the_owners_file_comes_first(tmp_path):
    (tmp_path / "offline.wav").write_bytes(wav(tone(24000)))
    assert pitch_hz(sentence("offline", "en", str(tmp_path))) == pytest.approx(440, abs=3)


def test_a_sentence_that_the_owner_has_not_is_ours(tmp_path):
    assert sentence("offline", "en", str(tmp_path)) == sentence("offline", "en")


def test_an_owners_file_that_is_broken_is_told_and_replaced(tmp_path, caplog):
    (tmp_path / "offline.wav").write_bytes(b"ID3 this is an mp3")
    with caplog.at_level(logging.WARNING):
        assert sentence("offline", "en", str(tmp_path)) == sentence("offline", "en")
        sentence("offline", "en", str(tmp_path))
    assert caplog.text.count("offline.wav cannot be played: it is no WAV file") == 1


def test_an_owners_file_that_cannot_be_read_is_told_and_replaced(tmp_path, caplog):
    (tmp_path / "offline.wav").mkdir()
    assert sentence("offline", "en", str(tmp_path)) == sentence("offline", "en")
    assert "offline.wav cannot be played: Is a directory; until" in caplog.text


@pytest.mark.parametrize("rate_hz", [8000, 16000, 22050, 44100, 48000])
def test_any_rate_becomes_24_khz(rate_hz):
    pcm = read_wav(wav(tone(rate_hz), rate_hz))
    assert len(pcm) / 2 / 24000 == pytest.approx(0.5, abs=0.02)
    assert pitch_hz(pcm) == pytest.approx(440, abs=5)


def test_stereo_becomes_the_mean():
    left_only = np.column_stack([tone(24000), np.zeros(12000)])
    pcm = read_wav(wav(left_only.ravel(), channels=2))
    assert np.abs(np.frombuffer(pcm, "<i2").astype(int)).max() == pytest.approx(4000, abs=40)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RIFF\x04\0\0\0WAVE",
        wav(tone(24000))[:30],
        wav(np.zeros(24000), width=1),
        wav(np.zeros(24000 * 16)),
        wav(np.zeros(100), rate_hz=4000),
    ],
    ids=["empty", "no chunks", "cut", "8 bit", "too long", "odd rate"],
)
def test_a_file_that_cannot_be_played_is_refused(data):
    with pytest.raises(WavError):
        read_wav(data)


def test_a_file_that_is_cut_at_any_place_never_does_worse_than_being_refused():
    whole = wav(tone(24000, 0.01))
    for length in range(len(whole)):
        with contextlib.suppress(WavError):
            read_wav(whole[:length])
