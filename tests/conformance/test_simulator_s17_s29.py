"""Checklist 12.2 of the protocol document, S17 to S29: user turns, replies, barge-in."""

import numpy as np
import pytest
from tests.rigs.plain_client import SILENCE, PlainClient, calm, settings, tone

from voicekiosk.simulator import Simulator

RATE = 24000


def silence(seconds):
    return np.zeros(round(RATE * seconds), "<i2")


async def turn_times(detection, mode, scenario, seconds=1.0):
    """Return from which received sample on `started` and `stopped` came, fed 10 ms at a time."""
    async with Simulator(settings(scenario)) as sim, await PlainClient.open(sim) as client:
        given = {"transcription_mode": mode} if mode else {}
        given |= {"turn_detection": detection} if detection else {}
        await client.ready(input=given)
        record = sim.connections[0].record
        times = {}
        sim.connections[0].session.on_event = lambda kind: times.setdefault(
            kind, record.received_samples / RATE
        )
        await client.audio(np.concatenate((silence(0.5), tone(seconds), SILENCE)), 240)
        await client.get("transcript.user")
        return times["input.speech.started"] - 0.5, times["input.speech.stopped"] - 0.5 - seconds


# --- S17


@pytest.mark.parametrize(
    ("mode", "least_s", "most_s"),
    [("min_latency", 1.26, 1.34), ("balanced", 1.9, 2.0), ("max_accuracy", 3.2, 3.3)],
)
async def test_s17_turns_begin_and_end_in_received_audio_time_by_mode(mode, least_s, most_s):
    scenario = calm(turn={"onset_ms": [600.0, 1000.0], "end_ms": None})
    onset_s, end_s = await turn_times(None, mode, scenario)
    assert 0.6 <= onset_s <= 1.02
    assert least_s <= end_s <= most_s + 0.02


async def test_s17_min_silence_overrules_the_mode():
    _, end_s = await turn_times({"min_silence": 300}, "max_accuracy", calm(turn={"end_ms": None}))
    assert end_s == pytest.approx(0.3, abs=0.02)


async def test_s17_a_long_statement_ends_sooner():
    _, end_s = await turn_times(None, "balanced", calm(turn={"end_ms": None}), seconds=7.0)
    assert end_s == pytest.approx(0.93, abs=0.05)


async def test_s17_the_threshold_follows_vad_threshold():
    quiet = tone(1.0, level=200)  # about -47 dBFS
    async with Simulator(settings()) as sim:
        async with await PlainClient.open(sim) as deaf:
            await deaf.ready(input={"turn_detection": {"vad_threshold": 0.5}})
            await deaf.talk(quiet)
            await deaf.settle(sim, 5.0)
            assert deaf.all("input.speech.started") == []
        async with await PlainClient.open(sim) as keen:
            await keen.ready(input={"turn_detection": {"vad_threshold": 0.3}})
            await keen.talk(quiet)
            await keen.get("transcript.user")


async def test_s17_without_audio_a_turn_ends_on_the_wall_clock_only_if_that_is_chosen():
    async with (
        Simulator(settings(calm(turn={"clock": "wall"}))) as sim,
        await PlainClient.open(sim) as client,
    ):
        await client.ready()
        await client.audio(tone(1.0))
        await client.get("transcript.user")
    async with (
        Simulator(settings(calm(turn={"clock": "audio"}))) as sim,
        await PlainClient.open(sim) as client,
    ):
        await client.ready()
        await client.audio(tone(1.0))
        await client.get("input.speech.started")
        await client.settle(sim, 10.0)
        assert client.all("input.speech.stopped") == []


# --- S18


