"""After a reboot of the whole machine: the guest that takes this reboots at once, and goes on with the others then."""

import pytest
from pirig.kiosk import UNIT, systemctl
from pirig.pi import Pi


@pytest.mark.after_reboot
def test_it_is_there_by_itself_after_a_reboot(unprepared_pi: Pi) -> None:
    pi = unprepared_pi
    assert systemctl("is-enabled", UNIT) == "enabled"
    pi.kiosk.wait_state("idle", timeout_s=60)
    pi.converse()
