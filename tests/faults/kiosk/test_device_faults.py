"""Sound cards as links: lost, stalled and busy in a kiosk that runs, and back without a restart."""

import asyncio
import logging

import numpy as np
import pytest
from tests.rigs.fake_alsa import Card
from tests.rigs.live_audio import LOUDSPEAKER, MICROPHONE, LiveWorld
from tests.rigs.sysfs import Sysfs

from voicekiosk.kiosk.events import Fault
from voicekiosk.kiosk.state import Link, Name, Turn, name_of

GONE = "No such device"
BUSY = "Device or resource busy"
SAID_S = 0.6


def agent(service):
    return f"[agent]\nurl = '{service.url}'\n"


def card(kiosk, device):
    return kiosk.world.cards[device]


async def hold(kiosk):
    """Press, be connected with an open microphone, and say something."""
    await kiosk.ask("press")
    await kiosk.until(lambda: kiosk.conductor.state.link is Link.READY, "a session")
    await kiosk.until(lambda: kiosk.conductor.state.microphone_open, "an open microphone")
    await asyncio.sleep(SAID_S)


async def answered(kiosk):
    await kiosk.until(lambda: name_of(kiosk.conductor.state) is Name.SPEAKING, "an answer")
    await kiosk.until(lambda: kiosk.conductor.state.turn is Turn.NONE, "the end of the answer")


def faulty(kiosk, fault):
    return lambda: fault in kiosk.conductor.state.faults


async def test_a_microphone_that_is_pulled_out_and_back_in_the_middle_of_a_question_goes_on_with_it(
    house, service
):
    async with house(agent(service)) as kiosk:
        await hold(kiosk)
        card(kiosk, MICROPHONE).trouble = GONE
        await kiosk.until(faulty(kiosk, Fault.MICROPHONE), "the loss")
        status = await kiosk.status()
        assert GONE in status["microphone"]["fault"]
        card(kiosk, MICROPHONE).trouble = None
        await kiosk.until(lambda: not faulty(kiosk, Fault.MICROPHONE)(), "its return")
        assert kiosk.conductor.state.turn is Turn.LISTENING
        await kiosk.ask("release")
        await answered(kiosk)


async def test_a_loudspeaker_that_is_pulled_out_ends_the_answer_and_plays_the_next(house, service):
    async with house(agent(service)) as kiosk:
        await hold(kiosk)
        await kiosk.ask("release")
        await kiosk.until(lambda: name_of(kiosk.conductor.state) is Name.SPEAKING, "an answer")
        card(kiosk, LOUDSPEAKER).trouble = GONE
        await kiosk.until(faulty(kiosk, Fault.LOUDSPEAKER), "the loss")
        await kiosk.until(lambda: kiosk.conductor.state.turn is Turn.NONE, "the end of the answer")
        assert GONE in (await kiosk.status())["reason"]
        before = np.count_nonzero(card(kiosk, LOUDSPEAKER).sound())
        card(kiosk, LOUDSPEAKER).trouble = None
        await kiosk.until(lambda: not faulty(kiosk, Fault.LOUDSPEAKER)(), "its return")
        await kiosk.until(lambda: np.count_nonzero(card(kiosk, LOUDSPEAKER).sound()) > before, "its sign")
        await hold(kiosk)
        await kiosk.ask("release")
        await answered(kiosk)


async def test_devices_that_are_busy_at_the_start_are_taken_when_they_are_free(house, service):
    async with house(agent(service)) as kiosk:
        for device in (MICROPHONE, LOUDSPEAKER):
            card(kiosk, device).trouble = BUSY
        await kiosk.ask("press")
        await kiosk.until(faulty(kiosk, Fault.MICROPHONE), "a busy microphone")
        await kiosk.until(faulty(kiosk, Fault.LOUDSPEAKER), "a busy loudspeaker")
        await kiosk.ask("release")
        assert BUSY in (await kiosk.status())["reason"]
        for device in (MICROPHONE, LOUDSPEAKER):
            card(kiosk, device).trouble = None
        await kiosk.until(lambda: not kiosk.conductor.state.faults, "both free")
        await hold(kiosk)
        await kiosk.ask("release")
        await answered(kiosk)


async def test_a_microphone_whose_clock_stands_still_is_reopened_by_its_own_thread(house, service):
    async with house(agent(service)) as kiosk:
        await hold(kiosk)
        microphone = card(kiosk, MICROPHONE)
        stalled = microphone.handle
        microphone.stalled_at_s = kiosk.world.now
        await kiosk.until(faulty(kiosk, Fault.MICROPHONE), "the stall noticed")
        microphone.stalled_at_s = None
        await kiosk.until(lambda: not faulty(kiosk, Fault.MICROPHONE)(), "the reopening")
        assert stalled.closed
        assert microphone.handle is not stalled
        await kiosk.ask("release")
        await answered(kiosk)


