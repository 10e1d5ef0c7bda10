"""WAV files as an owner may have them."""

import io
import wave

import numpy as np


def wav(samples, rate_hz=24000, channels=1, width=2):
    """Return a WAV file of these 16 bit samples, whatever its header says of them."""
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate_hz)
        file.writeframes(np.asarray(samples, "<i2").tobytes())
    return data.getvalue()


def tone(rate_hz, seconds=0.5):
    """Return 440 Hz with a peak of 8000."""
    return np.rint(8000 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate_hz)) / rate_hz))
