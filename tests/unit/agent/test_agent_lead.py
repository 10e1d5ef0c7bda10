from voicekiosk.agent.lead import REST_S, Lead

CHUNK = 240  # 10 ms


def test_the_first_audio_of_a_reply_is_read_without_a_rest():
    lead = Lead()
    assert all(lead.audio_came(CHUNK, 5.0) == 0 for _ in range(11))


def test_reading_rests_once_enough_is_queued():
    lead = Lead()
    for _ in range(20):
        rest_s = lead.audio_came(CHUNK, 5.0)
    assert rest_s == REST_S


def test_a_reply_that_comes_at_real_time_without_a_lead_is_never_kept_waiting():
    lead = Lead()
    assert all(lead.audio_came(CHUNK, number / 100) == 0 for number in range(500))


def test_a_lead_that_shrinks_ends_the_rests():
    lead = Lead()
    for _ in range(20):
        lead.audio_came(CHUNK, 0.0)
    assert lead.audio_came(CHUNK, 0.05) > 0
    assert lead.audio_came(CHUNK, 0.15) == 0


def test_a_queue_that_ran_dry_starts_from_nothing():
    lead = Lead()
    lead.audio_came(CHUNK, 0.0)
    assert lead.audio_came(CHUNK, 10.0) == 0
    for _ in range(10):
        assert lead.audio_came(CHUNK, 10.0) == 0
    assert lead.audio_came(CHUNK, 10.0) == REST_S


def test_every_reply_has_to_gain_its_own_lead():
    lead = Lead()
    for _ in range(20):
        lead.audio_came(CHUNK, 0.0)
    lead.reset()
    assert lead.audio_came(CHUNK, 0.0) == 0
