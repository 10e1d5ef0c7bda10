"""What a saved configuration does in a daemon that runs, against the simulator."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.rigs.live_audio import CARDS
from tests.rigs.live_daemon import KEY, LiveDaemon, journal_in_memory, systemd, told

from voicekiosk.audio.capture import Capture
from voicekiosk.audio.playback import Playback
from voicekiosk.kiosk.events import Fault
from voicekiosk.kiosk.state import Link, Turn
from voicekiosk.simulator import Settings, Simulator


@pytest.fixture(autouse=True)
def journal() -> Iterator:
    with journal_in_memory() as stream:
        yield stream


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEKIOSK_SOCKET", str(tmp_path / "control.sock"))
    monkeypatch.setenv("ASSEMBLYAI_API_KEY", KEY)


@pytest.fixture
async def service() -> AsyncIterator[Simulator]:
    async with Simulator(Settings(key=KEY)) as simulator:
        yield simulator


def agent(simulator: Simulator, **keys: object) -> str:
    lines = [f"{name} = {value!r}".replace("True", "true") for name, value in keys.items()]
    return "\n".join(["[agent]", f"url = '{simulator.url}'", *lines, ""])


def updates(simulator: Simulator, connection: int = 0) -> list[dict]:
    record = simulator.connections[connection].record
    assert record is not None
    return [
        message["session"]
        for _, side, message in record.messages
        if side == "client" and message["type"] == "session.update"
    ]


async def ready(kiosk: LiveDaemon) -> None:
    await kiosk.until(lambda: kiosk.conductor.state.link is Link.READY, "a session")


async def test_a_saved_prompt_is_told_to_the_open_session_and_nothing_else_is(tmp_path, service, journal):
    async with LiveDaemon(tmp_path, agent(service, system_prompt="old")) as kiosk:
        await kiosk.ask("press")
        await ready(kiosk)
        kiosk.edit(agent(service, system_prompt="new", transcription_mode="balanced"))
        await kiosk.until(lambda: len(updates(service)) == 2, "the update")
        assert updates(service)[1] == {
            "system_prompt": "new",
            "input": {"transcription_mode": "balanced"},
        }
        assert kiosk.conductor.state.turn is Turn.LISTENING
        await kiosk.ask("mute")
    assert service.violations == []
    assert 'agent.system_prompt: "old" → "new" (told to the service at once)' in journal.getvalue()


async def test_another_voice_waits_for_the_end_of_the_turn_and_then_for_the_next_conversation(
    tmp_path, service
):
    async with LiveDaemon(tmp_path, agent(service, voice="alba")) as kiosk:
        await kiosk.ask("press")
        await ready(kiosk)
        kiosk.edit(agent(service, voice="eve"))
        await kiosk.until(lambda: kiosk.conductor.config.agent.voice == "eve", "the change")
        assert kiosk.conductor.state.link is Link.READY
        assert len(service.connections) == 1
        await kiosk.ask("mute")
        await kiosk.until(lambda: not service.connections[0].live, "the end of the session")
        assert service.connections[0].record.counts["client"]["session.end"] == 1
        await kiosk.until(lambda: kiosk.conductor.state.link is Link.CLOSED, "idle")
        await kiosk.ask("unmute")
        await kiosk.ask("release")
        await kiosk.ask("press")
        await ready(kiosk)
        assert updates(service, 1)[0]["output"]["voice"] == "eve"
    assert service.violations == []


async def test_a_session_that_is_always_open_is_replaced_between_two_turns(tmp_path, service):
    always = "[conversation]\nconnect = 'on_boot'\n"
    async with LiveDaemon(tmp_path, agent(service, voice="alba") + always) as kiosk:
        await ready(kiosk)
        kiosk.edit(agent(service, voice="eve") + always)
        await kiosk.until(lambda: len(service.connections) == 2, "the second session")
        await kiosk.until(lambda: updates(service, 1), "its update")
        assert updates(service, 1)[0]["output"]["voice"] == "eve"
        assert service.connections[0].record.counts["client"]["session.end"] == 1
    assert service.violations == []


async def test_a_kiosk_that_is_to_connect_at_boot_does_so_at_once(tmp_path, service):
    async with LiveDaemon(tmp_path, agent(service)) as kiosk:
        kiosk.edit(agent(service) + "[conversation]\nconnect = 'on_boot'\n")
        await ready(kiosk)


async def test_another_address_is_used_at_the_next_press_though_the_key_was_refused_before(tmp_path, service):
    async with (
        Simulator(Settings(key="another-key")) as wrong,
        LiveDaemon(tmp_path, agent(wrong)) as kiosk,
    ):
        await kiosk.ask("press")
        await kiosk.until(lambda: Fault.KEY in kiosk.conductor.state.faults, "a refused key")
        await kiosk.ask("release")
        kiosk.edit(agent(service))
        await kiosk.until(lambda: not kiosk.conductor.state.faults, "no fault")
        await kiosk.ask("press")
        await ready(kiosk)


async def test_each_device_is_replaced_alone_and_only_when_its_own_keys_change(tmp_path, service):
    async with LiveDaemon(tmp_path, agent(service)) as kiosk:
        count = kiosk.parts.count
        kiosk.edit(agent(service) + "[kiosk]\nname = 'lobby'\n")
        await kiosk.in_force("lobby")
        assert (count(Capture), count(Playback)) == (1, 1)
        kiosk.edit(CARDS.replace("[audio.capture]", "[audio.capture]\nwarm = true") + agent(service))
        await kiosk.until(lambda: count(Capture) == 2, "another microphone")
        await kiosk.until(lambda: kiosk.conductor.state.microphone_open, "an open microphone")
        assert count(Playback) == 1
        kiosk.edit(CARDS.replace("[audio.playback]", "[audio.playback]\nqueue_ms = 60") + agent(service))
        await kiosk.until(lambda: count(Playback) == 2, "another loudspeaker")
        await kiosk.until(lambda: count(Capture) == 3, "the microphone of before")
        await kiosk.until(lambda: not kiosk.conductor.state.microphone_open, "a closed microphone")
        panels = len(kiosk.parts.panels)
        kiosk.edit(agent(service) + "[panel.button]\ndebounce_ms = 50\n")
        await kiosk.until(lambda: len(kiosk.parts.panels) > panels, "another panel")


async def test_a_microphone_is_not_taken_away_from_a_question(tmp_path, service):
    async with LiveDaemon(tmp_path, agent(service)) as kiosk:
        await kiosk.ask("press")
        await ready(kiosk)
        kiosk.edit(
            CARDS.replace("[audio.capture]", "[audio.capture]\nperiod_ms = 10")
            + agent(service)
            + "[kiosk]\nname = 'two'\n"
        )
        await kiosk.in_force("two")
        assert kiosk.parts.count(Capture) == 1
        await kiosk.ask("mute")
        await kiosk.until(lambda: kiosk.parts.count(Capture) == 2, "another microphone")


async def test_volume_and_rules_apply_at_once(tmp_path, service):
    async with LiveDaemon(tmp_path, agent(service)) as kiosk:
        text = CARDS.replace("[audio.playback]", "[audio.playback]\nvolume = 30\nvolume_max = 50")
        kiosk.edit(text + agent(service) + "[conversation]\nmax_hold_s = 7\n")
        await kiosk.until(lambda: kiosk.conductor.volume == 30, "the volume")
        assert kiosk.conductor.rules.max_hold_s == 7
        assert kiosk.parts.count(Playback) == 1
        await kiosk.ask("volume", percent=90)
        kiosk.edit(text.replace("= 50", "= 40") + agent(service))
        await kiosk.until(lambda: kiosk.conductor.volume == 40, "the limit")


async def test_a_broken_file_is_named_by_status_journal_and_lamp_and_the_kiosk_goes_on(
    tmp_path, service, journal
):
    async with LiveDaemon(tmp_path, agent(service) + "[kiosk]\nname = 'one'\n") as kiosk:
        kiosk.edit("[kiosk]\nnmae = 'two'\n")
        await kiosk.until(lambda: Fault.CONFIG in kiosk.conductor.state.faults, "the fault")
        status = await kiosk.status()
        assert (status["state"], status["lamp"]) == ("idle", "idle_config")
        assert 'did you mean "name"' in status["config"]["problems"][0]
        assert 'did you mean "name"' in status["reason"]
        assert status["name"] == "one"
        assert 'did you mean "name"' in journal.getvalue()
        error = await kiosk.ask("reload")
        assert (error["code"], 'did you mean "name"' in error["message"]) == ("config", True)
        await kiosk.ask("press")
        await ready(kiosk)
        await kiosk.ask("mute")
        kiosk.edit(agent(service) + "[kiosk]\nname = 'two'\n")
        await kiosk.in_force("two")
        status = await kiosk.status()
        assert (status["config"]["problems"], status["reason"]) == ([], "")
        assert Fault.CONFIG not in kiosk.conductor.state.faults


async def test_reload_by_hand_tells_systemd_that_it_began_and_that_it_is_over(tmp_path, service, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with systemd(tmp_path / "notify") as endpoint:
        async with LiveDaemon(tmp_path, agent(service)) as kiosk:
            assert [line for line in told(endpoint) if "READY=1" in line]
            assert await kiosk.ask("reload") == {"changed": []}
            first, second = told(endpoint)[:2]
            assert first.startswith("RELOADING=1\nMONOTONIC_USEC=")
            assert second.startswith("READY=1")
            kiosk.daemon._hang_up()
            again = told(endpoint)
            assert again[0].startswith("RELOADING=1\nMONOTONIC_USEC=")
            assert again[-1].startswith("READY=1")
            kiosk.edit("[kiosk\n")
            kiosk.daemon._hang_up()
            assert told(endpoint)[-1].startswith("READY=1")


async def test_where_no_watch_can_be_had_a_reload_by_hand_still_works(
    tmp_path, service, journal, monkeypatch
):
    def start(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("voicekiosk.config.watch.Watcher.start", start)
    async with LiveDaemon(tmp_path, agent(service)) as kiosk:
        assert "voicekiosk reload" in journal.getvalue()
        kiosk.edit(agent(service) + "[kiosk]\nname = 'two'\n")
        assert (await kiosk.ask("reload"))["changed"] == ["kiosk.name"]
        assert (await kiosk.status())["name"] == "two"


async def test_the_last_good_file_is_what_a_restart_with_a_broken_one_begins_with(tmp_path, service, journal):
    store = tmp_path / "state"
    store.mkdir()
    async with LiveDaemon(tmp_path, agent(service) + "[kiosk]\nname = 'good'\n", store=store) as kiosk:
        await kiosk.until((store / "config.toml").exists, "the copy")
        kiosk.edit(agent(service) + "[kiosk]\nname = 'better'\n")
        await kiosk.in_force("better")
        await kiosk.until(lambda: "better" in (store / "config.toml").read_text(), "the better copy")
    async with LiveDaemon(tmp_path, "[kiosk]\nname = broken\n", store=store) as kiosk:
        status = await kiosk.status()
        assert status["name"] == "better"
        assert status["lamp"] == "idle_config"
        assert "started with the last good configuration" in journal.getvalue()
        kiosk.edit(agent(service) + "[kiosk]\nname = 'repaired'\n")
        await kiosk.in_force("repaired")
        assert (await kiosk.status())["lamp"] == "idle"


async def test_a_state_directory_that_is_full_is_told_and_survived(tmp_path, service, journal, monkeypatch):
    def write(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("voicekiosk.config.last_good.LastGood.write", write)
    async with LiveDaemon(tmp_path, agent(service), store=tmp_path / "state") as kiosk:
        await kiosk.until(lambda: "cannot be kept for the next start" in journal.getvalue(), "the word")
        assert (await kiosk.status())["state"] == "idle"


# --- on trial ----------------------------------------------------------------------------------

TRIAL = "[apply]\nconfirm_within_s = {}\n"


async def test_a_change_that_nobody_confirms_and_that_cannot_talk_is_taken_back(tmp_path, service, journal):
    store = tmp_path / "state"
    store.mkdir()
    good = agent(service) + "[kiosk]\nname = 'good'\n"
    async with LiveDaemon(tmp_path, good, store=store) as kiosk:
        kiosk.edit(agent(service, agent_id="nobody") + "[kiosk]\nname = 'bad'\n" + TRIAL.format(2))
        await kiosk.in_force("bad")
        await kiosk.in_force("good")
        status = await kiosk.status()
        assert "confirm" in status["config"]["problems"][0]
        assert status["lamp"] == "idle_config"
        assert "went back to the last configuration" in journal.getvalue()
        assert "good" in (store / "config.toml").read_text()
        error = await kiosk.ask("config-confirm")
        assert error["code"] == "refused"
        await kiosk.ask("press")
        await ready(kiosk)
        await kiosk.ask("mute")
        kiosk.edit(agent(service) + "[kiosk]\nname = 'better'\n")
        await kiosk.in_force("better")
        assert (await kiosk.status())["config"]["problems"] == []


async def test_a_microphone_that_is_not_there_fails_the_trial_without_a_press(tmp_path, service):
    good = agent(service) + "[kiosk]\nname = 'good'\n"
    async with LiveDaemon(tmp_path, good) as kiosk:
        text = CARDS.replace("rig:microphone", "rig:nothing") + agent(service)
        kiosk.edit(text + "[kiosk]\nname = 'bad'\n" + TRIAL.format(1))
        await kiosk.in_force("bad")
        await kiosk.in_force("good")
        await kiosk.ask("press")
        await kiosk.until(lambda: kiosk.conductor.state.microphone_open, "the microphone of before")


async def test_a_confirmed_change_stays_though_it_cannot_talk(tmp_path, service, journal):
    async with LiveDaemon(tmp_path, agent(service)) as kiosk:
        kiosk.edit(agent(service, agent_id="nobody") + "[kiosk]\nname = 'bad'\n" + TRIAL.format(600))
        await kiosk.in_force("bad")
        status = await kiosk.status()
        assert 0 < status["config"]["confirm_in_s"] <= 600
        assert "stays" in (await kiosk.ask("config-confirm"))["message"]
        assert (await kiosk.status())["config"]["confirm_in_s"] is None
        assert "nothing was waiting" in (await kiosk.ask("config-confirm"))["message"]


async def test_a_change_that_works_stays_without_a_word(tmp_path, service, journal):
    store = tmp_path / "state"
    store.mkdir()
    async with LiveDaemon(tmp_path, agent(service), store=store) as kiosk:
        kiosk.edit(agent(service, voice="eve") + "[kiosk]\nname = 'new'\n" + TRIAL.format(2))
        await kiosk.in_force("new")
        await ready(kiosk)
        assert "new" not in (store / "config.toml").read_text()
        await kiosk.until(lambda: "works and stays" in journal.getvalue(), "the verdict")
        await kiosk.until(lambda: "new" in (store / "config.toml").read_text(), "the copy")
        assert (await kiosk.status())["name"] == "new"


async def test_a_trial_waits_for_the_end_of_the_turn_before_it_begins(tmp_path, service, journal):
    good = agent(service) + "[kiosk]\nname = 'good'\n"
    async with LiveDaemon(tmp_path, good) as kiosk:
        await kiosk.ask("press")
        await ready(kiosk)
        kiosk.edit(agent(service, agent_id="nobody") + "[kiosk]\nname = 'bad'\n" + TRIAL.format(1))
        await kiosk.in_force("bad")
        # The session of before is ready all the time, and vouches for nothing.
        await asyncio.sleep(2.5)
        assert kiosk.conductor.state.link is Link.READY
        assert (await kiosk.status())["name"] == "bad"
        assert "works and stays" not in journal.getvalue()
        await kiosk.ask("mute")
        await kiosk.in_force("good")


async def test_another_mistake_in_the_file_is_told_to_systemd(tmp_path, service, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with systemd(tmp_path / "notify") as endpoint:
        async with LiveDaemon(tmp_path, agent(service)) as kiosk:
            for wrong in ("frist", "second"):
                kiosk.edit(f"[kiosk]\n{wrong} = 1\n")
                await kiosk.until(lambda wrong=wrong: wrong in kiosk.daemon.keeper.problem())
        heard = "".join(told(endpoint))
    assert "frist" in heard
    assert "second" in heard


async def test_a_change_made_while_the_kiosk_was_down_is_on_trial_as_well(tmp_path, service):
    store = tmp_path / "state"
    store.mkdir()
    async with LiveDaemon(tmp_path, agent(service) + "[kiosk]\nname = 'good'\n", store=store) as kiosk:
        await kiosk.until((store / "config.toml").exists, "the copy")
    bad = agent(service, agent_id="nobody") + "[kiosk]\nname = 'bad'\n" + TRIAL.format(2)
    async with LiveDaemon(tmp_path, bad, store=store) as kiosk:
        await kiosk.in_force("good")


# --- the commands ------------------------------------------------------------------------------


async def test_a_press_by_command_is_refused_while_the_kiosk_is_muted(tmp_path, service):
    async with LiveDaemon(tmp_path, agent(service)) as kiosk:
        await kiosk.ask("mute")
        error = await kiosk.ask("press")
        assert (error["code"], "unmute it first" in error["message"]) == ("refused", True)
        assert kiosk.conductor.state.turn is Turn.NONE
        await kiosk.ask("unmute")
        assert (await kiosk.ask("press"))["state"] != "muted"


async def test_the_commands_show_what_is_in_force_and_what_a_save_would_change(tmp_path, service, capsys):
    from voicekiosk.cli import main

    other = tmp_path / "other.toml"
    async with LiveDaemon(tmp_path, agent(service) + "[kiosk]\nname = 'lobby'\n") as kiosk:
        other.write_text(kiosk.path.read_text() + "[log]\nlevel = 'debug'\n")
        assert await asyncio.to_thread(main, ["config", "show"]) == 0
        assert 'name = "lobby"  # default: "kiosk"' in capsys.readouterr().out
        assert await asyncio.to_thread(main, ["config", "diff", str(other)]) == 0
        assert capsys.readouterr().out == 'log.level: "info" → "debug" (applied at once)\n'
        assert await asyncio.to_thread(main, ["config", "diff", str(kiosk.path)]) == 0
        assert "changes nothing in the running kiosk" in capsys.readouterr().out
        assert await asyncio.to_thread(main, ["config", "confirm"]) == 0
        assert "nothing was waiting" in capsys.readouterr().out
        other.write_text("[log]\nlevel = 'loud'\n")
        assert await asyncio.to_thread(main, ["config", "diff", str(other)]) == 2
        assert "log.level: expected" in capsys.readouterr().err
        assert logging.getLogger().level != logging.DEBUG
