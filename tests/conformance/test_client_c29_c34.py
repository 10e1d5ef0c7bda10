"""Checklist 12.1, items 29 to 34: tools. Each test says what it takes to break it."""

import asyncio
import json
import time

import pytest

from voicekiosk.agent import events as agent
from voicekiosk.config.schema import Tool
from voicekiosk.kiosk.state import Name, Turn

PLACE = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
WEATHER = Tool(
    name="get_weather", description="Tells the weather.", command=("echo", '{"temp_c": 22}'), timeout_s=5.0
)


def tool(name="get_weather", *, script=None, **settings):
    command = ("sh", "-c", script) if script else ("echo", "22")
    return Tool(name=name, description="Does it.", command=command, **({"timeout_s": 5.0} | settings))


def scenario(folder, calls, more=""):
    """A scenario file in which the first question leads to these calls."""
    file = folder / "scenario.toml"
    file.write_text(f'[[script]]\nhears = "What is it?"\ncalls = [{calls}]\nthen = "It is this."\n{more}')
    return str(file)


async def asked(s, results=1):
    """Ask, and wait until so many tools have been answered."""
    await s.kiosk.ask()
    await s.sim.wait_for(lambda: len(records(s)) >= results)
    return records(s)


def records(s):
    return s.sim.connections[0].record.tool_results if s.sim.connections else []


async def over(s):
    """Wait until the answer has been heard to its end, then end the conversation."""
    await s.kiosk.until(lambda: s.kiosk.state.turn is Turn.NONE)
    await s.kiosk.hang_up()


async def test_c29_a_call_is_answered_once_with_its_id_and_json_and_the_answer_is_heard(stage):
    # Break: send the result as an object, or with another call_id.
    async with stage("tool", tools=(WEATHER,)) as s:
        await asked(s)
        await over(s)
        (call_,), (result,) = s.got("tool.call"), s.sent("tool.result")
        assert result["call_id"] == call_["call_id"]
        assert json.loads(result["result"]) == {"temp_c": 22}
        assert result["is_error"] is False
        assert len(s.got("reply.started")) == 2
        assert "reply.create" not in [frame["type"] for frame in s.sent()]
        assert s.kept_the_rules()


async def test_c29_the_arguments_reach_the_tool(stage):
    # Break: run the command without writing to its input.
    async with stage("tool", tools=(tool(script="cat", parameters=PLACE),)) as s:
        await asked(s)
        await over(s)
        (result,) = s.sent("tool.result")
        assert json.loads(result["result"]) == {"city": "Utrecht"}


async def test_c29_several_calls_of_one_reply_and_calls_that_follow_are_each_answered_once(stage):
    # Break: keep one pending call instead of many.
    names = ("find_museum", "get_time", "find_route")
    async with stage("tools-chained", tools=tuple(tool(name) for name in names)) as s:
        await asked(s, results=3)
        await over(s)
        calls = [frame["call_id"] for frame in s.got("tool.call")]
        assert sorted(frame["call_id"] for frame in s.sent("tool.result")) == sorted(calls)
        assert len(calls) == 3
        assert s.kept_the_rules()


async def test_c29_fifty_calls_in_one_reply_get_fifty_answers(stage, tmp_path):
    # Break: drop the calls that are too many.
    fifty = scenario(tmp_path, '{ name = "get_weather" }, ' * 50)
    slow = tool(script="sleep 2; echo 22")
    async with stage(fifty, changes={"tools.call_ms": 1.0}, tools=(slow,)) as s:
        await asked(s, results=50)
        await over(s)
        results = s.sent("tool.result")
        assert len({frame["call_id"] for frame in results}) == len(results) == 50
        assert any("too many" in frame["result"] for frame in results)
        assert s.kept_the_rules()


