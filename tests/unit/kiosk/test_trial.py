import pytest

from voicekiosk.kiosk.events import Fault, Tick, TryOut
from voicekiosk.kiosk.state import Link, State, replace
from voicekiosk.kiosk.trial import Trial

IDLE = State(started=True)


def trial(*states: State) -> Trial:
    trial = Trial()
    trial.begin(100.0, 60.0)
    trial.observe(TryOut(), IDLE)
    for state in states:
        trial.observe(Tick(), state)
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


SPENT = replace(IDLE, faults=frozenset({Fault.BUDGET}))


def test_until_it_is_tried_out_the_session_of_before_says_nothing():
    waiting = Trial()
    waiting.begin(100.0, 60.0)
    assert waiting.is_open(IDLE)
    waiting.observe(Tick(), replace(IDLE, link=Link.READY))
    waiting.observe(Tick(), replace(IDLE, offline=True))
    assert waiting.is_open(IDLE)
    waiting.observe(TryOut(), IDLE)
    assert not waiting.is_open(IDLE)
    # Neither the success nor the failure of before is remembered.
    connecting = replace(IDLE, link=Link.CONNECTING)
    waiting.observe(Tick(), connecting)
    assert waiting.has_failed(connecting)


def test_with_the_money_spent_nothing_can_be_tried_out():
    waiting = Trial()
    waiting.begin(100.0, 60.0)
    waiting.observe(TryOut(), SPENT)
    assert waiting.is_open(SPENT)
    assert waiting.is_open(IDLE)


def test_money_that_runs_out_during_the_attempt_leaves_it_open_unless_the_service_was_reached():
    assert trial(replace(IDLE, link=Link.CONNECTING)).is_open(SPENT)
    assert not trial(replace(IDLE, link=Link.READY)).is_open(SPENT)
