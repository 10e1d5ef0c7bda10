"""Sessions are deleted at the service, now or when it can be had again."""

import asyncio

import pytest
from tests.rigs.live_kiosk import KEY, LiveKiosk

from voicekiosk.agent import events as agent
from voicekiosk.agent.erasure import ErasureError, delete_session
from voicekiosk.agent.opening import HOSTS
from voicekiosk.config.schema import Agent, Config, Privacy
from voicekiosk.kiosk.eraser import Eraser
from voicekiosk.service.statefile import StateFile
from voicekiosk.simulator import Settings, Simulator
from voicekiosk.simulator.scenario import Scenario, change
from voicekiosk.simulator.world import Life

QUICK = {"ready.updated_ms": 20.0, "turn.onset_ms": 200.0, "turn.end_ms": 300.0, "reply.lead_in_ms": 60.0}


def config_for(url):
    return Config(agent=Agent(url=url), privacy=Privacy(delete_after_session=True))


class Rig:
    """An eraser with a config and a key that the test may change."""

    def __init__(self, url, path, key=KEY):
        self.config, self.key, self.file = config_for(url), key, StateFile(path)
        self.eraser = Eraser(
            lambda: self.config, lambda: self.key, self.file, first_after_s=0.05, retry_s=0.05
        )

    async def __aenter__(self):
        self.eraser.start(asyncio.get_running_loop())
        return self

    async def __aexit__(self, *_):
        await self.eraser.close()

    async def done(self):
        async with asyncio.timeout(20):
            while self.eraser.waiting:
                await asyncio.sleep(0.02)


async def test_a_session_is_deleted_when_it_is_over(tmp_path):
    async with (
        Simulator(Settings(scenario=change(Scenario(), QUICK))) as sim,
        Rig(sim.url, tmp_path / "ids") as rig,
        LiveKiosk(sim.url) as kiosk,
    ):
        watch = kiosk.conductor.observe

        def observe(event, before, after):
            watch(event, before, after)
            rig.eraser.observe(event)

        kiosk.conductor.observe = observe
        await kiosk.converse()
        session_id = kiosk.said(agent.Ready)[0].session_id
        assert list(rig.eraser.waiting) == [session_id]
        await kiosk.hang_up()
        await rig.done()
        assert sim.world.lives[session_id].deleted
    assert rig.file.read() == b"{}"


async def test_what_an_earlier_process_left_is_deleted_and_one_that_is_gone_counts_as_deleted(tmp_path):
    async with Simulator(Settings()) as sim:
        StateFile(tmp_path / "ids").write(b'{"sess_gone": "' + sim.url.encode() + b'"}')
        async with Rig(sim.url, tmp_path / "ids") as rig:
            await rig.done()


async def test_a_key_that_is_not_accepted_is_not_taken_for_a_session_that_is_gone(tmp_path):
    async with Simulator(Settings()) as sim:
        with pytest.raises(ErasureError, match="404"):
            await delete_session(config_for(sim.url), sim.url, "sess_x", lambda: "wrong")
        StateFile(tmp_path / "ids").write(b'{"sess_x": "' + sim.url.encode() + b'"}')
        async with Rig(sim.url, tmp_path / "ids", key="wrong") as rig:
            await asyncio.sleep(0.3)
            assert rig.eraser.waiting
            rig.key = KEY
            await rig.done()


async def test_a_service_that_is_away_is_asked_again_and_said_once(tmp_path, caplog):
    address = "ws://127.0.0.1:9/v1/ws"
    StateFile(tmp_path / "ids").write(b'{"sess_x": "' + address.encode() + b'"}')
    async with Rig(address, tmp_path / "ids") as rig:
        await asyncio.sleep(0.5)
        assert rig.eraser.waiting
    assert caplog.text.count("not deleted yet") == 1
    assert KEY not in caplog.text


@pytest.fixture
async def clusters(monkeypatch):
    """Give one simulator for each of the service's hosts."""
    async with Simulator(Settings()) as default, Simulator(Settings()) as us, Simulator(Settings()) as eu:
        sims = {"default": default, "us": us, "eu": eu}
        for region, sim in sims.items():
            monkeypatch.setitem(HOSTS, region, sim.url)
        yield sims


def delete(region, key=KEY):
    return delete_session(Config(), HOSTS[region], "sess_x", lambda: key)


@pytest.mark.parametrize("region", ["default", "us", "eu"])
async def test_what_the_default_address_opened_is_deleted_wherever_it_is(clusters, region):
    clusters[region].world.lives["sess_x"] = life = Life("sess_x", None, 0.0)
    await delete("default")
    assert life.deleted


async def test_what_no_cluster_knows_is_gone(clusters):
    await delete("default")


async def test_a_cluster_that_cannot_be_asked_is_not_taken_for_one_that_knows_nothing(clusters, monkeypatch):
    monkeypatch.setitem(HOSTS, "us", "ws://127.0.0.1:9/v1/ws")
    with pytest.raises(ErasureError):
        await delete("default")


async def test_a_region_that_was_named_is_the_only_one_that_is_asked(clusters):
    clusters["eu"].world.lives["sess_x"] = life = Life("sess_x", None, 0.0)
    await delete("us")
    assert not life.deleted


async def test_the_key_goes_to_no_other_address():
    with pytest.raises(ErasureError, match="not the configured service"):
        await delete_session(Config(), "ws://127.0.0.1:9/v1/ws", "sess_x", lambda: pytest.fail("asked"))


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"a/../b": "x", "": "x"}', b'{"x": 1}'])
def test_a_spoiled_list_is_no_list(tmp_path, content):
    (tmp_path / "ids").write_bytes(content)
    assert Rig("ws://127.0.0.1:9", tmp_path / "ids").eraser.waiting == {}


def test_without_the_setting_nothing_is_noted(tmp_path):
    rig = Rig("ws://127.0.0.1:9", tmp_path / "ids")
    rig.config = Config()
    rig.eraser.observe(agent.Ready("sess_1", resumed=False, continued=False))
    assert rig.eraser.waiting == {}