async def test_c29_a_call_that_comes_twice_is_run_and_answered_once(stage, tmp_path):
    # Break: forget which calls have been made.
    count = tmp_path / "count"
    changes = {"events.repeat": ["tool.call"]}
    async with stage("tool", changes=changes, tools=(tool(script=f"echo x >> {count}; echo 1"),)) as s:
        await asked(s)
        await over(s)
        assert len(s.sent("tool.result")) == 1
        assert count.read_text() == "x\n"


@pytest.mark.parametrize("variant", ["quiet", "silent_audio"])
@pytest.mark.parametrize("takes", ["", "sleep 1.5;"])
async def test_c30_a_result_goes_when_reply_done_is_the_latest_turn_event(stage, variant, takes):
    # Break: send each result at once. Both ways round: the tool is quicker than the reply, or slower.
    changes = {"tools.variant": variant, "tools.done_ms": 700.0, "tools.silent_done_ms": 700.0}
    async with stage("strict-tools", changes=changes, tools=(tool(script=f"{takes} echo 1"),)) as s:
        (result,) = await asked(s)
        assert result["after"] == "reply.done"
        await over(s)
        assert s.kept_the_rules()


async def test_c30_a_result_waits_for_the_end_of_a_long_reply_to_another_question(stage, tmp_path):
    # Break: renew the patience with `reply.started` only. The second answer is longer than any patience.
    long = f'\n[[script]]\nhears = "And else?"\nsays = "{"all of it is quite a long story " * 6}"\n'
    file = scenario(tmp_path, '{ name = "get_weather" }', long)
    slow = tool(script="sleep 4; echo 1", timeout_s=20.0)
    async with stage(file, changes={"tools.strict_timing": True}, tools=(slow,)) as s:
        await s.kiosk.ask()
        await s.kiosk.until(lambda: s.kiosk.name is Name.WORKING)
        await s.kiosk.ask()
        await s.sim.wait_for(lambda: records(s), 40)
        first, second = s.got("reply.started")[:2]
        assert first["reply_id"] != second["reply_id"]
        sounds = [frame for frame in s.got("reply.audio") if frame["reply_id"] == second["reply_id"]]
        assert len(sounds) * 0.01 >= 12.0, "the second answer lasts"
        assert records(s)[0]["after"] == "reply.done"
        await over(s)
        assert s.kept_the_rules()


async def test_c30_a_result_can_be_sent_at_once_where_the_configuration_says_so(stage):
    # Break: ignore agent.tool_results.
    changes = {"tools.done_ms": 3000.0}
    async with stage("tool", changes=changes, tools=(tool(),), agent={"tool_results": "at_once"}) as s:
        (result,) = await asked(s)
        assert result["after"] == "reply.started"
        await s.kiosk.hang_up()


async def test_c30_a_reply_that_is_never_done_does_not_hold_the_result_for_ever(stage):
    # Break: wait for reply.done without a deadline.
    async with stage("tool", changes={"events.withhold": ["reply.done"]}, tools=(tool(),)) as s:
        await s.kiosk.ask()
        await s.sim.wait_for(lambda: records(s), 20)
        await s.kiosk.hang_up()


async def test_c31_results_of_an_interrupted_reply_are_never_sent(stage, tmp_path):
    # Break: keep the queue over reply.done interrupted.
    mark = tmp_path / "ended"
    slow = tool(script=f"sleep 1; touch {mark}; echo 1")
    changes = {"tools.done_ms": 2000.0, "tools.call_ms": 50.0}
    fault = '[[fault]]\ndo = "interrupt"\nafter = "tool.call"\ndelay_ms = 400\n'
    file = scenario(tmp_path, '{ name = "get_weather" }', fault)
    async with stage(file, changes=changes, tools=(slow,)) as s:
        await s.kiosk.ask()
        await s.kiosk.until(lambda: s.kiosk.said(agent.ToolsVoid))
        assert s.kiosk.conductor.workshop.open == ()
        await asyncio.sleep(1.2)
        assert not records(s)
        assert not mark.exists(), "the tool was stopped"
        await s.kiosk.hang_up()
        assert s.kept_the_rules(34)


