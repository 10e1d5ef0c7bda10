"""The daemon hears of routes from the kernel, and acts on them."""

from tests.rigs.live_daemon import LiveDaemon

from voicekiosk.kiosk import daemon
from voicekiosk.kiosk import events as kiosk


async def test_a_route_that_appears_is_acted_on_and_listening_ends_with_the_daemon(tmp_path, monkeypatch):
    made = []

    class Kernel:
        def __init__(self, appeared):
            self.appeared, self.calls = appeared, []
            made.append(self)

        def start(self, loop):
            self.calls.append("start")
            return True

        def close(self):
            self.calls.append("close")

    monkeypatch.setattr(daemon, "Routes", Kernel)
    monkeypatch.setenv("VOICEKIOSK_SOCKET", str(tmp_path / "control.sock"))
    seen = []
    async with LiveDaemon(tmp_path) as one:
        (kernel,) = made
        watching = one.daemon.conductor.observe

        def observe(event, before, after):
            seen.append(event)
            watching(event, before, after)

        one.daemon.conductor.observe = observe
        kernel.appeared()
        assert kiosk.RouteAppeared() in seen
        assert kernel.calls == ["start"]
    assert kernel.calls == ["start", "close"]
