from dataclasses import replace

import pytest

from voicekiosk.kiosk.events import Fault
from voicekiosk.kiosk.state import Link, State
from voicekiosk.kiosk.trial import Trial

IDLE = State(started=True)


def trial(*states: State) -> Trial:
    trial = Trial()
    trial.begin(100.0, 60.0)
    for state in states:
        trial.observe(state)
    return trial


def test_a_trial_lasts_as_long_as_it_was_given():
    running = trial()
    assert running.running
    assert running.left_s(130.0) == 30.0
    running.end()
    assert not running.running
    assert running.left_s(130.0) is None


def test_a_kiosk_that_has_reached_the_service_has_not_failed():
    assert not trial(replace(IDLE, link=Link.CONNECTING), replace(IDLE, link=Link.READY), IDLE).has_failed(
        IDLE
    )


def test_a_service_that_could_not_be_reached_is_remembered_after_the_sign_has_gone():
    assert trial(replace(IDLE, link=Link.CONNECTING), replace(IDLE, offline=True), IDLE).has_failed(IDLE)


def test_a_service_that_was_reached_in_the_end_counts():
    running = trial(replace(IDLE, offline=True), replace(IDLE, link=Link.READY))
    assert not running.has_failed(IDLE)


def test_a_session_of_before_does_not_vouch_for_an_attempt_that_is_still_open():
    connecting = replace(IDLE, link=Link.CONNECTING)
    assert trial(replace(IDLE, link=Link.READY), connecting).has_failed(connecting)


@pytest.mark.parametrize("fault", list(Fault))
def test_faults_that_keep_people_from_talking_fail_a_trial_and_others_do_not(fault):
    silencing = fault in (Fault.KEY, Fault.SERVICE, Fault.MICROPHONE, Fault.LOUDSPEAKER)
    assert (
        trial(replace(IDLE, link=Link.READY)).has_failed(replace(IDLE, faults=frozenset({fault})))
        == silencing
    )