async def test_s18_a_turn_is_started_told_and_closed_in_bursts():
    async with Simulator(settings(calm(turn={"revise": True}))) as sim, await PlainClient.open(sim) as client:
        await client.ready()
        await client.talk(tone(5.0))
        await client.get("reply.started")
        types = client.types()
        first = types.index("input.speech.started")
        assert types[first + 1] == "transcript.user.delta"
        last = types.index("input.speech.stopped")
        assert types[last : last + 3] == ["input.speech.stopped", "transcript.user", "reply.started"]
        deltas = [event["text"].split() for event in client.all("transcript.user.delta")]
        final = client.all("transcript.user")[0]["text"].split()
        assert len(deltas) >= 4
        assert [len(words) for words in deltas] == sorted(len(words) for words in deltas)
        assert any(words != final[: len(words)] for words in deltas), "no revision"
        assert all(words[:-1] == final[: len(words) - 1] for words in deltas)
        assert len({event["item_id"] for event in client.all("transcript.user.delta")}) == 1


# --- S19


async def pause_in_a_sentence(client, sim, variant_tools=()):
    await client.ready(tools=list(variant_tools))
    await client.audio(np.concatenate((tone(1.5), silence(0.45))))
    await client.get("reply.started")
    await client.audio(tone(1.5, 600.0))
    await client.audio(SILENCE)
    await sim.wait_for(lambda: len(sim.connections[0].record.turns) == 2)


PAUSE = {"early_end_ms": 380}


async def test_s19_a_premature_reply_is_interrupted_when_the_user_goes_on():
    scenario = calm(turn=PAUSE | {"pause": "interrupt"}, reply={"first_audio_ms": 3000, "lead_in_ms": 3000})
    async with Simulator(settings(scenario)) as sim, await PlainClient.open(sim) as client:
        await pause_in_a_sentence(client, sim)
        first = client.all("reply.started")[0]["reply_id"]
        done = await client.get("reply.done")
        assert (done["reply_id"], done["status"]) == (first, "interrupted")


async def test_s19_a_premature_reply_is_held_silent_and_the_segments_merged():
    scenario = calm(turn=PAUSE | {"pause": "merge"}, reply={"first_audio_ms": 3000})
    async with Simulator(settings(scenario)) as sim, await PlainClient.open(sim) as client:
        await pause_in_a_sentence(client, sim)
        first = client.all("reply.started")[0]["reply_id"]
        text = (await client.get("transcript.agent"))["text"]
        assert text
        assert client.all("transcript.agent")[0]["interrupted"] is False
        assert (await client.get("reply.done"))["status"] == "completed"
        assert client.sound(first).size == 0
        whole = (await client.get("transcript.user", 2))["text"]
        assert whole.startswith(client.all("transcript.user")[0]["text"])
        await client.get("reply.done", 2)
        second = client.all("reply.started")[1]["reply_id"]
        heard = client.sound(second)
        up = np.frombuffer(bytes(sim.connections[0].record.up), "<i2")
        one, two = sim.connections[0].record.turns
        lead = sim.connections[0].record.replies[1]["lead_samples"]
        merged = np.concatenate((up[one["start"] : one["end"]], up[two["start"] : two["end"]]))
        assert np.array_equal(heard[lead : lead + merged.size], merged)


async def test_s19_a_premature_reply_is_left_open_and_carries_the_call_of_the_whole_sentence():
    tool = {"type": "function", "name": "look"}

    def agent(heard):
        from voicekiosk.simulator import Answer, Call

        return Answer(calls=(Call("look"),)) if heard.turn == 2 else Answer("half", tone(3.0))

    scenario = calm(turn=PAUSE | {"pause": "carry"}, reply={"first_audio_ms": 3000})
    async with Simulator(settings(scenario, agent=agent)) as sim, await PlainClient.open(sim) as client:
        await pause_in_a_sentence(client, sim, [tool])
        await client.get("tool.call")
        done = await client.get("reply.done")
        assert len(client.all("reply.started")) == 1
        assert done["reply_id"] == client.all("reply.started")[0]["reply_id"]
        assert client.types().index("tool.call") < client.types().index("reply.done")


# --- S20


