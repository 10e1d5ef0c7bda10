"""`session.update`: what is refused, with which code and text, and what is echoed (2.1, 3.1, 8.2)."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from voicekiosk.simulator import frames
from voicekiosk.simulator.codec import ENCODINGS, PCM, Encoding

Json = dict[str, Any]


class Refused(Exception):  # noqa: N818 - a protocol answer, not a failure of ours
    """A message is answered with `session.error`; `shape` errors never close the socket."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.param = code, message, param

    @property
    def shape(self) -> bool:
        """Whether the message could not be parsed at all, which is never fatal."""
        return self.code == "invalid_format"


_SHAPE: Mapping[str, type] = {
    "agent_id": str,
    "system_prompt": str,
    "greeting": str,
    "input": dict,
    "output": dict,
    "tools": list,
    "webhook": dict,
    "llm": list,
    "pre_connect_requests": list,
}
_INPUT_SHAPE: Mapping[str, type | tuple[type, ...]] = {
    "type": str,
    "keyterms": list,
    "transcription_mode": str,
    "transcription_prompt": str,
    "language_codes": list,
    "voice_focus": str,
    "voice_focus_threshold": (int, float),
    "continuous_partials": bool,
    "turn_detection": dict,
}
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "input.type": ("audio", "text"),
    "output.type": ("audio", "text"),
    "input.transcription_mode": ("min_latency", "balanced", "max_accuracy"),
    "input.voice_focus": ("near-field", "far-field"),
    "turn_detection.type": ("server_vad", "semantic_vad"),
}
_RANGES: Mapping[str, tuple[float, float]] = {
    "input.voice_focus_threshold": (0, 1),
    "output.volume": (0, 100),
    "turn_detection.vad_threshold": (0, 1),
    "turn_detection.min_silence": (50, 10000),
    "turn_detection.max_silence": (50, 10000),
    "turn_detection.interruption_delay": (0, 1000),
}
_NO_NULLS: Mapping[str, tuple[str, ...]] = {
    "input": (*_INPUT_SHAPE, "format"),
    "output": ("type", "voice", "format", "volume"),
    "format": ("encoding", "sample_rate"),
    "turn_detection": (
        "vad_threshold", "min_silence", "max_silence", "interrupt_response", "interruption_delay", "type",
        "uninterruptible_turns",
    ),
}  # fmt: skip
_UNINTERRUPTIBLE = ("greeting", "dtmf_prompt", "tool_refused_ask")
_TOOL_DEFAULTS: Json = {
    "description": "",
    "parameters": {"type": "object", "properties": {}, "required": []},
    "timeout_seconds": 120,
    "execution_mode": "interactive",
    "http": None,
    "response_instructions": None,
    "deployment_id": None,
    "session_update": None,
    "image_tag": None,
}


