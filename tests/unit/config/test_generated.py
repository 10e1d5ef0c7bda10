"""The shipped file and the reference page come from the schema, and so does what `config show` prints."""

from pathlib import Path

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from voicekiosk.config import load, model, reference, render
from voicekiosk.config.schema import Config

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("path", sorted(reference.outputs()))
def test_the_generated_files_are_up_to_date(path: str) -> None:
    assert (ROOT / path).read_text() == reference.outputs()[path], (
        f"{path} is out of date: python -m voicekiosk.config.reference --write ."
    )


def test_the_shipped_file_gives_every_default_and_has_no_problem() -> None:
    config, found = load.check_text(reference.config_toml(), "config.toml")
    assert found == []
    assert config == Config()


def test_the_shipped_file_stays_valid_with_every_key_uncommented() -> None:
    text = reference.config_toml()
    lines = [
        line[1:] if line.startswith("#") and not line.startswith(("# ", "#\n")) else line
        for line in text.split("\n")
    ]
    document = tomli.loads("\n".join(lines))
    for key in model.every_key():
        value = document
        for part in key.split("."):
            value = (value[0] if isinstance(value, list) else value)[part]
    config, found = load.check_text("\n".join(lines), "config.toml")
    assert config is not None, found


def test_every_key_has_one_line_of_comment_above_it() -> None:
    lines = reference.config_toml().split("\n")
    for key in model.every_key():
        name = key.rpartition(".")[2]
        at = [i for i, line in enumerate(lines) if line.lstrip("#").startswith(f"{name} = ")]
        assert at
        assert all(lines[i - 1].startswith("# ") and not lines[i - 2] for i in at)


def test_every_key_has_a_description_and_every_unset_key_an_example() -> None:
    for key, field in model.every_key().items():
        assert field.description, key
        assert field.example is not None, key


def test_checking_the_generated_files_fails_on_drift_and_writing_repairs_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reference.main(["--check", str(tmp_path)]) == 1
    assert "out of date" in capsys.readouterr().out
    assert reference.main(["--write", str(tmp_path)]) == 0
    assert reference.main(["--check", str(tmp_path)]) == 0
    assert capsys.readouterr().out.endswith("written\n")


def test_the_effective_configuration_says_what_differs_from_the_default() -> None:
    text = "[audio.playback]\nvolume = 30\n[agent]\nvolume = 90\nkeyterms = ['a']\n"
    config, _ = load.check_text(text, "c.toml")
    assert config is not None
    lines = render.render_effective(config).split("\n")
    assert "volume = 30  # default: 80" in lines
    assert "volume = 90  # default: unset" in lines
    assert 'keyterms = ["a"]  # default: []' in lines
    assert sum("# default" in line for line in lines) == 3


def test_the_effective_configuration_is_itself_a_configuration() -> None:
    config, found = load.check_text(render.render_effective(Config()), "c.toml")
    assert (config, found) == (Config(), [])


def test_the_effective_configuration_hides_the_login_of_a_proxy() -> None:
    config, _ = load.check_text("[network]\nproxy = 'http://me:hunter2@host:3128'\n", "c.toml")
    assert config is not None
    assert "hunter2" not in render.render_effective(config)
    assert "hunter2" not in str(render.effective(config))


VALUES = st.recursive(
    st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=8,
)


@given(VALUES)
def test_a_written_value_reads_back_as_itself(value: object) -> None:
    assert tomli.loads(f"x = {render.toml(value)}") == {"x": value}


@given(st.text())
def test_a_written_key_reads_back_as_itself(key: str) -> None:
    assert tomli.loads(f"{render.toml_key(key)} = 1") == {key: 1}


def test_what_toml_cannot_say_is_refused() -> None:
    with pytest.raises(TypeError):
        render.toml(None)
