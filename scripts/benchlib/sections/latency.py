"""Latency: what a visitor waits for, as distributions, on loopback and with a network between.

Taken from outside wherever possible: presses by the control socket, arrival from the simulator's record,
sound and silence from a recording of what the loudspeaker plays (in blocks of 10 ms). All on the stand-in
cards, whose own 20 to 30 ms are part of it.

  press_to_first_audio         press in the middle of an answer → first sound at the service
  press_to_first_audio_warm    press while nobody talks → the same, session open, `warm = true`
  press_to_first_audio_closed  the same with the microphone closed (and the session open: on_boot)
  press_to_first_audio_cold    everything closed before: microphone, connection, session (of which the
                               service takes 2 ms here)
  reply_to_sound               first audio of a reply leaves the service → first sample in ALSA
  press_to_silence             press in the middle of an answer → last sample over -60 dBFS

The network is a proxy that hands everything over late, by as much each way as the name says. The kiosk's
settings are its own but for `release_tail_ms = 0`, which saves the bench time and is after all that is timed.
"""

import argparse
import asyncio
import base64
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from tests.rigs.tcp_proxy import TcpProxy

from benchlib.clients import Daemon
from benchlib.outcome import Outcome, Table
from benchlib.stage import Service, Stage
from demolib.server import Connection, Frame, read
from voicekiosk.service.client import ControlClient
from voicekiosk.service.protocol import Topic

