"""Who speaks, and when a turn is over: the persona laid over `[agent]`, the preset below its keys."""

from typing import Any

from msgspec.structs import asdict, replace

from voicekiosk.config.schema import Agent, Config, TurnDetection

# Protocol 6.1: what has been shown to work for each kind of place.
PRESETS: dict[str, dict[str, Any]] = {
    "snappy": {"min_silence_ms": 500, "max_silence_ms": 1000},
    "patient": {"min_silence_ms": 1500, "max_silence_ms": 5000},
    "noisy": {"vad_threshold": 0.65},
    "no-interruptions": {"interrupt_response": False},
}

_DEFAULT = asdict(TurnDetection())


_IN_A_SESSION = {"persona", "system_prompt", "greeting", "keyterms", "transcription_prompt"}
"""What another persona can bring to an open session; its greeting is for the next conversation."""


def with_persona(config: Config, name: str) -> Config:
    """Return `config` with another persona; as it is where there is none of that name."""
    return replace(config, agent=replace(config.agent, persona=name)) if name in config.persona else config


def takes_on(old: Agent, new: Agent) -> bool:
    """Return whether an open session of `old` can become all of `new` by an update (protocol 2.1)."""
    return all(value == getattr(old, key) or key in _IN_A_SESSION for key, value in asdict(new).items())


def agent_of(config: Config) -> Agent:
    """Return the agent that `config` means: the chosen persona over `[agent]`, the preset below its keys."""
    agent = config.agent
    persona = config.persona.get(agent.persona)
    if persona is not None:
        agent = replace(agent, **{key: value for key, value in asdict(persona).items() if value is not None})
    explicit = {key: value for key, value in asdict(agent.turn_detection).items() if value != _DEFAULT[key]}
    return replace(agent, turn_detection=TurnDetection(**(PRESETS.get(agent.preset, {}) | explicit)))
