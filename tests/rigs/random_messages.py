"""Random client messages, from nearly right to nonsense; the same seed gives the same messages."""

import base64
import copy
import json
import random
import string
from typing import Any

TYPES = (
    "session.update", "session.resume", "session.end", "input.audio", "tool.result", "reply.create",
    "conversation.message", "reply.cancel", "nope", "",
)  # fmt: skip
KEYS = (
    "type", "session", "audio", "data", "call_id", "result", "is_error", "instructions", "role", "content",
    "reply_id", "session_id", "system_prompt", "greeting", "input", "output", "tools", "agent_id", "llm", "webhook",
    "format", "encoding", "sample_rate", "keyterms", "turn_detection", "min_silence", "max_silence", "vad_threshold",
    "interrupt_response", "interruption_delay", "uninterruptible_turns", "transcription_mode", "voice", "volume",
    "name", "parameters", "properties", "execution_mode", "timeout_seconds", "http", "url", "events", "x",
)  # fmt: skip
WORDS = (
    "audio/pcm", "audio/pcmu", "audio/pcma", "function", "alba", "not_a_voice", "hold", "interactive", "min_latency",
    "balanced", "greeting", "user", "system", "agent_1", "sess_1", "\ufeff", "\x00", "%s{0}", "",
)  # fmt: skip
GARBLED = ("", "{", "null", "5", '"x"', "[]", '{"type":', "\ud800", "{" * 5000, "[" * 50000, '{"a":' * 3000 + "1" + "}" * 3000,
           '{"type":"input.audio","audio":1e999}', '{"type":NaN}', '{"type":"nope","type":"session.end"}',
           '{"type":"input.audio","audio":"AAAA"' , "\u0000", '{"n":' + "9" * 4000 + "}")  # fmt: skip


DETECTION = {"type": "server_vad", "vad_threshold": 0.5, "min_silence": 100, "max_silence": 200, "interruption_delay": 0,
             "interrupt_response": True, "uninterruptible_turns": ["greeting"]}  # fmt: skip
VALID: tuple[dict[str, Any], ...] = (
    {"type": "session.update", "session": {
        "system_prompt": "p", "greeting": "Hello",
        "input": {"type": "audio", "format": {"encoding": "audio/pcm", "sample_rate": 24000}, "keyterms": ["a"],
                  "transcription_mode": "balanced", "transcription_prompt": "p", "language_codes": ["en"],
                  "voice_focus": "near-field", "voice_focus_threshold": 0.5, "continuous_partials": True,
                  "turn_detection": DETECTION},
        "output": {"type": "audio", "voice": "alba", "format": {"encoding": "audio/pcmu"}, "volume": 50},
        "tools": [{"type": "function", "name": "slow", "description": "d", "execution_mode": "hold",
                   "timeout_seconds": 20, "parameters": {"type": "object", "properties": {"a": {}}, "required": []}}],
        "webhook": {"url": "https://example.org", "events": ["x"], "secret": "s"}}},
    {"type": "session.update", "session": {"input": {"keyterms": ["b"], "turn_detection": DETECTION}}},
    {"type": "session.update", "session": {"system_prompt": "q", "output": {"volume": 70}, "tools": []}},
    {"type": "session.update", "session": {"agent_id": "agent_1"}},
    {"type": "session.resume", "session_id": "sess_1"},
    {"type": "input.audio", "audio": "AAAA"},
    {"type": "tool.result", "call_id": "call_1", "result": "{}", "is_error": False},
    {"type": "reply.create", "instructions": "Say it."},
    {"type": "conversation.message", "role": "user", "content": "x"},
    {"type": "reply.cancel", "reply_id": "resp_1"},
)  # fmt: skip
WRONG = (None, None, True, 0, -1, 2**63, 0.5, "", "x", [], [None], [5], {}, {"x": None})