class Configuration:
    """The resolved configuration of one session, in the form of the echo."""

    def __init__(self, session_id: str) -> None:
        self.echo: Json = {
            "id": session_id,
            "system_prompt": "",
            "greeting": None,
            "input": {
                "type": "audio",
                "format": {"encoding": PCM.name, "sample_rate": 24000},
                "turn_detection": None,
                "keyterms": None,
                "transcription_mode": None,
                "continuous_partials": None,
                "transcription_prompt": None,
                "language_codes": None,
                "voice_focus": None,
                "voice_focus_threshold": None,
            },
            "output": {
                "type": "audio",
                "voice": "alba",
                "format": {"encoding": PCM.name, "sample_rate": 24000},
                "volume": None,
            },
            "tools": [],
            "llm": [],
            "pre_connect_requests": [],
        }

    def first(self, session: Json, agents: Mapping[str, Json]) -> None:
        """Take the first update; raises Refused and changes nothing."""
        _check_shape(session)
        if "agent_id" in session:
            if len(session) > 1:
                raise Refused("invalid_value", frames.AGENT_EXCLUSIVE, "agent_id")
            if session["agent_id"] not in agents:
                raise Refused("agent_not_found", frames.AGENT_UNKNOWN, "agent_id")
            session = agents[session["agent_id"]]
        _check_values(session)
        self._merge(session)

    def later(self, session: Json, *, apply_rest: bool) -> Refused | None:
        """Take a later update; raises Refused, or returns it when the mutable rest was applied."""
        _check_shape(session)
        if "agent_id" in session:
            raise Refused("agent_id_not_first", frames.AGENT_LATE, "agent_id")
        frozen = _immutable(session)
        if frozen:
            refused = Refused("immutable_field", frames.immutable(frozen), frozen)
            if not apply_rest:
                raise refused
            session = {key: value for key, value in session.items() if key != "greeting"}
            kept = {key: value for key, value in session.get("output", {}).items() if key == "volume"}
            session["output"] = kept
            _check_values(session)
            self._merge(session)
            return refused
        _check_values(session)
        self._merge(session)
        return None

    def _merge(self, session: Json) -> None:
        echo = copy.deepcopy(self.echo)
        for key in ("system_prompt", "greeting"):
            if key in session:
                echo[key] = session[key]
        given = dict(session.get("input", {}))
        detection = given.pop("turn_detection", None)
        if "keyterms" in given:  # Longer ones are ignored without an error.
            given["keyterms"] = [term for term in given["keyterms"] if len(term) <= 50]
        for where, values in (("input", given), ("output", session.get("output", {}))):
            for key, value in values.items():
                if key in echo[where]:
                    echo[where][key] = _format(value) if key == "format" else value
        if detection is not None:
            known = echo["input"]["turn_detection"] or {
                **dict.fromkeys(_NO_NULLS["turn_detection"]),
                "uninterruptible_turns": [],
            }
            echo["input"]["turn_detection"] = known | {k: v for k, v in detection.items() if k in known}
            _check_silences(echo["input"]["turn_detection"])
        if "tools" in session:
            echo["tools"] = [_TOOL_DEFAULTS | tool for tool in session["tools"]]
        self.echo = echo

    @property
    def detection(self) -> Json:
        """The turn detection that was set, else nothing."""
        detection: Json = self.echo["input"]["turn_detection"] or {}
        return {key: value for key, value in detection.items() if value is not None}

    @property
    def mode(self) -> str:
        """The transcription mode in force."""
        mode: str = self.echo["input"]["transcription_mode"] or "balanced"
        return mode

    @property
    def interruption_delay_s(self) -> float:
        """User speech needed before it may cut the agent (6.1)."""
        default = 0 if self.mode == "min_latency" else 500
        return float(self.detection.get("interruption_delay", default)) / 1000

    @property
    def input_encoding(self) -> Encoding:
        """How audio comes in."""
        return ENCODINGS[self.echo["input"]["format"]["encoding"]]

    @property
    def output_encoding(self) -> Encoding:
        """How audio goes out."""
        return ENCODINGS[self.echo["output"]["format"]["encoding"]]

    @property
    def declares_wrong_rate(self) -> bool:
        """Whether PCM was declared at a rate that ends in `internal_error` after some seconds (section 4)."""
        return any(
            self.echo[where]["format"]["encoding"] == PCM.name
            and self.echo[where]["format"]["sample_rate"] != 24000
            for where in ("input", "output")
        )

    def tool(self, name: str) -> Json | None:
        """Return the tool of this name."""
        return next((tool for tool in self.echo["tools"] if tool["name"] == name), None)


def nulls(value: Any, path: str = "") -> Iterator[str]:
    """Yield the path of every null, for the judge (12.1 rule 9); tool definitions may hold them."""
    if value is None:
        yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key != "tools" or inner is None:
                yield from nulls(inner, f"{path}.{key}" if path else str(key))


def _shape(problem: bool) -> None:
    if problem:
        raise Refused("invalid_format", frames.bad_body("session.update"))


def _check_shape(session: Any) -> None:
    _shape(not isinstance(session, dict))
    for key, value in session.items():
        _shape(key not in _SHAPE or not isinstance(value, _SHAPE[key]))
    for table in ("input", "output"):
        _check_nulls(table, session.get(table, {}))
    for key, value in session.get("input", {}).items():
        _shape(key in _INPUT_SHAPE and not _is(value, _INPUT_SHAPE[key]))
    for key in ("keyterms", "language_codes"):
        _shape(not all(isinstance(term, str) for term in session.get("input", {}).get(key, ())))
    _shape(not all(isinstance(tool, dict) for tool in session.get("tools", ())))


def _check_nulls(name: str, table: Json) -> None:
    for key, value in table.items():
        _shape(value is None and key in _NO_NULLS[name])
        if key in _NO_NULLS and isinstance(value, dict):
            _check_nulls(key, value)


def _is(value: Any, wanted: type | tuple[type, ...]) -> bool:
    if isinstance(value, bool) and wanted is not bool:
        return False
    return isinstance(value, wanted)


def check(session: Json) -> None:
    """Raise Refused when a stored agent's configuration could not be a session's."""
    _check_shape(session)
    _check_values(session)


def _immutable(session: Json) -> str | None:
    output = session.get("output", {})
    for key in ("voice", "format", "type"):
        if key in output:
            return f"output.{key}"
    return "greeting" if "greeting" in session else None


