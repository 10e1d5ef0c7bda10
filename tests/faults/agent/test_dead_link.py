"""A pulled cable: packets that vanish, between two network namespaces. Needs root and iproute2.

Run this file to see the times over many cuts: `python tests/faults/agent/test_dead_link.py 40`.
"""

# ruff: noqa: T201  # its processes talk over standard output
import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

NEAR, FAR = "10.97.31.1", "10.97.31.2"
PORT = 7001


def ip(*arguments: str, check: bool = True) -> None:
    subprocess.run(["ip", *arguments], check=check, capture_output=True, timeout=20)


@dataclass
class Cable:
    near: str
    far: str

    def cut(self) -> None:
        """Black-hole the way back, as a router does that has lost it."""
        ip("-n", self.far, "route", "add", "blackhole", f"{NEAR}/32")

    def mend(self) -> None:
        ip("-n", self.far, "route", "del", "blackhole", f"{NEAR}/32", check=False)


def lay_cable() -> Cable:
    tag = uuid.uuid4().hex[:6]
    cable = Cable(f"vk-near-{tag}", f"vk-far-{tag}")
    ip("netns", "add", cable.near)
    ip("netns", "add", cable.far)
    near, far = f"vkn{tag}", f"vkf{tag}"
    ip("link", "add", near, "netns", cable.near, "type", "veth", "peer", "name", far, "netns", cable.far)
    for space, device, address in ((cable.near, near, NEAR), (cable.far, far, FAR)):
        ip("-n", space, "addr", "add", f"{address}/24", "dev", device)
        ip("-n", space, "link", "set", device, "up")
    return cable


def remove_cable(cable: Cable) -> None:
    for space in (cable.near, cable.far):
        ip("netns", "del", space, check=False)


@pytest.fixture
def cable() -> Iterator[Cable]:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("needs root and iproute2 for network namespaces")
    try:
        laid = lay_cable()
    except subprocess.CalledProcessError as error:
        pytest.skip(f"network namespaces are not allowed here: {error.stderr.decode().strip()}")
    yield laid
    remove_cable(laid)


def in_namespace(space: str, role: str) -> subprocess.Popen[str]:
    command = ["ip", "netns", "exec", space, sys.executable, __file__, role]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )


def say(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdin is not None
    process.stdin.write(word + "\n")
    process.stdin.flush()


def heard(process: subprocess.Popen[str], word: str) -> dict[str, float | str]:
    assert process.stdout is not None
    while line := process.stdout.readline():
        message: dict[str, float | str] = json.loads(line)
        if message["word"] == word:
            return message
    raise AssertionError(f"the process ended before it said {word}")


def times_to_notice(cable: Cable, mode: str, cuts: int) -> list[float]:
    """Cut and mend the cable again and again; return how long each cut went unnoticed, in seconds."""
    server = in_namespace(cable.far, "server")
    heard(server, "serving")
    client = in_namespace(cable.near, mode)
    noticed: list[float] = []
    try:
        for _ in range(cuts):
            heard(client, "ready")
            # Not in step with the pings.
            time.sleep(0.6 + uuid.uuid4().int % 1000 / 1000)
            cut_s = time.monotonic()
            cable.cut()
            noticed.append(float(heard(client, "dropped")["t_s"]) - cut_s)
            cable.mend()
    finally:
        for process in (client, server):
            process.kill()
            process.wait(10)
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
    return noticed


@pytest.mark.parametrize("mode", ["idle", "streaming"])
def test_a_pulled_cable_is_noticed_and_the_session_comes_back(cable, mode):
    noticed = times_to_notice(cable, mode, cuts=2)
    assert len(noticed) == 2
    # The bound of the design is 3 s (the figure comes from this file run by hand); a machine that is
    # busy with other tests may be late, but the library's own heartbeat would take over 75 s.
    assert max(noticed) < 10


# What runs inside the namespaces


async def serve_far_end() -> None:
    from websockets.asyncio.server import ServerConnection, serve
    from websockets.exceptions import ConnectionClosed

    async def talk(websocket: ServerConnection) -> None:
        await websocket.recv()
        await websocket.send('{"type":"session.ready","session_id":"s","resume_token":""}')
        with contextlib.suppress(ConnectionClosed):
            async for _ in websocket:
                pass

    async with serve(talk, FAR, PORT, compression=None, ping_interval=None):
        print(json.dumps({"word": "serving"}), flush=True)
        await asyncio.get_running_loop().create_future()


async def be_client(streaming: bool) -> None:
    from voicekiosk.agent import events
    from voicekiosk.agent.client import AgentClient
    from voicekiosk.config.schema import Agent, Config

    was_ready = False

    def on_event(event: object) -> None:
        nonlocal was_ready
        if isinstance(event, events.Ready):
            was_ready = True
            print(json.dumps({"word": "ready"}), flush=True)
        if isinstance(event, events.Dropped) and was_ready:
            was_ready = False
            message = {"word": "dropped", "t_s": time.monotonic(), "detail": event.detail}
            print(json.dumps(message), flush=True)

    config = Config(agent=Agent(url=f"ws://{FAR}:{PORT}/v1/ws"))
    client = AgentClient(config, lambda: "k", on_event)
    client.open()
    client.speech_going_up(streaming)
    while True:
        await asyncio.sleep(0.02)
        if streaming:
            client.send_audio(bytes(960))


def main() -> None:
    match sys.argv[1:]:
        case ["server"]:
            asyncio.run(serve_far_end())
        case ["idle" | "streaming" as mode]:
            asyncio.run(be_client(mode == "streaming"))
        case [cuts]:
            laid = lay_cable()
            try:
                for mode in ("idle", "streaming"):
                    noticed = sorted(times_to_notice(laid, mode, int(cuts)))
                    middle, last = noticed[len(noticed) // 2], noticed[-1]
                    print(
                        f"{mode:10s} {len(noticed)} cuts: noticed after {middle:.2f} s (median), {last:.2f} s (max)"
                    )
            finally:
                remove_cable(laid)


if __name__ == "__main__":
    main()
