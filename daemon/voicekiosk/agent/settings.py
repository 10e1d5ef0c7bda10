"""What a `session.update` says: the configuration in the words of the service (protocol 2.1).

Unset keys are left out, never null: the service answers a null greeting with `invalid_format`.
"""

from collections.abc import Sequence
from typing import Any

from voicekiosk.agent.tools import described
from voicekiosk.config import schema

SCHEMA_MIN_SILENCE_MS, SCHEMA_MAX_SILENCE_MS = 1000, 3000
TURN_DETECTION = "input.turn_detection."
PCM_24_KHZ = {"encoding": "audio/pcm", "sample_rate": 24000}


def first_settings(
    agent: schema.Agent,
    *,
    voice: str,
    carried: str = "",
    greet: bool = True,
    tools: Sequence[schema.Tool] = (),
) -> dict[str, Any]:
    """Give the settings that open a fresh session.

    `carried` is what a session after a drop is told of the time before. An `agent_id` goes alone, so
    there it has to follow in an update once the session is ready.
    """
    if agent.agent_id:
        return {"agent_id": agent.agent_id}
    flat = {path: value for path, value in _mutable(agent).items() if value not in ("", [], None)}
    if flat.get("input.turn_detection.interrupt_response") is True:
        del flat["input.turn_detection.interrupt_response"]
    flat["system_prompt"] = agent.system_prompt + carried
    flat["input.format"] = PCM_24_KHZ
    flat["output.format"] = PCM_24_KHZ
    if voice:
        flat["output.voice"] = voice
    if agent.greeting and greet:
        flat["greeting"] = agent.greeting
    if tools:
        flat["tools"] = described(tools)
    return _nested(flat)


def changed_settings(
    old: schema.Agent,
    new: schema.Agent,
    *,
    carried: str = "",
    old_tools: Sequence[schema.Tool] = (),
    new_tools: Sequence[schema.Tool] = (),
) -> dict[str, Any]:
    """Give the settings that a running session can take on; empty when there are none.

    The tools of a stored agent stay as they are: a list of ours would replace its own.

    Voice, greeting and format are frozen once a session is ready and never sent again. A key that
    was taken out of the configuration keeps its value until the next session.
    """
    before, after = _mutable(old), _mutable(new)
    flat = {path: value for path, value in after.items() if value != before[path] and value is not None}
    if "system_prompt" in flat:
        flat["system_prompt"] = new.system_prompt + carried
    if any(path.startswith(TURN_DETECTION) for path in flat):
        # The whole table: nobody knows whether the service merges or replaces it.
        table = {path: value for path, value in after.items() if path.startswith(TURN_DETECTION)}
        flat |= {path: value for path, value in table.items() if value is not None and value is not True}
    if described(old_tools) != described(new_tools) and not new.agent_id:
        flat["tools"] = described(new_tools)
    return _nested(flat)


def _mutable(agent: schema.Agent) -> dict[str, Any]:
    turn = agent.turn_detection
    return {
        "system_prompt": agent.system_prompt,
        "input.keyterms": list(agent.keyterms),
        "input.transcription_mode": agent.transcription_mode,
        "input.transcription_prompt": agent.transcription_prompt,
        "input.language_codes": list(agent.language_codes),
        "input.voice_focus": agent.voice_focus or None,
        "input.turn_detection.vad_threshold": turn.vad_threshold,
        "input.turn_detection.min_silence": turn.min_silence_ms,
        "input.turn_detection.max_silence": turn.max_silence_ms,
        "input.turn_detection.interrupt_response": turn.interrupt_response,
        "input.turn_detection.interruption_delay": turn.interruption_delay_ms,
        "output.volume": agent.volume,
    }


def pause_settings(config: schema.Config, *, patient: bool) -> dict[str, Any]:
    """Give the turn detection that waits longer for an answer, or the configured one again.

    A value cannot be unset in a session (protocol 2.1): without one in the configuration the service goes
    back to the defaults of its schema, not to its own adaptation.
    """
    turn, patience = config.agent.turn_detection, config.patience
    low = patience.min_silence_ms if patient else turn.min_silence_ms or SCHEMA_MIN_SILENCE_MS
    high = patience.max_silence_ms if patient else turn.max_silence_ms or SCHEMA_MAX_SILENCE_MS
    # What is set beside it goes along: nobody knows whether the service merges or replaces the table.
    table = {
        "min_silence": min(low, high - 1),
        "max_silence": high,
        "vad_threshold": turn.vad_threshold,
        "interrupt_response": None if turn.interrupt_response else False,
        "interruption_delay": turn.interruption_delay_ms,
    }
    return {"input": {"turn_detection": {key: value for key, value in table.items() if value is not None}}}


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for path, value in flat.items():
        *tables, key = path.split(".")
        table = settings
        for name in tables:
            table = table.setdefault(name, {})
        table[key] = value
    return settings
