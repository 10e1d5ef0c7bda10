"""What `check_text` says about each kind of mistake, and where it points."""

import json
from pathlib import Path

import msgspec
import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from voicekiosk.config import load, model, validate
from voicekiosk.config.problems import InvalidConfigError, Problem, Severity
from voicekiosk.config.schema import Config
from voicekiosk.errors import ConfigError


def problems(text: str) -> list[str]:
    return [str(problem) for problem in load.check_text(text, "c.toml")[1]]


def only(text: str) -> str:
    (problem,) = problems(text)
    return problem


def accepted(text: str) -> Config:
    config, found = load.check_text(text, "c.toml")
    assert config is not None, found
    return config


def test_an_empty_file_gives_every_default_and_a_warning() -> None:
    assert accepted("") == Config()
    assert "warning" in only(" \n")


def test_a_file_of_comments_has_no_problem() -> None:
    assert problems("# nothing yet\n") == []


def test_windows_line_ends_and_a_byte_order_mark_do_no_harm() -> None:
    config, found = load.check_bytes(b'\xef\xbb\xbf[panel]\r\nmode = "auto"\r\nx = 1\r\n', "c.toml")
    assert config is None
    assert [(p.line, p.column, p.key) for p in found] == [(3, 1, "panel.x")]


def test_bytes_that_are_not_utf8_are_located() -> None:
    config, (problem,) = load.check_bytes('[kiosk]\nname = "Grüße'.encode() + b' \xfc"\n', "c.toml")
    assert config is None
    assert str(problem) == "c.toml:2:15: file: expected UTF-8, got the byte 0xfc; save it as UTF-8"


def test_utf16_is_named() -> None:
    _, (problem,) = load.check_bytes("[kiosk]\n".encode("utf-16"), "c.toml")
    assert "UTF-16" in problem.hint


def test_a_file_beyond_all_measure_is_refused_unread() -> None:
    config, (problem,) = load.check_bytes(b"#" * (load.MAX_BYTES + 1), "c.toml")
    assert config is None
    assert "at most" in problem.message


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            '[audio.capture]\nperiod_ms = "20"\n',
            (
                'c.toml:2:13: audio.capture.period_ms: expected a whole number from 5 to 100, got "20"; '
                "write numbers without quotes"
            ),
        ),
        (
            "[audio.capture]\nperiod_ms = 3\n",
            "c.toml:2:13: audio.capture.period_ms: expected a whole number from 5 to 100, got 3",
        ),
        (
            "[panel.button]\ndebounce_ms = 3.0\n",
            "c.toml:2:15: panel.button.debounce_ms: expected a whole number from 0 to 200, got 3.0; did you mean 3?",
        ),
        (
            '[panel]\nmode = "Holt"\n',
            'c.toml:2:8: panel.mode: expected "hold", "toggle" or "auto", got "Holt"; did you mean "hold"?',
        ),
        (
            '[audio.capture]\nwarm = "yes"\n',
            'c.toml:2:8: audio.capture.warm: expected true or false, got "yes"; did you mean true, without quotes?',
        ),
        ("[audio.capture]\nwarm = 1\n", "c.toml:2:8: audio.capture.warm: expected true or false, got 1"),
        (
            "[audio.capture]\nchannel = -1\n",
            'c.toml:2:11: audio.capture.channel: expected a whole number from 0 to 31 or "mix", got -1',
        ),
        ("[kiosk]\nname = 5\n", "c.toml:2:8: kiosk.name: expected text, got 5; write text in quotes"),
        (
            "[kiosk]\nname = 1979-05-27\n",
            "c.toml:2:8: kiosk.name: expected text, got the date or time 1979-05-27",
        ),
        ("[kiosk]\nname = []\n", "c.toml:2:8: kiosk.name: expected text, got a list"),
        ("kiosk = []\n", "c.toml:1:9: kiosk: expected a table, got a list; [kiosk] has keys of its own"),
        (
            '[agent]\nlanguage_codes = "en"\n',
            (
                'c.toml:2:18: agent.language_codes: expected a list, got "en"; '
                "write a list in brackets, also of one entry"
            ),
        ),
        (
            '[agent]\nkeyterms = [\n  "ok",\n  3,\n]\n',
            "c.toml:4:3: agent.keyterms[1]: expected text of 1 to 50 characters, got 3; write text in quotes",
        ),
        (
            f'[agent]\ntranscription_prompt = "{"x" * 1800}"\n',
            (
                "c.toml:2:24: agent.transcription_prompt: expected text of at most 1750 characters, "
                "got text of 1800 characters"
            ),
        ),
        (
            "[agent]\nkeyterms = [" + '"x",' * 101 + "]\n",
            "c.toml:2:12: agent.keyterms: expected a list of at most 100 entries, got a list of 101",
        ),
        (
            '[panel.lamp]\nnight_from = "24:00"\nnight_to = "06:00"\n',
            'c.toml:2:14: panel.lamp.night_from: expected a time such as "22:00", or "", got "24:00"',
        ),
        (
            "[conversation]\nkeep_open_s = inf\n",
            "c.toml:2:15: conversation.keep_open_s: expected a number from 0 to 3600, got inf",
        ),
        (
            "[conversation]\nkeep_open_s = nan\n",
            "c.toml:2:15: conversation.keep_open_s: expected a number from 0 to 3600, got nan",
        ),
    ],
)
def test_a_value_that_does_not_fit_is_explained_where_it_stands(text: str, line: str) -> None:
    assert only(text) == line