async def test_c32_a_hold_result_goes_at_once_and_nothing_asks_for_the_reply(stage):
    # Break: queue hold results like others, or send reply.create after them.
    hold = tool(execution_mode="hold", script="sleep 0.1; echo 1")
    async with stage("tool", changes={"tools.done_ms": 1500.0}, tools=(hold,)) as s:
        (result,) = await asked(s)
        assert result["after"] == "reply.started"
        await over(s)
        assert s.sent("reply.create") == []
        assert s.kept_the_rules()


async def test_c32_while_a_hold_tool_takes_long_the_agent_says_that_it_works_on_it(stage):
    # Break: set still_working_s to 0.
    hold = tool(execution_mode="hold", script="sleep 3; echo 1", timeout_s=10.0)
    async with stage("tool", tools=(hold,), conversation={"still_working_s": 0.8}) as s:
        await asked(s)
        await over(s)
        assert "still running" in s.sent("reply.create")[0]["instructions"]
        assert s.kept_the_rules()


async def test_c33_an_unknown_tool_is_answered_with_an_error(stage):
    # Break: ignore calls of names that are not configured.
    async with stage("tool", tools=(tool("another"),)) as s:
        await asked(s)
        await over(s)
        (result,) = s.sent("tool.result")
        assert result["is_error"] is True
        assert "there is no tool called get_weather" in json.loads(result["result"])["error"]
        assert s.kept_the_rules()


async def test_c33_without_any_tool_a_call_is_answered_too(stage):
    # Break: start the tools' part only when there are tools.
    async with stage("tool") as s:
        await asked(s)
        await s.kiosk.hang_up()
        assert s.sent("tool.result")[0]["is_error"] is True


async def test_c33_a_tool_of_the_server_is_never_answered_and_its_reply_is_heard(stage):
    # Break: answer every tool.call, or take its silent reply for an empty one.
    async with stage("stored-agent", agent={"agent_id": "agent_museum"}) as s:
        await s.kiosk.ask()
        await s.sim.wait_for(lambda: len(s.sim.connections[0].record.replies) >= 2, 15)
        await s.kiosk.until(lambda: s.kiosk.said(agent.ToolCalled))
        await over(s)
        assert s.got("tool.call")
        assert s.sent("tool.result") == []
        assert s.sent("reply.create") == []
        assert s.kept_the_rules()


async def test_c33_arguments_that_do_not_fit_the_schema_are_an_error_and_nothing_runs(stage, tmp_path):
    # Break: run tools without checking their arguments.
    mark = tmp_path / "ran"
    strict = tool(script=f"touch {mark}", parameters=PLACE)
    file = scenario(tmp_path, '{ name = "get_weather", arguments = { city = 3 } }')
    async with stage(file, tools=(strict,)) as s:
        await asked(s)
        await over(s)
        (result,) = s.sent("tool.result")
        assert result["is_error"] is True
        assert "city must be of type string" in result["result"]
        assert not mark.exists()


async def test_c34_a_tool_that_hangs_is_stopped_and_answered_before_the_service_gives_up(stage):
    # Break: wait for the tool without a limit.
    async with stage("tool", tools=(tool(script="sleep 100", timeout_s=0.8),)) as s:
        began_s = time.monotonic()
        await asked(s)
        assert time.monotonic() - began_s < 20
        await over(s)
        (update,), (result,) = s.sent("session.update"), s.sent("tool.result")
        assert update["session"]["tools"][0]["timeout_seconds"] > 0.8
        assert result["is_error"] is True
        assert "did not finish within 0.8 s" in result["result"]
        assert s.kept_the_rules()


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("head -c 10000000 /dev/zero", "more than"),
        ("yes", "more than"),
        (r"printf '\377\376'", "no text"),
        ("kill -SEGV $$", "SIGSEGV"),
        ("exit 7", "status 7"),
    ],
)
async def test_bad_tools_always_end_in_one_answer(stage, what, says):
    # Break: let an exception of a tool escape.
    async with stage("tool", tools=(tool(script=what),)) as s:
        await asked(s)
        await over(s)
        (result,) = s.sent("tool.result")
        assert result["is_error"] is True
        assert says in result["result"]
        assert s.kept_the_rules()


