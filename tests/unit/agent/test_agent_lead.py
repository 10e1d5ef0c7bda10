from voicekiosk.agent.events import AgentText, ReplyAudio, ReplyStarted
from voicekiosk.agent.lead import KEPT_S, LEAST_REST_S, MOST_REST_S, WORDLESS_REST_S, Intake, Lead

CHUNK = 240  # 10 ms
CUSHION_S = 0.06


def test_a_reply_is_read_without_a_rest_until_enough_is_queued():
    lead = Lead(CUSHION_S)
    assert all(lead.audio_came(CHUNK, 5.0) == 0 for _ in range(5))


def test_reading_rests_for_no_longer_than_what_else_the_service_says_may_wait():
    lead = Lead(CUSHION_S)
    lead.words_came()
    for _ in range(40):
        rest_s = lead.audio_came(CHUNK, 5.0)
    assert rest_s == MOST_REST_S


def test_a_reply_that_comes_at_real_time_is_read_less_often_than_it_comes():
    lead, awake_s, reads, unread = Lead(CUSHION_S), 0.0, 0, 0
    for number in range(1000):
        unread += CHUNK
        if number / 100 >= awake_s:
            reads += 1
            awake_s = number / 100 + lead.audio_came(unread, number / 100)
            unread = 0
    assert reads <= 500


def test_a_rest_leaves_enough_of_what_is_queued():
    lead, came = Lead(0.0), 0
    for number in range(1, 100):
        came += CHUNK
        now_s = number / 1000
        if rest_s := lead.audio_came(CHUNK, now_s):
            queued_s = came / 24000 - (now_s - 0.001)
            assert rest_s >= LEAST_REST_S
            assert queued_s - rest_s >= KEPT_S - 1e-9


def test_reading_rests_for_a_moment_only_until_a_reply_has_words():
    intake = Intake(lambda _: None)
    intake.follow(ReplyStarted("r"), 1000 * CUSHION_S)
    intake.hear(ReplyAudio("r", bytes(2 * 40 * CHUNK)))
    assert intake.hand_on(0.0) == WORDLESS_REST_S
    intake.follow(AgentText("r", "hello", final=False, interrupted=False), 1000 * CUSHION_S)
    intake.hear(ReplyAudio("r", bytes(2 * CHUNK)))
    assert intake.hand_on(0.0) == MOST_REST_S
    intake.follow(ReplyStarted("s"), 1000 * CUSHION_S)
    intake.follow(AgentText("r", "hello", final=True, interrupted=True), 1000 * CUSHION_S)
    intake.hear(ReplyAudio("s", bytes(2 * 40 * CHUNK)))
    assert intake.hand_on(0.0) == WORDLESS_REST_S, "those were the words of the one before"


def test_a_lead_that_shrinks_ends_the_rests():
    lead = Lead(CUSHION_S)
    for _ in range(20):
        lead.audio_came(CHUNK, 0.0)
    assert lead.audio_came(CHUNK, 0.05) > 0
    assert lead.audio_came(CHUNK, 0.2) == 0


def test_a_queue_that_ran_dry_starts_from_nothing():
    lead = Lead(0.0)
    lead.audio_came(CHUNK, 0.0)
    assert lead.audio_came(CHUNK, 10.0) == 0
    assert lead.audio_came(CHUNK, 10.0) == 0
    for _ in range(10):
        rest_s = lead.audio_came(CHUNK, 10.0)
    assert rest_s > 0


def test_what_came_of_a_reply_in_one_read_is_handed_on_as_one():
    handed_on: list[ReplyAudio] = []
    intake = Intake(handed_on.append)
    intake.follow(ReplyStarted("r"), 1000 * CUSHION_S)
    intake.hear(ReplyAudio("r1", b"ab"))
    intake.hear(ReplyAudio("r1", b"cd"))
    assert handed_on == []
    intake.hand_on(0.0)
    assert handed_on == [ReplyAudio("r1", b"abcd")]
    assert intake.hand_on(0.0) == 0
    assert len(handed_on) == 1


def test_every_reply_has_to_gain_its_own_lead():
    intake = Intake(lambda _: None)
    intake.follow(ReplyStarted("r"), 1000 * CUSHION_S)
    for _ in range(30):
        intake.hear(ReplyAudio("r1", bytes(2 * CHUNK)))
    assert intake.hand_on(0.0) > 0
    intake.follow(ReplyStarted("r"), 1000 * CUSHION_S)
    intake.hear(ReplyAudio("r2", bytes(2 * CHUNK)))
    assert intake.hand_on(0.0) == 0