@pytest.mark.parametrize(
    ("text", "place", "meant"),
    [
        ("[audio.capture]\nrate = 1\n", "2:1: audio.capture.rate", 'did you mean "rate_hz"?'),
        ("[audio.capture]\nprerol_ms = 1\n", "2:1: audio.capture.prerol_ms", 'did you mean "preroll_ms"?'),
        ("[panel.button]\npin = 1\n", "2:1: panel.button.pin", 'did you mean "gpio"?'),
        ("[agent]\nprompt = ''\n", "2:1: agent.prompt", 'did you mean "system_prompt"?'),
        ("[panel]\ngpio = 1\n", "2:1: panel.gpio", "did you mean panel.button.gpio or panel.lamp.gpio?"),
        (
            "volume = 1\n",
            "1:1: volume",
            "did you mean agent.volume, audio.playback.volume or [panel.volume]?",
        ),
        ("[panel.lamp]\nmode = 'hold'\n", "2:1: panel.lamp.mode", "did you mean panel.mode?"),
        (
            "[audio.playback]\nchannel = 1\n",
            "2:1: audio.playback.channel",
            'did you mean "channels" or audio.capture.channel?',
        ),
        ("[audio.capure]\nx = 1\n", "1:8: audio.capure", 'did you mean "capture"?'),
        ("[capture]\nx = 1\n", "1:2: capture", "did you mean [audio.capture]?"),
        ("[microphone]\nx = 1\n", "1:2: microphone", "did you mean [audio.capture]?"),
        ("[log]\nqqq = 1\n", "2:1: log.qqq", "known here: level, transcripts"),
        ("panel = { 'mo de' = 1 }\n", "1:11: panel.mo de", 'did you mean "mode"?'),
        ("[panel]\nlamp.knd = 'led'\n", "2:6: panel.lamp.knd", 'did you mean "kind"?'),
    ],
)
def test_an_unknown_key_is_told_where_it_belongs(text: str, place: str, meant: str) -> None:
    problem = only(text)
    assert problem.startswith(f"c.toml:{place}: expected a known ")
    assert problem.endswith(meant)