async def test_a_kiosk_shows_that_a_tool_works_and_takes_another_question_meanwhile(stage):
    # Break: end the turn when the silent reply of the call is done.
    slow = tool(script="sleep 2.5; echo 1")
    async with stage("tool", tools=(slow,)) as s:
        await s.kiosk.ask()
        await s.kiosk.until(lambda: s.kiosk.name is Name.WORKING)
        s.kiosk.press()
        assert s.kiosk.name is Name.LISTENING
        await s.kiosk.speak(0.6)
        s.kiosk.release()
        await s.sim.wait_for(lambda: len(records(s)) >= 1, 20)
        await s.kiosk.until(lambda: s.kiosk.state.turn is Turn.NONE)
        await s.kiosk.hang_up()
        assert not any(result["is_error"] for result in records(s))


BRISK = {"reply.pace": 4.0}
"""The simulator's agent reads its whole instruction aloud, which takes fifteen seconds."""


async def confirming(s):
    """Ask for something that needs a tap, and wait until the question can be heard."""
    await s.kiosk.ask()
    await s.kiosk.until(lambda: s.kiosk.name is Name.CONFIRMING)


async def test_a_tap_confirms_what_the_agent_has_asked_for(stage, tmp_path):
    # Break: run tools with confirm at once.
    mark = tmp_path / "door"
    door = tool(confirm="press", script=f"touch {mark}; echo open")
    async with stage("tool", changes=BRISK, tools=(door,)) as s:
        await confirming(s)
        assert not mark.exists()
        assert "tap the button" in s.sent("reply.create")[0]["instructions"]
        s.kiosk.press()
        await asyncio.sleep(0.1)
        s.kiosk.release()
        await s.sim.wait_for(lambda: records(s))
        assert mark.exists()
        await over(s)
        assert s.sent("tool.result")[0]["is_error"] is False
        assert s.kept_the_rules()


async def test_a_button_that_is_held_refuses_it(stage, tmp_path):
    # Break: take every press for a yes.
    mark = tmp_path / "door"
    door = tool(confirm="press", script=f"touch {mark}")
    async with stage("tool", changes=BRISK, tools=(door,)) as s:
        await confirming(s)
        s.kiosk.press()
        await asyncio.sleep(1.2)
        s.kiosk.release()
        await s.sim.wait_for(lambda: records(s))
        await over(s)
        (result,) = s.sent("tool.result")
        assert result["is_error"] is True
        assert "refused" in result["result"]
        assert not mark.exists()


@pytest.mark.parametrize("resume", ["refuse", "grant"])
async def test_a_drop_while_a_tool_runs_cancels_it_and_says_so(stage, tmp_path, resume):
    # Break: let the tool run on, or leave a resumed session without an answer.
    mark = tmp_path / "done"
    slow = tool(script=f"sleep 3; touch {mark}; echo 1")
    async with stage("drop-mid-tool", changes={"lifecycle.resume": resume}, tools=(slow,)) as s:
        await s.kiosk.ask()
        await s.kiosk.until(lambda: len(s.kiosk.said(agent.Ready)) >= 2)
        assert s.kiosk.conductor.workshop.open == ()
        if resume == "grant":
            await s.sim.wait_for(lambda: s.sent("tool.result", 2))
            assert s.sent("tool.result", 2)[0]["is_error"] is True
        else:
            await s.sim.wait_for(lambda: s.sent("session.update", 3))
            prompt = s.sent("session.update", 3)[0]["session"]["system_prompt"]
            assert "the tool get_weather was cancelled" in prompt
        await asyncio.sleep(0.5)
        assert not mark.exists()
        await s.kiosk.hang_up()
