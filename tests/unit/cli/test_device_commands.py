"""`voicekiosk devices`, `level`, `hear` and `doctor`: what they print and how they exit."""

import json
import wave
from base64 import b64encode

import numpy as np
import pytest

from voicekiosk import cli
from voicekiosk.audio.devices import Card, Direction
from voicekiosk.audio.survey import Abilities, CardReport, Choice
from voicekiosk.cli.level import meter
from voicekiosk.doctor.verdict import failure, ok, skipped, warning
from voicekiosk.errors import NotRunningError

HEADSET = Card(1, "Headset", "Jabra", "1-1.2", (0,), (0,))
REPORT = CardReport(
    HEADSET,
    (
        Abilities(Direction.CAPTURE, "hw:CARD=Headset,DEV=0", "48000 Hz", 48000, ("S16_LE",), (1,)),
        Abilities(Direction.PLAYBACK, "hw:CARD=Headset,DEV=0", "", None, (), (), "Device or resource busy"),
    ),
)


@pytest.fixture
def cards(monkeypatch):
    monkeypatch.setattr("voicekiosk.audio.survey.survey", lambda: [REPORT])
    monkeypatch.setattr(
        "voicekiosk.audio.survey.choose",
        lambda settings: Choice(settings.device, "hw:CARD=Headset,DEV=0", "Headset"),
    )


@pytest.fixture
def missing(tmp_path):
    return str(tmp_path / "none.toml")


def test_devices_shows_the_names_that_stay_and_what_is_chosen(cards, missing, capsys):
    assert cli.main(["devices", "--config", missing]) == 0
    out = capsys.readouterr().out
    assert '"Headset", usb:1-1.2 (Jabra)' in out
    assert "48000 Hz (auto: 48000 Hz); S16_LE; 1 channels" in out
    assert "Device or resource busy" in out
    assert 'microphone   "auto" is hw:CARD=Headset,DEV=0' in out


def test_devices_as_json_names_the_chosen_card(cards, missing, capsys):
    assert cli.main(["devices", "--json", "--config", missing]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["capture"]["chosen_card"] == found["playback"]["chosen_card"] == "Headset"
    assert found["cards"][0]["card"]["id"] == "Headset"


@pytest.mark.parametrize(
    ("rms_dbfs", "peak_dbfs", "bars", "verdict"),
    [(-120.0, -120.0, 0, "silent: muted?"), (-40.0, -20.0, 20, ""), (-3.0, 0.0, 38, "too loud")],
)
def test_the_meter_shows_level_peak_and_what_is_wrong(rms_dbfs, peak_dbfs, bars, verdict):
    line = meter(rms_dbfs, peak_dbfs)
    assert line.count("█") in (bars, bars - 1)
    assert line.count("▌") == 1
    assert line.rstrip().endswith(verdict or f"{peak_dbfs:.1f}")


def test_level_without_a_daemon_opens_the_microphone_itself(monkeypatch, missing, capsys):
    def nobody(timeout_s):
        raise NotRunningError("not running")

    block = np.full(4800, 1000, np.int16)
    monkeypatch.setattr("voicekiosk.service.client.ControlClient", nobody)
    monkeypatch.setattr("voicekiosk.audio.once.windows", lambda settings, seconds: iter([block, block]))
    assert cli.main(["level", "--json", "--for", "0", "--config", missing]) == 0
    assert json.loads(capsys.readouterr().out) == {"rms_dbfs": -30.3, "peak_dbfs": -30.3}


class Daemon:
    """A control client whose daemon knows a question of 25000 samples."""

    pcm = bytes(range(256)) * 195 + bytes(80)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def request(self, command, **args):
        assert command == "hear"
        start = 2 * args["start"]
        part = self.pcm[start : start + 20000]
        return {"samples": len(self.pcm) // 2, "skipped": 0, "start": start, "pcm": b64encode(part).decode()}


def test_hear_puts_the_parts_of_a_question_together(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("voicekiosk.service.client.ControlClient", Daemon)
    out = tmp_path / "question.wav"
    assert cli.main(["hear", "--out", str(out)]) == 0
    with wave.open(str(out)) as wav:
        assert (wav.getframerate(), wav.getnchannels()) == (24000, 1)
        assert wav.readframes(wav.getnframes()) == Daemon.pcm
    assert out.stat().st_mode & 0o077 == 0
    assert "1.0 s" in capsys.readouterr().out


def test_hear_without_a_question_is_refused(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(Daemon, "pcm", b"")
    monkeypatch.setattr("voicekiosk.service.client.ControlClient", Daemon)
    assert cli.main(["hear", "--out", str(tmp_path / "question.wav")]) == 4
    assert "there is no question" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([ok("a", "x"), skipped("b", "y")], (0, "all is well")),
        ([ok("a", "x"), warning("b", "y", "mend it")], (1, "it works, with warnings")),
        ([failure("a", "x", "mend it"), warning("b", "y", "z")], (2, "something is broken")),
    ],
)
def test_the_doctors_exit_code_is_the_worst_verdict(monkeypatch, capsys, missing, verdicts, expected):
    code, word = expected
    monkeypatch.setattr("voicekiosk.doctor.examination.examine", lambda wishes: iter(verdicts))
    assert cli.main(["doctor", "--config", missing]) == code
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == word
    assert ("→ mend it" in out) == (code > 0)


def test_the_doctor_speaks_json(monkeypatch, capsys, missing):
    monkeypatch.setattr(
        "voicekiosk.doctor.examination.examine", lambda wishes: iter([failure("a", "x", "y")])
    )
    assert cli.main(["doctor", "--json", "--config", missing]) == 2
    assert json.loads(capsys.readouterr().out) == {
        "verdict": "failure",
        "links": [{"link": "a", "level": "failure", "text": "x", "fix": "y"}],
    }