def test_every_problem_comes_in_one_run_and_in_the_order_of_the_file() -> None:
    text = (
        "x = yes\n"
        '[panel]\nmode = "holt"\nknd = 1\n'
        '[panel.button]\ngpio = 18\nmute_gpio = "a"\n'
        "[agent.turn_detection]\nmin_silence_ms = 900\nmax_silence_ms = 800\n"
        "[kiosk]\nname = x\n"
    )
    found = load.check_text(text, "c.toml")[1]
    assert [(p.line, p.key) for p in found] == [
        (1, "TOML"),
        (3, "panel.mode"),
        (4, "panel.knd"),
        (6, "panel.lamp.gpio"),
        (7, "panel.button.mute_gpio"),
        (9, "agent.turn_detection.min_silence_ms"),
        (12, "TOML"),
    ]


def test_a_rule_is_silent_about_a_value_that_was_refused_for_itself() -> None:
    found = problems('[audio.playback]\nvolume = "loud"\nvolume_max = 20\n')
    assert len(found) == 1


@pytest.mark.parametrize(
    "key", ["api_key", "apikey", "API-Key", "key", "token", "secret", "assemblyai_api_key", "password"]
)
@pytest.mark.parametrize("table", ["", "[agent]\n", "[key]\n"])
def test_a_key_of_the_service_is_sent_away_and_never_shown(table: str, key: str) -> None:
    secret = "s3cr3t-s3cr3t"
    text = f'{table}"{key}" = "{secret}"\n'
    found = problems(text)
    assert found
    assert not any(secret in problem for problem in found)
    if table != "[key]\n":
        assert "`voicekiosk key set`" in found[0]


@pytest.mark.parametrize(
    "text",
    [
        'mode = "{}"\n[panel]\nmode = "{}"\n',
        "[panel]\nmode = {}\n",
        '[panel]\nmode = "{}\n',
        "[panel]\n{} = 1\n",
        "[panel.{}]\nx = 1\n",
        '[agent]\nurl = "wss://x/?token={}"\n',
        '[agent]\nurl = "wss://{}@x/"\n',
        '[agent]\nurl = "{}"\n',
        '[network]\nproxy = "socks5://me:{}@x"\n',
        '[agent]\nlanguage_codes = ["{}"]\n',
        '[audio.capture]\nchannel = "{}"\n',
        "{}",
    ],
)
def test_what_looks_like_a_key_is_never_shown_wherever_it_stands(text: str) -> None:
    secret = "0123456789abcdef0123456789abcdef"
    found = problems(text.replace("{}", secret))
    assert found
    assert not any(secret[:16] in problem for problem in found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\n", "c.toml:1:2: TOML: expected = after the name of a key, got the end of the line"),
        ("a: 1\n", "c.toml:1:2: TOML: expected = after the name of a key, got :; TOML writes key = value"),
        ("a =\n", "c.toml:1:4: TOML: expected a value, got the end of the line"),
        ("a = yes\n", "c.toml:1:5: TOML: expected a value, got y; did you mean true?"),
        (
            "a = None\n",
            "c.toml:1:5: TOML: expected a value, got N; TOML has no such value: leave the key out",
        ),
        ("a = hold\n", 'c.toml:1:5: TOML: expected a value, got h; text needs quotes: "…"'),
        ('a = "x\n', "c.toml:1:7: TOML: expected a quote at the end of the text, got the end of the line"),
        ("a = 'x\n", "c.toml:1:7: TOML: expected ' at the end of the text, got the end of the line"),
        ("a = 1 ; no\n", "c.toml:1:7: TOML: expected the end of the line, got ;; comments begin with #"),
        ("a = 1 // no\n", "c.toml:1:7: TOML: expected the end of the line, got /; comments begin with #"),
        ("kiosk.name = 'x'\nkiosk.name = 'y'\n", "c.toml:2:17: TOML: expected each key once, got it again"),
        ("[log]\n[log]\n", "c.toml:2:5: TOML: expected each table once, got it again"),
        ('a = "x\\q"\n', "c.toml:1:7: TOML: expected \\\\ for a backslash, got \\;"),
        ("a = \N{LEFT DOUBLE QUOTATION MARK}x\N{RIGHT DOUBLE QUOTATION MARK}\n", "typographic"),
        ("[log\n", "c.toml:1:5: TOML: expected ] after the name of a table, got the end of the line"),
        ("kiosk = {name = 'x'\n", "c.toml:1:20: TOML: expected , or } in a table in braces, got the end"),
        ("a = [1\n[log]\n", "c.toml:2:1: TOML: expected , or ] in a list, got [; it begins in line 1"),
        ("\0\0\0", "got '\\x00'; the file is damaged"),
        ("a = 1\u0001\n", "c.toml:1:6: TOML: expected the end of the line, got '\\x01'"),
        ("a = " + "[" * 5000, "c.toml:1:1: TOML: expected a configuration, got something else"),
        ("a = " + "9" * 5000, "c.toml:1:1: TOML: expected a configuration, got something else"),
    ],
)
def test_a_syntax_error_is_explained_to_somebody_who_does_not_know_toml(text: str, expected: str) -> None:
    assert expected in problems(text)[0]


