"""Tools on the wire: what is told of them, which calls are ours, and when answers go out."""

import json

import pytest

from voicekiosk.agent import events
from voicekiosk.agent.outputs import Send
from voicekiosk.agent.session import Session
from voicekiosk.agent.tools import described
from voicekiosk.config.schema import Agent, Config, Network, Tool

LAMP = Tool(name="lamp", description="Switches the lamp.", command=("true",))
DOOR = Tool(name="door", description="Opens.", command=("true",), execution_mode="hold", timeout_s=20.0)


class Talk:
    """A session with two tools, and what came out of it."""

    def __init__(self, tools=(LAMP, DOOR), **agent):
        self.config = Config(agent=Agent(**agent), network=Network(), tools=tuple(tools))
        self.session = Session(self.config)
        self.now_s = 100.0

    def connect(self, echo=None, *, session_id="s"):
        attempt = self.session.attempt(self.now_s)
        out = self.session.connected(attempt, self.now_s)
        config = {} if echo is None else {"config": {"tools": echo}}
        return out + self.hear("session.ready", session_id=session_id, resume_token="", **config)

    def hear(self, type_, **fields):
        return self.session.received(json.dumps({"type": type_} | fields).encode(), self.now_s)

    def call(self, call_id="c", name="lamp", **fields):
        (called,) = self.hear("tool.call", call_id=call_id, name=name, **({"arguments": {}} | fields))
        return called

    def answer(self, called, text="1", *, is_error=False):
        return self.session.answer(called.call_id, called.epoch, text, self.now_s, is_error=is_error)


def sent(outputs):
    return [json.loads(output.frame) for output in outputs if isinstance(output, Send)]


def results(outputs):
    return [frame["call_id"] for frame in sent(outputs) if frame["type"] == "tool.result"]


def test_the_first_update_describes_every_tool():
    first, *_ = sent(Talk().connect())
    assert first["session"]["tools"] == [
        {
            "type": "function",
            "name": "lamp",
            "description": "Switches the lamp.",
            "parameters": {"type": "object", "properties": {}},
            "execution_mode": "interactive",
            "timeout_seconds": 40.0,
        },
        {
            "type": "function",
            "name": "door",
            "description": "Opens.",
            "parameters": {"type": "object", "properties": {}},
            "execution_mode": "hold",
            "timeout_seconds": 50.0,
        },
    ]


def test_without_tools_nothing_is_said_of_them():
    first, *_ = sent(Talk(tools=()).connect())
    assert "tools" not in first["session"]


def test_the_schema_s_own_mark_is_left_out_since_it_empties_the_arguments():
    tool = Tool(name="a", command=("true",), parameters={"$schema": "x", "type": "object", "properties": {}})
    assert described([tool])[0]["parameters"] == {"type": "object", "properties": {}}


def test_a_changed_tool_sends_the_complete_list_and_no_change_sends_none():
    talk = Talk()
    talk.connect()
    third = Tool(name="third", description="d", command=("true",))
    (update,) = sent(talk.session.reconfigure(Config(tools=(LAMP, DOOR, third))))
    assert [tool["name"] for tool in update["session"]["tools"]] == ["lamp", "door", "third"]
    assert sent(talk.session.reconfigure(Config(tools=(LAMP, DOOR, third)))) == []
    (update,) = sent(talk.session.reconfigure(Config()))
    assert update["session"] == {"tools": []}


def test_another_command_behind_a_tool_is_nothing_to_tell():
    talk = Talk(tools=(LAMP,))
    talk.connect()
    other = Tool(name="lamp", description="Switches the lamp.", command=("false",))
    assert sent(talk.session.reconfigure(Config(tools=(other,)))) == []


def test_a_stored_agent_keeps_its_own_tools():
    talk = Talk(agent_id="agent_1")
    first, *_ = sent(talk.connect())
    assert first["session"] == {"agent_id": "agent_1"}
    config = Config(agent=Agent(agent_id="agent_1"), tools=(LAMP,))
    assert sent(talk.session.reconfigure(config)) == []


def test_a_call_is_handed_on_and_its_answer_waits_for_the_reply_to_be_done():
    talk = Talk()
    talk.connect()
    talk.hear("reply.started", reply_id="r")
    called = talk.call(arguments={"on": True})
    assert (called.name, called.arguments, called.ours) == ("lamp", {"on": True}, True)
    assert talk.answer(called) == ()
    out = talk.hear("reply.done", reply_id="r", status="completed")
    assert out[0] == events.ReplyDone("r", interrupted=False)
    assert sent(out) == [{"type": "tool.result", "call_id": "c", "result": "1", "is_error": False}]


def test_an_interruption_makes_calls_void():
    talk = Talk()
    talk.connect()
    talk.hear("reply.started", reply_id="r")
    called = talk.call()
    out = talk.hear("reply.done", reply_id="r", status="interrupted")
    assert events.ToolsVoid(("c",)) in out
    assert talk.answer(called) == ()
    talk.hear("reply.started", reply_id="r2")
    assert sent(talk.hear("reply.done", reply_id="r2")) == []


