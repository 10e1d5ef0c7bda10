"""Latency: what a visitor waits for, as distributions, on loopback and with a network between.

Taken from outside wherever possible: presses by the control socket, arrival from the simulator's record,
sound and silence from a recording of what the loudspeaker plays (in blocks of 10 ms). All on the stand-in
cards, whose own 20 to 30 ms are part of it.

  press_to_first_audio        press → first audio at the service, session open
  press_to_first_audio_warm   the same with `warm = true`
  press_to_first_audio_cold   everything closed before: microphone, connection, session (of which the
                              service takes 2 ms here)
  reply_to_sound              first audio of a reply leaves the service → first sample in ALSA
  press_to_silence            press in the middle of a reply → last sample over -60 dBFS

The network is a proxy that hands everything over late, by as much each way as the name says.
"""

import argparse
import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from tests.rigs.pulse import Recording
from tests.rigs.tcp_proxy import TcpProxy

from benchlib.clients import Daemon
from benchlib.outcome import Outcome, Table
from benchlib.stage import Service, Stage
from demolib.server import read
from voicekiosk.service.client import ControlClient
from voicekiosk.service.protocol import Topic

PROMPT = (
    "turn.end_ms=300", "reply.lead_in_ms=0", "reply.first_audio_ms=50",
    "ready.updated_ms=1", "ready.ready_ms=1",
)  # fmt: skip
HANG_UP = "[conversation]\nkeep_open_s = 0\n"
SILENT = 32.768  # -60 dBFS
TALK_S = 1.2
CUSHION_MS = 60
# Of the median: the worst of a few presses on a machine that is shared says more about the machine.
PROMISED_MS = {
    "press_to_first_audio_warm": 25.0,
    "press_to_first_audio": 60.0,
    "press_to_silence": 60.0,
    "reply_to_sound": CUSHION_MS + 15.0,
}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--presses", type=int, default=10, help="how often each is measured")
    parser.add_argument(
        "--network-ms", type=float, nargs="*", default=[1, 10, 100], help="delays each way to measure with"
    )


@dataclass
class Heard:
    """When the daemon said that something happened, by the words it uses for it."""

    times: dict[str, list[float]] = field(default_factory=dict)


@contextmanager
def _listening(daemon: Daemon) -> Iterator[Heard]:
    """Note the times that the daemon gives for sound and silence, on the monotonic clock."""
    heard = Heard()
    client = ControlClient(daemon.socket)
    client.subscribe(Topic.EVENTS)

    def listen() -> None:
        try:
            for message in client.events():
                event = message.get("event", {})
                t_s = event.get("fields", {}).get("t_s")
                if t_s is not None:
                    heard.times.setdefault(event["kind"], []).append(t_s)
        except Exception:  # noqa: BLE001 - the daemon has ended, or we have hung up
            return

    threading.Thread(target=listen, daemon=True).start()
    try:
        yield heard
    finally:
        client.close()


@contextmanager
def _network(service: Service, delay_ms: float) -> Iterator[str]:
    """Give an address behind which the service is, with a delay each way."""
    if not delay_ms:
        yield service.url
        return
    url = urlsplit(service.url)
    loop = asyncio.new_event_loop()
    proxy = TcpProxy(str(url.hostname), int(url.port or 0))
    threading.Thread(target=loop.run_forever, daemon=True).start()
    asyncio.run_coroutine_threadsafe(proxy.__aenter__(), loop).result(10)
    proxy.slow(delay_s=delay_ms / 1000)
    try:
        yield f"ws://127.0.0.1:{proxy.port}{url.path}"
    finally:
        asyncio.run_coroutine_threadsafe(proxy.__aexit__(None, None, None), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)


def _first_after(times: list[float], after_s: float) -> float | None:
    return min((t for t in times if t >= after_s), default=None)


def _questions(daemon: Daemon, count: int, *, hang_up: bool) -> list[float]:
    """Ask, and cut each answer short with the next question; return when the presses were."""
    presses = []
    for _ in range(count):
        presses.append(time.monotonic())
        daemon.press()
        time.sleep(TALK_S)
        daemon.release()
        daemon.wait_for("an answer", lambda status: status["state"] == "speaking")
        if hang_up:
            daemon.wait_for("its end", lambda status: status["link"]["state"] == "closed")
            time.sleep(0.2)
        else:
            time.sleep(0.4)
    return presses