async def test_s20_pcm_comes_in_480_byte_chunks_after_a_burst_of_twenty():
    async with Simulator(settings(speed=2.0)) as sim, await PlainClient.open(sim) as client:
        await client.ready(greeting="one two three four five six seven eight")
        await client.get("reply.done")
        chunks = client.all("reply.audio")
        assert {len(event["data"]) for event in chunks} == {640}
        times = np.array([event["timestamp"] for event in chunks])
        assert np.count_nonzero(times == times[0]) >= 20
        # Never early: chunk n of the paced ones is due (n + 1) * 10 ms after the burst.
        due = times[0] + np.arange(1, times.size - 19) * 0.010 / sim.settings.speed
        assert np.all(times[20:] >= due - 1e-4)


async def test_s20_faster_than_real_time_is_an_option():
    async with (
        Simulator(settings(calm(reply={"pace": 0}), speed=1.0)) as sim,
        await PlainClient.open(sim) as client,
    ):
        await client.ready(greeting="one two three four five six seven eight nine ten")
        await client.get("reply.done")
        times = [event["timestamp"] for event in client.all("reply.audio")]
        assert len(times) > 200
        assert len(set(times)) == 1


@pytest.mark.parametrize("law", ["audio/pcmu", "audio/pcma"])
async def test_s20_g711_comes_in_300_byte_chunks_and_the_parrot_is_exact(law):
    async with Simulator(settings()) as sim, await PlainClient.open(sim) as client:
        form = {"encoding": law}
        await client.ready(input={"format": form}, output={"format": form})
        codes = np.random.default_rng(5).integers(0, 256, 8000).astype(np.uint8)
        codes[codes == 0x7F] = 0xFF  # the other zero of μ-law
        quiet = bytes([0xFF if law == "audio/pcmu" else 0xD5]) * 32000
        await client.raw_audio(codes.tobytes() + quiet)
        await client.get("reply.done")
        chunks = client.all("reply.audio")
        assert {len(event["data"]) for event in chunks} == {400}
        assert codes.tobytes() in client.sound().tobytes()


# --- S21


@pytest.mark.parametrize("lead_ms", [200, 2000])
async def test_s21_every_reply_begins_with_silence(lead_ms):
    async with (
        Simulator(settings(calm(reply={"lead_in_ms": lead_ms}))) as sim,
        await PlainClient.open(sim) as client,
    ):
        await client.ready(greeting="hello")
        await client.get("reply.done")
        sound = client.sound()
        lead = lead_ms * 24
        assert not sound[:lead].any()
        assert sound[lead : lead + 2400].any()


# --- S22


async def test_s22_words_come_in_a_burst_with_uneven_spaces_and_times():
    text = " ".join(f"word{number}" for number in range(40))
    async with Simulator(settings()) as sim, await PlainClient.open(sim) as client:
        await client.ready()
        sim.say(text)
        await client.get("reply.done")
        deltas = client.all("transcript.agent.delta")
        assert [event["delta"].strip() for event in deltas] == text.split()
        assert len({event["timestamp"] for event in deltas}) == 1
        starts = [event["start_ms"] for event in deltas]
        assert None in starts
        assert any(isinstance(start, int) for start in starts)
        spaced = [event["delta"].startswith(" ") for event in deltas[1:]]
        assert len(set(spaced)) == 2
        # Well ahead of the audio: most chunks come after the last word.
        types = client.types(audio=True)
        last = len(types) - 1 - types[::-1].index("transcript.agent.delta")
        assert types[last:].count("reply.audio") > types[:last].count("reply.audio")


# --- S23


async def test_s23_the_text_comes_before_the_end_and_done_with_the_last_chunk():
    async with Simulator(settings(speed=5.0)) as sim, await PlainClient.open(sim) as client:
        await client.ready()
        await client.talk(tone(2.0))
        done = await client.get("reply.done")
        types = client.types(audio=True)
        assert types[types.index("transcript.agent") :].count("reply.audio") >= 10
        assert types[-1] == "reply.done"
        assert done["status"] == "completed"
        ahead_s = (done["timestamp"] - client.all("transcript.agent")[0]["timestamp"]) * sim.settings.speed
        assert 0.2 <= ahead_s <= 2.0
        assert client.all("transcript.agent")[0]["interrupted"] is False


