"""The whole examination, in the order in which a fault would stop a conversation."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voicekiosk import __version__
from voicekiosk.agent.probe import knock
from voicekiosk.audio.chirp import chirp, find
from voicekiosk.audio.devices import Card, Direction, list_cards, names_card
from voicekiosk.audio.mixer import read_controls
from voicekiosk.audio.once import play_and_record, record
from voicekiosk.audio.survey import Abilities, choose, survey
from voicekiosk.config.load import check_file
from voicekiosk.config.schema import Config
from voicekiosk.doctor import access, machine, service, sound
from voicekiosk.doctor.verdict import Verdict, failure, skipped
from voicekiosk.errors import DeviceError, KioskError
from voicekiosk.panel.driver import make_panel
from voicekiosk.panel.lamp import Sign
from voicekiosk.service.client import ControlClient
from voicekiosk.service.credential import KEY_FILE, Source, check_key, read_key

LISTEN_S = 1.5
PANEL_S = 0.3
PRESS_S = 10.0
# Refused as it should be; the way there has been tried all the same.
NO_KEY = "no-key-yet"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the person wants of the examination."""

    config_file: Path
    # Whether a chirp may be heard, the service may be called, a press is waited for.
    chirp: bool = True
    call: bool = True
    press: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """What every part of the examination builds on."""

    wishes: Wishes
    config: Config
    # The daemon's status; None when it does not run.
    daemon: Mapping[str, Any] | None

    @property
    def devices_free(self) -> bool:
        """Whether the daemon leaves the sound card alone now, so that it can be tried here."""
        status = self.daemon
        return status is None or not (status["microphone"]["open"] or status["loudspeaker"]["open"])


def examine(wishes: Wishes) -> Iterator[Verdict]:
    """Yield one verdict after the other; takes some ten seconds. Never raises for what it finds."""
    config, problems = check_file(wishes.config_file)
    found = config if config is not None else Config()
    daemon = ask_daemon()
    case = Case(wishes, found, daemon)
    texts = [str(problem) for problem in problems]
    yield from machine.examine()
    if wishes.config_file.exists():
        bad, fair = (texts, []) if config is None else ([], texts)
        yield service.judge_config(str(wishes.config_file), bad, fair)
    else:
        yield skipped("configuration", f"{wishes.config_file} is not there; the defaults hold")
    yield service.judge_unit(service.unit_state())
    yield service.judge_daemon(daemon, __version__)
    for part in (_access, _sound, _panel, _service):
        yield from _survive(part, case)


def ask_daemon() -> Mapping[str, Any] | None:
    """Return the running daemon's status, or None."""
    try:
        with ControlClient(timeout_s=5.0) as client:
            status: Mapping[str, Any] = client.request("status")
            return status
    except KioskError:
        return None


def _survive(part: Callable[[Case], Iterator[Verdict]], case: Case) -> Iterator[Verdict]:
    """Go on with the next part when this one breaks: a doctor who faints helps nobody."""
    try:
        yield from part(case)
    except (KioskError, OSError) as error:
        yield failure(part.__name__.strip("_"), str(error), "see above")


def _access(case: Case) -> Iterator[Verdict]:
    user, groups = access.service_user()
    gpio_wanted = case.config.panel.driver == "gpio"
    yield access.judge_groups(user, groups, gpio_wanted=gpio_wanted)
    yield access.judge_nodes(access.find_nodes(gpio_wanted=gpio_wanted), user, groups)
    used = set()
    audio = case.config.audio
    for settings, direction in ((audio.capture, Direction.CAPTURE), (audio.playback, Direction.PLAYBACK)):
        if (card := _card(choose(settings).pcm_name)) and card.devices(direction):
            letter = "c" if direction is Direction.CAPTURE else "p"
            used.add(f"pcmC{card.index}D{card.devices(direction)[0]}{letter}")
    pid = case.daemon["process"]["pid"] if case.daemon else None
    yield access.judge_holders(access.find_holders(), used, pid)


def _sound(case: Case) -> Iterator[Verdict]:
    audio, cards = case.config.audio, list_cards()
    reports = survey() if case.devices_free else []
    there = True
    for settings, direction in ((audio.capture, Direction.CAPTURE), (audio.playback, Direction.PLAYBACK)):
        choice = choose(settings)
        verdict = sound.judge_choice(direction, choice, cards)
        yield verdict
        if verdict.level == "failure":
            there = False
            continue
        if not case.devices_free:
            yield skipped(f"{direction.noun} rates", "the daemon has the card open; see voicekiosk status")
        else:
            able = [
                ability
                for report in reports
                for ability in report.abilities
                if ability.direction is direction and names_card(choice.pcm_name, report.card)
            ]
            yield sound.judge_abilities(direction, _first(able))
        if card := _card(choice.pcm_name):
            yield sound.judge_mixer(direction, read_controls(card.index, direction))
    if not there:
        return
    if not case.devices_free:
        warm = audio.capture.warm and case.daemon is not None and case.daemon["state"] == "idle"
        why = "the kiosk keeps the microphone open (audio.capture.warm)" if warm else "the kiosk is in use"
        yield skipped("microphone level", f"{why}: voicekiosk level shows it as it is")
        return
    try:
        rate_hz, block = record(audio.capture, LISTEN_S)
    except DeviceError as error:
        yield failure("microphone level", str(error), "see the links above")
        return
    yield sound.judge_microphone(block, rate_hz)
    yield _echo(case)


