"""Fixtures of the virtual Pi's tests, and the report to the machine outside."""

import atexit
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from pirig import metronome, sound
from pirig.kiosk import Kiosk
from pirig.pi import Pi
from pirig.steering import RECORD, ServiceHand
from pirig.wait import TooBusyError

SHARE = Path("/mnt/share")
RESULTS = SHARE / "results.jsonl"
BOOT = int(os.environ.get("VIRTUAL_PI_BOOT", "1"))
QUEUE = Path("/mnt/queue")
"""What the guests have in common: a folder for each test that one of them has taken."""
LATER = SHARE / "tests-later"
"""What this guest has taken, and runs when it was booted a second time."""
SECOND_BOOT = Path("/run/virtual-pi-second-boot")


def tell(**fact: object) -> None:
    """Hand a fact to the machine outside; it is there when this returns."""
    with RESULTS.open("a") as file:
        file.write(json.dumps(fact) + "\n")
        file.flush()
        # A page of a file of the host's is written some time; this writes it now.
        os.fsync(file.fileno())


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also what takes very long")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes very long, unless asked for; what needs a reboot comes first."""
    everything = config.getoption("--long")
    chosen = [item for item in items if everything or item.get_closest_marker("long") is None]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    # The guest that takes one of those reboots at once, while the other one goes on.
    items[:] = sorted(chosen, key=lambda item: item.get_closest_marker("after_reboot") is None)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """Take the next test that no guest has taken yet; True leaves one out."""
    name = _name(item.nodeid)
    after_reboot = item.get_closest_marker("after_reboot") is not None
    if not (after_reboot and name in _put_off()):
        try:
            (QUEUE / quote(name, safe="")).mkdir()
        except FileExistsError:
            return True
        if after_reboot:
            with LATER.open("a") as file:
                file.write(f"{name}\n")
            SECOND_BOOT.touch()
            item.session.shouldstop = "rebooting"
            return True
    # pytest kept what the next one in order needs, which is not this one if another guest has taken that.
    item.session._setupstate.teardown_exact(item)
    _began_s[item.nodeid] = time.monotonic()
    return None


def _put_off() -> list[str]:
    """Return what this guest has put off until it has been booted again, and now is to run."""
    return LATER.read_text().splitlines() if BOOT == 2 and LATER.exists() else []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the kiosk's journal beside each failure, and tell the rig's own from those of the kiosk."""
    report = yield
    gap_s = _gaps_s[item.nodeid] = metronome.longest_s(_began_s[item.nodeid], time.monotonic())
    if call.excinfo is not None and isinstance(call.excinfo.value, TooBusyError):
        _unjudged[report.nodeid] = str(call.excinfo.value)
    elif report.failed and gap_s:
        _unjudged[report.nodeid] = f"this guest stood still for {gap_s:.2f} s meanwhile"
    kiosk = getattr(item, "funcargs", {}).get("kiosk")
    if report.failed and kiosk is not None:
        report.sections.append(("journal of the kiosk", kiosk.journal()[-5000:]))
    return report


def pytest_runtest_logstart(nodeid: str) -> None:
    """Say which test begins, for whoever finds this guest standing still."""
    (SHARE / "test-now").write_text(_name(nodeid))


def _name(nodeid: str) -> str:
    path, _, rest = nodeid.partition("::")
    return f"{Path(path).name}::{rest}"


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Report each test once: when it failed, else when all of it is over."""
    seconds = _seconds.get(report.nodeid, 0.0) + report.duration
    _seconds[report.nodeid] = seconds
    if report.nodeid in _failed:
        return
    name = _name(report.nodeid)
    facts = {"seconds": round(seconds, 2), "gap_s": round(_gaps_s.get(report.nodeid, 0.0), 3)}
    if report.failed:
        _failed.add(report.nodeid)
        # What is captured is as long as somebody is chatty: its end will do.
        sections = [
            f"--- {title}\n{text if title.startswith('journal') else text[-1000:]}"
            for title, text in report.sections
        ]
        unjudged = _unjudged.get(report.nodeid)
        why = "\n".join([*([unjudged] if unjudged else []), report.longreprtext[-4000:], *sections])
        outcome = "unjudged" if unjudged else "failed"
        tell(kind="test", name=name, outcome=outcome, why=why, **facts)
    elif report.skipped:
        tell(kind="test", name=name, outcome="skipped", why=report.longreprtext[-500:], **facts)
    elif report.when == "teardown":
        tell(kind="test", name=name, outcome="passed", **facts)


_began_s: dict[str, float] = {}
_gaps_s: dict[str, float] = {}
_seconds: dict[str, float] = {}
_failed: set[str] = set()
_unjudged: dict[str, str] = {}
"""Why, by test."""


def pytest_sessionstart() -> None:
    """Have it noticed when this guest stands still."""
    ticking = subprocess.Popen([sys.executable, metronome.__file__, str(metronome.GAPS)])
    atexit.register(ticking.kill)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave the kiosk as its owner would before a reboot, or say that this was all."""
    if SECOND_BOOT.exists():
        Kiosk().configure({})
    else:
        tell(kind="end", tests=session.testscollected)


@pytest.fixture(scope="session")
def service() -> Iterator[ServiceHand]:
    """The service, in its own network."""
    hand = ServiceHand()
    yield hand
    hand.close()


@pytest.fixture(scope="session")
def kiosk() -> Kiosk:
    """The installed kiosk; it runs after the installation."""
    kiosk = Kiosk()
    if not _put_off():
        kiosk.stop()
    return kiosk


@pytest.fixture
def pi(kiosk: Kiosk, service: ServiceHand) -> Iterator[Pi]:
    """Everything, as after a boot: kiosk stopped, cards in, cable plain. Judged once more at the end."""
    kiosk.forget_journal()
    yield from _judged(Pi(kiosk, service))


@pytest.fixture
def unprepared_pi(kiosk: Kiosk, service: ServiceHand) -> Iterator[Pi]:
    """Everything as it is; the kiosk runs already, if it does."""
    pi = Pi(kiosk, service)
    pi.listen()
    yield from _judged(pi)


def _judged(pi: Pi) -> Iterator[Pi]:
    pi.finger.release()
    yield pi
    stopped_s = pi.kiosk.stop()
    pi.close()
    facts = pi.service.stats()
    broken = [*facts["general_violations"], *(v for one in facts["connections"] for v in one["violations"])]
    pi.service.end()
    journal = pi.kiosk.journal()
    # For whoever comes next.
    shutil.rmtree(RECORD, ignore_errors=True)
    pi.network.reset()
    sound.MIC.plug()
    sound.SPEAKER.plug()
    pi.kiosk.reset()
    wrong = [violation for violation in broken if violation["rule"] not in pi.allowed_rules]
    assert not wrong, "the kiosk broke rules of the protocol"
    assert pi.errors_expected or "Traceback" not in journal, "a traceback is in the journal"
    assert stopped_s < 10


@pytest.fixture
def figure() -> object:
    """Give a function that puts a figure into the results: figure(name, value)."""

    def note(name: str, value: object) -> None:
        tell(kind="figure", name=name, value=value)

    return note
