"""What the panel's inputs mean to the kiosk."""

import pytest

from voicekiosk.kiosk.buttons import NEVER, Buttons
from voicekiosk.kiosk.events import MuteSwitched
from voicekiosk.panel.gestures import DoubleTapped, Pressed, Released


class House:
    def __init__(self):
        self.told = []
        self.buttons = Buttons(self.told.append, self, 30)

    def turn_volume(self, steps):
        self.told.append(steps)

    def choose_persona(self, name):
        self.told.append(name)

    def tick(self, now_s):
        self.buttons.tick(now_s)


@pytest.fixture
def house():
    return House()


def test_the_talk_button_s_gestures_are_told(house):
    for t_s in (1.0, 1.2):
        house.buttons.edge("talk", True, t_s)
        house.buttons.edge("talk", False, t_s + 0.1)
    kinds = [type(gesture) for gesture in house.told]
    assert kinds == [Pressed, Released, Pressed, Released, DoubleTapped]


def test_the_mute_button_switches_at_each_press(house):
    house.buttons.edge("mute", True, 1.0)
    house.buttons.edge("mute", False, 1.001)
    assert house.buttons.deadline_s == pytest.approx(1.03)
    house.tick(1.02)
    house.tick(1.04)
    assert house.told == [MuteSwitched(None)]
    assert house.buttons.deadline_s == NEVER


def test_an_encoder_and_buttons_turn_the_volume(house):
    for number, (contact, closed) in enumerate([("a", True), ("b", True), ("a", False), ("b", False)]):
        house.buttons.edge(f"encoder_{contact}", closed, 1.0 + 0.001 * number)
    assert house.told == []
    house.tick(house.buttons.deadline_s + 0.01)
    house.buttons.edge("quieter", True, 2.0)
    assert house.told == [1, -1]


def test_a_switch_chooses_who_speaks(house):
    house.buttons.edge("persona clock", True, 1.0)
    house.tick(house.buttons.deadline_s)
    assert house.told == ["clock"]


def test_other_pins_begin_anew(house):
    house.buttons.edge("talk", True, 1.0)
    house.buttons.edge("louder", True, 1.0)
    house.buttons.begin_anew(0)
    assert house.buttons.deadline_s == NEVER
