"""What the kiosk's own tools can do to the kiosk."""

from types import SimpleNamespace

import pytest

from voicekiosk.config.schema import Config, Persona
from voicekiosk.errors import DeviceError
from voicekiosk.kiosk.events import EndRequested
from voicekiosk.kiosk.toolhost import ToolHost
from voicekiosk.panel import relay
from voicekiosk.tools.outcome import ToolError


class Kiosk:
    """Loud up to 70, whatever is asked for."""

    config = Config(persona={"guide": Persona(), "guard": Persona()})
    volume = 50

    def __init__(self):
        self.told = []
        self.dials = SimpleNamespace(choose_persona=self.told.append)

    def set_volume(self, percent):
        self.volume = min(percent, 70)

    def dispatch(self, event):
        self.told.append(event)


@pytest.fixture
def relays(monkeypatch):
    """Outputs that only write down what is done to them; `broken` ones cannot be had."""
    log = SimpleNamespace(done=[], broken=False)

    class Relays:
        def __init__(self, chip):
            log.done.append(("open", chip))

        async def pulse(self, number, duration_s, *, active_high):
            if log.broken:
                raise DeviceError(f"the output on GPIO {number} cannot be had: busy")
            log.done.append((number, duration_s, active_high))

        def close(self):
            log.done.append("close")

    monkeypatch.setattr(relay, "Relays", Relays)
    return log


def test_the_loudness_that_is_told_is_the_one_that_it_became():
    host = ToolHost(Kiosk())
    assert host.volume() == 50
    assert host.set_volume(90) == 70
    assert host.volume() == 70


def test_the_end_is_for_the_state_machine_to_decide():
    kiosk = Kiosk()
    ToolHost(kiosk).end_conversation()
    assert kiosk.told == [EndRequested()]


def test_a_persona_is_chosen_among_those_of_the_configuration():
    kiosk = Kiosk()
    host = ToolHost(kiosk)
    assert host.personas() == ("guide", "guard")
    host.choose_persona("guard")
    assert kiosk.told == ["guard"]


async def test_outputs_are_taken_once_at_the_first_use_and_given_back_at_the_end(relays):
    host = ToolHost(Kiosk())
    host.close()
    assert relays.done == []
    await host.pulse(5, 3.0, active_high=False)
    await host.pulse(6, 1.0, active_high=True)
    host.close()
    host.close()
    assert relays.done == [("open", Config().panel.chip), (5, 3.0, False), (6, 1.0, True), "close"]


async def test_an_output_that_cannot_be_had_is_a_sentence_for_the_agent(relays):
    relays.broken = True
    with pytest.raises(ToolError, match="GPIO 5 cannot be had"):
        await ToolHost(Kiosk()).pulse(5, 1.0, active_high=True)