async def test_a_card_that_comes_back_while_nobody_speaks_takes_the_fault_away(house, service):
    async with house(agent(service)) as kiosk:
        await hold(kiosk)
        await kiosk.ask("release")
        await answered(kiosk)
        card(kiosk, MICROPHONE).trouble = GONE
        await kiosk.until(faulty(kiosk, Fault.MICROPHONE), "the loss")
        assert name_of(kiosk.conductor.state) is Name.FAULT
        card(kiosk, MICROPHONE).trouble = None
        await kiosk.until(lambda: name_of(kiosk.conductor.state) is Name.IDLE, "its return")


@pytest.fixture
def headset(tmp_path):
    """A world with one USB headset, of whose sound card the kernel can make another."""
    world = LiveWorld()
    world.sysfs = (sysfs := Sysfs(tmp_path / "sys")).sound
    at = []

    def plug_in(index, card_id):
        at.append(index)
        sysfs.add(index, card_id, "0p 0c", usb="1-1.2", product="Blackwire")
        world.cards = {f"hw:CARD={card_id},DEV=0": Card()}

    def unplug():
        sysfs.remove(at.pop())
        for one in world.cards.values():
            one.trouble = GONE
        world.cards = {}

    world.plug_in, world.unplug = plug_in, unplug
    plug_in(1, "Headset")
    return world


@pytest.mark.parametrize(
    ("device", "back_as"),
    [("Headset", (4, "Headset")), ("usb:1-1.2", (4, "Headset_1")), ("auto", (0, "Headset_1"))],
)
async def test_a_card_that_comes_back_under_another_number_is_found_by_what_names_it(
    house, service, headset, device, back_as
):
    devices = f"[audio.capture]\ndevice = '{device}'\n[audio.playback]\ndevice = '{device}'\n"
    async with house(f"{devices}[panel]\ndriver = 'none'\n{agent(service)}", headset) as kiosk:
        await hold(kiosk)
        headset.unplug()
        await kiosk.until(faulty(kiosk, Fault.MICROPHONE), "the loss")
        headset.plug_in(*back_as)
        await kiosk.until(lambda: not kiosk.conductor.state.faults, "its return")
        assert kiosk.conductor.state.turn is Turn.LISTENING
        await kiosk.ask("release")
        await answered(kiosk)
        status = await kiosk.status()
        for end in ("microphone", "loudspeaker"):
            assert status[end]["device"] == f"hw:CARD={back_as[1]},DEV=0"


async def test_a_storm_of_underruns_ends_neither_the_answer_nor_the_conversation(house, service, caplog):
    """A driver that does not come back for longer than the card holds, again and again."""
    async with house(agent(service)) as kiosk:
        await hold(kiosk)
        await kiosk.ask("release")
        await kiosk.until(lambda: name_of(kiosk.conductor.state) is Name.SPEAKING, "an answer")
        while kiosk.conductor.state.turn is not Turn.NONE:
            kiosk.world.frozen ^= {LOUDSPEAKER}
            await asyncio.sleep(0.25)
        kiosk.world.frozen.clear()
        assert (await kiosk.status())["loudspeaker"]["underruns"] >= 2
        assert not faulty(kiosk, Fault.LOUDSPEAKER)()
        said = [record for record in caplog.records if "underrun" in record.getMessage()]
        assert sum(record.levelno == logging.WARNING for record in said) == 1, "one line a minute is enough"
        await hold(kiosk)
        await kiosk.ask("release")
        await answered(kiosk)


async def test_a_loudspeaker_that_runs_dry_whenever_it_starts_is_reopened_and_told(house, service):
    async with house(agent(service)) as kiosk:
        await hold(kiosk)
        card(kiosk, LOUDSPEAKER).dry = True
        await kiosk.ask("release")
        await kiosk.until(faulty(kiosk, Fault.LOUDSPEAKER), "the loss")
        assert "runs dry whenever it starts" in (await kiosk.status())["reason"]
        card(kiosk, LOUDSPEAKER).dry = False
        await kiosk.until(lambda: not faulty(kiosk, Fault.LOUDSPEAKER)(), "its return")
        await kiosk.until(lambda: kiosk.conductor.state.turn is Turn.NONE, "the end of the turn")
        await hold(kiosk)
        await kiosk.ask("release")
        await answered(kiosk)
