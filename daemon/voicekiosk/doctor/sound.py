"""Microphone and loudspeaker: which card, what it can do and lets through, whether one hears the other."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from voicekiosk.audio.chirp import Echo
from voicekiosk.audio.devices import Card, Direction
from voicekiosk.audio.levels import is_constant, peak_dbfs, rms_dbfs
from voicekiosk.audio.mixer import MixerControl
from voicekiosk.audio.survey import Abilities, Choice
from voicekiosk.doctor.verdict import Verdict, failure, ok, skipped, warning

CLIPPED_DBFS = -0.5
LOUD_ROOM_DBFS = -35.0
DEAD_DBFS = -85.0
LONG_DELAY_S = 0.3
FAINT_DB = -50.0
LOW_PERCENT = 25
_FLOOR_WINDOW_S = 0.05


def judge_choice(direction: Direction, choice: Choice, cards: Collection[Card]) -> Verdict:
    """Judge which card a setting leads to."""
    link = direction.noun
    if choice.problem:
        return failure(link, choice.problem, f"name one that is there in {direction.setting}.device")
    able = [card for card in cards if card.devices(direction)]
    if choice.setting == "auto" and not able:
        return warning(
            link,
            f'no sound card here can {direction.verb}; ALSA\'s own "default" is tried, if there is one',
            "plug one in; a running kiosk takes it by itself. An I2S board needs its dtoverlay",
        )
    text = f'"{choice.setting}" is {choice.pcm_name}'
    real = [card for card in able if not card.is_hdmi]
    if choice.setting == "auto" and len(real) > 1:
        names = ", ".join(card.id for card in real)
        return warning(
            link,
            f"{text}, one of several that can {direction.verb}: {names}",
            f'another may become the first after a boot: {direction.setting}.device = "{choice.card}"',
        )
    return ok(link, text)


def judge_abilities(direction: Direction, able: Abilities | None) -> Verdict:
    """Judge rates and formats of the chosen device."""
    link = f"{direction.noun} rates"
    if able is None:
        return skipped(link, "not a card of its own; ALSA's configuration decides")
    if able.problem:
        return failure(link, f"{able.pcm_name} cannot be asked: {able.problem}", "see who holds it, above")
    if not able.formats:
        return failure(link, f"{able.pcm_name} has no 16, 24 or 32 bit format", "use another card")
    text = f"{able.rates}; {', '.join(able.formats)}"
    if able.auto_rate_hz is not None and able.auto_rate_hz < 16000:
        return warning(link, f"{text}: telephone quality at best", "use another card")
    return ok(link, text)


def judge_mixer(direction: Direction, controls: Collection[MixerControl]) -> Verdict:
    """Judge the mixer: what is muted or at zero lets nothing through."""
    link = f"{direction.noun} mixer"
    if not controls:
        return ok(link, "the card has none")
    shut = [control for control in controls if control.muted or control.percent == 0]
    fix = "sudo alsamixer -c CARD: F6 chooses the card, M unmutes, arrow up raises; then: sudo alsactl store"
    if shut:
        names = ", ".join(f"{control.name} ({'muted' if control.muted else '0 %'})" for control in shut)
        return (failure if len(shut) == len(controls) else warning)(
            link, f"lets nothing through: {names}", fix
        )
    low = [c for c in controls if c.percent is not None and c.percent < LOW_PERCENT]
    text = ", ".join(f"{c.name} {c.percent} %" if c.percent is not None else f"{c.name} on" for c in controls)
    return warning(link, f"low: {text}", fix) if low else ok(link, text)


def judge_microphone(block: NDArray[np.int16], rate_hz: int) -> Verdict:
    """Judge what the microphone heard while nobody was meant to speak."""
    link = "microphone level"
    if is_constant(block):
        return failure(
            link,
            "the microphone gives no signal at all, not even noise",
            "look for a mute switch on it and for a muted control in the mixer; is the right channel chosen?",
        )
    level, peak, floor = rms_dbfs(block), peak_dbfs(block), noise_floor_dbfs(block, rate_hz)
    text = f"noise floor {floor:.0f} dBFS, now {level:.0f}, peak {peak:.0f}"
    if peak > CLIPPED_DBFS:
        return warning(link, f"{text}: it is overdriven", "lower the capture level in alsamixer (F4)")
    if level < DEAD_DBFS:
        return warning(
            link, f"{text}: hardly anything", "raise the capture level in alsamixer (F4), or speak into it"
        )
    if floor > LOUD_ROOM_DBFS:
        return warning(
            link,
            f"{text}: a loud room, hum, or too high a level",
            "lower the capture level in alsamixer (F4); look for a cable that hums",
        )
    return ok(link, text)


def noise_floor_dbfs(block: NDArray[np.int16], rate_hz: int) -> float:
    """Return the level of the quietest tenth of the recording."""
    window = max(1, round(_FLOOR_WINDOW_S * rate_hz))
    levels = [rms_dbfs(block[at : at + window]) for at in range(0, max(1, len(block) - window + 1), window)]
    return float(np.percentile(levels, 10))


def judge_echo(echo: Echo | None) -> Verdict:
    """Judge the way from the loudspeaker to the microphone."""
    link = "loudspeaker to microphone"
    if echo is None:
        return warning(
            link,
            "the chirp was not heard",
            "did you hear it? If not: volume, cable, amplifier. If so: headphones, or a deaf microphone",
        )
    text = f"heard after {1000 * echo.delay_s:.0f} ms at {echo.gain_db:+.0f} dB"
    if echo.delay_s > LONG_DELAY_S:
        return warning(
            link, f"{text}: a long way", "Bluetooth or a sound server in between? Use the card itself (hw:)"
        )
    if echo.gain_db < FAINT_DB:
        return warning(
            link, f"{text}: very faint", "raise audio.playback.volume or the mixer, unless it is a headset"
        )
    return ok(link, text)