def _silence_ms(recording: Recording, press_s: float) -> float | None:
    """Return when the loudspeaker was silent after a press; None if it was when it came."""
    begin, end = recording.index_at(press_s - 0.05), recording.index_at(press_s + 0.5)
    samples = recording.samples[max(0, begin) : end]
    loud = np.flatnonzero(np.abs(samples.astype(int)) > SILENT)
    if not len(loud):
        return None
    return 1000 * (recording.time_of(begin + int(loud[-1])) - press_s)


def _measure(
    presses: int, delay_ms: float, *, warm: bool = False, cold: bool = False
) -> dict[str, list[float]]:
    with Stage() as stage:
        record = stage.folder / "record"
        service = stage.service(*PROMPT, record=record)
        with _network(service, delay_ms) as url:
            more = HANG_UP if cold else ""
            with Daemon(stage, service, url=url, warm=warm, more=more) as daemon, _listening(daemon) as heard:
                recording = stage.rig.record()
                pressed = _questions(daemon, presses + (not cold), hang_up=cold)
                time.sleep(0.3)
                recording.stop()
        service.stop()
        return _judged(record, pressed, heard, recording, warm=warm, cold=cold)


def _judged(
    record: Path, pressed: list[float], heard: Heard, recording: Recording, *, warm: bool, cold: bool
) -> dict[str, list[float]]:
    connections = read(record)
    audio_s = sorted(f.t_s for one in connections for f in one.frames if f.type == "input.audio")
    name = "press_to_first_audio" + ("_cold" if cold else "_warm" if warm else "")
    found: dict[str, list[float]] = {name: [], "reply_to_sound": [], "press_to_silence": []}
    # The first press of a session is a cold one, unless all are.
    for press_s in pressed if cold else pressed[1:]:
        arrived_s = _first_after(audio_s, press_s)
        if arrived_s is not None and arrived_s < press_s + TALK_S:
            found[name].append(1000 * (arrived_s - press_s))
        if not cold and (silence_ms := _silence_ms(recording, press_s)) is not None:
            found["press_to_silence"].append(max(0.0, silence_ms))
    for reply in (reply for one in connections for reply in one.replies):
        sound_s = _first_after(heard.times.get("sound", []), reply.began_s)
        if sound_s is not None and sound_s < reply.began_s + 1:
            found["reply_to_sound"].append(1000 * (sound_s - reply.began_s))
    return found


def _distribution(values: list[float]) -> dict[str, float]:
    return {
        "p50": float(np.percentile(values, 50)),
        "p99": float(np.percentile(values, 99)),
        "max": max(values),
    }


def run(options: argparse.Namespace) -> Outcome:
    values: dict[str, list[float]] = {}

    def add(found: dict[str, list[float]], suffix: str = "") -> None:
        for name, times in found.items():
            values.setdefault(name + suffix, []).extend(times)

    add(_measure(options.presses, 0))
    add(_measure(options.presses, 0, warm=True))
    add(_measure(max(3, options.presses // 2), 0, cold=True))
    for delay_ms in options.network_ms:
        few = max(3, options.presses // 2 - 1)
        add(_measure(few, delay_ms), f"_{delay_ms:g}ms")
    figures: dict[str, Any] = {name: _distribution(times) for name, times in values.items() if times}
    rows = [
        [name, f"{seen['p50']:.0f}", f"{seen['p99']:.0f}", f"{seen['max']:.0f}", str(len(values[name]))]
        for name, seen in figures.items()
    ]
    shortfalls = [
        f"latency: {name} is {figures[name]['p50']:.0f} ms, promised under {most_ms:g}"
        for name, most_ms in PROMISED_MS.items()
        if name not in figures or figures[name]["p50"] > most_ms
    ]
    return Outcome(figures, [Table("Latency", ["", "p50 ms", "p99 ms", "max ms", "of"], rows)], shortfalls)
