"""A microphone and a loudspeaker for machines without a sound card: two PulseAudio servers behind ALSA.

Each is a private server with one clocked null sink. What is fed into the microphone's sink is what the
ALSA capture device hears; what the ALSA playback device plays can be recorded from the loudspeaker's
monitor. The pacing, the errors of a lost device and the stalls are real; what PulseAudio's ALSA plug-in
cannot show is a capture overrun (it loses the sound without a word) and a rate the card has not.

    with PulseRig() as rig:
        run_the_daemon(env={**os.environ, **rig.environment})
        recording = rig.record()
        feed = rig.feed(Path("question.wav"))
        feed.wait()
        recording.stop()
        recording.save(Path("answer.wav"))

Times are `time.monotonic()` seconds. No pytest here: demos and benches use this as well. Two servers, not
one, because PulseAudio moves the stream of a sink that is unloaded to another sink: only a server that is
killed looks like an unplugged card. Needs the Debian packages pulseaudio, pulseaudio-utils and
libasound2-plugins.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import wave
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

START_WITHIN_S = 20.0
# As long as the daemon's capture period. A null sink plays a whole block the moment its time begins, so two
# who look at it with blocks of different lengths differ by as much about when a frame was played.
BLOCK_MS = 20
# How far paplay is ahead of the sink: less, and a busy machine leaves holes in what is fed.
FEED_AHEAD_MS = 500
# A server that nobody has used for so long was left behind by a test that was killed.
ABANDONED_AFTER_S = 900
# norewinds: a null sink renders up to 2 s ahead otherwise, and starves whoever has a small buffer.
SCRIPT = """\
load-module module-native-protocol-unix auth-anonymous=1 socket={socket}
load-module module-cli-protocol-unix
load-module module-null-sink sink_name=sink rate={rate_hz} channels={channels} norewinds=1
set-default-sink sink
set-default-source sink.monitor
"""
ASOUND = """\
</usr/share/alsa/alsa.conf>
pcm.rig_mic {{ type pulse server "unix:{microphone}" device "sink.monitor" }}
pcm.rig_spk {{ type pulse server "unix:{speaker}" device "sink" }}
pcm.!default {{ type asym playback.pcm "rig_spk" capture.pcm "rig_mic" }}
ctl.!default {{ type pulse server "unix:{speaker}" }}
"""


def missing() -> list[str]:
    """Return the names of the Debian packages without which the rig cannot run here."""
    packages = {"pulseaudio": "pulseaudio", "pulseaudio-utils": "parec"}
    names = [package for package, program in packages.items() if shutil.which(program) is None]
    if not list(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so")):
        names.append("libasound2-plugins")
    return names


class Server:
    """A PulseAudio server with one null sink, which can be unplugged, plugged in again and stalled."""

    def __init__(self, directory: Path, rate_hz: int, channels: int) -> None:
        self.rate_hz = rate_hz
        self.channels = channels
        self.socket = directory / "native"
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self._stall: subprocess.Popen[bytes] | None = None
        for name in ("run", "home"):
            (directory / name).mkdir(parents=True, mode=0o700)
        (directory / "default.pa").write_text(
            SCRIPT.format(socket=self.socket, rate_hz=rate_hz, channels=channels)
        )

    @property
    def environment(self) -> dict[str, str]:
        """What a PulseAudio program needs to find this server and no other."""
        return {
            **os.environ,
            "PULSE_SERVER": f"unix:{self.socket}",
            "XDG_RUNTIME_DIR": str(self._directory / "run"),
            "HOME": str(self._directory / "home"),
        }

    def plug_in(self) -> None:
        """Start the server; returns when it answers."""
        self.socket.unlink(missing_ok=True)
        (self._directory / "run" / "pulse" / "pid").unlink(missing_ok=True)
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    "pulseaudio", "-n", "-F", str(self._directory / "default.pa"), "--daemonize=no",
                    f"--exit-idle-time={ABANDONED_AFTER_S}", "--realtime=no", "--high-priority=yes",
                    "--log-target=stderr",
                ],
                env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        deadline_s = time.monotonic() + START_WITHIN_S
        while True:
            try:
                self.control("pactl", "info")
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
                if time.monotonic() > deadline_s or self._process.poll() is not None:
                    log_text = (self._directory / "log").read_text(errors="replace")
                    raise RuntimeError(f"PulseAudio did not start:\n{log_text}") from None
                time.sleep(0.05)
            else:
                return

    def unplug(self) -> None:
        """Kill the server without warning: its streams fail as those of an unplugged card do."""
        if self._stall is not None:
            self._stall.wait(timeout=60)
            self._stall = None
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)
            self._process = None

    def stall(self, seconds: float) -> None:
        """Stop the server's clock: neither sound nor errors. Returns at once.

        A helper process ends the stall: closing a device of a stalled server hangs inside pyalsaaudio,
        with the GIL, so that nothing in the process that uses the device could.
        """
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        self._stall = subprocess.Popen(["sh", "-c", f"sleep {seconds}; kill -CONT {self._process.pid}"])

    def control(self, *command: str) -> str:
        """Run pactl or pacmd against this server and return what it printed."""
        done = subprocess.run(
            command, env=self.environment, check=True, capture_output=True, text=True, timeout=10
        )
        return done.stdout

    def record(self, block_ms: int = 10) -> "Recording":
        """Record the sink's monitor from now on, in blocks of `block_ms`."""
        return Recording(self, block_ms)


