"""Where tools run: from the agent's call to the one answer that it gets.

Belongs to the event loop's thread. Whether and when a tool may run, the state machine decides
(`work`); when its answer may be sent, the agent room does. Here every call ends with exactly one answer,
however the tool ends, and with one line in the journal.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec

from voicekiosk.agent.events import ToolCalled
from voicekiosk.config.schema import Config
from voicekiosk.kiosk.events import CancelTools, RefuseTool, RunTool, ToolFinished, ToolWanted, Work
from voicekiosk.tools.outcome import SOCKET_VARIABLE, UNIT_SOCKET_VARIABLE, Entry, ToolError, as_json

if TYPE_CHECKING:
    from voicekiosk.tools.builtin import Host
    from voicekiosk.tools.catalog import Catalog

logger = logging.getLogger("voicekiosk.tools")

MOST_RUNNING = 4
"""Calls that run at the same time; others wait, and their time runs."""
MOST_OPEN = 16
"""Calls that are answered by running anything at all; a model that calls more has lost its way."""
MOST_ERROR = 2000
"""Characters of an error that the agent is told."""
STOP_S = 1.0

CANCELLED = "it was cancelled"
TOO_MANY = "too many tools are called at once: call fewer, and wait for their results"


class Agent(Protocol):
    """Who is told the results."""

    def answer(self, call_id: str, epoch: int, text: str, *, is_error: bool) -> None:
        """Answer the call of `epoch` with JSON text."""


@dataclass(slots=True)
class _Call:
    name: str
    arguments: dict[str, object]
    epoch: int
    entry: Entry | None
    """None for a tool that there is not."""
    began_s: float
    task: asyncio.Task[None] | None = None


class Workshop:
    """The tools of one kiosk and the calls that are open."""

    def __init__(
        self,
        host: "Host",
        agent: Callable[[], Agent],
        dispatch: Callable[[ToolWanted | ToolFinished], None],
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._host = host
        self._agent = agent
        self._dispatch = dispatch
        self._sockets = environment.get(SOCKET_VARIABLE, ""), environment.get(UNIT_SOCKET_VARIABLE, "")
        self._catalog: Catalog | None = None
        self._calls: dict[str, _Call] = {}
        self._running = asyncio.Semaphore(MOST_RUNNING)

    def configure(self, config: Config) -> Config:
        """Make the tools of `config` ready; return it with every tool complete and without broken ones."""
        if not config.tools:
            self._catalog = None
            return config
        # What runs tools is read only where there are any.
        from voicekiosk.tools.catalog import catalog  # noqa: PLC0415

        self._catalog = catalog(config.tools, self._host, *self._sockets)
        for problem in self._catalog.problems:
            logger.error("%s", problem)
        return msgspec.structs.replace(config, tools=self._catalog.tools)

    @property
    def open(self) -> tuple[str, ...]:
        """The names of the tools that run or wait."""
        return tuple(call.name for call in self._calls.values())

    def called(self, event: ToolCalled) -> None:
        """Take a call; one that cannot be made is answered at once."""
        if not event.ours or event.call_id in self._calls:
            return
        try:
            entry = self._find(event)
        except Exception as error:
            if not isinstance(error, ToolError):
                logger.exception("the call of %s cannot be looked at", event.name[:64])
            refused = _Call(event.name, event.arguments, event.epoch, None, time.monotonic())
            self._tell(event.call_id, refused, str(error))
            return
        call = _Call(event.name, event.arguments, event.epoch, entry, time.monotonic())
        self._calls[event.call_id] = call
        tool = entry.tool
        work = Work(
            event.call_id, tool.name, tool.timeout_s, bool(tool.confirm), tool.execution_mode == "hold"
        )
        self._dispatch(ToolWanted(work))

    def carry_out(self, effect: RunTool | RefuseTool | CancelTools) -> None:
        """Do what the state machine has decided about tools."""
        match effect:
            case RunTool(call_id):
                self._run(call_id)
            case RefuseTool(call_id, why):
                self._refuse(call_id, why)
            case CancelTools(call_ids):
                self._cancel(call_ids)

    def _find(self, event: ToolCalled) -> Entry:
        if self._catalog is None:
            raise ToolError(f"there is no tool called {event.name[:64]} here, and no other either")
        if len(self._calls) >= MOST_OPEN:
            raise ToolError(TOO_MANY)
        return self._catalog.find(event.name, event.arguments)

    def _run(self, call_id: str) -> None:
        call = self._calls.get(call_id)
        if call is not None and call.task is None and call.entry is not None:
            call.began_s = time.monotonic()
            call.task = asyncio.get_running_loop().create_task(self._work(call_id, call, call.entry))

    def _refuse(self, call_id: str, why: str) -> None:
        call = self._calls.pop(call_id, None)
        if call is not None:
            self._tell(call_id, call, why)

    def _cancel(self, call_ids: tuple[str, ...]) -> None:
        for call_id in call_ids:
            call = self._calls.get(call_id)
            if call is not None and call.task is not None:
                call.task.cancel()
            # The agent is told, if it still wants to know.
            self._refuse(call_id, CANCELLED)

    async def close(self) -> None:
        """Stop all tools."""
        tasks = [call.task for call in self._calls.values() if call.task is not None]
        self._cancel(tuple(self._calls))
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_S)

    async def _work(self, call_id: str, call: _Call, entry: Entry) -> None:
        tool, text, problem = entry.tool, "", ""
        try:
            async with asyncio.timeout(tool.timeout_s), self._running:
                text = as_json(await entry.run(call.arguments))
        except TimeoutError:
            problem = f"it did not finish within {tool.timeout_s:g} s and was stopped"
        except ToolError as error:
            problem = str(error)
        except Exception as error:
            logger.exception("the tool %s is broken", tool.name)
            problem = f"it failed: {type(error).__name__}: {error}"[:500]
        if self._calls.pop(call_id, None) is not None:
            self._tell(call_id, call, problem, text)
            self._dispatch(ToolFinished(call_id))

    def _tell(self, call_id: str, call: _Call, problem: str, text: str = "") -> None:
        lasted_s = time.monotonic() - call.began_s
        if problem:
            logger.warning("tool %s: %s (after %.1f s)", call.name[:64], problem, lasted_s)
            # A message of somebody else's code: it may be long, or no text that JSON can hold.
            text = as_json({"error": problem.encode(errors="replace").decode()[:MOST_ERROR]})
        else:
            logger.info("tool %s: done in %.1f s", call.name, lasted_s)
        self._agent().answer(call_id, call.epoch, text, is_error=bool(problem))
