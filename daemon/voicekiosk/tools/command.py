"""Run a program for the agent: without a shell, in a process group of its own, within limits.

Whatever it does (hang, flood, crash, fork), there is one outcome, and nothing of its group is left.
Cancelling kills it. No thread and no child watcher: the process is followed by its pidfd.
"""

import asyncio
import contextlib
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import msgspec

from voicekiosk.tools.outcome import MAX_RESULT_BYTES, ToolError

PATH = "/usr/local/bin:/usr/bin:/bin"
MAX_ERROR_BYTES = 4096
LEFT_OPEN_S = 0.3
"""How long after its end a program's output may stay open, held by something that it has started."""
LIMITS = {
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_NOFILE: 256,
    resource.RLIMIT_DATA: 512 << 20,
    resource.RLIMIT_FSIZE: 64 << 20,
    resource.RLIMIT_CPU: 300,
}


async def run_command(command: tuple[str, ...], arguments: dict[str, Any], name: str) -> object:
    """Run `command` with the arguments as JSON on its input; return what it printed.

    JSON is returned as its value, anything else as text. Raises `ToolError` when it cannot be started,
    fails, or prints too much or what is no text. It has no time limit of its own: cancel it.
    """
    given = encoded(arguments)
    program = shutil.which(command[0], path=PATH)
    if program is None:
        raise ToolError(f"the program {command[0]} of this tool is not installed here")
    try:
        process = subprocess.Popen(  # noqa: ASYNC220 - it returns when the program has started
            [program, *command[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(name),
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise ToolError(f"the program of this tool cannot be started: {error.strerror}") from None
    running = _Running(process, given)
    try:
        running.start()
        status = await running.ended
    finally:
        running.stop()
    return _outcome(status, running)


def encoded(arguments: object) -> bytes:
    """Return what a tool reads as JSON. Raises `ToolError` for a number that no program could take."""
    try:
        return msgspec.json.encode(arguments)
    except (OverflowError, ValueError) as error:
        raise ToolError(f"the arguments cannot be handed on: {error}") from None


def _outcome(status: int, running: "_Running") -> object:
    if len(running.output) > MAX_RESULT_BYTES:
        raise ToolError(f"the tool printed more than {MAX_RESULT_BYTES} bytes and was stopped")
    if status:
        how = f"ended with status {status}" if status > 0 else f"was killed by {_signal(-status)}"
        said = bytes(running.errors).decode(errors="replace").strip().rpartition("\n")[2][:300]
        raise ToolError(f"the tool {how}" + (f": {said}" if said else ""))
    try:
        text = bytes(running.output).decode().strip()
    except UnicodeDecodeError:
        raise ToolError("the tool printed something that is no text") from None
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _environment(name: str) -> dict[str, str]:
    """Return what a tool may know: neither the key nor anything else of the daemon's environment."""
    kept = {key: os.environ[key] for key in ("TZ", "LANG") if key in os.environ}
    return {"PATH": PATH, "LANG": "C.UTF-8", "HOME": "/nonexistent", "VOICEKIOSK_TOOL": name} | kept


class _Running:
    """One process, its pipes, and what came out of them. Belongs to the event loop's thread."""

    def __init__(self, process: subprocess.Popen[bytes], given: bytes) -> None:
        self.output = bytearray()
        self.errors = bytearray()
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """The exit status, once the output is complete too."""
        self._process = process
        self._given = memoryview(given)
        self._loop = asyncio.get_running_loop()
        self._pidfd = -1
        self._waits_for: set[int] = set()
        self._status: int | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Limit it and follow it."""
        process = self._process
        assert process.stdin and process.stdout and process.stderr  # noqa: S101, PT018 - all are pipes
        for kind, wanted in LIMITS.items():
            with contextlib.suppress(OSError, ValueError):
                hard = resource.prlimit(process.pid, kind)[1]
                limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
                resource.prlimit(process.pid, kind, (limit, limit))
        self._pidfd = os.pidfd_open(process.pid)
        self._loop.add_reader(self._pidfd, self._exited)
        for pipe, sink, most in (
            (process.stdout, self.output, MAX_RESULT_BYTES),
            (process.stderr, self.errors, MAX_ERROR_BYTES),
        ):
            os.set_blocking(pipe.fileno(), False)
            self._waits_for.add(pipe.fileno())
            self._loop.add_reader(pipe.fileno(), self._reader(pipe.fileno(), sink, most))
        os.set_blocking(process.stdin.fileno(), False)
        self._loop.add_writer(process.stdin.fileno(), self._write)

    def stop(self) -> None:
        """Kill what is left of its group and let go of everything."""
        process, loop = self._process, self._loop
        if self._timer is not None:
            self._timer.cancel()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None and not pipe.closed:
                loop.remove_reader(pipe.fileno())
                loop.remove_writer(pipe.fileno())
                with contextlib.suppress(OSError):
                    pipe.close()
        # Before it is reaped, the number of the group cannot have become somebody else's.
        if self._status is None:
            self._kill()
        if self._pidfd >= 0:
            loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        if self._status is None:
            # Killed, so this takes no time, unless the disk holds it: then the kernel reaps it later.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.5)

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _exited(self) -> None:
        self._loop.remove_reader(self._pidfd)
        # What it has left behind in the background would hold the output open.
        self._kill()
        self._status = self._process.wait()
        if self._waits_for:
            self._timer = self._loop.call_later(LEFT_OPEN_S, self._end)
        else:
            self._end()

    def _end(self) -> None:
        if not self.ended.done() and self._status is not None:
            self.ended.set_result(self._status)

    def _reader(self, descriptor: int, sink: bytearray, most: int) -> Callable[[], None]:
        def read() -> None:
            try:
                data = os.read(descriptor, 65536)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            sink.extend(data[: max(0, most + 1 - len(sink))])
            if len(sink) > most and sink is self.output:
                self._kill()
            if not data:
                self._loop.remove_reader(descriptor)
                self._waits_for.discard(descriptor)
                if self._status is not None and not self._waits_for:
                    self._end()

        return read

    def _write(self) -> None:
        pipe = self._process.stdin
        assert pipe is not None  # noqa: S101 - it is a pipe
        try:
            written = os.write(pipe.fileno(), self._given)
        except BlockingIOError:
            return
        except OSError:
            written = len(self._given)  # it does not want to know
        self._given = self._given[written:]
        if not self._given:
            self._loop.remove_writer(pipe.fileno())
            with contextlib.suppress(OSError):
                pipe.close()