# --- S24


async def test_s24_the_greeting_is_a_reply_right_after_ready():
    async with Simulator(settings()) as sim, await PlainClient.open(sim) as client:
        await client.ready(greeting="Welcome to the museum")
        await client.get("reply.done")
        assert client.types()[1:3] == ["session.ready", "reply.started"]
        assert client.all("transcript.agent")[0]["text"] == "Welcome to the museum"
        assert all(not event["delta"].startswith(" ") for event in client.all("transcript.agent.delta"))


async def test_s24_without_a_greeting_the_agent_waits():
    async with Simulator(settings()) as sim, await PlainClient.open(sim) as client:
        await client.ready()
        await client.settle(sim, 10.0)
        assert client.types() == ["session.updated", "session.ready"]


# --- S25


async def test_s25_reply_create_starts_a_reply_without_the_user():
    async with Simulator(settings()) as sim, await PlainClient.open(sim) as client:
        await client.ready()
        await client.send("reply.create", instructions='Say exactly: "Good morning."')
        await client.get("reply.done")
        assert client.all("transcript.agent")[0]["text"] == "Good morning."


async def test_s25_during_the_greeting_it_replaces_it():
    scenario = calm(reply={"lead_in_ms": 2000})
    async with Simulator(settings(scenario, speed=2.0)) as sim, await PlainClient.open(sim) as client:
        await client.ready(greeting="a very long greeting that nobody wants to hear to its end")
        await client.get("reply.started")
        await client.send("reply.create")
        done = await client.get("reply.done")
        second = await client.get("reply.started", 2)
        assert done["status"] == "interrupted"
        assert client.seen.index(done) < client.seen.index(second)


@pytest.mark.parametrize(("how", "status"), [("queue", "completed"), ("replace", "interrupted")])
async def test_s25_during_another_reply_it_waits_or_replaces_as_chosen(how, status):
    async with (
        Simulator(settings(calm(reply={"during_reply": how}), speed=5.0)) as sim,
        await PlainClient.open(sim) as client,
    ):
        await client.ready()
        sim.say("one two three four five six seven eight nine")
        await client.get("reply.audio")
        await client.send("reply.create")
        assert (await client.get("reply.done"))["status"] == status
        await client.get("reply.done", 2)


# --- S26


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ({"reply": {"content": "empty"}}, ["reply.started", "reply.done"]),
        (
            {"events": {"repeat": ["reply.done"]}, "reply": {"content": "empty"}},
            ["reply.started", "reply.done", "reply.done"],
        ),
        ({"events": {"withhold": ["reply.done"]}, "reply": {"content": "empty"}}, ["reply.started"]),
        ({"reply": {"error_code": "llm_error"}}, ["reply.started", "reply.error", "reply.done"]),
        ({"reply": {"content": "silent"}}, ["reply.started", "reply.done"]),
    ],
)
async def test_s26_replies_can_be_odd(tables, expected):
    async with Simulator(settings(calm(**tables))) as sim, await PlainClient.open(sim) as client:
        await client.ready()
        await client.send("reply.create")
        await client.until(lambda: client.types()[2:] == expected)
        await client.settle(sim, 2.0)
        assert client.types()[2:] == expected


async def test_s26_the_status_can_be_missing():
    async with (
        Simulator(settings(calm(events={"strip": ["reply.done.status"]}))) as sim,
        await PlainClient.open(sim) as client,
    ):
        await client.ready(greeting="hello")
        assert "status" not in await client.get("reply.done")


async def test_s26_unknown_events_and_fields_come_in_between():
    async with (
        Simulator(settings(calm(events={"unknown": True, "shuffle": True}))) as sim,
        await PlainClient.open(sim) as client,
    ):
        ready = await client.ready(greeting="hello there")
        await client.get("reply.done")
        assert "x.unknown.event" in client.types()
        assert "x_unknown" in ready


