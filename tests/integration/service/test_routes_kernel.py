"""Routes of a real kernel, in a network namespace of our own."""

import asyncio
import os
import subprocess

import pytest

from voicekiosk.service.routes import Routes

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a network namespace")

CHILD = """
import asyncio, subprocess, sys
from voicekiosk.service.routes import Routes

async def main():
    seen = []
    routes = Routes(lambda: seen.append(1))
    assert routes.start(asyncio.get_running_loop())
    def ip(*words):
        subprocess.run(["ip", *words], check=True)
    ip("link", "set", "lo", "up")
    ip("link", "add", "vk0", "type", "veth", "peer", "name", "vk1")
    ip("addr", "add", "10.99.0.2/24", "dev", "vk0")
    ip("link", "set", "vk0", "up")
    ip("link", "set", "vk1", "up")
    await asyncio.sleep(0.2)
    before = len(seen)
    ip("route", "add", "default", "via", "10.99.0.1")
    async with asyncio.timeout(10):
        while len(seen) == before:
            await asyncio.sleep(0.01)
    routes.close()
    routes.close()
    print("seen", before, len(seen))

asyncio.run(main())
"""


def test_a_default_route_that_appears_is_told():
    import sys

    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", CHILD],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    if "unshare" in done.stderr:
        pytest.skip(f"no network namespace to be had: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:2] == ["seen", "0"]


async def test_listening_ends_with_close():
    routes = Routes(lambda: None)
    assert routes.start(asyncio.get_running_loop())
    routes.close()
