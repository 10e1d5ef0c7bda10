"""What changed between two configurations, and what it takes to apply each change to a running kiosk."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from voicekiosk.config import model
from voicekiosk.config.render import hidden, toml
from voicekiosk.config.schema import Config
from voicekiosk.config.secrets import masked


class Effect(StrEnum):
    """What has to happen for a changed key to take effect, in the words of `config diff`."""

    AT_ONCE = "applied at once"
    SESSION = "told to the service at once"
    MICROPHONE = "the microphone is reopened"
    LOUDSPEAKER = "the loudspeaker is reopened"
    PANEL = "button and lamp are reopened"
    RECONNECT = "from the next conversation on"


# Each key by itself, never by table: whoever adds one must decide. What the service lets change in an
# open session is in protocol §2.1; languages and voice focus are accepted there but act only after a
# reconnect, so they wait for one.
EFFECTS: dict[str, Effect] = {
    "kiosk.name": Effect.AT_ONCE,
    "kiosk.place": Effect.AT_ONCE,
    "agent.region": Effect.RECONNECT,
    "agent.url": Effect.RECONNECT,
    "agent.token_command": Effect.RECONNECT,
    "agent.agent_id": Effect.RECONNECT,
    "agent.persona": Effect.RECONNECT,
    "agent.system_prompt": Effect.SESSION,
    "agent.greeting": Effect.RECONNECT,
    "agent.voice": Effect.RECONNECT,
    "agent.volume": Effect.SESSION,
    "agent.transcription_mode": Effect.SESSION,
    "agent.transcription_prompt": Effect.SESSION,
    "agent.language_codes": Effect.RECONNECT,
    "agent.keyterms": Effect.SESSION,
    "agent.voice_focus": Effect.RECONNECT,
    "agent.tool_results": Effect.AT_ONCE,
    "agent.preset": Effect.RECONNECT,
    "agent.turn_detection.vad_threshold": Effect.SESSION,
    "agent.turn_detection.min_silence_ms": Effect.SESSION,
    "agent.turn_detection.max_silence_ms": Effect.SESSION,
    "agent.turn_detection.interrupt_response": Effect.SESSION,
    "agent.turn_detection.interruption_delay_ms": Effect.SESSION,
    "persona": Effect.RECONNECT,
    "audio.capture.device": Effect.MICROPHONE,
    "audio.capture.rate_hz": Effect.MICROPHONE,
    "audio.capture.format": Effect.MICROPHONE,
    "audio.capture.channels": Effect.MICROPHONE,
    "audio.capture.channel": Effect.MICROPHONE,
    "audio.capture.period_ms": Effect.MICROPHONE,
    "audio.capture.buffer_ms": Effect.MICROPHONE,
    "audio.capture.warm": Effect.MICROPHONE,
    "audio.capture.preroll_ms": Effect.AT_ONCE,
    "audio.playback.device": Effect.LOUDSPEAKER,
    "audio.playback.rate_hz": Effect.LOUDSPEAKER,
    "audio.playback.channels": Effect.LOUDSPEAKER,
    "audio.playback.period_ms": Effect.LOUDSPEAKER,
    "audio.playback.queue_ms": Effect.LOUDSPEAKER,
    "audio.playback.cushion_ms": Effect.LOUDSPEAKER,
    "audio.playback.lead_silence_ms": Effect.LOUDSPEAKER,
    "audio.playback.volume": Effect.AT_ONCE,
    "audio.playback.volume_max": Effect.AT_ONCE,
    "panel.driver": Effect.PANEL,
    "panel.mode": Effect.AT_ONCE,
    "panel.chip": Effect.PANEL,
    "panel.button.gpio": Effect.PANEL,
    "panel.button.active_low": Effect.PANEL,
    "panel.button.debounce_ms": Effect.PANEL,
    "panel.button.mute_gpio": Effect.PANEL,
    "panel.lamp.kind": Effect.PANEL,
    "panel.lamp.gpio": Effect.PANEL,
    "panel.lamp.red_gpio": Effect.PANEL,
    "panel.lamp.green_gpio": Effect.PANEL,
    "panel.lamp.blue_gpio": Effect.PANEL,
    "panel.lamp.active_high": Effect.PANEL,
    "panel.lamp.brightness": Effect.PANEL,
    "panel.lamp.night_from": Effect.PANEL,
    "panel.lamp.night_to": Effect.PANEL,
    "panel.lamp.night_brightness": Effect.PANEL,
    "panel.volume.up_gpio": Effect.PANEL,
    "panel.volume.down_gpio": Effect.PANEL,
    "panel.volume.a_gpio": Effect.PANEL,
    "panel.volume.b_gpio": Effect.PANEL,
    "panel.volume.step_percent": Effect.AT_ONCE,
    "panel.persona.positions": Effect.PANEL,
    "conversation.max_hold_s": Effect.AT_ONCE,
    "conversation.latched_silence_s": Effect.AT_ONCE,
    "conversation.release_tail_ms": Effect.AT_ONCE,
    "conversation.thinking_timeout_s": Effect.AT_ONCE,
    "conversation.nudge_after_s": Effect.AT_ONCE,
    "conversation.speaking_stall_s": Effect.AT_ONCE,
    "conversation.keep_open_s": Effect.AT_ONCE,
    "conversation.keep_question_s": Effect.AT_ONCE,
    "conversation.connect": Effect.AT_ONCE,
    "conversation.still_working_s": Effect.AT_ONCE,
    "patience.enabled": Effect.AT_ONCE,
    "patience.min_silence_ms": Effect.AT_ONCE,
    "patience.max_silence_ms": Effect.AT_ONCE,
    "money.price_per_hour": Effect.AT_ONCE,
    "money.currency": Effect.AT_ONCE,
    "money.daily_cap": Effect.AT_ONCE,
    "money.warn_percent": Effect.AT_ONCE,
    "privacy.delete_after_session": Effect.AT_ONCE,
    "network.connect_timeout_s": Effect.AT_ONCE,
    "network.ready_timeout_s": Effect.AT_ONCE,
    "network.dead_after_s": Effect.RECONNECT,
    "network.resume": Effect.AT_ONCE,
    "network.resume_window_s": Effect.AT_ONCE,
    "network.backoff_max_s": Effect.AT_ONCE,
    "network.carry_turns": Effect.AT_ONCE,
    "network.proxy": Effect.RECONNECT,
    "network.ca_file": Effect.RECONNECT,
    "sounds.words": Effect.AT_ONCE,
    "sounds.language": Effect.AT_ONCE,
    "sounds.directory": Effect.AT_ONCE,
    "sounds.announce_ready": Effect.AT_ONCE,
    "sounds.night_volume": Effect.AT_ONCE,
    "tools": Effect.SESSION,
    "apply.confirm_within_s": Effect.AT_ONCE,
    "log.level": Effect.AT_ONCE,
    "log.transcripts": Effect.AT_ONCE,
}


@dataclass(frozen=True, slots=True)
class Change:
    """One key whose value differs; None is a key that is not set."""

    key: str
    old: Any
    new: Any
    effect: Effect

    def __str__(self) -> str:
        """Return the line that `config diff` prints, secrets hidden."""
        return f"{self.key}: {_shown(self.old)} → {_shown(self.new)} ({self.effect})"

    def as_dict(self) -> dict[str, Any]:
        """Return the change for JSON, secrets hidden."""
        old, new = hidden(self.old), hidden(self.new)
        return {"key": self.key, "old": old, "new": new, "effect": self.effect.value, "text": str(self)}


@dataclass(frozen=True, slots=True)
class Changes:
    """All that differs, in the order of the schema."""

    changes: tuple[Change, ...] = ()

    def __bool__(self) -> bool:
        """Return whether anything differs."""
        return bool(self.changes)

    @property
    def effects(self) -> frozenset[Effect]:
        """Return everything that has to happen."""
        return frozenset(change.effect for change in self.changes)


def compare(old: Config, new: Config) -> Changes:
    """Return which keys differ, and what it takes to apply each."""
    return Changes(tuple(_compare(model.table(), old, new, ())))


def comparable_keys(table: model.Table, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the keys that are compared one by one; an array of tables counts as one."""
    for field in table.fields.values():
        inner = (*path, field.name)
        if isinstance(field.kind, model.Table):
            yield from comparable_keys(field.kind, inner)
        else:
            yield ".".join(inner)


