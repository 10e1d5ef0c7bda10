"""The tools of a session: what the service is told of them, its calls, and the way of the answers.

Sans-IO, like the session that it is a part of. When an answer may go is decided in `toolwork`.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from voicekiosk.agent import events, wire
from voicekiosk.agent.events import AgentEvent
from voicekiosk.agent.toolwork import Result, ToolWork
from voicekiosk.config.schema import Config, Tool
from voicekiosk.config.tool_rules import timeout_seconds

DEFAULT_TIMEOUT_S = 120.0
"""What the service takes where nobody says anything else (protocol §7.1)."""
NO_PARAMETERS = {"type": "object", "properties": {}}


@dataclass(frozen=True, slots=True)
class _Offer:
    """A tool as the service has it."""

    hold: bool = False
    timeout_s: float = DEFAULT_TIMEOUT_S
    http: bool = False


def described(tools: Iterable[Tool]) -> list[dict[str, Any]]:
    """Return what `session.tools` says: always the complete list, since it replaces the one before."""
    return [
        {
            "type": "function",
            "name": tool.name,
            "description": tool.description,
            # `$schema` makes the service call the tool without arguments.
            "parameters": {k: v for k, v in tool.parameters.items() if k != "$schema"} or NO_PARAMETERS,
            "execution_mode": tool.execution_mode,
            "timeout_seconds": timeout_seconds(tool),
        }
        for tool in tools
    ]


class Tools:
    """The calls of one conversation, on the session that it has at present."""

    def __init__(self) -> None:
        self._work = ToolWork()
        self._offers: dict[str, _Offer] = {}

    def begin(self, config: Config) -> None:
        """Begin a fresh session: the calls of the one before are void."""
        self._work.begin()
        self._offers = {}
        self.configure(config)

    def configure(self, config: Config) -> None:
        """Take what the configuration says; what the service echoes of it outranks that."""
        self._work.early = config.agent.tool_results == "at_once"
        ours = {
            tool.name: _Offer(tool.execution_mode == "hold", timeout_seconds(tool)) for tool in config.tools
        }
        # A stored agent has its tools from its owner at the service: only the echo says how they are.
        self._offers = ours | self._offers if config.agent.agent_id else self._offers | ours

    def ready(self, echo: wire.EchoedSettings, now_s: float, *, resumed: bool) -> tuple[bytes, ...]:
        """Take a `session.ready`; return the answers to calls that a resumed session still waits for."""
        self._echoed(echo.tools)
        return _frames(self._work.resumed(now_s)) if resumed else ()

    def lost(self, unproven: Collection[bytes]) -> list[str]:
        """Note that the socket is gone; return what the session after it has to know, in sentences.

        Answers among the `unproven` frames are owed again: should the session be resumed, they are repeated.
        """
        self._work.take_back(lambda result: _frame(result) in unproven)
        return self._work.lost()

    @property
    def deadline_s(self) -> float | None:
        """When `tick` has to be called, if at all."""
        return self._work.deadline_s

    def tick(self, now_s: float) -> tuple[bytes, ...]:
        """Return the answers that have waited too long."""
        return _frames(self._work.tick(now_s))

    def answer(
        self, call_id: str, epoch: int, text: str, now_s: float, *, is_error: bool
    ) -> tuple[bytes, ...]:
        """Take the result of a call, JSON text; return what may be sent now."""
        return _frames(self._work.finished(call_id, epoch, text, now_s, is_error=is_error))

    def reply_audio(self, reply_id: str, now_s: float) -> None:
        """Take a `reply.audio` of a ready session."""
        self._work.reply_audio(reply_id, now_s)

    def take(self, event: wire.Known, now_s: float) -> tuple[tuple[AgentEvent, ...], tuple[bytes, ...]]:
        """Take an event of a ready session; return what happened, and the answers that it lets go."""
        match event:
            case wire.ToolCall():
                return self._called(event, now_s), ()
            case wire.ReplyStarted(reply_id):
                self._work.reply_started(reply_id, now_s)
            case wire.SpeechStarted():
                self._work.speech_started(now_s)
            case wire.ReplyDone(reply_id, status) if status.strip().lower() == "interrupted":
                void = self._work.reply_interrupted(reply_id, now_s)
                return ((events.ToolsVoid(void),) if void else ()), ()
            case wire.ReplyDone(reply_id):
                return (), _frames(self._work.reply_done(reply_id, now_s))
            case wire.SessionUpdated(config):
                self._echoed(config.tools)
        return (), ()

    def _called(self, call: wire.ToolCall, now_s: float) -> tuple[AgentEvent, ...]:
        offer = self._offers.get(call.name, _Offer())
        if offer.http:
            return (events.ToolCalled(call.call_id, call.name, call.arguments, ours=False),)
        epoch = self._work.called(call.call_id, call.name, now_s, hold=offer.hold, timeout_s=offer.timeout_s)
        if epoch is None:
            return ()
        return (events.ToolCalled(call.call_id, call.name, call.arguments, epoch),)

    def _echoed(self, tools: Any) -> None:
        """Learn how the service has its tools; a stored agent brings some that nobody here has told of."""
        if not isinstance(tools, list):
            return
        for tool in tools:
            if not isinstance(tool, dict) or not isinstance(tool.get("name"), str):
                continue
            known = self._offers.get(tool["name"], _Offer())
            mode, timeout_s = tool.get("execution_mode"), tool.get("timeout_seconds")
            self._offers[tool["name"]] = _Offer(
                hold=mode == "hold" if isinstance(mode, str) else known.hold,
                timeout_s=float(timeout_s) if isinstance(timeout_s, int | float) else known.timeout_s,
                http=bool(tool["http"]) if "http" in tool else known.http,
            )


def _frames(results: Iterable[Result]) -> tuple[bytes, ...]:
    return tuple(_frame(result) for result in results)


def _frame(result: Result) -> bytes:
    return wire.encode_tool_result(result.call_id, result.text, is_error=result.is_error)
