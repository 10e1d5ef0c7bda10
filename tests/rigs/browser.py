"""Debian's Chromium, led over its DevTools protocol: what a page looks like to somebody who opens it.

No library of our own choice speaks this: it is JSON over a WebSocket, and a test needs a dozen messages.
"""

import asyncio
import base64
import json
import os
import shutil
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

PATIENCE_S = 60.0
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)


def chromium() -> str:
    """Return where Chromium is; without one a test fails in CI, and is skipped at a desk."""
    if found := shutil.which("chromium"):
        return found
    missing = "there is no chromium here; scripts/setup --dev installs it where Debian has one"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


class Page:
    """One open page."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._last_id = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        """What the browser told, in order: `method` and `params`."""

    async def open_tab(self) -> None:
        """Make a tab, and be told of all that it does."""
        target = await self.call("Target.createTarget", url="about:blank")
        attached = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            await self.call(f"{domain}.enable")

    async def call(self, method: str, **params: object) -> Any:
        """Return the result of a command."""
        self._last_id += 1
        message: dict[str, object] = {"id": self._last_id, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        await self._socket.send(json.dumps(message))
        while True:
            answer = await self._next()
            if answer.get("id") == self._last_id:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    async def show(self, url: str, *, width: int, height: int, scheme: str) -> None:
        """Open `url` in a window of that size, in the colours of `scheme`."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        await self.call("Emulation.setEmulatedMedia", features=features)
        self.events.clear()
        await self.call("Page.navigate", url=url)
        while not self.told("Page.loadEventFired"):
            await self._next()

    async def value(self, expression: str) -> Any:
        """Return what a JavaScript expression gives, as data."""
        result = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def picture(self, file: Path) -> None:
        """Write the whole page as a PNG."""
        shot = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        await asyncio.to_thread(file.write_bytes, base64.b64decode(shot["data"]))

    def told(self, method: str) -> list[dict[str, Any]]:
        """Return the events of this kind."""
        return [event["params"] for event in self.events if event["method"] == method]

    @property
    def complaints(self) -> list[dict[str, Any]]:
        """What stands in the console."""
        return [
            *self.told("Runtime.consoleAPICalled"),
            *self.told("Runtime.exceptionThrown"),
            *self.told("Log.entryAdded"),
        ]

    @property
    def requests(self) -> list[str]:
        """Addresses that were asked for."""
        return [params["request"]["url"] for params in self.told("Network.requestWillBeSent")]

    async def _next(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            message: dict[str, Any] = json.loads(await self._socket.recv())
        if "method" in message:
            self.events.append(message)
        return message


@asynccontextmanager
async def browser(folder: Path):
    """Start Chromium with an empty profile in `folder`; yields a `Page`."""
    profile = folder / "profile"
    process = await asyncio.create_subprocess_exec(
        chromium(),
        *FLAGS,
        f"--user-data-dir={profile}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "HOME": str(folder)},
    )
    try:
        async with connect(await _address(process, profile), max_size=2**26, ping_interval=None) as socket:
            page = Page(socket)
            await page.open_tab()
            yield page
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(10):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


async def _address(process: asyncio.subprocess.Process, profile: Path) -> str:
    """Return where the browser wants to be spoken to; it says so in a file of its profile."""
    port_file = profile / "DevToolsActivePort"
    async with asyncio.timeout(PATIENCE_S):
        while not port_file.exists() or len(port_file.read_text().splitlines()) < 2:
            assert process.returncode is None, f"chromium ended with {process.returncode}"
            await asyncio.sleep(0.05)
    port, path = port_file.read_text().splitlines()[:2]
    return f"ws://127.0.0.1:{port}{path}"
