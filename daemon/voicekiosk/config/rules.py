"""Combinations that cannot work, although each value is fine by itself."""

import os.path
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec

from voicekiosk.config import tool_rules, wording
from voicekiosk.config.persona import agent_of
from voicekiosk.config.positions import Path
from voicekiosk.config.problems import Finding, Severity
from voicekiosk.config.schema import Agent, Config, TurnDetection
from voicekiosk.config.secrets import url_holds_a_secret
from voicekiosk.config.validate import WHERE_THE_KEY_GOES

# What the service understands (protocol §10); other codes may work, nobody has tried.
LANGUAGES = {
    "english": "en",
    "spanish": "es",
    "german": "de",
    "french": "fr",
    "portuguese": "pt",
    "italian": "it",
    "turkish": "tr",
    "dutch": "nl",
    "swedish": "sv",
    "norwegian": "no",
    "danish": "da",
    "finnish": "fi",
    "hindi": "hi",
    "vietnamese": "vi",
    "arabic": "ar",
    "hebrew": "he",
    "japanese": "ja",
    "chinese": "zh",
}

# Where the agent's persona is described inline; all of it excludes a stored agent (protocol §2.1).
_PERSONA = (
    "system_prompt",
    "greeting",
    "voice",
    "volume",
    "transcription_prompt",
    "language_codes",
    "keyterms",
    "voice_focus",
    "turn_detection",
    "persona",
    "preset",
)
# The service's own longest silence (protocol §6), in force where only the shorter one is set.
_DEFAULT_MAX_SILENCE_MS = 3000


def findings(config: Config, is_file: Callable[[str], bool] = os.path.isfile) -> Iterator[Finding]:
    """Yield what is wrong with the combination of values; `is_file` looks whether a path is a file."""
    yield from _agent(config.agent)
    yield from _turn_detection(agent_of(config).turn_detection)
    yield from _personas(config)
    yield from _patience(config)
    yield from _privacy(config)
    yield from _capture(config)
    yield from _playback(config)
    yield from _pins(config)
    yield from _lamp(config)
    yield from _conversation(config)
    yield from _network(config, is_file)
    yield from _sounds(config)
    yield from tool_rules.findings(config)


def _error(key: str, message: str, hint: str = "", *, cause: str = "") -> Finding:
    path, other = _path(key), _path(cause)
    return Finding(path=path, cause=other, message=message, hint=hint, at_key=True)


def _path(key: str) -> Path:
    return tuple(int(part) if part.isdecimal() else part for part in key.split("."))


def _warning(key: str, message: str, hint: str = "", *, cause: str = "") -> Finding:
    return msgspec.structs.replace(_error(key, message, hint, cause=cause), severity=Severity.WARNING)


def _agent(agent: Agent) -> Iterator[Finding]:
    if agent.agent_id:
        default = Agent()
        for name in _PERSONA:
            if getattr(agent, name) != getattr(default, name):
                yield _error(
                    f"agent.{name}",
                    "expected no persona beside agent_id, got one",
                    "the stored agent brings its own: remove this key, or agent_id",
                )
    if agent.token_command and not agent.token_command[0].startswith("/"):
        yield Finding(
            path=("agent", "token_command", 0),
            message=f"expected a program by its path from /, got {wording.got(agent.token_command[0])}",
            hint='there is no shell: one word each, such as ["/usr/local/bin/token", "--kiosk"]',
        )
    if agent.url and agent.region != "default":
        yield _error("agent.url", "expected either url or region, got both", "remove one of them")
    if agent.url:
        yield from _url("agent.url", agent.url)
    yield from _languages(agent.language_codes, ("agent", "language_codes"))


def _languages(codes: Iterable[str], path: Path) -> Iterator[Finding]:
    for index, code in enumerate(codes):
        if code not in LANGUAGES.values():
            known = LANGUAGES.get(code.lower()) or wording.nearest(code.partition("-")[0], LANGUAGES.values())
            yield Finding(
                path=(*path, index),
                message=f"expected one of {' '.join(LANGUAGES.values())}, got {wording.got(code)}",
                hint=wording.did_you_mean([wording.quoted(known)]) if known else "",
                severity=Severity.WARNING,
            )


def _url(key: str, url: str) -> Iterator[Finding]:
    if url_holds_a_secret(url):
        yield _error(key, "expected an address without login or token, got one (hidden)", WHERE_THE_KEY_GOES)
    parts = _split(url)
    if parts is None or parts.scheme not in {"ws", "wss"}:
        meant = {"https": "wss", "http": "ws"}.get(parts.scheme if parts else "")
        hint = (
            wording.did_you_mean([f"{meant}://…"])
            if meant
            else "such as wss://agents.eu.assemblyai.com/v1/ws"
        )
        yield _error(key, f"expected an address like wss://HOST/PATH, got {wording.got(url)}", hint)
    elif parts.scheme == "ws" and not parts.is_loopback:
        yield _warning(
            key,
            f"expected wss:// for another machine, got {wording.got(url)}",
            "with ws:// the API key and every word cross the network unencrypted",
        )


