"""Checklist 12.1, items 9 to 15: configuration. Each test says what it takes to break it."""

import asyncio

from msgspec.structs import replace

from voicekiosk.agent import events as agent
from voicekiosk.config.diff import compare
from voicekiosk.config.schema import Agent, Tool, TurnDetection
from voicekiosk.kiosk.events import Fault


def nulls(value, path=""):
    """Every place in a message that holds null."""
    if value is None:
        yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from nulls(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from nulls(inner, path)


def apply(kiosk, **changes):
    """Change the agent's settings of a running kiosk, as a saved file does."""
    old = kiosk.conductor.config
    new = replace(old, agent=replace(old.agent, **changes))
    kiosk.conductor.apply(new, compare(old, new))


async def test_c09_all_settings_are_under_session_and_nothing_is_null(stage):
    # Break: put `system_prompt` beside `type`, or send unset keys as null.
    persona = {"greeting": "Hello", "keyterms": ("Rembrandt",), "language_codes": ("en", "nl"), "volume": 70}
    async with stage(agent=persona) as s:
        s.kiosk.press()
        await s.kiosk.ready()
        s.kiosk.release()
        await asyncio.sleep(0.1)
        await s.kiosk.hang_up()
        (update,) = s.sent("session.update")
        assert set(update) == {"type", "session", "t_s"}
        assert list(nulls(update)) == []
        session = update["session"]
        assert session["greeting"] == "Hello"
        assert session["input"]["keyterms"] == ["Rembrandt"]
        assert session["input"]["language_codes"] == ["en", "nl"]
        assert session["output"]["volume"] == 70
        assert s.kept_the_rules()


async def test_c10_a_stored_agent_is_named_alone_and_only_once(stage):
    # Break: send the prompt along with agent_id, or agent_id in a later update.
    async with stage("stored-agent", agent={"agent_id": "agent_museum"}) as s:
        await s.kiosk.until(lambda: True)
        s.kiosk.press()
        await s.kiosk.ready()
        s.kiosk.release()
        apply(s.kiosk, keyterms=("Vermeer",))
        await asyncio.sleep(0.3)
        await s.kiosk.hang_up()
        first, *later = s.sent("session.update")
        assert first["session"] == {"agent_id": "agent_museum"}
        assert all("agent_id" not in update["session"] for update in later)
        assert s.kept_the_rules()


async def test_c11_what_is_frozen_is_never_sent_after_ready(stage):
    # Break: send greeting, voice or format in a later update.
    async with stage() as s:
        s.kiosk.press()
        await s.kiosk.ready()
        apply(s.kiosk, voice="anna", greeting="Hi", system_prompt="Be brief.")
        await asyncio.sleep(0.3)
        (_, update) = s.sent("session.update") if len(s.sent("session.update")) > 1 else (None, None)
        s.kiosk.release()
        await s.kiosk.hang_up()
        updates = s.sent("session.update", connection=1)
        assert len(updates) == 2
        assert updates[1]["session"] == {"system_prompt": "Be brief."}
        del update
        assert s.kept_the_rules()


async def test_c12_an_error_before_ready_ends_the_attempt_and_the_socket(stage, tmp_path):
    # Break: go on waiting for session.ready, or leave the socket open: here the service does not close it.
    file = tmp_path / "error.toml"
    file.write_text('[[fault]]\ndo = "error"\nafter = "session.update"\nerror = "invalid_config"\n')
    async with stage(str(file), changes={"ready.updated_ms": 20_000.0}) as s:
        s.kiosk.press()
        await s.kiosk.until(lambda: s.kiosk.said(agent.Refused))
        await s.sim.wait_for(lambda: s.sim.connections[0].closed, timeout_s=2.0)
        assert Fault.SERVICE in s.kiosk.state.faults
        assert not s.kiosk.said(agent.Ready)
        assert s.kept_the_rules()


def said(name):
    return Tool(name=name, description="Says its name.", command=("true",))


async def test_c13_the_tool_list_is_complete_in_every_update_that_has_one(stage):
    # Break: send only the tool that changed.
    async with stage(tools=(said("one"), said("two"))) as s:
        s.kiosk.press()
        await s.kiosk.ready()
        old = s.kiosk.conductor.config
        new = replace(old, tools=(said("one"), said("two"), said("three")))
        s.kiosk.conductor.apply(new, compare(old, new))
        await s.sim.wait_for(lambda: len(s.sent("session.update")) == 2)
        s.kiosk.release()
        await s.kiosk.hang_up()
        first, second = s.sent("session.update")
        assert [tool["name"] for tool in first["session"]["tools"]] == ["one", "two"]
        assert [tool["name"] for tool in second["session"]["tools"]] == ["one", "two", "three"]
        assert s.kept_the_rules()


async def test_c14_silence_limits_are_sent_only_when_configured_and_in_order(stage):
    # Break: send defaults of 1000 and 3000.
    async with stage() as s:
        s.kiosk.press()
        await s.kiosk.ready()
        s.kiosk.release()
        await s.kiosk.hang_up()
        (update,) = s.sent("session.update")
        assert "turn_detection" not in update["session"]["input"]
    async with stage(agent={"turn_detection": TurnDetection(min_silence_ms=300, max_silence_ms=900)}) as s:
        s.kiosk.press()
        await s.kiosk.ready()
        s.kiosk.release()
        await s.kiosk.hang_up()
        (update,) = s.sent("session.update")
        assert update["session"]["input"]["turn_detection"] == {"min_silence": 300, "max_silence": 900}
        assert s.kept_the_rules()


def test_c14_limits_in_the_wrong_order_are_refused_before_they_are_sent():
    # Break: drop the rule from config/rules.py.
    from voicekiosk.config.load import check_text

    text = "[agent.turn_detection]\nmin_silence_ms = 900\nmax_silence_ms = 900\n"
    config, problems = check_text(text, "config.toml")
    assert config is None
    assert any("silence" in str(problem) for problem in problems)


async def test_c15_the_audio_format_is_an_object(stage):
    # Break: send "audio/pcm" as a string.
    async with stage(agent={"voice": Agent().voice}) as s:
        s.kiosk.press()
        await s.kiosk.ready()
        s.kiosk.release()
        await s.kiosk.hang_up()
        (update,) = s.sent("session.update")
        assert update["session"]["input"]["format"] == {"encoding": "audio/pcm", "sample_rate": 24000}
        assert s.kept_the_rules()
