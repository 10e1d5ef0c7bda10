"""A bad file changes nothing: what a running kiosk makes of each change of its configuration file."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicekiosk.config import load
from voicekiosk.config.diff import Effect
from voicekiosk.config.live import Accepted, Held, LiveConfig, Rejected, Unchanged
from voicekiosk.config.problems import InvalidConfigError
from voicekiosk.config.schema import Config, Kiosk

GOOD = b"[kiosk]\nname = 'lobby'\n"
BETTER = b"[kiosk]\nname = 'hall'\n"
BAD = b"[kiosk]\nname = 3\n"


@pytest.fixture
def live(tmp_path: Path) -> LiveConfig:
    file = tmp_path / "config.toml"
    file.write_bytes(GOOD)
    return LiveConfig(file)


def test_the_first_reading_is_in_force(live: LiveConfig) -> None:
    assert live.last_good.kiosk.name == "lobby"
    assert live.problems == ()
    assert live.is_current


def test_a_bad_first_file_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(BAD)
    with pytest.raises(InvalidConfigError, match=r"config.toml:2:8: kiosk.name"):
        LiveConfig(file)
    with pytest.raises(InvalidConfigError, match="none there"):
        LiveConfig(tmp_path / "no.toml")


def test_a_bad_first_file_falls_back_on_the_last_good_one_of_an_earlier_run(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(BAD)
    live = LiveConfig(file, fallback=Config(kiosk=Kiosk(name="before")))
    assert live.last_good.kiosk.name == "before"
    assert [p.key for p in live.problems] == ["kiosk.name"]
    assert not live.is_current
    assert isinstance(live.consider(GOOD), Accepted)
    assert live.is_current


def test_a_good_change_is_accepted_with_what_changed(live: LiveConfig) -> None:
    outcome = live.consider(BETTER)
    assert isinstance(outcome, Accepted)
    assert outcome.changes.effects == {Effect.AT_ONCE}
    assert live.last_good is outcome.config


LONG = GOOD + b"place = 'left'\n"


def test_the_beginning_of_what_is_in_force_is_held_until_somebody_says_that_it_is_all(
    live: LiveConfig,
) -> None:
    assert isinstance(live.consider(LONG), Accepted)
    assert live.consider(GOOD) == Held()
    assert live.consider(GOOD) == Held()
    assert live.last_good.kiosk.place == "left"
    assert live.look() == Held()
    assert isinstance(live.reload(), Accepted)
    assert live.last_good.kiosk.place == ""


def test_a_copy_that_was_cut_off_and_made_again_is_no_news(live: LiveConfig) -> None:
    live.consider(LONG)
    live.consider(GOOD)
    assert live.consider(LONG) == Unchanged()


@pytest.mark.parametrize("raw", [LONG[:-1], LONG.rstrip(b"'\n") + b"'", BETTER.rstrip(), BETTER])
def test_without_its_last_line_break_a_file_is_believed_at_once(live: LiveConfig, raw: bytes) -> None:
    live.consider(LONG)
    assert isinstance(live.consider(raw), Accepted)


def test_the_beginning_that_is_no_configuration_is_refused_at_once(live: LiveConfig) -> None:
    live.consider(LONG)
    assert isinstance(live.consider(LONG[:-4]), Rejected)


def test_the_same_content_again_is_no_news(live: LiveConfig) -> None:
    assert live.consider(GOOD) == Unchanged()
    assert live.reload() == Unchanged()


def test_a_changed_comment_is_accepted_without_changes(live: LiveConfig) -> None:
    before = live.source_hash
    outcome = live.consider(b"# hello\n" + GOOD)
    assert isinstance(outcome, Accepted)
    assert not outcome.changes
    assert live.source_hash != before


def test_a_bad_file_keeps_the_last_good_one_and_says_why(live: LiveConfig) -> None:
    outcome = live.consider(BAD)
    assert isinstance(outcome, Rejected)
    assert live.last_good.kiosk.name == "lobby"
    assert live.problems == outcome.problems
    assert not live.is_current
    assert live.consider(BAD) == Unchanged()


def test_a_bad_file_taken_back_clears_its_problems(live: LiveConfig) -> None:
    live.consider(BAD)
    outcome = live.consider(GOOD)
    assert isinstance(outcome, Accepted)
    assert not outcome.changes
    assert live.problems == ()
    assert live.is_current


def test_warnings_stay_visible_while_the_file_is_in_force(live: LiveConfig) -> None:
    outcome = live.consider(b"[audio.capture]\npreroll_ms = 100\n")
    assert isinstance(outcome, Accepted)
    assert [p.key for p in live.problems] == ["audio.capture.preroll_ms"]


def test_an_emptied_file_is_taken_for_an_accident(live: LiveConfig) -> None:
    outcome = live.consider(b"\n")
    assert isinstance(outcome, Rejected)
    assert "disk full" in str(outcome.problems[0])
    assert live.last_good.kiosk.name == "lobby"


def test_an_empty_file_is_fine_where_everything_is_default_anyway(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"")
    live = LiveConfig(file)
    assert live.last_good == Config()
    assert isinstance(live.consider(b"\n"), Accepted)


def test_a_deleted_file_changes_nothing_until_it_is_back(live: LiveConfig) -> None:
    live.path.unlink()
    assert isinstance(live.reload(), Rejected)
    assert live.reload() == Unchanged()
    assert live.last_good.kiosk.name == "lobby"
    assert not live.is_current
    live.path.write_bytes(GOOD)
    assert isinstance(live.reload(), Accepted)
    assert live.problems == ()


def test_lost_permissions_change_nothing(live: LiveConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(load, "read_bytes", refuse)
        outcome = live.reload()
    assert isinstance(outcome, Rejected)
    assert "may not be read" in str(outcome.problems[0])
    assert isinstance(live.reload(), Accepted)


def test_a_directory_in_place_of_the_file_changes_nothing(live: LiveConfig) -> None:
    live.path.unlink()
    live.path.mkdir()
    assert isinstance(live.reload(), Rejected)


@settings(max_examples=200)
@given(st.lists(st.one_of(st.sampled_from([GOOD, BETTER, BAD, b""]), st.binary(max_size=30)), max_size=20))
def test_whatever_is_saved_a_good_configuration_stays_in_force(contents: list[bytes]) -> None:
    live = LiveConfig(Path("/no/such/config.toml"), fallback=Config())
    for raw in contents:
        before = live.last_good
        match live.consider(raw):
            case Accepted(config=config):
                assert load.check_bytes(raw, "c.toml")[0] == config == live.last_good
                assert live.is_current
            case Rejected(problems=problems):
                assert problems
                assert live.last_good is before
            case Unchanged() | Held():
                assert live.last_good is before
