"""One open ALSA PCM: asked for, verified, and used by the single thread that opened it.

What pyalsaaudio 0.11 does and this module is built around: the constructor ignores the result of every
parameter it sets, so ALSA may have picked anything and only `info()` tells. `info()` on a closed handle
aborts the process, and so does closing one under a thread that reads it; a handle therefore never leaves
the thread that made it, and is forgotten as it is closed. `close()` plays what is queued to its end, so
`drop()` comes first. An error carries a text and no number, and drivers differ in the text: any error
of an open device means that it is lost. `getchannels()` counts one by one to what the device claims to
have, four billion for ALSA's `null`, so it is asked only where the wish was not granted.
"""

import errno
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import alsaaudio
import numpy as np
from numpy.typing import NDArray

from voicekiosk.audio.devices import SYSFS, Direction, card_name, resolve
from voicekiosk.audio.frames import LAYOUTS, DeviceFacts
from voicekiosk.audio.quiet import silence_alsa
from voicekiosk.config import schema
from voicekiosk.errors import DeviceError

XRUN = -errno.EPIPE

SERVICE_RATE_HZ = 24000
PREFERRED_RATE_HZ = 48000
# Beyond this many phases a resampler's table outgrows the cache of a small processor; 44.1 kHz has 80.
_MANY_PHASES = 160
_COMMON_RATES_HZ = (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 176400, 192000)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the configuration wants of a PCM; 0 and "auto" leave it to the card."""

    direction: Direction
    device: str
    rate_hz: int
    format: str
    channels: int
    # With channels = 0: as many as this are asked for, and fewer are of no use.
    default_channels: int
    least_channels: int
    period_ms: int
    buffer_ms: int

    @classmethod
    def of(cls, settings: schema.Capture | schema.Playback) -> "Wish":
        """Return what `settings` ask for."""
        match settings:
            case schema.Capture(channel=channel):
                least = 1 if channel == "mix" else channel + 1
                return cls(
                    Direction.CAPTURE,
                    settings.device,
                    settings.rate_hz,
                    settings.format,
                    settings.channels,
                    default_channels=least,
                    least_channels=least,
                    period_ms=settings.period_ms,
                    buffer_ms=settings.buffer_ms,
                )
            case schema.Playback():
                return cls(
                    Direction.PLAYBACK,
                    settings.device,
                    settings.rate_hz,
                    "auto",
                    settings.channels,
                    default_channels=2,
                    least_channels=1,
                    period_ms=settings.period_ms,
                    # One period more than is ever queued, so that a flush finds room for its fade.
                    buffer_ms=max(settings.queue_ms, 2 * settings.period_ms) + settings.period_ms,
                )


@dataclass(frozen=True, slots=True)
class _Setup:
    """One complete set of parameters to open a PCM with."""

    rate_hz: int
    format: str
    channels: int

    def __str__(self) -> str:
        return f"{self.rate_hz} Hz, {self.format}, {self.channels} channels"


def preferred_rate(offered: int | tuple[int, int] | Sequence[int]) -> int:
    """Return the rate to open a card at that offers `offered`, in the three forms of `PCM.getrates`.

    48000 if it has that. Else the nearest to it among those that resample well to 24 kHz: none below
    24 kHz where there is one above (it would cost treble), no odd ratio where there is a simple one.
    """
    match offered:
        case int():
            return offered
        case (least, most) if isinstance(offered, tuple):
            rates: Iterable[int] = {least, most, *(r for r in _COMMON_RATES_HZ if least <= r <= most)}
        case _:
            rates = offered

    def badness(rate: int) -> tuple[bool, bool, int, int]:
        phases = SERVICE_RATE_HZ // int(np.gcd(rate, SERVICE_RATE_HZ))
        return (rate < SERVICE_RATE_HZ, phases > _MANY_PHASES, abs(rate - PREFERRED_RATE_HZ), rate)

    return min(rates, key=badness)


class OpenPcm:
    """A PCM that is open, and what it was opened with. Belongs to the thread that opened it.

    Nothing here blocks. Every method but `close` raises DeviceError when the device is lost, in whatever
    words its driver has for that.
    """

    def __init__(self, handle: Any, facts: DeviceFacts, error: type[Exception]) -> None:
        self.facts = facts
        self._handle = handle
        self._error = error

    def descriptors(self) -> list[tuple[int, int]]:
        """Return what to poll: file descriptors and event masks."""
        try:
            descriptors: list[tuple[int, int]] = self._handle.polldescriptors()
        except self._error as error:
            self._lost(error)
        return descriptors

    def is_ready(self, polled: list[tuple[int, int]]) -> bool:
        """Tell whether what `poll` returned for the descriptors means anything."""
        try:
            return bool(self._handle.polldescriptors_revents(polled))
        except self._error as error:
            self._lost(error)

    def read(self) -> tuple[int, bytes]:
        """Return frames and bytes of one period, or less; (0, b"") when there is none; (XRUN, b"").

        The first call starts the card. After XRUN the stream has to be started again by another call.
        """
        try:
            result: tuple[int, bytes] = self._handle.read()
        except self._error as error:
            self._lost(error)
        return result

    def write(self, data: "bytes | NDArray[Any]") -> int:
        """Return how many frames the card took, or XRUN: it had run dry, took none, and can start again.

        The first frames start the card. No data at all makes a card ready to start after `drop`.
        """
        try:
            taken: int = self._handle.write(data)
        except self._error as error:
            self._lost(error)
        return taken

    def avail(self) -> int:
        """Return frames to be read, or room to write them; XRUN when the card ran over or dry."""
        try:
            avail: int = self._handle.avail()
        except self._error as error:
            self._lost(error)
        if avail < 0 and avail != XRUN:
            self._lost(os.strerror(-avail))
        return avail

    def drop(self) -> None:
        """Stop at once and forget what is queued."""
        try:
            self._handle.drop()
        except self._error as error:
            self._lost(error)

    def close(self) -> None:
        """Stop at once and give the device back. Never raises.

        A broken driver can hang here, and the whole process with it: pyalsaaudio keeps the GIL.
        """
        handle, self._handle = self._handle, None
        if handle is None:
            return
        for step in (handle.drop, handle.close):
            try:
                step()
            except self._error:
                # A device that is gone cannot be stopped; closing it is what lets its driver go too.
                continue

    def _lost(self, error: Exception | str) -> NoReturn:
        raise DeviceError(f'{self.facts.direction.noun} "{self.facts.setting}" is lost: {error}')


def open_pcm(
    settings: schema.Capture | schema.Playback, *, alsa: ModuleType = alsaaudio, sysfs: Path = SYSFS
) -> OpenPcm:
    """Open the device that `settings` describe, verified to be what they ask for.

    Does not let other Python threads run while ALSA opens the device. Raises DeviceError, one sentence
    that names the device, the setting and what the device supports.
    """
    silence_alsa()
    wish = Wish.of(settings)
    pcm_name = resolve(wish.device, wish.direction, sysfs=sysfs, known=alsa.pcms)
    setup = _Setup(
        wish.rate_hz or PREFERRED_RATE_HZ,
        "S16_LE" if wish.format == "auto" else wish.format,
        wish.channels or wish.default_channels,
    )
    handle = _construct(alsa, pcm_name, wish, setup)
    try:
        granted = _granted(handle)
        if granted != setup:
            asked, setup = setup, _negotiate(handle, wish, granted)
            # Period and buffer were counted in frames of the rate that was asked for.
            if setup != granted or setup.rate_hz != asked.rate_hz:
                handle.close()
                handle = _construct(alsa, pcm_name, wish, setup)
        info = handle.info()
        _verify(wish, setup, _granted(handle), info["access_type"])
    except BaseException:
        handle.close()
        raise
    facts = DeviceFacts(
        direction=wish.direction,
        pcm_name=pcm_name,
        setting=wish.device,
        rate_hz=setup.rate_hz,
        channels=setup.channels,
        format=setup.format,
        period_frames=info["period_size"],
        buffer_frames=info["buffer_size"],
        card=card_name(pcm_name, sysfs),
    )
    return OpenPcm(handle, facts, alsa.ALSAAudioError)


def _construct(alsa: ModuleType, pcm_name: str, wish: Wish, setup: _Setup) -> Any:
    direction = alsa.PCM_CAPTURE if wish.direction is Direction.CAPTURE else alsa.PCM_PLAYBACK
    try:
        return alsa.PCM(
            type=direction,
            mode=alsa.PCM_NONBLOCK,
            device=pcm_name,
            rate=setup.rate_hz,
            channels=setup.channels,
            format=getattr(alsa, f"PCM_FORMAT_{setup.format}"),
            periodsize=setup.rate_hz * wish.period_ms // 1000,
            periods=max(2, -(-wish.buffer_ms // wish.period_ms)),
        )
    except alsa.ALSAAudioError as error:
        raise _cannot_open(wish, pcm_name, str(error)) from error


def _granted(handle: Any) -> _Setup:
    info = handle.info()
    return _Setup(info["rate"], info["format_name"], info["channels"])


def _verify(wish: Wish, setup: _Setup, granted: _Setup, access: str) -> None:
    if granted != setup:
        raise _refused(wish, f"it cannot do {setup} all at once; ALSA set up {granted}", "rate_hz")
    if access != "RW_INTERLEAVED":
        raise _refused(wish, "it cannot be used with interleaved frames", "device")


def _negotiate(handle: Any, wish: Wish, granted: _Setup) -> _Setup:
    """Return the best the device can do for `wish`; raise DeviceError if that is not good enough."""
    rate_hz, sample_format, channels = granted.rate_hz, granted.format, granted.channels
    if wish.format not in ("auto", sample_format) or sample_format not in LAYOUTS:
        offered = [name for name in handle.getformats() if name in LAYOUTS]
        if wish.format != "auto" or not offered:
            raise _refused(wish, _lacks("sample format", wish.format, handle.getformats()), "format")
        sample_format = next(name for name in LAYOUTS if name in offered)
    if wish.rate_hz == 0:
        rate_hz = preferred_rate(handle.getrates()) if rate_hz != PREFERRED_RATE_HZ else rate_hz
    elif rate_hz != wish.rate_hz:
        raise _refused(wish, _lacks("rate", f"{wish.rate_hz} Hz", _rates(handle.getrates())), "rate_hz")
    if (wish.channels and channels != wish.channels) or channels < wish.least_channels:
        able = [count for count in handle.getchannels() if count >= wish.least_channels]
        if wish.channels or not able:
            setting = "channels" if wish.channels else "channel"
            asked = f"{wish.channels or wish.least_channels} channels"
            raise _refused(wish, _lacks("set-up with", asked, handle.getchannels()), setting)
        channels = able[0]
    return _Setup(rate_hz, sample_format, channels)


def _lacks(what: str, asked: str, offered: Iterable[object]) -> str:
    return f"it has no {what} {asked}, only {', '.join(map(str, offered)) or 'none that is usable here'}"


def _rates(offered: int | tuple[int, int] | list[int]) -> list[str]:
    match offered:
        case int():
            return [f"{offered} Hz"]
        case (least, most) if isinstance(offered, tuple):
            return [f"{least} to {most} Hz"]
        case _:
            return [f"{rate} Hz" for rate in offered]


def _refused(wish: Wish, what: str, key: str) -> DeviceError:
    setting = f"{wish.direction.setting}.{key}"
    return DeviceError(f'{wish.direction.noun} "{wish.device}": {what}; change {setting}')


def _cannot_open(wish: Wish, pcm_name: str, error: str) -> DeviceError:
    advice = {
        errno.EBUSY: "another program has it: `fuser -v /dev/snd/*` shows which",
        errno.EACCES: "the daemon's user must be in the group audio",
        errno.EPERM: "the daemon's user must be in the group audio",
        errno.ENOENT: f"no sound card that can {wish.direction.verb} is there; plug one in",
        errno.ENODEV: "the card is gone; plug it in",
    }
    hint = next((text for code, text in advice.items() if error.startswith(os.strerror(code))), "")
    name = f'"{wish.device}"' if wish.device == pcm_name else f'"{wish.device}" ({pcm_name})'
    also = f" or change {wish.direction.setting}.device" if hint else f"see {wish.direction.setting}.device"
    return DeviceError(f"{wish.direction.noun} {name} cannot be opened: {error}; {hint}{also}")
