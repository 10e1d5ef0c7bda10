"""When the result of a tool may be sent (protocol §7.2-7.4, checklist 29-34).

10,000 random interleavings, seeded; more when asked: VOICEKIOSK_TOOLWORK_RUNS=100000 scripts/test tests/unit/agent
"""

import os
import random

import pytest

from voicekiosk.agent.toolwork import BEFORE_TIMEOUT_S, LOST, PATIENCE_S, ToolWork

RUNS = int(os.environ.get("VOICEKIOSK_TOOLWORK_RUNS", "10000"))


def ids(results):
    return [result.call_id for result in results]


def work(*, reply="r"):
    it = ToolWork()
    if reply:
        it.reply_started(reply, 0.0)
    return it


def call(it, call_id, now_s=0.0, *, hold=False, timeout_s=120.0):
    return it.called(call_id, "tool", now_s, hold=hold, timeout_s=timeout_s)


def test_a_result_waits_for_the_end_of_the_reply():
    it = work()
    epoch = call(it, "c")
    assert it.finished("c", epoch, "1", 0.1, is_error=False) == []
    assert ids(it.reply_done("r", 0.3)) == ["c"]


def test_a_result_that_comes_after_the_end_of_the_reply_is_sent_at_once():
    it = work()
    epoch = call(it, "c")
    assert it.reply_done("r", 0.3) == []
    assert ids(it.finished("c", epoch, "1", 2.0, is_error=False)) == ["c"]


def test_a_result_waits_while_the_visitor_speaks_and_for_the_reply_to_that():
    it = work()
    epoch = call(it, "c")
    it.reply_done("r", 0.3)
    it.speech_started(1.0)
    assert it.finished("c", epoch, "1", 2.0, is_error=False) == []
    it.reply_started("r2", 3.0)
    assert ids(it.reply_done("r2", 4.0)) == ["c"]


def test_results_go_in_the_order_of_their_calls_and_carry_their_error():
    it = work()
    first, second = call(it, "a"), call(it, "b")
    it.finished("b", second, "2", 0.1, is_error=True)
    it.finished("a", first, "1", 0.2, is_error=False)
    results = it.reply_done("r", 0.3)
    assert [(r.call_id, r.text, r.is_error) for r in results] == [("a", "1", False), ("b", "2", True)]


def test_an_interruption_drops_what_waits_and_what_still_runs():
    it = work()
    waiting, running = call(it, "a"), call(it, "b")
    it.finished("a", waiting, "1", 0.1, is_error=False)
    assert it.reply_interrupted("r", 0.2) == ("a", "b")
    assert it.finished("b", running, "2", 0.3, is_error=False) == []
    it.reply_started("r2", 0.4)
    assert it.reply_done("r2", 0.5) == []
    assert it.open == ()
    assert it.deadline_s is None


def test_the_interruption_of_another_reply_leaves_a_call_open():
    it = work()
    epoch = call(it, "c")
    it.reply_done("r", 0.3)
    it.reply_started("r2", 1.0)
    assert it.reply_interrupted("r2", 2.0) == ()
    it.reply_started("r3", 3.0)
    assert it.finished("c", epoch, "1", 3.1, is_error=False) == []
    assert ids(it.reply_done("r3", 4.0)) == ["c"]


def test_a_call_that_comes_twice_is_made_and_answered_once():
    it = work()
    epoch = call(it, "c")
    assert call(it, "c") is None
    it.reply_done("r", 0.1)
    assert ids(it.finished("c", epoch, "1", 0.2, is_error=False)) == ["c"]
    assert it.finished("c", epoch, "1", 0.3, is_error=False) == []
    assert call(it, "c") is None


def test_a_hold_result_is_sent_at_once():
    it = work()
    epoch = call(it, "c", hold=True)
    assert ids(it.finished("c", epoch, "1", 0.1, is_error=False)) == ["c"]


def test_early_sending_waits_for_nothing():
    it = work()
    it.early = True
    epoch = call(it, "c")
    assert ids(it.finished("c", epoch, "1", 0.1, is_error=False)) == ["c"]