async def test_s26_a_reply_of_a_byte_order_mark_has_audio_and_no_word():
    async with (
        Simulator(settings(calm(reply={"content": "bom"}))) as sim,
        await PlainClient.open(sim) as client,
    ):
        await client.ready()
        await client.send("reply.create")
        await client.get("reply.done")
        assert client.all("transcript.agent")[0]["text"] == "\ufeff"
        assert client.sound().size


# --- S27

LONG = {"lead_in_ms": 200, "first_audio_ms": 300}


async def barge_in(client, sim, words=100, **detection):
    """Talk for 2 s over a long reply, 40 ms at a time in the simulator's time."""
    await client.ready(input={"turn_detection": detection} if detection else {})
    sim.say(" ".join(["word"] * words))
    await client.until(lambda: len(client.all("reply.audio")) > 80)
    await stream(client, sim, tone(2.0))


async def stream(client, sim, samples):
    for start in range(0, samples.size, 2400):
        await client.audio(samples[start : start + 2400], 2400)
        await client.settle(sim, 0.1)


async def test_s27_variant_a_all_three_events_at_once():
    scenario = calm(barge_in={"variant": "prompt", "decision_ms": 1100}, reply=LONG)
    async with Simulator(settings(scenario, speed=5.0)) as sim, await PlainClient.open(sim) as client:
        await barge_in(client, sim)
        done = await client.get("reply.done")
        assert done["status"] == "interrupted"
        types = client.types(audio=True)
        first = types.index("input.speech.started")
        assert types[first : first + 3] == ["input.speech.started", "transcript.agent", "reply.done"]
        told = client.all("transcript.agent")[0]
        assert told["interrupted"] is True
        assert 0 < len(told["text"].split()) < 100
        assert "reply.audio" not in types[first:]


async def test_s27_variant_b_stale_audio_and_two_texts():
    scenario = calm(barge_in={"variant": "stale", "stale_decision_ms": 1300}, reply=LONG)
    async with Simulator(settings(scenario, speed=5.0)) as sim, await PlainClient.open(sim) as client:
        await barge_in(client, sim)
        await stream(client, sim, silence(3.0))
        await client.get("reply.started", 2)
        types = client.types(audio=True)
        first, done = types.index("input.speech.started"), types.index("reply.done")
        assert 150 <= types[first:done].count("reply.audio") <= 200
        end = [kind for kind in types[first:] if kind != "reply.audio" and "user.delta" not in kind]
        assert end[:7] == [
            "input.speech.started", "input.speech.stopped", "transcript.agent", "transcript.agent",
            "reply.done", "transcript.user", "reply.started",
        ]  # fmt: skip
        shorter, cut = client.all("transcript.agent")[:2]
        assert (shorter["interrupted"], cut["interrupted"]) == (False, True)
        assert len(shorter["text"]) < len(cut["text"])
        assert client.all("reply.done")[0]["status"] == "interrupted"


# --- S28


async def test_s28_without_interrupt_response_the_reply_runs_to_its_end():
    scenario = calm(barge_in={"decision_ms": 1100}, reply=LONG)
    async with Simulator(settings(scenario, speed=5.0)) as sim, await PlainClient.open(sim) as client:
        await barge_in(client, sim, words=30, interrupt_response=False)
        await stream(client, sim, silence(1.0))
        done = await client.get("reply.done")
        assert done["status"] == "completed"
        before = client.types()[: client.types().index("reply.done")]
        assert "input.speech.started" not in before
        await client.get("transcript.user")


# --- S29


@pytest.mark.parametrize("mode", ["min_latency", "balanced"])
async def test_s29_a_short_burst_does_not_interrupt_and_is_not_told(mode):
    async with Simulator(settings(calm(reply=LONG), speed=5.0)) as sim, await PlainClient.open(sim) as client:
        await client.ready(input={"transcription_mode": mode})
        sim.say(" ".join(["word"] * 20))
        await client.until(lambda: len(client.all("reply.audio")) > 80)
        await stream(client, sim, np.concatenate((tone(0.3), silence(2.0))))
        assert (await client.get("reply.done"))["status"] == "completed"
        assert client.all("input.speech.started") == []