class Recording:
    """What a null sink plays, with the time of its first frame. Recorded in a thread of its own."""

    def __init__(self, server: Server, block_ms: int) -> None:
        self.rate_hz = server.rate_hz
        self.channels = server.channels
        # When the first frame was played. The best of all estimates: any delay can only make one later.
        self.started_s = float("inf")
        self._chunks: list[bytes] = []
        self._frames = 0
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            [
                "parec", "--device=sink.monitor", f"--rate={server.rate_hz}", f"--channels={server.channels}",
                "--format=s16le", "--raw", f"--latency-msec={block_ms}",
            ],
            env=server.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._thread = threading.Thread(target=self._listen, name="recording", daemon=True)
        self._thread.start()
        if not self.wait_for(lambda samples: len(samples) > 0, START_WITHIN_S):
            self.stop()
            raise RuntimeError("nothing could be recorded")

    @property
    def samples(self) -> NDArray[np.int16]:
        """Frames recorded so far, the first channel."""
        raw = b"".join(list(self._chunks))
        size = 2 * self.channels
        return np.frombuffer(raw[: len(raw) // size * size], "<i2").reshape(-1, self.channels)[:, 0]

    def index_at(self, t_s: float) -> int:
        """Return the index of the frame that was played at `t_s`."""
        return round((t_s - self.started_s) * self.rate_hz)

    def time_of(self, index: int) -> float:
        """Return when the frame at `index` was played."""
        return self.started_s + index / self.rate_hz

    def wait_for(self, condition: Callable[[NDArray[np.int16]], bool], timeout_s: float) -> bool:
        """Wait until `condition(samples)` holds; return whether it did within `timeout_s`."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(self.samples), timeout_s)

    def stop(self) -> None:
        """End the recording; what was recorded stays."""
        self._process.terminate()
        self._thread.join(10)
        self._process.wait(timeout=10)

    def save(self, path: Path) -> None:
        """Write the first channel as WAV."""
        _write_wav(path, self.samples, self.rate_hz)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        size = 2 * self.channels
        while chunk := os.read(self._process.stdout.fileno(), 65536):
            now_s = time.monotonic()
            with self._changed:
                self._chunks.append(chunk)
                self._frames += len(chunk)
                self.started_s = min(self.started_s, now_s - self._frames / size / self.rate_hz)
                self._changed.notify_all()


class Feed:
    """A WAV file on its way into the microphone's sink."""

    def __init__(self, server: Server, path: Path) -> None:
        with wave.open(str(path)) as wav:
            if (wav.getframerate(), wav.getsampwidth()) != (server.rate_hz, 2):
                raise ValueError(
                    f"{path}: expected 16 bit at {server.rate_hz} Hz (anything else would be resampled), "
                    f"got {8 * wav.getsampwidth()} bit at {wav.getframerate()} Hz"
                )
            frames = np.frombuffer(wav.readframes(wav.getnframes()), "<i2").reshape(-1, wav.getnchannels())
        loud = np.flatnonzero(frames.any(axis=1))
        self.seconds = len(frames) / server.rate_hz
        # When the file's first frame was at the microphone.
        self.started_s = float("nan")
        # Watched at the sink itself, which is silent but for us: paplay does not say when it starts.
        watch = server.record(BLOCK_MS)
        try:
            before = len(watch.samples)
            self._process = subprocess.Popen(
                ["paplay", "--device=sink", f"--latency-msec={FEED_AHEAD_MS}", str(path)],
                env=server.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip
            if len(loud):
                lead_s = int(loud[0]) / server.rate_hz
                if not watch.wait_for(lambda heard: bool(heard[before:].any()), START_WITHIN_S + lead_s):
                    raise RuntimeError(f"{path} did not arrive at the microphone")
                first = before + int(np.flatnonzero(watch.samples[before:])[0])
                self.started_s = watch.time_of(first) - lead_s
        finally:
            watch.stop()

    def wait(self) -> None:
        """Wait until the file was fed to its end."""
        self._process.wait(timeout=self.seconds + START_WITHIN_S)

    def stop(self) -> None:
        """Stop in the middle."""
        self._process.terminate()
        self._process.wait(timeout=10)


class PulseRig:
    """A microphone and a loudspeaker that ALSA sees as its default device, for as long as it is entered."""

    def __init__(
        self,
        *,
        microphone_rate_hz: int = 48000,
        microphone_channels: int = 1,
        speaker_rate_hz: int = 48000,
        speaker_channels: int = 2,
    ) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="voicekiosk-rig-"))
        self.microphone = Server(self._directory / "microphone", microphone_rate_hz, microphone_channels)
        self.speaker = Server(self._directory / "speaker", speaker_rate_hz, speaker_channels)
        config = self._directory / "asound.conf"
        config.write_text(ASOUND.format(microphone=self.microphone.socket, speaker=self.speaker.socket))
        # For the process that is to use the rig. libasound looks at it whenever a device is opened, so it
        # may as well be set in a running process.
        self.environment = {"ALSA_CONFIG_PATH": str(config)}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start both servers."""
        if names := missing():
            raise RuntimeError(f"the PulseAudio rig needs: apt install {' '.join(names)}")
        try:
            self.microphone.plug_in()
            self.speaker.plug_in()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop both servers and remove every trace."""
        self.microphone.unplug()
        self.speaker.unplug()
        shutil.rmtree(self._directory, ignore_errors=True)

    def feed(self, sound: Path | NDArray[np.int16]) -> Feed:
        """Feed a WAV file, or mono samples at the microphone's rate; returns when it has started."""
        if isinstance(sound, Path):
            return Feed(self.microphone, sound)
        path = self._directory / "feed.wav"
        _write_wav(path, sound, self.microphone.rate_hz)
        return Feed(self.microphone, path)

    def record(self) -> Recording:
        """Record what the loudspeaker plays from now on."""
        return self.speaker.record()


def _write_wav(path: Path, samples: NDArray[np.int16], rate_hz: int) -> None:
    with wave.open(str(path), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(rate_hz)
        wav.writeframes(samples.astype("<i2").tobytes())