def test_a_second_done_of_an_older_reply_does_not_let_go():
    it = work(reply="r1")
    it.reply_done("r1", 0.1)
    it.reply_started("r2", 1.0)
    epoch = call(it, "c", 1.1)
    it.finished("c", epoch, "1", 1.2, is_error=False)
    assert it.reply_done("r1", 1.3) == []
    assert ids(it.reply_done("r2", 1.4)) == ["c"]


def test_a_done_that_never_comes_holds_a_result_for_seconds_only():
    it = work()
    epoch = call(it, "c", 0.5)
    it.finished("c", epoch, "1", 1.0, is_error=False)
    assert it.deadline_s == 1.0 + PATIENCE_S
    assert it.tick(1.0 + PATIENCE_S - 0.1) == []
    assert ids(it.tick(1.0 + PATIENCE_S)) == ["c"]
    assert it.reply_done("r", 20.0) == []


def test_a_long_reply_that_sounds_holds_a_result_until_it_is_done():
    it = work(reply="r1")
    epoch = call(it, "c")
    it.reply_done("r1", 0.3)
    it.speech_started(3.0)
    it.reply_started("r2", 5.0)
    assert it.finished("c", epoch, "1", 6.0, is_error=False) == []
    for tenth in range(51, 170):
        it.reply_audio("r2", tenth / 10)
        assert it.tick(tenth / 10) == []
    assert ids(it.reply_done("r2", 17.0)) == ["c"]


def test_the_sound_of_another_reply_or_none_for_seconds_lets_go():
    it = work(reply="r1")
    it.reply_done("r1", 0.1)
    it.reply_started("r2", 1.0)
    epoch = call(it, "c", 1.0)
    it.finished("c", epoch, "1", 1.0, is_error=False)
    it.reply_audio("r2", 3.0)
    it.reply_audio("r1", 5.0)
    assert it.deadline_s == 3.0 + PATIENCE_S
    assert ids(it.tick(3.0 + PATIENCE_S)) == ["c"]


def test_even_an_endless_reply_does_not_hold_a_result_beyond_what_the_service_waits():
    it = work()
    epoch = call(it, "c", timeout_s=40.0)
    it.finished("c", epoch, "1", 1.0, is_error=False)
    it.reply_audio("r", 37.0)
    assert ids(it.tick(40.0 - BEFORE_TIMEOUT_S)) == ["c"]


def test_a_late_call_of_an_interrupted_reply_is_neither_run_nor_answered():
    it = work(reply="r1")
    it.reply_interrupted("r1", 1.0)
    assert call(it, "late", 1.1) is None
    it.speech_started(1.2)
    assert call(it, "later", 1.3) is None
    it.reply_started("r2", 2.0)
    assert call(it, "late", 2.1) is None
    assert call(it, "c", 2.2) is not None
    assert it.open == ("c",)


def test_after_a_start_that_was_never_told_calls_are_taken_again():
    it = work(reply="r1")
    it.reply_interrupted("r1", 1.0)
    it.reply_done("r2", 3.0)
    assert call(it, "c", 3.1) is not None


def test_a_late_repetition_of_an_interruption_voids_nothing_of_the_present_reply():
    it = work(reply="r1")
    it.reply_interrupted("r1", 1.0)
    it.reply_started("r2", 2.0)
    assert call(it, "c", 2.1) is not None
    assert it.reply_interrupted("r1", 2.2) == ()
    assert call(it, "d", 2.3) is not None


def test_a_result_is_sent_before_the_service_gives_up_even_while_somebody_speaks():
    it = work()
    epoch = call(it, "c", timeout_s=40.0)
    it.speech_started(1.0)
    it.finished("c", epoch, "1", 2.0, is_error=False)
    assert it.deadline_s == 40.0 - BEFORE_TIMEOUT_S
    assert ids(it.tick(38.0)) == ["c"]