def test_after_a_broken_line_the_rest_is_still_checked() -> None:
    text = "[panel]\nmode = hold\nmode = 'x'\n[log\nlevel = 3\n[kiosk]\nnmae = 1\n"
    assert [p.split(": ")[0] for p in problems(text)] == [
        "c.toml:2:8",
        "c.toml:3:8",
        "c.toml:4:5",
        "c.toml:7:1",
    ]


def test_a_file_that_is_no_toml_at_all_does_not_flood() -> None:
    assert len(problems("this is a letter\n" * 1000)) <= 20


@pytest.mark.parametrize(
    ("text", "key", "severity"),
    [
        ("[agent]\nagent_id = 'a'\ngreeting = 'x'\n", "agent.greeting", "error"),
        ("[agent]\nagent_id = 'a'\nturn_detection.vad_threshold = 0.1\n", "agent.turn_detection", "error"),
        ("[agent]\nurl = 'wss://x/'\nregion = 'eu'\n", "agent.url", "error"),
        ("[agent]\nurl = 'https://x/'\n", "agent.url", "error"),
        ("[agent]\nurl = 'wss://x:port/'\n", "agent.url", "error"),
        ("[agent]\nurl = 'wss://x y/'\n", "agent.url", "error"),
        ("[agent]\nurl = 'ws://kiosk.lan/v1/ws'\n", "agent.url", "warning"),
        ("[agent]\nlanguage_codes = ['German']\n", "agent.language_codes[0]", "warning"),
        (
            "[agent.turn_detection]\nmin_silence_ms = 800\nmax_silence_ms = 800\n",
            "agent.turn_detection.min_silence_ms",
            "error",
        ),
        ("[agent.turn_detection]\nmin_silence_ms = 3000\n", "agent.turn_detection.min_silence_ms", "warning"),
        ("[audio.capture]\nchannels = 2\nchannel = 2\n", "audio.capture.channel", "error"),
        ("[audio.capture]\nbuffer_ms = 40\nperiod_ms = 21\n", "audio.capture.buffer_ms", "error"),
        ("[audio.capture]\npreroll_ms = 500\n", "audio.capture.preroll_ms", "warning"),
        ("[audio.capture]\ndevice = 'hw:1,0'\n", "audio.capture.device", "warning"),
        ("[audio.playback]\ndevice = '1'\n", "audio.playback.device", "error"),
        ("[panel]\nchip = 'gpiochip0'\n", "panel.chip", "error"),
        ("[audio.playback]\ndevice = 'default'\n", "audio.playback.device", "warning"),
        ("[audio.playback]\nvolume_max = 50\n", "audio.playback.volume", "error"),
        ("[audio.playback]\nperiod_ms = 40\n", "audio.playback.queue_ms", "error"),
        ("[panel.button]\nmute_gpio = 17\n", "panel.button.mute_gpio", "error"),
        ("[panel.lamp]\nkind = 'rgb'\nred_gpio = 23\n", "panel.lamp.green_gpio", "error"),
        ("[panel.volume]\nup_gpio = 5\n", "panel.volume.up_gpio", "error"),
        ("[panel.volume]\nb_gpio = 5\n", "panel.volume.b_gpio", "error"),
        ("[panel.volume]\nup_gpio = 5\ndown_gpio = 17\n", "panel.volume.down_gpio", "error"),
        ("[panel.persona]\npositions = { guide = 5 }\n", "panel.persona.positions.guide", "error"),
        (
            "[persona.guide]\n[panel.persona]\npositions = { guide = 17 }\n",
            "panel.persona.positions.guide",
            "error",
        ),
        ("[panel.button]\ngpio = 40\n", "panel.button.gpio", "warning"),
        ("[panel.button]\ngpio = 1\n", "panel.button.gpio", "warning"),
        ("[panel.lamp]\nnight_from = '22:00'\n", "panel.lamp.night_from", "error"),
        ("[panel.lamp]\nnight_to = '22:00'\n", "panel.lamp.night_to", "error"),
        ("[panel.lamp]\nnight_from = '22:00'\nnight_to = '22:00'\n", "panel.lamp.night_to", "error"),
        ("[conversation]\nnudge_after_s = 12\n", "conversation.nudge_after_s", "error"),
        ("[network]\nproxy = 'host:3128'\n", "network.proxy", "error"),
        ("[network]\nca_file = 'ca.pem'\n", "network.ca_file", "error"),
        ("[network]\nca_file = '/no/such/ca.pem'\n", "network.ca_file", "warning"),
    ],
)
def test_a_combination_that_cannot_work_is_named(text: str, key: str, severity: str) -> None:
    config, (problem,) = load.check_text(text, "c.toml")
    assert (problem.key, problem.severity) == (key, severity)
    assert problem.line is not None
    assert (config is None) == (severity == "error")


