"""Chips that come and go, lines that others take, handlers that raise: in any order."""

import contextlib
import errno
import itertools
import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from voicekiosk.config import schema
from voicekiosk.panel import gpio, uapi
from voicekiosk.panel.gestures import Gestures, Pressed, Released
from voicekiosk.panel.gpio import GpioPanel
from voicekiosk.panel.lamp import Sign

TALK, MUTE, LAMP = 17, 27, 18
SETTINGS = msgspec.convert({"button": {"mute_gpio": MUTE}}, schema.Panel)

happenings = st.lists(
    st.one_of(
        st.tuples(st.just("edge"), st.sampled_from([TALK, MUTE]), st.booleans()),
        st.tuples(st.just("sign"), st.sampled_from(list(Sign))),
        st.tuples(st.just("time"), st.floats(0, 40)),
        st.tuples(st.just("acknowledge")),
        st.tuples(st.just("taken"), st.sampled_from([TALK, MUTE, LAMP])),
        st.tuples(st.just("free"), st.sampled_from([TALK, MUTE, LAMP])),
        st.tuples(st.just("unplug"), st.sampled_from([TALK, MUTE])),
        st.tuples(st.just("lamp fails"), st.booleans()),
        st.tuples(st.just("handler raises"), st.booleans()),
    ),
    max_size=40,
)


class Chaos:
    """A panel, a chip beneath it, and a house above it, none of them reliable."""

    def __init__(self, fake, loop):
        self.fake, self.loop = fake, loop
        self.raising = False
        self.edges: dict[str, list[tuple[bool, float]]] = {"talk": [], "mute": []}
        self.panel = GpioPanel(SETTINGS)
        self.panel.start(loop, self.on_edge)

    def on_edge(self, button, pressed, t_s):
        self.edges[button].append((pressed, self.loop.time()))
        if self.raising:
            raise RuntimeError("the house is on fire")

    def happen(self, what, *arguments):
        fake = self.fake
        match what, *arguments:
            case "edge", number, down:
                with contextlib.suppress(OSError, KeyError):
                    fake.edge(number, high=not down, t_s=self.loop.time())
            case "sign", sign:
                self.panel.show(sign)
            case "time", seconds:
                self.loop.pass_time(seconds)
            case "acknowledge", *_:
                self.panel.acknowledge()
            case "taken", number:
                fake.busy[number] = "somebody"
            case "free", number:
                fake.busy.pop(number, None)
            case "unplug", number:
                if number in fake.by_offset:
                    fake.unplug(number)
            case "lamp fails", True:
                fake.errors[uapi.SET_VALUES] = errno.ENODEV
            case "lamp fails", False:
                fake.errors.clear()
            case "handler raises", raising:
                self.raising = raising
        self.loop.turn()


def descriptors():
    """Name what is open: other tests' leavings may be closed meanwhile, but nothing may come to it."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        # The one that lists the folder is gone by now.
        with contextlib.suppress(OSError):
            found.add((entry.name, str(entry.readlink())))
    return found


@given(happenings)
# A lamp that could be taken again and still not be lit was held to work, and stayed dark at a live microphone.
@example([("lamp fails", True), ("sign", Sign.MICROPHONE_LIVE), ("time", 1.0)])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_the_panel_never_raises_never_leaks_and_recovers(chip, fake_gpio, loop, story):
    fake_gpio.reset()
    before = descriptors()
    chaos = Chaos(fake_gpio, loop)
    for happening in story:
        chaos.happen(*happening)

    # Everything heals: within the longest pause between attempts all is well again.
    fake_gpio.busy.clear()
    fake_gpio.errors.clear()
    chaos.raising = False
    chaos.panel.show(Sign.MICROPHONE_LIVE)
    loop.pass_time(2 * gpio.RETRY_S[-1])
    assert chaos.panel.facts().faults == ()
    assert fake_gpio.by_offset[LAMP].high
    heard = len(chaos.edges["talk"])
    chaos.happen("edge", TALK, True)
    assert len(chaos.edges["talk"]) == heard + 1

    # A closed panel leaves no button down, no descriptor open and no timer set.
    chaos.panel.close()
    for edges in chaos.edges.values():
        assert not edges or not edges[-1][0]
    fake_gpio.reset()
    assert descriptors() <= before
    assert not [timer for timer in loop._scheduled if not timer.cancelled()]

    # And whatever came through makes sense to the recogniser.
    for edges in chaos.edges.values():
        gestures = Gestures(30)
        made = [g for pressed, t_s in edges for g in gestures.edge(pressed, t_s)] + list(gestures.tick(1e9))
        changes = [g for g in made if isinstance(g, Pressed | Released)]
        assert all(isinstance(g, Pressed) == (n % 2 == 0) for n, g in enumerate(changes))


def test_ten_thousand_edges_at_once_cost_no_more_than_the_kernel_keeps(chip, fake_gpio, loop):
    heard = []
    panel = GpioPanel(SETTINGS)
    panel.start(loop, lambda button, pressed, t_s: heard.append(pressed))
    write_fd = fake_gpio.by_offset[TALK].event_fd
    os.set_blocking(write_fd, False)
    written = 0
    with contextlib.suppress(BlockingIOError):
        for written in itertools.count():
            fake_gpio.edge(TALK, high=bool(written % 2), t_s=loop.time())
    for _ in range(written // uapi.EVENT_BUFFER + 1):
        before = len(heard)
        loop.turn()
        # The loop is not held for longer than one buffer's worth a turn.
        assert len(heard) - before <= uapi.EVENT_BUFFER
    assert heard == [n % 2 == 0 for n in range(len(heard))]
    assert len(heard) >= written
    panel.close()


def test_without_permission_the_kiosk_goes_on_and_names_the_group(chip, loop, monkeypatch, caplog):
    real_open = os.open

    def denied(path, flags, *rest, **options):
        if "gpiochip" in str(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real_open(path, flags, *rest, **options)

    panel = GpioPanel(SETTINGS)
    with monkeypatch.context() as patch:
        patch.setattr(uapi.os, "open", denied)
        panel.start(loop, lambda *edge: None)
        assert "group gpio" in panel.facts().faults[0]
        assert "Traceback" not in caplog.text
    loop.pass_time(gpio.RETRY_S[0])
    assert panel.facts().faults == ()
    panel.close()


REQUESTS = [uapi.GET_CHIP_INFO, uapi.GET_LINE_INFO, uapi.GET_LINE, uapi.GET_VALUES]
ERRORS = [errno.EIO, errno.ENODEV, errno.EPERM, errno.ENOMEM]


@pytest.mark.usefixtures("chip")
@pytest.mark.parametrize(("number", "error"), list(itertools.product(REQUESTS, ERRORS)))
def test_any_refusal_of_the_kernel_is_one_sentence(fake_gpio, loop, number, error, caplog):
    fake_gpio.errors[number] = error
    panel = GpioPanel(SETTINGS)
    panel.start(loop, lambda *edge: None)
    panel.show(Sign.SPEAKING)
    faults = panel.facts().faults
    assert faults
    assert all("\n" not in fault and "errno" not in fault.lower() for fault in faults)
    assert "Traceback" not in caplog.text
    panel.close()