QUICK = (
    "turn.onset_ms=100", "turn.end_ms=100", "reply.lead_in_ms=0", "reply.first_audio_ms=1",
    "barge_in.decision_ms=150", "barge_in.backchannel_ms=0", "ready.updated_ms=1", "ready.ready_ms=1",
)  # fmt: skip
CONVERSATION = "[conversation]\nrelease_tail_ms = 0\n"
SILENT = 32.768  # -60 dBFS
# Longer than what is taken back, and with an answer as long as it: what is to be interrupted has to play
# still when the next press comes.
TALK_S, INTERRUPTED_TALK_S = 0.2, 0.3
INTERRUPT_AFTER_S = 0.15
# Nothing new can play before the release.
SILENT_WITHIN_S = INTERRUPTED_TALK_S
# Longer than the echo guard, so that a warm microphone has a pre-roll.
PAUSE_S = 0.25
PATIENCE_S = 20.0
PERIOD_S = 0.02
# Two who look at one sound card may differ by a block about when something was.
DOUBT_S = 0.02
CUSHION_MS = 60
# Silence is promised of the worst press; of the others the median, since the worst of a few on a machine that
# is shared says more about the machine.
PROMISES_MS = {
    "press_to_first_audio_warm": ("p50", 25.0),
    "press_to_first_audio_closed": ("p50", 60.0),
    "press_to_silence": ("max", 60.0),
    "reply_to_sound": ("p50", CUSHION_MS + 15.0),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--presses", type=int, default=30, help="how often each promise is measured")
    parser.add_argument(
        "--network-ms", type=float, nargs="*", default=[1, 10, 100], help="delays each way to measure with"
    )
    parser.add_argument("--network-presses", type=int, default=20, help="how often with each of them")


@dataclass(frozen=True)
class Run:
    """One kiosk and the presses on it."""

    name: str
    presses: int
    conversation: str = ""
    """More keys of `[conversation]`."""
    warm: bool = False
    interrupting: bool = False
    """Whether each press cuts an answer short; otherwise it comes some time after the answer's end."""
    delay_ms: float = 0.0
    rest: str = "ready"
    """State of the link between an answer's end and the next press."""

    @property
    def talk_s(self) -> float:
        return INTERRUPTED_TALK_S if self.interrupting else TALK_S

    @property
    def suffix(self) -> str:
        return f"_{self.delay_ms:g}ms" if self.delay_ms else ""


def _runs(options: argparse.Namespace) -> Iterator[Run]:
    on_boot = 'connect = "on_boot"\n'
    yield Run("press_to_first_audio_warm", options.presses, on_boot, warm=True)
    yield Run("press_to_first_audio_closed", options.presses, f"{on_boot}keep_open_s = 0\n")
    cold_presses = max(3, options.presses // 6)
    yield Run("press_to_first_audio_cold", cold_presses, "keep_open_s = 0\n", rest="closed")
    yield Run("press_to_first_audio", options.presses, on_boot, interrupting=True)
    for delay_ms in options.network_ms:
        few = options.network_presses
        yield Run("press_to_first_audio", few, on_boot, interrupting=True, delay_ms=delay_ms)


@dataclass
class Heard:
    """When the daemon said that something happened, by the words it uses for it."""

    times: dict[str, list[float]] = field(default_factory=dict)

    def wait_for(self, kind: str, after_s: float) -> None:
        """Wait for one after a time. Raises RuntimeError when it does not come."""
        while not any(t_s > after_s for t_s in self.times.get(kind, [])):
            if time.monotonic() > after_s + PATIENCE_S:
                raise RuntimeError(f"no {kind} for {PATIENCE_S:g} s after a press")
            time.sleep(0.01)


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


def _questions(daemon: Daemon, run: Run, heard: Heard) -> list[float]:
    """Ask as often as the run says; return when the presses were."""

    def at_rest(status: dict[str, Any]) -> bool:
        closed = run.warm or not status["microphone"]["open"]
        link = status["link"]["state"] == run.rest
        return status["state"] == "idle" and link and (run.interrupting or closed)

    daemon.wait_for("it to be at rest", at_rest)
    presses = []
    # At no fixed place in the cards' periods: what one waits for them is in all of the figures.
    moods = random.Random(1)
    # The first has no answer to cut short.
    for _ in range(run.presses + run.interrupting):
        pause_s = INTERRUPT_AFTER_S if run.interrupting else PAUSE_S
        time.sleep(pause_s + moods.uniform(0, PERIOD_S))
        presses.append(time.monotonic())
        daemon.press()
        time.sleep(run.talk_s)
        daemon.release()
        heard.wait_for("sound", presses[-1])
        if not run.interrupting:
            daemon.wait_for("its end", at_rest)
    return presses[run.interrupting :]


class Played(Protocol):
    """What a loudspeaker played, with the time of each sample."""

    @property
    def samples(self) -> NDArray[np.int16]: ...
    def index_at(self, t_s: float) -> int: ...
    def time_of(self, index: int) -> float: ...


def silence_ms(played: Played, press_s: float) -> float | None:
    """Return how long after a press the loudspeaker was silent; None if nothing played when it came.

    Looks no further than `SILENT_WITHIN_S`: about that much means that it was not silent at all.
    """
    begin, end = played.index_at(press_s - DOUBT_S), played.index_at(press_s + SILENT_WITHIN_S)
    loud = np.flatnonzero(np.abs(played.samples[max(0, begin) : end].astype(int)) > SILENT)
    return 1000 * (played.time_of(max(0, begin) + int(loud[-1])) - press_s) if len(loud) else None


def _is_sound(frame: Frame) -> bool:
    """Return whether a message is of a question, and not of the silence after one."""
    return frame.type == "input.audio" and any(base64.b64decode(frame.content["audio"]))


def first_after(times: list[float], after_s: float, within_s: float) -> float | None:
    """Return the first time that is not before another, None when there is none soon enough."""
    return min((t_s for t_s in times if after_s <= t_s < after_s + within_s), default=None)


def _measure(run: Run) -> dict[str, list[float]]:
    with Stage() as stage:
        record = stage.folder / "record"
        service = stage.service(*QUICK, record=record)
        with (
            _network(service, run.delay_ms) as url,
            Daemon(stage, service, url=url, warm=run.warm, more=CONVERSATION + run.conversation) as daemon,
            _listening(daemon) as heard,
        ):
            played = stage.rig.record()
            pressed = _questions(daemon, run, heard)
            time.sleep(SILENT_WITHIN_S)
            played.stop()
        service.stop()
        return _judged(run, read(Path(record)), pressed, heard, played)


def _judged(
    run: Run, connections: list[Connection], pressed: list[float], heard: Heard, played: Played
) -> dict[str, list[float]]:
    sound_s = sorted(frame.t_s for one in connections for frame in one.frames if _is_sound(frame))
    began_s = [reply.began_s for one in connections for reply in one.replies]
    # A clock differs from itself by nothing, but the record's is put together from two.
    doubt_s = DOUBT_S / 4
    arrivals = [
        (press_s, first_after(sound_s, press_s, next_s - press_s))
        for press_s, next_s in pairwise([*pressed, pressed[-1] + PATIENCE_S])
    ]
    played_s = [
        (reply_s, first_after(heard.times.get("sound", []), reply_s - doubt_s, 0.5)) for reply_s in began_s
    ]
    found = {run.name: _lags_ms(arrivals), "reply_to_sound": _lags_ms(played_s)}
    if run.interrupting:
        silences = [silence_ms(played, press_s) for press_s in pressed]
        found["press_to_silence"] = [ms for ms in silences if ms is not None]
    return {name + run.suffix: values for name, values in found.items()}


def _lags_ms(pairs: list[tuple[float, float | None]]) -> list[float]:
    return [1000 * (there_s - here_s) for here_s, there_s in pairs if there_s is not None]


def distribution(values: list[float]) -> dict[str, float]:
    """Return the median, the 99th percentile, the worst, and of how many."""
    return {
        "p50": float(np.percentile(values, 50)),
        "p99": float(np.percentile(values, 99)),
        "max": max(values),
        "of": len(values),
    }


def shortfalls(figures: dict[str, dict[str, float]], presses: int) -> Iterator[str]:
    """Say which promise was not kept, or not measured `presses` times."""
    for name, (statistic, most_ms) in PROMISES_MS.items():
        seen = figures.get(name, {"of": 0})
        if seen["of"] < presses:
            yield f"latency: {name} was measured {seen['of']:.0f} times of {presses}"
        elif seen[statistic] > most_ms:
            word = {"p50": "median", "max": "worst"}[statistic]
            yield f"latency: {name}: {word} {seen[statistic]:.0f} ms, promised under {most_ms:g}"


def run(options: argparse.Namespace) -> Outcome:
    values: dict[str, list[float]] = {}
    for one in _runs(options):
        for name, times in _measure(one).items():
            values.setdefault(name, []).extend(times)
    figures = {name: distribution(times) for name, times in values.items() if times}
    rows = [
        [name, f"{seen['p50']:.0f}", f"{seen['p99']:.0f}", f"{seen['max']:.0f}", f"{seen['of']:.0f}"]
        for name, seen in sorted(figures.items())
    ]
    table = Table("Latency", ["", "p50 ms", "p99 ms", "max ms", "of"], rows)
    return Outcome(dict(figures), [table], list(shortfalls(figures, options.presses)))