def test_a_fresh_session_knows_nothing_of_the_calls_before():
    it = work()
    epoch = call(it, "c")
    it.begin()
    it.reply_started("r", 1.0)
    again = call(it, "c", 1.1)
    assert again not in (None, epoch)
    it.reply_done("r", 1.2)
    assert it.finished("c", epoch, "old", 1.3, is_error=False) == []
    assert [r.text for r in it.finished("c", again, "new", 1.4, is_error=False)] == ["new"]


def test_a_resumed_session_is_told_that_its_tools_were_cancelled_and_gets_what_was_ready():
    it = work()
    running, ready = call(it, "a"), call(it, "b")
    it.finished("b", ready, "2", 0.1, is_error=False)
    sentences = it.lost()
    assert "cancelled" in sentences[0]
    assert "gave 2" in sentences[1]
    results = it.resumed(5.0)
    assert [(r.call_id, r.text, r.is_error) for r in results] == [("a", LOST, True), ("b", "2", False)]
    assert it.finished("a", running, "late", 6.0, is_error=False) == []


def test_an_answer_that_may_not_have_arrived_is_repeated_to_a_resumed_session_and_told_to_a_fresh_one():
    it = work()
    arrived, lost = call(it, "a"), call(it, "b")
    it.finished("a", arrived, "1", 0.1, is_error=False)
    it.finished("b", lost, "2", 0.2, is_error=False)
    assert ids(it.reply_done("r", 0.3)) == ["a", "b"]
    it.take_back(lambda result: result.call_id == "b")
    assert it.lost() == ["the tool tool had finished before the break and gave 2"]
    assert [(r.call_id, r.text) for r in it.resumed(5.0)] == [("b", "2")]
    assert it.open == ()
    assert it.called("b", "tool", 6.0, hold=False, timeout_s=9.0) is None, "it was made already"


@pytest.mark.parametrize("early", [False, True])
def test_random_interleavings_break_no_rule(early):
    """Replies, speech, interruptions, drops, calls and results in any order, judged by the rules alone."""
    for seed in range(RUNS):
        judge = Judge(random.Random(f"{seed} {early}"), early=early)
        for _ in range(40):
            judge.step()
        judge.close()


