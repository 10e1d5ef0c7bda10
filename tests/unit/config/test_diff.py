"""What each change of the configuration takes to apply."""

import msgspec
import pytest

from voicekiosk.config import load, model
from voicekiosk.config.diff import EFFECTS, Changes, Effect, comparable_keys, compare, effect_of
from voicekiosk.config.schema import Config


def config(text: str) -> Config:
    made, found = load.check_text(text, "c.toml")
    assert made is not None, found
    return made


def test_every_key_of_the_schema_says_what_a_change_takes() -> None:
    assert list(comparable_keys(model.table())) == list(EFFECTS), (
        "classify each key in diff.EFFECTS, in schema order"
    )


def test_the_same_configuration_has_no_changes() -> None:
    changes = compare(Config(), config("# other text, same values\n[kiosk]\nname = 'kiosk'\n"))
    assert not changes
    assert changes == Changes()
    assert changes.effects == frozenset()


@pytest.mark.parametrize(
    ("text", "effect"),
    [
        ("[agent]\nsystem_prompt = 'x'\n", Effect.SESSION),
        ("[agent]\nkeyterms = ['x']\n", Effect.SESSION),
        ("[agent.turn_detection]\nmin_silence_ms = 300\n", Effect.SESSION),
        ("[agent]\nvoice = 'x'\n", Effect.RECONNECT),
        ("[agent]\ngreeting = 'x'\n", Effect.RECONNECT),
        ("[agent]\nregion = 'eu'\n", Effect.RECONNECT),
        ("[agent]\nagent_id = 'x'\n", Effect.RECONNECT),
        ("[audio.capture]\nwarm = true\n", Effect.MICROPHONE),
        ("[audio.playback]\nqueue_ms = 60\n", Effect.LOUDSPEAKER),
        ("[audio.playback]\nvolume = 60\n", Effect.AT_ONCE),
        ("[panel.button]\ngpio = 5\n", Effect.PANEL),
        ("[panel]\nmode = 'auto'\n", Effect.AT_ONCE),
        ("[log]\nlevel = 'debug'\n", Effect.AT_ONCE),
    ],
)
def test_one_changed_key_touches_only_its_own_part(text: str, effect: Effect) -> None:
    changes = compare(Config(), config(text))
    assert changes.effects == {effect}
    (change,) = changes.changes
    assert EFFECTS[change.key] is effect


def test_a_setting_of_the_session_that_is_taken_back_waits_for_the_next_session() -> None:
    text = "[agent.turn_detection]\nmin_silence_ms = 300\n"
    assert compare(Config(), config(text)).effects == {Effect.SESSION}
    assert compare(config(text), Config()).effects == {Effect.RECONNECT}


def test_changes_come_in_the_order_of_the_schema_and_in_words() -> None:
    changes = compare(Config(), config("[log]\nlevel = 'debug'\n[panel.button]\nmute_gpio = 5\n"))
    assert [str(change) for change in changes.changes] == [
        "panel.button.mute_gpio: unset → 5 (button and lamp are reopened)",
        'log.level: "info" → "debug" (applied at once)',
    ]


def test_a_change_never_shows_a_login() -> None:
    (change,) = compare(Config(), config("[network]\nproxy = 'http://me:hunter2@h:1'\n")).changes
    assert "hunter2" not in str(change)
    assert change.new == "http://me:hunter2@h:1"


def test_applying_all_changes_to_the_old_gives_the_new() -> None:
    new = config("[agent]\nvoice = 'x'\n[audio.capture]\nrate_hz = 16000\n[panel.lamp]\nkind = 'rgb'\n")
    built = msgspec.to_builtins(Config())
    for change in compare(Config(), new).changes:
        *tables, name = change.key.split(".")
        table = built
        for part in tables:
            table = table[part]
        table[name] = change.new
    assert msgspec.convert(built, Config) == new


def test_a_key_inside_an_array_of_tables_takes_what_its_array_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EFFECTS, "tools", Effect.SESSION)
    assert effect_of("tools.name") is Effect.SESSION
    with pytest.raises(KeyError):
        effect_of("nothing.like.this")