def test_a_hold_tool_is_answered_at_once_and_so_is_every_tool_when_told_so():
    talk = Talk()
    talk.connect()
    talk.hear("reply.started", reply_id="r")
    assert results(talk.answer(talk.call(name="door"))) == ["c"]
    early = Talk(tool_results="at_once")
    early.connect()
    early.hear("reply.started", reply_id="r")
    assert results(early.answer(early.call())) == ["c"]


def test_the_echo_says_what_the_service_does_itself_and_what_holds():
    talk = Talk(tools=(), agent_id="agent_1")
    http, held = {"name": "hours", "http": {"url": "x"}}, {"name": "door", "execution_mode": "hold"}
    talk.connect(echo=[http, held, "nonsense", {"name": 3}])
    talk.hear("reply.started", reply_id="r")
    called = talk.call("h", "hours")
    assert not called.ours
    assert talk.answer(called) == ()
    assert results(talk.answer(talk.call("d", "door"))) == ["d"]


@pytest.mark.parametrize(
    "echo",
    [
        {"name": "door"},
        {"name": "door", "execution_mode": None, "timeout_seconds": None, "http": None},
    ],
)
def test_an_echo_that_leaves_things_out_changes_nothing_of_what_was_told(echo):
    talk = Talk(tools=(DOOR,))
    talk.connect(echo=[echo])
    talk.hear("reply.started", reply_id="r")
    called = talk.call(name="door")
    assert called.ours
    assert results(talk.answer(called)) == ["c"]


def test_a_change_of_the_configuration_leaves_a_stored_agent_s_tools_as_they_are_there():
    talk = Talk(tools=(), agent_id="agent_1")
    talk.connect(echo=[{"name": "lamp", "http": {"url": "x"}}])
    talk.session.reconfigure(Config(agent=Agent(agent_id="agent_1"), tools=(LAMP,)))
    talk.hear("reply.started", reply_id="r")
    assert not talk.call(name="lamp").ours


def test_the_sound_of_a_reply_holds_a_result_longer_than_any_patience():
    talk = Talk()
    talk.connect()
    talk.hear("reply.started", reply_id="r")
    called = talk.call()
    talk.answer(called)
    talk.now_s += 5
    talk.hear("reply.audio", reply_id="r", data="AAAA")
    assert talk.session.next_deadline_s > talk.now_s + 5


def test_a_late_call_of_an_interrupted_reply_is_not_handed_on():
    talk = Talk()
    talk.connect()
    talk.hear("reply.started", reply_id="r")
    talk.hear("reply.done", reply_id="r", status="interrupted")
    assert talk.hear("tool.call", call_id="c", name="lamp", arguments={}) == ()


def test_a_call_that_comes_twice_is_told_once():
    talk = Talk()
    talk.connect()
    talk.hear("reply.started", reply_id="r")
    talk.call()
    assert talk.hear("tool.call", call_id="c", name="lamp", arguments={}) == ()


def test_a_missing_done_holds_a_result_until_the_deadline_only():
    talk = Talk()
    talk.connect()
    talk.hear("reply.started", reply_id="r")
    talk.answer(talk.call())
    deadline_s = talk.session.next_deadline_s
    assert deadline_s is not None
    assert deadline_s < talk.now_s + 10
    assert results(talk.session.tick(deadline_s)) == ["c"]


def test_a_fresh_session_after_a_drop_is_told_what_became_of_the_tools():
    talk = Talk()
    talk.connect()
    talk.hear("transcript.user", text="Open the door.")
    talk.hear("reply.started", reply_id="r")
    finished, _ = talk.call("a", "lamp"), talk.call("b", "door")
    talk.answer(finished, '"on"')
    talk.session.closed(None, "", talk.now_s)
    talk.session.attempt(talk.now_s)
    talk.session.attempt(talk.now_s + 100)
    prompt = sent(talk.connect(session_id="s2"))[0]["session"]["system_prompt"]
    assert 'Kiosk: the tool lamp had finished before the break and gave "on"' in prompt
    assert "Kiosk: the tool door was cancelled by the break" in prompt


def test_a_resumed_session_gets_an_answer_to_every_call():
    talk = Talk()
    talk.connect()
    talk.hear("reply.started", reply_id="r")
    running = talk.call("a")
    talk.session.closed(None, "", talk.now_s)
    out = talk.connect()
    (answer,) = [frame for frame in sent(out) if frame["type"] == "tool.result"]
    assert (answer["call_id"], answer["is_error"]) == ("a", True)
    assert talk.answer(running) == ()


def test_no_answer_leaves_while_the_session_is_not_ready():
    talk = Talk()
    talk.connect()
    talk.hear("reply.started", reply_id="r")
    called = talk.call()
    talk.hear("reply.done", reply_id="r")
    talk.session.closed(None, "", talk.now_s)
    assert talk.answer(called) == ()