class Judge:
    """Plays a session at random, and keeps its own account of what the documents allow."""

    def __init__(self, rng, *, early):
        self.rng, self.early = rng, early
        self.it = ToolWork()
        self.it.early = early
        self.now_s = 0.0
        self.latest = ""
        self.latest_s = 0.0
        self.reply = ""
        self.void = False  # the present reply was interrupted
        self.replies = 0
        self.calls = {}  # call_id -> its account
        self.made = 0
        self.stale = []  # (call_id, epoch) of sessions that are gone

    def step(self):
        self.now_s += self.rng.choice([0.01, 0.2, 1.5])
        self.sent(self.it.tick(self.now_s), overdue=True)
        acts = [self.started, self.done, self.interrupted, self.speech, self.audio, self.audio, self.call]
        self.rng.choice(
            [*acts, self.call, self.finish, self.finish, self.finish_stale, self.repeat, self.drop]
        )()

    def started(self):
        self.replies += 1
        self.reply, self.latest, self.latest_s = f"r{self.replies}", "started", self.now_s
        self.void = False
        self.it.reply_started(self.reply, self.now_s)

    def audio(self):
        """A reply sounds for as long as it likes, a sound every few seconds at the least."""
        of = self.rng.choice([self.reply, self.reply, "another"])
        if of == self.reply and self.latest == "started":
            self.latest_s = self.now_s
        self.it.reply_audio(of, self.now_s)

    def done(self):
        self.latest, self.latest_s, self.void = "done", self.now_s, False
        self.sent(self.it.reply_done(self.rng.choice([self.reply, ""]), self.now_s))
        waiting = [c for c, a in self.calls.items() if a["state"] == "ready"]
        assert waiting == [], "a completed reply lets everything go that is ready"

    def interrupted(self):
        self.latest, self.latest_s, self.void = "interrupted", self.now_s, True
        void = self.it.reply_interrupted(self.reply, self.now_s)
        for call_id, account in self.calls.items():
            if account["reply"] in (self.reply, "") and account["state"] in ("running", "ready"):
                assert call_id in void
                account["state"] = "void"
            else:
                assert call_id not in void

    def speech(self):
        self.latest, self.latest_s = "speech", self.now_s
        self.it.speech_started(self.now_s)

    def call(self):
        self.made += 1
        call_id, hold = f"c{self.made}", self.rng.random() < 0.2
        timeout_s = self.rng.choice([5.0, 60.0])
        epoch = self.it.called(call_id, "tool", self.now_s, hold=hold, timeout_s=timeout_s)
        assert (epoch is None) == self.void, "a late call of an interrupted reply is not run"
        self.calls[call_id] = {
            "epoch": epoch,
            "hold": hold,
            "reply": self.reply,
            "state": "void" if self.void else "running",
            "limit_s": self.now_s + timeout_s - BEFORE_TIMEOUT_S,
        }

    def repeat(self):
        for call_id in self.calls:
            assert self.it.called(call_id, "tool", self.now_s, hold=False, timeout_s=9.0) is None

    def finish(self):
        if not self.calls:
            return
        call_id = self.rng.choice(list(self.calls))
        account = self.calls[call_id]
        if account["state"] == "running":
            account["state"], account["ready_s"] = "ready", self.now_s
        results = self.it.finished(call_id, account["epoch"], "1", self.now_s, is_error=False)
        self.sent(results)
        if account["state"] == "ready":
            free = self.early or account["hold"] or self.latest == "done"
            assert not free, "a result that may go, goes"

    def finish_stale(self):
        for call_id, epoch in self.stale:
            assert self.it.finished(call_id, epoch, "stale", self.now_s, is_error=False) == []

    def drop(self):
        answered = [call_id for call_id, account in self.calls.items() if account["state"] == "answered"]
        unproven = set(answered[-self.rng.choice([0, 1, 2]) :])
        self.it.take_back(lambda result: result.call_id in unproven)
        self.it.lost()
        if self.rng.random() < 0.5:
            # Of those before an earlier drop nobody knows any more.
            for call_id in unproven & set(self.it.open):
                self.calls[call_id]["state"] = "ready"
            for account in self.calls.values():
                if account["state"] == "running":
                    account["state"], account["ready_s"] = "ready", self.now_s
            self.latest, self.latest_s, self.void = "done", self.now_s, False
            self.sent(self.it.resumed(self.now_s))
            assert self.it.open == ()
        else:
            self.stale += [(call_id, account["epoch"]) for call_id, account in self.calls.items()]
            self.calls.clear()
            # A fresh session may use the same ids again.
            self.made = self.rng.choice([0, self.made])
            self.latest, self.latest_s, self.reply, self.void = "", self.now_s, "", False
            self.it.begin()

    def sent(self, results, *, overdue=False):
        for result in results:
            account = self.calls[result.call_id]
            assert account["state"] == "ready", f"{result.call_id} was {account['state']}"
            account["state"] = "answered"
            late = self.now_s >= account["limit_s"] - 1e-6 or (
                self.latest != "speech"
                and self.now_s - max(self.latest_s, account["ready_s"]) >= PATIENCE_S - 1e-6
            )
            allowed = self.early or account["hold"] or self.latest == "done" or late
            assert allowed, (result, self.latest, overdue)

    def close(self):
        """In the end, with time and nothing else, every finished call is answered, and none twice."""
        for call_id, account in self.calls.items():
            if account["state"] == "running":
                account["state"], account["ready_s"] = "ready", self.now_s
                self.sent(self.it.finished(call_id, account["epoch"], "1", self.now_s, is_error=False))
        self.now_s += 1000.0
        self.sent(self.it.tick(self.now_s), overdue=True)
        assert self.it.open == ()
        assert {account["state"] for account in self.calls.values()} <= {"answered", "void"}