class Messages:
    """A source of random messages. It echoes the ids that it is told of."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.calls: list[str] = ["call_1"]
        """Ids of calls that the service made, the newest ones."""
        self.sessions: list[str] = ["sess_1"]
        """Ids of sessions that were ready, the newest ones."""

    def learn(self, event: dict[str, Any]) -> None:
        """Take note of the ids in what the service sent."""
        if event.get("type") == "tool.call":
            self.calls = [*self.calls[-9:], event["call_id"]]
        elif event.get("type") == "session.ready":
            self.sessions = [*self.sessions[-9:], event["session_id"]]

    def resume(self) -> str:
        """Return a resume of a session that there was."""
        return json.dumps({"type": "session.resume", "session_id": self.rng.choice(self.sessions)})

    def mutated(self) -> dict[str, Any]:
        """Return a valid message in which up to two known fields are null, of a wrong type, missing or astray."""
        rng = self.rng
        message = copy.deepcopy(rng.choice(VALID))
        for _ in range(rng.choice((0, 1, 1, 2))):
            where: Any = message
            while True:
                keys = list(where) if isinstance(where, dict) else list(range(len(where)))
                if not keys:
                    break
                key = rng.choice(keys)
                if isinstance(where[key], (dict, list)) and rng.random() < 0.8:
                    where = where[key]
                    continue
                if isinstance(where, dict) and rng.random() < 0.15:
                    where[rng.choice(KEYS)] = where.pop(key)
                else:
                    where[key] = copy.deepcopy(rng.choice(WRONG))
                break
        if message.get("call_id") == "call_1":
            message["call_id"] = rng.choice(self.calls)
        if message.get("session_id") == "sess_1":
            message["session_id"] = rng.choice(self.sessions)
        return message

    def message(self) -> str | bytes:
        """Return a text or binary message."""
        kind = self.rng.random()
        if kind < 0.03:
            return self.rng.randbytes(self.rng.randrange(200))
        if kind < 0.08:
            return self.rng.choice(GARBLED).encode("utf-8", "replace").decode()
        if kind < 0.35:
            return json.dumps({"type": "input.audio", "audio": self._audio()})
        if kind < 0.65:
            return json.dumps(self.mutated())
        if kind < 0.85:
            return json.dumps(self._likely())
        return json.dumps(self._value(0, {"type": self.rng.choice(TYPES)}))

    def _audio(self) -> Any:
        if self.rng.random() < 0.05:
            return self._value(2)
        size = self.rng.choice((0, 2, 480, 1920, 1921, 4800, 24000))
        loud = self.rng.random() < 0.4
        data = self.rng.randbytes(size) if loud else bytes(size)
        return base64.b64encode(data).decode() + self.rng.choice(("", "", "", "", "=", "*"))

    def _likely(self) -> dict[str, Any]:
        rng = self.rng
        match rng.choice(TYPES):
            case "session.update":
                return {"type": "session.update", "session": self._session()}
            case "session.resume":
                return {
                    "type": "session.resume",
                    "session_id": rng.choice((*self.sessions, "sess_" + "0" * 32)),
                }
            case "session.end" if rng.random() < 0.3:
                return {"type": "session.end"}
            case "tool.result":
                call_id = rng.choice((*self.calls, "".join(rng.choices(string.hexdigits, k=16))))
                return {"type": "tool.result", "call_id": call_id, "result": rng.choice(("{}", "no", "1"))}
            case "reply.create":
                return {"type": "reply.create", "instructions": rng.choice(WORDS)}
            case kind:
                return {"type": kind, "reply_id": "resp_1", "role": "user", "content": "x"}

    def _session(self) -> dict[str, Any]:
        rng = self.rng
        whole: dict[str, Any] = {
            "system_prompt": rng.choice(WORDS),
            "greeting": rng.choice(("Hello", "Hello there", "")),
            "input": {
                "format": {"encoding": rng.choice(("audio/pcm", "audio/pcmu", "audio/pcma", "audio/mp3"))},
                "turn_detection": {
                    "min_silence": rng.choice((50, 100, 10000)),
                    "max_silence": rng.choice((60, 10000)),
                    "interrupt_response": rng.random() < 0.5,
                    "uninterruptible_turns": rng.choice(([], ["greeting"], ["x"])),
                },
            },
            "output": {"voice": rng.choice(("alba", "eve")), "volume": rng.choice((0, 50, 100, 101))},
            "tools": [{"type": "function", "name": rng.choice(("get_weather", "slow")),
                       "execution_mode": rng.choice(("hold", "interactive")), "timeout_seconds": rng.choice((1, 300))}],
        }  # fmt: skip
        return {key: value for key, value in whole.items() if rng.random() < 0.4}

    def _value(self, depth: int, start: dict[str, Any] | None = None) -> Any:
        rng = self.rng
        kind = 7 if start is not None else rng.randrange(9 if depth < 4 else 6)
        match kind:
            case 0:
                return None
            case 1:
                return rng.choice((True, False))
            case 2:
                return rng.choice((0, -1, 1, 50, 24000, 2**63, 2**80, -(10**30)))
            case 3:
                return rng.choice((0.5, -1.5, 1e300))
            case 4:
                return rng.choice(WORDS)
            case 5:
                return "".join(rng.choices(string.printable, k=rng.choice((1, 10, 3000))))
            case 6:
                return [self._value(depth + 1) for _ in range(rng.randrange(4))]
            case _:
                keys = rng.sample(KEYS, rng.randrange(5))
                return (start or {}) | {
                    key: self._value(depth + 1) for key in keys if key not in (start or {})
                }
