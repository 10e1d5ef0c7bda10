"""Who takes part in a conversation that is measured: the daemon, the floor in C, the plainest client."""

import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from benchlib.stage import KEY, LOUDSPEAKER, MICROPHONE, START_S, Service, Stage
from voicekiosk.errors import KioskError
from voicekiosk.service.client import ControlClient

HERE = Path(__file__).parent

# Keys in full, so that whoever adds more of a table can write them in the same way.
CONFIG = """\
agent.url = "{url}"
network.ca_file = "{authority}"
network.dead_after_s = {dead_after_s}
audio.capture.device = "{microphone}"
audio.capture.channels = 1
audio.capture.warm = {warm}
audio.playback.device = "{loudspeaker}"
audio.playback.channels = 2
audio.playback.volume = 100
panel.driver = "none"
{more}"""


class Client(ABC):
    """A process that talks to a service. Begun by its constructor, ready for a press then."""

    pid: int

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @abstractmethod
    def press(self) -> None:
        """Begin to send what the microphone hears."""

    @abstractmethod
    def release(self) -> None:
        """Send silence instead, until the service has closed the turn."""

    @abstractmethod
    def say(self, text: str) -> None:
        """Have the service say something."""

    @abstractmethod
    def stop(self) -> None:
        """End the process."""


class Daemon(Client):
    """The daemon itself: `voicekiosk run`."""

    def __init__(
        self,
        stage: Stage,
        service: Service,
        *,
        name: str = "daemon",
        python: str = sys.executable,
        url: str = "",
        module: str = "voicekiosk",
        warm: bool = False,
        dead_after_s: float = 2.4,
        more: str = "",
        environment: dict[str, str] | None = None,
    ) -> None:
        """Start it; of several on one stage each needs a name of its own."""
        config = stage.folder / f"{name}.toml"
        config.write_text(
            CONFIG.format(
                url=url or service.url,
                authority=service.authority,
                microphone=MICROPHONE,
                loudspeaker=LOUDSPEAKER,
                warm=str(warm).lower(),
                dead_after_s=dead_after_s,
                more=more,
            )
        )
        self.socket = stage.folder / f"{name}.sock"
        self.log = stage.folder / f"{name}.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [python, "-m", module, "run", "--config", str(config)],
                stdin=subprocess.DEVNULL, stderr=log, start_new_session=True,
                env={**stage.environment, "VOICEKIOSK_SOCKET": str(self.socket), **(environment or {})},
            )  # fmt: skip
        self.pid = self._process.pid
        self._client = self._connect()
        self.wait_for("it to be idle", lambda status: status["state"] == "idle")

    def _connect(self) -> ControlClient:
        deadline_s = time.monotonic() + START_S
        while True:
            try:
                return ControlClient(self.socket)
            except KioskError:
                if time.monotonic() > deadline_s or self._process.poll() is not None:
                    self.stop()
                    raise RuntimeError(f"the daemon did not start:\n{self.log.read_text()[-2000:]}") from None
                time.sleep(0.02)

    def status(self) -> dict[str, Any]:
        """Return what `voicekiosk status` shows."""
        result: dict[str, Any] = self._client.request("status")
        return result

    def wait_for(self, what: str, true: Any, timeout_s: float = 20.0) -> dict[str, Any]:
        """Ask until the status is as wanted. Raises RuntimeError that names `what`."""
        deadline_s = time.monotonic() + timeout_s
        while not true(status := self.status()):
            if time.monotonic() > deadline_s:
                raise RuntimeError(
                    f"waited for {what}; the daemon is {status['state']}:\n{self.log.read_text()[-2000:]}"
                )
            time.sleep(0.02)
        return status

    def press(self) -> None:
        self._client.request("press")

    def release(self) -> None:
        self._client.request("release")

    def say(self, text: str) -> None:
        self._client.request("say", text=text)

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(5)


class Piped(Client):
    """A fixture that takes its commands on stdin."""

    def __init__(self, stage: Stage, command: list[str], environment: dict[str, str] | None = None) -> None:
        self.log = stage.folder / "fixture.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                env={**stage.environment, **(environment or {})}, start_new_session=True,
            )  # fmt: skip
        self.pid = self._process.pid
        timer = threading.Timer(START_S, self._process.kill)
        timer.start()
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        timer.cancel()
        if line != "ready\n":
            self.stop()
            raise RuntimeError(f"{command[0]} did not get ready:\n{self.log.read_text()[-2000:]}")

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def press(self) -> None:
        self._tell("press")

    def release(self) -> None:
        self._tell("release")

    def say(self, text: str) -> None:
        self._tell(f"say {text}")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(5)


def plain(stage: Stage, service: Service, environment: dict[str, str] | None = None) -> Piped:
    """Return the plainest Python client."""
    authority = [service.authority] if service.authority else []
    command = [sys.executable, "-m", "benchlib.fixtures.plain", service.url, KEY, MICROPHONE, LOUDSPEAKER]
    return Piped(stage, [*command, *authority], environment)


def floor(stage: Stage, service: Service) -> Piped:
    """Return the floor, which `build_floor` has built."""
    url = urlsplit(service.url)
    authority = [service.authority] if service.authority else []
    place = [str(url.hostname), str(url.port), url.path]
    return Piped(stage, [str(stage.folder / "floor"), *place, KEY, MICROPHONE, LOUDSPEAKER, *authority])


def build_floor(stage: Stage) -> bool:
    """Build the floor; return whether it can do TLS. Raises RuntimeError that says what is missing."""
    source, program = HERE / "fixtures" / "floor.c", stage.folder / "floor"
    common = ["cc", "-O3", "-march=native", "-ffast-math", "-o", str(program), str(source)]
    libraries = ["-lasound", "-lm", "-lpthread"]
    if _compiles([*common, "-DTLS", *libraries, "-lssl", "-lcrypto"]) == "":
        return True
    if problem := _compiles([*common, *libraries]):
        raise RuntimeError(f"the floor needs: apt install gcc libasound2-dev libssl-dev\n{problem}")
    return False


def _compiles(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    except FileNotFoundError as error:
        return str(error)
    return done.stderr[-2000:] if done.returncode else ""