def _echo(case: Case) -> Verdict:
    if not case.wishes.chirp:
        return skipped("loudspeaker to microphone", "not tried (--quiet)")
    audio = case.config.audio
    volume = min(audio.playback.volume, audio.playback.volume_max) / 100
    loud = np.asarray(chirp() * volume, np.int16)
    try:
        heard, began_s = play_and_record(audio.capture, audio.playback, loud)
    except DeviceError as error:
        return failure("loudspeaker to microphone", str(error), "see the links above")
    return sound.judge_echo(find(heard, began_s))


def _panel(case: Case) -> Iterator[Verdict]:
    if case.daemon is not None:
        panel = case.daemon["panel"]
        fault = panel.get("fault", "")
        facts = {**panel, "faults": [fault] if fault else []}
        waited_s = 0.0
        if case.wishes.press and not fault:
            facts["edges"] = _wait_for_edges(panel.get("edges", 0))
            waited_s = PRESS_S
        yield from service.judge_panel(facts, waited_s=waited_s)
        return
    settings = case.config.panel
    if settings.driver != "gpio":
        yield from service.judge_panel({"driver": settings.driver}, waited_s=0)
        return
    seconds = PRESS_S if case.wishes.press else PANEL_S
    yield from service.judge_panel(asyncio.run(_try_panel(case.config, seconds)), waited_s=seconds)


def _wait_for_edges(before: int) -> int:
    """Return how many edges the daemon has seen since it had seen `before`; waits for the first."""
    from time import monotonic, sleep  # noqa: PLC0415 - a person presses a button meanwhile

    until_s = monotonic() + PRESS_S
    while monotonic() < until_s:
        status = ask_daemon()
        if status is not None and status["panel"].get("edges", 0) != before:
            return int(status["panel"]["edges"]) - before
        sleep(0.2)
    return 0


async def _try_panel(config: Config, seconds: float) -> dict[str, Any]:
    """Take the pins for some seconds, with the lamp flickering, and say what came of it."""
    loop = asyncio.get_running_loop()
    pressed = asyncio.Event()
    panel = make_panel(config.panel)
    panel.start(loop, lambda _button, _down, _t_s: pressed.set())
    try:
        panel.show(Sign.CONFIRMING)
        with suppress(TimeoutError):
            await asyncio.wait_for(pressed.wait(), seconds)
        facts = panel.facts()
    finally:
        panel.close()
    return {
        "driver": facts.driver,
        "device": facts.device,
        "faults": facts.faults,
        "notes": facts.notes,
        "edges": facts.edges,
    }


def _service(case: Case) -> Iterator[Verdict]:
    key, source, problem = _key(case.daemon)
    yield service.judge_key(source, problem)
    if not case.wishes.call:
        yield skipped("handshake", "not tried (--no-call)")
    elif case.daemon is not None and case.daemon["link"]["state"] == "ready":
        yield skipped("handshake", f"the daemon is connected to {case.daemon['link']['host']}")
    else:
        yield from service.judge_knock(
            asyncio.run(knock(case.config, key or NO_KEY)), has_key=key is not None
        )


def _key(daemon: Mapping[str, Any] | None) -> tuple[str | None, str, str]:
    """Return the key as far as it can be seen, where it is from, and what is wrong with it."""
    own = read_key()
    if own.key is not None:
        return own.key, str(own.source), ""
    source = str(daemon["key"]) if daemon else ""
    try:
        return check_key(KEY_FILE.read_text("utf-8", errors="replace")), source or str(KEY_FILE), ""
    except FileNotFoundError:
        return None, source or str(Source.NONE), own.problem
    except OSError:
        return None, source or "unknown", ""
    except KioskError as error:
        return None, source or str(Source.NONE), f"{KEY_FILE}: {error}"


def _card(pcm_name: str) -> Card | None:
    return next((card for card in list_cards() if names_card(pcm_name, card)), None)


def _first(abilities: list[Abilities]) -> Abilities | None:
    return abilities[0] if abilities else None
