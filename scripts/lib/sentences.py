"""Speak the carried sentences with espeak-ng and keep them as mu-law WAV files."""

import io
import shutil
import struct
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voicekiosk.audio.resample import Resampler

SOUNDS = Path(__file__).resolve().parents[2] / "daemon" / "voicekiosk" / "audio" / "sounds"
RATE_HZ = 16000
PEAK = 0.7
VOICES = {"en": "en-gb", "de": "de", "fr": "fr-fr", "es": "es"}
WORDS_A_MINUTE = 165

SENTENCES = {
    "ready": {
        "en": "I am ready.",
        "de": "Ich bin bereit.",
        "fr": "Je suis prêt.",
        "es": "Estoy listo.",
    },
    "offline": {
        "en": "There is no network. Please try again later.",
        "de": "Kein Netz. Bitte versuchen Sie es später.",
        "fr": "Pas de réseau. Réessayez plus tard.",
        "es": "No hay red. Inténtelo más tarde.",
    },
    "no_answer": {
        "en": "I got no answer. Please ask again.",
        "de": "Keine Antwort. Bitte fragen Sie noch einmal.",
        "fr": "Pas de réponse. Reposez votre question.",
        "es": "Sin respuesta. Pregunte otra vez.",
    },
    "key_refused": {
        "en": "I may not talk: my key was refused. Please tell the staff.",
        "de": "Mein Schlüssel wurde abgelehnt. Bitte sagen Sie dem Personal Bescheid.",
        "fr": "Ma clé a été refusée. Prévenez le personnel.",
        "es": "Mi clave fue rechazada. Avise al personal.",
    },
    "service_refused": {
        "en": "My service turned me down. Please tell the staff.",
        "de": "Mein Dienst weist mich ab. Bitte sagen Sie dem Personal Bescheid.",
        "fr": "Mon service me refuse. Prévenez le personnel.",
        "es": "El servicio me rechaza. Avise al personal.",
    },
    "microphone_gone": {
        "en": "I cannot hear: my microphone is missing. Please tell the staff.",
        "de": "Mein Mikrofon fehlt. Bitte sagen Sie dem Personal Bescheid.",
        "fr": "Mon microphone est absent. Prévenez le personnel.",
        "es": "Me falta el micrófono. Avise al personal.",
    },
    "loudspeaker_back": {
        "en": "My loudspeaker was gone. I can be heard again.",
        "de": "Mein Lautsprecher war weg. Man hört mich wieder.",
        "fr": "Mon haut-parleur était coupé. On m'entend de nouveau.",
        "es": "Mi altavoz se había apagado. Ya se me oye otra vez.",
    },
    "muted": {
        "en": "My microphone is switched off.",
        "de": "Mein Mikrofon ist ausgeschaltet.",
        "fr": "Mon microphone est coupé.",
        "es": "Mi micrófono está apagado.",
    },
    "budget": {
        "en": "I have talked enough for today. Please come back tomorrow.",
        "de": "Für heute habe ich genug geredet. Bitte kommen Sie morgen wieder.",
        "fr": "J'ai assez parlé aujourd'hui. Revenez demain.",
        "es": "Hoy ya he hablado bastante. Vuelva mañana.",
    },
}


def main() -> int:
    """Speak and write every sentence; return 0, or 1 without espeak-ng."""
    if sys.argv[1:] == ["--list"]:
        for name, texts in SENTENCES.items():
            for language, text in texts.items():
                print(f"{language}  {name:16}  {text}")
        return 0
    if shutil.which("espeak-ng") is None:
        print("sentences: espeak-ng is missing: apt-get install espeak-ng", file=sys.stderr)
        return 1
    total = 0
    for name, texts in SENTENCES.items():
        for language, text in texts.items():
            data = mu_law_wav(speak(text, VOICES[language]))
            path = SOUNDS / language / f"{name}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            total += len(data)
    print(f"{len(SENTENCES) * len(VOICES)} sentences, {total / 1e6:.2f} MB in {SOUNDS}")
    return 0


def speak(text: str, voice: str) -> NDArray[np.int16]:
    """Return `text` as 16 kHz mono, without the silence at both ends."""
    command = ["espeak-ng", "-v", voice, "-s", str(WORDS_A_MINUTE), "--stdout", text]
    spoken = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    with wave.open(io.BytesIO(spoken)) as wav:
        rate_hz = wav.getframerate()
        raw = np.frombuffer(wav.readframes(wav.getnframes()), "<i2")
    resampler = Resampler(rate_hz, RATE_HZ)
    sound = np.concatenate([resampler.process(raw.astype(np.int16)), resampler.flush()])
    loud = np.flatnonzero(np.abs(sound.astype(np.int32)) > 200)
    sound = sound[loud[0] : loud[-1] + 1].astype(np.float64)
    return np.asarray(np.rint(sound * (PEAK * 32767 / np.abs(sound).max())), np.int16)


def mu_law_wav(sound: NDArray[np.int16]) -> bytes:
    """Return a WAV file of format 7 (G.711 mu-law)."""
    magnitude = np.minimum(np.abs(sound.astype(np.int32)), 32635) + 132
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    codes = (~(np.where(sound < 0, 0x80, 0) | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8).tobytes()
    fmt = struct.pack("<HHIIHHH", 7, 1, RATE_HZ, RATE_HZ, 1, 8, 0)
    fact = struct.pack("<I", len(sound))
    chunks = b"".join(
        name + struct.pack("<I", len(body)) + body + (b"\0" if len(body) % 2 else b"")
        for name, body in ((b"fmt ", fmt), (b"fact", fact), (b"data", codes))
    )
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


if __name__ == "__main__":
    sys.exit(main())
