import pytest

from voicekiosk.agent.events import Cause
from voicekiosk.agent.failures import Failure, Remedy
from voicekiosk.agent.probe import Knock
from voicekiosk.doctor import service
from voicekiosk.doctor.verdict import Level

HOST = "agents.example"
UNIT = {"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "UnitFileState": "enabled", "NRestarts": "0"}  # fmt: skip


def knocked(stage, cause=None, *, has_key=True):
    failure = None if cause is None else Failure(cause, Remedy.AGAIN, "x", "what happened")
    return [
        verdict.level for verdict in service.judge_knock(Knock(HOST, stage, failure, 0.2), has_key=has_key)
    ]


OK, FAILED, SKIPPED = Level.OK, Level.FAILURE, Level.SKIPPED


@pytest.mark.parametrize(
    ("stage", "cause", "levels"),
    [
        ("done", None, [OK, OK, OK]),
        ("reading the address", Cause.CONFIG, [FAILED, SKIPPED, SKIPPED]),
        ("looking up the name", Cause.DNS, [FAILED, SKIPPED, SKIPPED]),
        ("connecting", Cause.REFUSED, [OK, FAILED, SKIPPED]),
        ("waiting for the proxy", Cause.PROXY, [OK, FAILED, SKIPPED]),
        ("shaking hands", Cause.TLS, [OK, FAILED, SKIPPED]),
        ("shaking hands", Cause.CLOCK, [OK, FAILED, SKIPPED]),
        ("shaking hands", Cause.CAPTIVE_PORTAL, [OK, OK, FAILED]),
        ("done", Cause.KEY, [OK, OK, FAILED]),
    ],
)
def test_the_step_that_failed_is_the_one_that_is_blamed(stage, cause, levels):
    assert knocked(stage, cause) == levels


def test_without_a_key_a_refusal_is_what_should_come():
    assert knocked("done", Cause.KEY, has_key=False) == [OK, OK, OK]


def test_every_failure_says_what_to_do():
    for cause in Cause:
        knock = Knock(HOST, "shaking hands", Failure(cause, Remedy.AGAIN, "x", "what happened"), 0.2)
        for verdict in service.judge_knock(knock, has_key=True):
            assert verdict.fix if verdict.level is Level.FAILURE else not verdict.fix


def test_a_missing_key_is_a_failure_and_an_invisible_one_is_not():
    assert service.judge_key("none", "there is no API key").level is Level.FAILURE
    assert service.judge_key("unknown", "").level is Level.SKIPPED
    assert service.judge_key("credential", "").level is Level.OK


@pytest.mark.parametrize(
    ("change", "level"),
    [
        ({}, OK),
        ({"ActiveState": "failed"}, FAILED),
        ({"UnitFileState": "disabled"}, Level.WARNING),
        ({"NRestarts": "3"}, Level.WARNING),
        ({"LoadState": "not-found"}, SKIPPED),
    ],
)
def test_the_unit_is_judged_by_its_state(change, level):
    assert service.judge_unit(UNIT | change).level is level


def test_a_machine_without_systemd_is_no_fault():
    assert service.judge_unit(None).level is SKIPPED


def test_a_daemon_of_another_version_wants_a_restart():
    verdict = service.judge_daemon({"state": "idle", "versions": {"voicekiosk": "0.9"}}, "1.0")
    assert verdict.level is Level.WARNING
    assert "restart" in verdict.fix


def test_a_daemon_at_fault_says_why():
    status = {"state": "fault", "reason": "no microphone", "versions": {"voicekiosk": "1.0"}}
    verdict = service.judge_daemon(status, "1.0")
    assert verdict.level is FAILED
    assert "no microphone" in verdict.text


def test_each_fault_of_the_panel_is_a_failure_of_its_own():
    verdicts = service.judge_panel({"driver": "gpio", "faults": ["no chip", "no lamp"]}, waited_s=0)
    assert [verdict.level for verdict in verdicts] == [FAILED, FAILED]


def test_a_button_that_gives_no_edge_while_it_is_waited_for_is_a_failure():
    panel = {"driver": "gpio", "device": "/dev/gpiochip0", "edges": 0}
    assert service.judge_panel(panel, waited_s=10)[0].level is FAILED
    assert service.judge_panel(panel, waited_s=0)[0].level is OK


def test_a_kiosk_without_pins_has_no_wires_to_blame():
    assert [v.level for v in service.judge_panel({"driver": "none"}, waited_s=0)] == [SKIPPED]


def test_the_configurations_first_problem_is_told():
    verdict = service.judge_config("config.toml", ["config.toml:3: no", "config.toml:9: no"], [])
    assert verdict.level is FAILED
    assert "and 1 more" in verdict.text
