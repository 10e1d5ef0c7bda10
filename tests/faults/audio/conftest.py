"""A microphone and a loudspeaker of PulseAudio's, behind the real pyalsaaudio."""

from collections.abc import Iterator

import pytest
from tests.rigs import pulse


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[pulse.PulseRig]:
    if packages := pulse.missing():
        pytest.skip(f"needs: apt install {' '.join(packages)}")
    with pulse.PulseRig() as rig:
        # libasound compares the variable with what it has loaded whenever a device is opened.
        for name, value in rig.environment.items():
            monkeypatch.setenv(name, value)
        yield rig