def _turn_detection(turn: TurnDetection) -> Iterator[Finding]:
    low, high = turn.min_silence_ms, turn.max_silence_ms
    key = "agent.turn_detection.min_silence_ms"
    if low is not None and high is not None and low >= high:
        yield _error(
            key,
            f"expected less than max_silence_ms ({high}), got {low}",
            cause="agent.turn_detection.max_silence_ms",
        )
    elif low is not None and high is None and low >= _DEFAULT_MAX_SILENCE_MS:
        yield _warning(
            key,
            f"expected less than the service's max_silence of {_DEFAULT_MAX_SILENCE_MS}, got {low}",
            "set max_silence_ms as well",
        )


def _personas(config: Config) -> Iterator[Finding]:
    chosen = config.agent.persona
    if chosen and chosen not in config.persona:
        meant = wording.nearest(chosen, config.persona)
        yield _error(
            "agent.persona",
            f"expected the name of a [persona.NAME], got {wording.got(chosen)}",
            wording.did_you_mean([wording.quoted(meant)]) if meant else f"add a table [persona.{chosen}]",
        )
    for name in config.panel.persona.positions:
        if name not in config.persona:
            yield _error(
                f"panel.persona.positions.{name}",
                f"expected the name of a [persona.NAME], got {wording.got(name)}",
                f"add a table [persona.{name}]",
            )
    for name, persona in config.persona.items():
        yield from _languages(persona.language_codes or (), ("persona", name, "language_codes"))


def _privacy(config: Config) -> Iterator[Finding]:
    if config.privacy.delete_after_session and config.agent.token_command:
        yield _error(
            "privacy.delete_after_session",
            "expected the API key on this machine, got agent.token_command",
            "a temporary token cannot delete a session: have the token's maker do it",
            cause="agent.token_command",
        )


def _patience(config: Config) -> Iterator[Finding]:
    patience = config.patience
    if patience.min_silence_ms >= patience.max_silence_ms:
        yield _error(
            "patience.min_silence_ms",
            f"expected less than max_silence_ms ({patience.max_silence_ms}), got {patience.min_silence_ms}",
            cause="patience.max_silence_ms",
        )


def _capture(config: Config) -> Iterator[Finding]:
    capture = config.audio.capture
    if isinstance(capture.channel, int) and 0 < capture.channels <= capture.channel:
        yield _error(
            "audio.capture.channel",
            f"expected a channel below channels ({capture.channels}), got {capture.channel}",
            "channels count from 0",
            cause="audio.capture.channels",
        )
    if capture.buffer_ms < 2 * capture.period_ms:
        yield _error(
            "audio.capture.buffer_ms",
            f"expected at least two periods ({2 * capture.period_ms}), got {capture.buffer_ms}",
            cause="audio.capture.period_ms",
        )
    if not capture.warm and capture.preroll_ms != type(capture)().preroll_ms:
        yield _warning(
            "audio.capture.preroll_ms",
            "expected warm = true beside it, got false",
            "a microphone that is closed until the press has nothing from before it",
            cause="audio.capture.warm",
        )
    yield from _device("audio.capture.device", capture.device)


def _playback(config: Config) -> Iterator[Finding]:
    playback = config.audio.playback
    if playback.volume > playback.volume_max:
        yield _error(
            "audio.playback.volume",
            f"expected at most volume_max ({playback.volume_max}), got {playback.volume}",
            cause="audio.playback.volume_max",
        )
    if playback.queue_ms < 2 * playback.period_ms:
        yield _error(
            "audio.playback.queue_ms",
            f"expected at least two periods ({2 * playback.period_ms}), got {playback.queue_ms}",
            cause="audio.playback.period_ms",
        )
    yield from _device("audio.playback.device", playback.device)


def _device(key: str, device: str) -> Iterator[Finding]:
    if device.isdecimal():
        yield _error(
            key,
            f"expected a card by its name, got its number {device}",
            "card numbers change when something is plugged in; `voicekiosk devices` lists the names",
        )
        return
    name = device.removeprefix("plug").removeprefix("hw:").partition(",")[0]
    if name.isdecimal():
        yield _warning(
            key,
            f"expected a card by its name, got {wording.got(device)}",
            "card numbers change when something is plugged in; `voicekiosk devices` lists the names",
        )
    if device == "default" or device.startswith(("plug", "dsnoop", "dmix", "sysdefault")):
        yield _warning(
            key,
            f"expected a card itself, got {wording.got(device)}",
            "ALSA's own conversion folds high tones into the speech; the daemon converts by itself",
        )