@pytest.mark.parametrize(
    "text",
    [
        "[agent]\nurl = 'ws://127.0.0.1:8770/v1/ws'\n",
        "[agent]\nurl = 'ws://[::1]:8770/v1/ws'\n",
        "[agent]\nurl = 'wss://agents.eu.assemblyai.com/v1/ws'\n",
        "[agent]\nagent_id = 'a'\n",
        "[panel]\nchip = '/dev/gpiochip4'\n",
        "[audio.capture]\ndevice = 'hw:CARD=Headset'\n",
        "[panel]\ndriver = 'none'\nbutton.mute_gpio = 17\n",
        "[panel.lamp]\nkind = 'none'\ngpio = 17\n",
        "[audio.capture]\nwarm = true\npreroll_ms = 500\n",
        "[audio.capture]\nchannels = 2\nchannel = 1\n",
        "[audio.capture]\nchannel = 1\n",
        "[network]\nproxy = 'http://me:pw@host:3128'\n",
        "[panel.lamp]\nnight_from = '22:00'\nnight_to = '06:30'\n",
        "[conversation]\nkeep_open_s = 30\n",
    ],
)
def test_a_combination_that_works_has_no_problem(text: str) -> None:
    assert problems(text) == []


def test_every_rule_points_at_the_line_that_caused_it() -> None:
    assert only("[panel.button]\n\ngpio = 18\n").startswith("c.toml:3:1: panel.lamp.gpio: ")