def _check_values(session: Json) -> None:
    if "llm" in session:
        raise Refused("invalid_value", frames.LLM_INLINE, "llm")
    if "webhook" in session and not _good_webhook(session["webhook"]):
        raise Refused("invalid_webhook", "Invalid webhook", "webhook")
    given, output = session.get("input", {}), session.get("output", {})
    for where in (given, output):
        _check_format(where.get("format"))
    voice = output.get("voice")
    if voice is not None and voice not in frames.VOICES:
        raise Refused("invalid_value", frames.bad_voice(voice), "output.voice")
    flat = {f"input.{key}": value for key, value in given.items()}
    flat |= {f"output.{key}": value for key, value in output.items()}
    detection = given.get("turn_detection") or {}
    flat |= {f"turn_detection.{key}": value for key, value in detection.items()}
    for name, value in flat.items():
        _check_field(name, value)
    if len(given.get("keyterms") or ()) > 100:
        raise Refused("invalid_value", "'input.keyterms' must have at most 100 items", "input.keyterms")
    if len(given.get("transcription_prompt") or "") > 1750:
        where_ = "input.transcription_prompt"
        raise Refused("invalid_value", f"'{where_}' must have at most 1750 characters", where_)
    _check_silences(detection)
    for index, tool in enumerate(session.get("tools", ())):
        _check_tool(tool, f"tools[{index}]")


def _check_field(name: str, value: Any) -> None:
    param = f"input.{name}" if name.startswith("turn_detection") else name
    if value is None:
        return
    if name in _CHOICES and value not in _CHOICES[name]:
        wanted = ", ".join(_CHOICES[name])
        raise Refused("invalid_value", f"Invalid '{param}'. Must be one of: {wanted}", param)
    if name in _RANGES:
        least, most = _RANGES[name]
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not least <= value <= most:
            raise Refused("invalid_value", f"'{param}' must be between {least} and {most}", param)
    if name.endswith("_silence") and not isinstance(value, int):
        raise Refused("invalid_value", f"'{param}' must be an integer", param)
    if name == "turn_detection.interrupt_response" and not isinstance(value, bool):
        raise Refused("invalid_value", f"'{param}' must be a boolean", param)
    if name == "turn_detection.uninterruptible_turns" and not (
        isinstance(value, list) and all(turn in _UNINTERRUPTIBLE for turn in value)
    ):
        raise Refused("invalid_value", f"Invalid '{param}'", param)


def _check_silences(detection: Json) -> None:
    least, most = detection.get("min_silence"), detection.get("max_silence")
    if least is not None and most is not None and least >= most:
        param = "input.turn_detection.min_silence"
        raise Refused("invalid_value", "'min_silence' must be less than 'max_silence'", param)


def _check_format(given: Any) -> None:
    if given is None:
        return
    if not isinstance(given, dict):
        raise Refused("invalid_value", frames.FORMAT_SHAPE, "format")
    encoding = given.get("encoding")
    if not isinstance(encoding, str) or encoding not in ENCODINGS:
        text = f"Invalid encoding '{encoding}'. Must be one of: {', '.join(ENCODINGS)}"
        raise Refused("invalid_value", text, "format")
    if not _is(given.get("sample_rate", 0), int):
        raise Refused("invalid_value", "'sample_rate' must be an integer", "format")


def _format(given: Json) -> Json:
    encoding = ENCODINGS[given["encoding"]]
    rate_hz = encoding.rate_hz if encoding.law else given.get("sample_rate", encoding.rate_hz)
    return {"encoding": encoding.name, "sample_rate": rate_hz}


def _check_tool(tool: Json, param: str) -> None:
    def wrong(field: str, text: str) -> Refused:
        return Refused("invalid_value", f"'{param}.{field}' {text}", f"{param}.{field}")

    if tool.get("type") != "function":
        raise wrong("type", "must be 'function'")
    if not isinstance(tool.get("name"), str) or not tool["name"]:
        raise wrong("name", "is required")
    parameters = tool.get("parameters", {})
    if not isinstance(parameters, dict):
        raise wrong("parameters", "must be an object")
    if not isinstance(parameters.get("properties", {}), dict):
        raise wrong("parameters.properties", "must be an object")
    if tool.get("execution_mode", "interactive") not in ("interactive", "hold"):
        raise wrong("execution_mode", "must be 'interactive' or 'hold'")
    timeout_s = tool.get("timeout_seconds", 120)
    if not _is(timeout_s, (int, float)) or not 1 <= timeout_s <= 300:
        raise wrong("timeout_seconds", "must be between 1 and 300")


def _good_webhook(webhook: Json) -> bool:
    return (
        set(webhook) <= {"url", "events", "secret"}
        and isinstance(webhook.get("url"), str)
        and isinstance(webhook.get("events"), list)
    )