def _pins(config: Config) -> Iterator[Finding]:
    panel = config.panel
    if panel.driver != "gpio":
        return
    uses: dict[str, int] = {"panel.button.gpio": panel.button.gpio}
    if panel.button.mute_gpio is not None:
        uses["panel.button.mute_gpio"] = panel.button.mute_gpio
    volume = panel.volume
    for one, other in (("up_gpio", "down_gpio"), ("a_gpio", "b_gpio")):
        for name, missing in ((one, other), (other, one)):
            if (pin := getattr(volume, name)) is not None:
                uses[f"panel.volume.{name}"] = pin
                if getattr(volume, missing) is None:
                    yield _error(f"panel.volume.{name}", f"expected {missing} beside it, got none")
    for name, pin in panel.persona.positions.items():
        uses[f"panel.persona.positions.{name}"] = pin
    match panel.lamp.kind:
        case "led" | "pwm":
            uses["panel.lamp.gpio"] = panel.lamp.gpio
        case "rgb":
            uses["panel.lamp.red_gpio"] = panel.lamp.red_gpio
            uses["panel.lamp.green_gpio"] = panel.lamp.green_gpio
            uses["panel.lamp.blue_gpio"] = panel.lamp.blue_gpio
    for index, tool in enumerate(config.tools):
        if tool.builtin == "gpio" and tool.output_gpio is not None:
            uses[f"tools.{index}.output_gpio"] = tool.output_gpio
    if panel.chip != "auto" and not panel.chip.startswith("/"):
        yield _error(
            "panel.chip", f'expected "auto" or a path such as "/dev/gpiochip0", got {wording.got(panel.chip)}'
        )
    by_pin: dict[int, list[str]] = defaultdict(list)
    for key, pin in uses.items():
        by_pin[pin].append(key)
    for pin, keys in by_pin.items():
        for key in keys[1:]:
            yield _error(key, f"expected a pin of its own, got {pin}, which is also {keys[0]}", cause=keys[0])
        if pin > 27:
            yield _warning(keys[0], f"expected a pin of the 40-pin header (0 to 27), got {pin}")
        elif pin < 2:
            yield _warning(
                keys[0],
                f"expected a free pin, got {pin}",
                "0 and 1 belong to the memory that identifies a HAT",
            )


def _lamp(config: Config) -> Iterator[Finding]:
    lamp = config.panel.lamp
    if bool(lamp.night_from) != bool(lamp.night_to):
        given, missing = ("night_from", "night_to") if lamp.night_from else ("night_to", "night_from")
        yield _error(
            f"panel.lamp.{given}",
            f"expected {missing} beside it, got none",
            "set both, or neither",
            cause=f"panel.lamp.{missing}",
        )
    elif lamp.night_from and lamp.night_from == lamp.night_to:
        yield _error("panel.lamp.night_to", f"expected another time than night_from, got {lamp.night_to}")


def _conversation(config: Config) -> Iterator[Finding]:
    conversation = config.conversation
    nudge = conversation.nudge_after_s
    if nudge is not None and nudge >= conversation.thinking_timeout_s:
        yield _error(
            "conversation.nudge_after_s",
            f"expected less than thinking_timeout_s ({conversation.thinking_timeout_s:g}), got {nudge:g}",
            cause="conversation.thinking_timeout_s",
        )


def _network(config: Config, is_file: Callable[[str], bool]) -> Iterator[Finding]:
    network = config.network
    if network.proxy:
        parts = _split(network.proxy)
        if parts is None or parts.scheme not in {"http", "https"}:
            yield _error(
                "network.proxy",
                f"expected an address like http://HOST:PORT, got {wording.got(network.proxy)}",
            )
    if network.ca_file and not network.ca_file.startswith("/"):
        yield _error("network.ca_file", f"expected a path from /, got {wording.got(network.ca_file)}")
    elif network.ca_file and not is_file(network.ca_file):
        yield _warning("network.ca_file", f"expected a file, got none at {wording.got(network.ca_file)}")


def _sounds(config: Config) -> Iterator[Finding]:
    directory = config.sounds.directory
    if directory and not directory.startswith("/"):
        yield _error("sounds.directory", f"expected a path from /, got {wording.got(directory)}")
    elif directory.startswith(("/home/", "/root/", "/tmp/")):  # noqa: S108 - only compared
        yield _warning(
            "sounds.directory",
            f"expected a place that the service sees, got {wording.got(directory)}",
            "its sandbox hides /home, /root and /tmp; /etc/voicekiosk/sounds is a good place",
        )


@dataclass(frozen=True, slots=True)
class _Address:
    scheme: str
    host: str

    @property
    def is_loopback(self) -> bool:
        return self.host in {"localhost", "::1"} or self.host.startswith("127.")


def _split(url: str) -> _Address | None:
    """Return the parts of an address, or None if it is none."""
    try:
        parts = urlsplit(url)
        # Reading the port checks it.
        valid = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return None
    if not valid or any(c.isspace() or not c.isprintable() for c in url):
        return None
    return _Address(parts.scheme, parts.hostname or "")