def test_load_raises_every_error_at_once(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[kiosk]\nnmae = 1\nplace = 2\n[audio.capture]\npreroll_ms = 5\n")
    with pytest.raises(ConfigError) as caught:
        load.load(file)
    assert isinstance(caught.value, InvalidConfigError)
    assert len(caught.value.problems) == 3
    assert str(caught.value).count("\n") == 1
    assert caught.value.exit_code == 2


def test_load_returns_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[kiosk]\nname = 'lobby'\n")
    assert load.load(file).kiosk.name == "lobby"


def test_a_missing_file_a_directory_and_a_device_are_one_sentence_each(tmp_path: Path) -> None:
    for path, said in [
        (tmp_path / "no", "none there"),
        (tmp_path, "a directory"),
        (Path("/dev/zero"), "a device"),
    ]:
        config, (problem,) = load.check_file(path)
        assert config is None
        assert said in problem.message
        assert str(problem).startswith(f"{path}: file: expected a configuration file")


def test_a_file_that_may_not_be_read_is_one_sentence(tmp_path: Path) -> None:
    problem = load.unreadable(tmp_path / "x", PermissionError(13, "Permission denied"))
    assert "may not be read" in problem.message


def test_a_problem_becomes_json() -> None:
    problem = Problem(file="f", line=1, column=2, key="k", message="m", severity=Severity.WARNING)
    assert json.loads(json.dumps(problem.as_dict())) == {
        "line": 1, "column": 2, "key": "k", "message": "m", "hint": "", "severity": "warning",
    }  # fmt: skip


LEAVES = st.one_of(
    st.booleans(),
    st.integers(-3, 70),
    st.integers(-(2**64), 2**64),
    st.floats(),
    st.sampled_from(["", "auto", "mix", "hold", "led", "22:00", "22:00\n", "x" * 51, "x" * 1751, "info"]),
    st.lists(st.one_of(st.sampled_from(["en", "x" * 51, ""]), st.integers()), max_size=3),
    st.dictionaries(st.sampled_from(["gpio", "x"]), st.integers(0, 3), max_size=2),
)


@given(st.dictionaries(st.sampled_from(sorted(model.every_key())), LEAVES, max_size=6))
def test_the_walk_and_msgspec_agree_on_what_is_a_configuration(values: dict[str, object]) -> None:
    document: dict[str, object] = {}
    for key, value in values.items():
        *tables, name = key.split(".")
        table = document
        for part in tables:
            table = table.setdefault(part, {})  # type: ignore[assignment]
        table[name] = value
    found = list(validate.findings(document, model.table()))
    try:
        msgspec.convert(document, Config)
        valid = True
    except msgspec.ValidationError:
        valid = False
    assert valid or found
    if valid and found:
        # The walk is stricter in one thing only: numbers that no TOML and no setting can mean.
        assert all("number" in finding.message for finding in found)


@given(st.text("ab1 .=[]{},#\"'\\\n-:yes", max_size=60))
def test_no_text_at_all_makes_the_check_fail(text: str) -> None:
    config, found = load.check_text(text, "c.toml")
    assert config is not None or found
    assert all(p.line is None or p.line <= text.count("\n") + 1 for p in found)


@given(st.binary(max_size=40))
def test_no_bytes_at_all_make_the_check_fail(raw: bytes) -> None:
    config, found = load.check_bytes(raw, "c.toml")
    assert config is not None or found


@given(st.data())
def test_a_typo_in_any_key_finds_the_key(data: st.DataObject) -> None:
    keys = [k for k in model.every_key() if len(k.rpartition(".")[2]) >= 6 and not k.startswith("tools.")]
    # As near to its neighbour `channel`.
    keys.remove("audio.capture.channels")
    key = data.draw(st.sampled_from(keys))
    table, _, name = key.rpartition(".")
    cut = data.draw(st.integers(1, len(name) - 2))
    typo = name[:cut] + name[cut + 1] + name[cut] + name[cut + 2 :]
    if typo == name or typo in {k.rpartition(".")[2] for k in model.every_key()}:
        return
    text = f"[{table}]\n{typo} = 0\n"
    assert tomli.loads(text)
    assert name in only(text)