def effect_of(key: str) -> Effect:
    """Return what it takes to apply a key, which may be one inside an array of tables."""
    while key not in EFFECTS:
        key = key.rpartition(".")[0]
        if not key:
            raise KeyError(key)
    return EFFECTS[key]


def _compare(table: model.Table, old: Any, new: Any, path: tuple[str, ...]) -> Iterator[Change]:
    for field in table.fields.values():
        before, after, inner = getattr(old, field.name), getattr(new, field.name), (*path, field.name)
        if isinstance(field.kind, model.Table):
            yield from _compare(field.kind, before, after, inner)
        elif before != after:
            effect = EFFECTS[".".join(inner)]
            if effect is Effect.SESSION and after is None:
                # An update can set a value but not take one back: only a new session starts without it.
                effect = Effect.RECONNECT
            yield Change(".".join(inner), _plain(before), _plain(after), effect)


def _plain(value: Any) -> Any:
    """Return tables without fixed names as plain data, without the keys that are not set."""
    if isinstance(value, dict):
        return {name: _plain((item,))[0] for name, item in value.items()}
    if isinstance(value, tuple) and any(isinstance(item, msgspec.Struct) for item in value):
        return tuple({k: v for k, v in msgspec.to_builtins(item).items() if v is not None} for item in value)
    return value


def _shown(value: Any) -> str:
    return "unset" if value is None else masked(toml(value))
