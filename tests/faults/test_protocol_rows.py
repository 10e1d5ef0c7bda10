"""Which test covers which row of the protocol's tables of failures: 1.6, 8.1 and 8.3 (voice-agent-api).

A row's tests are named as pytest names them, below tests/faults. What is checked here is that they exist, run
with that row's code, and that no code the daemon knows is left out.
"""

from importlib import import_module

import pytest

from voicekiosk.agent import failures

CLIENT, KIOSK = "agent/test_error_codes.py", "kiosk/test_service_faults.py"
BETWEEN = f"{KIOSK}::test_a_close_with_this_code_between_questions_is_mended_before_the_next"
IN_A_QUESTION = f"{KIOSK}::test_a_close_with_this_code_in_the_middle_of_a_question_leaves_it_answered"
IN_AN_ANSWER = f"{KIOSK}::test_a_close_with_this_code_in_the_middle_of_an_answer_has_it_taken_up_again"
RESUMED = f"{CLIENT}::test_a_session_closed_with_this_code_is_a_drop_and_resumed"
OVER = f"{CLIENT}::test_a_session_closed_with_this_code_is_over_for_good"
OVER_TILL_A_PRESS = f"{KIOSK}::test_a_close_with_this_code_is_a_fault_that_a_press_tries_again"

CLOSE_CODES = {
    "1000": [
        f"{CLIENT}::test_a_clean_close_after_our_end_is_no_drop",
        f"{RESUMED}[1000]",
        f"{BETWEEN}[1000]",
    ],
    "1001": [f"{RESUMED}[1001]", f"{BETWEEN}[1001]"],
    "1005": [f"{RESUMED}[1005]"],
    "1006": [
        f"{CLIENT}::test_a_session_that_breaks_without_a_close_frame_1006_is_resumed",
        f"{BETWEEN}[1006]",
        f"{IN_A_QUESTION}[1006]",
        f"{IN_AN_ANSWER}[1006]",
    ],
    "1008": [f"{RESUMED}[1008]", f"{BETWEEN}[1008]", f"{IN_A_QUESTION}[1008]"],
    "1011": [f"{RESUMED}[1011]", f"{BETWEEN}[1011]", f"{IN_A_QUESTION}[1011]", f"{IN_AN_ANSWER}[1011]"],
    "1012": [f"{RESUMED}[1012]", f"{BETWEEN}[1012]"],
    "1013": [f"{RESUMED}[1013]"],
    "1014": [f"{RESUMED}[1014]"],
    "3005": [f"{RESUMED}[3005]", f"{BETWEEN}[3005]", f"{IN_A_QUESTION}[3005]"],
    **{
        code: [f"{OVER}[{code}]", f"{OVER_TILL_A_PRESS}[{code}]"]
        for code in ("3006", "3007", "3008", "3009", "4001")
    },
    "any other": [f"{RESUMED}[4999]"],
}

STOPS = f"{CLIENT}::test_before_ready_this_code_stops_until_the_owner_acts"
TRIED_AGAIN = f"{CLIENT}::test_before_ready_this_code_is_tried_again"
SURVIVED = f"{CLIENT}::test_in_a_session_this_code_is_told_and_survived"
FRESH = f"{CLIENT}::test_a_session_ended_by_this_code_is_followed_by_a_fresh_one"
NO_RESUME = f"{CLIENT}::test_a_resume_refused_with_this_code_is_followed_by_a_fresh_session_with_the_key"
KEY_FAULT = f"{KIOSK}::test_this_code_before_ready_is_a_refused_key_and_nobody_knocks_again"
CONFIG_FAULT = f"{KIOSK}::test_this_code_before_ready_is_a_fault_of_the_configuration"
PASSES = f"{KIOSK}::test_this_code_before_ready_passes_while_the_visitor_speaks"
GOES_ON = f"{KIOSK}::test_this_code_in_a_session_is_followed_by_a_fresh_one_that_goes_on"
CUT_OFF = f"{KIOSK}::test_this_code_with_a_close_in_the_middle_of_a_question_leaves_it_answered"

ERROR_CODES = {
    "unauthorized": [
        f"{test}[{code}]" for code in ("unauthorized", "UNAUTHORIZED") for test in (STOPS, KEY_FAULT)
    ],
    "forbidden": [f"{test}[{code}]" for code in ("forbidden", "FORBIDDEN") for test in (STOPS, KEY_FAULT)],
    "server_error": [f"{test}[server_error]" for test in (TRIED_AGAIN, PASSES, CUT_OFF)],
    "internal_error": [
        *(f"{test}[internal_error]" for test in (TRIED_AGAIN, PASSES, CUT_OFF)),
        *(f"{test}[INTERNAL_ERROR]" for test in (TRIED_AGAIN, PASSES)),
    ],
    **{
        code: [f"{test}[{code}]" for test in (NO_RESUME, FRESH, PASSES, GOES_ON)]
        for code in ("session_not_found", "session_forbidden", "session_expired")
    },
    "agent_not_found": [f"{STOPS}[agent_not_found]", f"{CONFIG_FAULT}[agent_not_found]"],
    **{
        code: [f"{test}[{code}]" for test in (TRIED_AGAIN, PASSES)]
        for code in ("agent_init_failed", "agent_timeout", "at_capacity", "concurrency_exceeded")
    },
    **{
        code: [f"{test}[{code}]" for test in (STOPS, CONFIG_FAULT, SURVIVED)]
        for code in (
            "agent_id_not_first",
            "invalid_format",
            "invalid_value",
            "invalid_config",
            "invalid_webhook",
            "immutable_field",
        )
    },
    "invalid_audio": [f"{test}[invalid_audio]" for test in (TRIED_AGAIN, PASSES, SURVIVED)],
    "audio_rate_violation": [f"{test}[audio_rate_violation]" for test in (TRIED_AGAIN, PASSES, SURVIVED)],
    "any other": [f"{test}[something_new]" for test in (TRIED_AGAIN, PASSES, SURVIVED, CUT_OFF)],
}

SILENT_FAILURES = {
    "wrong sample rate (deaf agent)": [
        f"{KIOSK}::test_a_wrong_sample_rate_is_never_sent_whatever_the_rate_of_the_card",
        f"{KIOSK}::test_a_service_that_never_notices_speech_is_replaced_once_and_then_said_to_be_deaf",
    ],
    "model's provider failed: silence, completed, no transcript": [
        f"{CLIENT}::test_a_reply_of_silence_without_words_is_handed_on_as_it_is",
        f"{KIOSK}::test_an_answer_of_silence_without_words_is_not_waited_for_for_ever",
    ],
    "no reply.done within 12 s": [
        f"{KIOSK}::test_silence_with_no_reply_done_within_12_s_lets_the_next_question_through",
        f"{KIOSK}::test_an_answer_that_is_never_done_lets_the_next_question_through",
    ],
    "config outside session": [f"{KIOSK}::test_the_configuration_goes_where_the_service_reads_it"],
    "keyterm too long": [f"{KIOSK}::test_a_keyterm_that_would_be_ignored_is_refused_by_the_configuration"],
    "bad tool schema": [
        f"{KIOSK}::test_a_bad_tool_schema_is_refused_by_the_configuration",
        f"{KIOSK}::test_a_call_that_a_bad_tool_schema_would_lead_to_is_answered_and_does_no_harm",
    ],
    "conversation.message ignored": [
        f"{KIOSK}::test_nothing_that_the_service_ignores_is_relied_on",
    ],
    "speech that is never noticed, cause unknown": [
        f"{CLIENT}::test_a_deaf_agent_can_be_replaced_by_a_fresh_session_that_continues",
        f"{KIOSK}::test_a_service_that_never_notices_speech_is_replaced_once_and_then_said_to_be_deaf",
    ],
}

TABLES = {"1.6": CLOSE_CODES, "8.1": ERROR_CODES, "8.3": SILENT_FAILURES}
ROWS = [(f"{table} {row}", tests) for table, rows in TABLES.items() for row, tests in rows.items()]


def missing(name: str) -> str:
    """Say what is missing of a test, named as pytest names it; empty when it is there."""
    path, _, rest = name.partition("::")
    function, _, code = rest.rstrip("]").partition("[")
    test = getattr(
        import_module(f"tests.faults.{path.removesuffix('.py').replace('/', '.')}"), function, None
    )
    if test is None:
        return f"there is no {path}::{function}"
    marks = getattr(test, "pytestmark", [])
    if any(mark.name in ("skip", "skipif", "xfail") for mark in marks):
        return f"{name} need not pass"
    codes = [mark.args[1] for mark in marks if mark.name == "parametrize"]
    known = {str(value[0] if isinstance(value, tuple) else value) for values in codes for value in values}
    return f"{path}::{function} does not run with {code}" if code and code not in known else ""


@pytest.mark.parametrize(("row", "tests"), ROWS, ids=[row for row, _ in ROWS])
def test_this_row_has_its_tests(row: str, tests: list[str]) -> None:
    assert tests, row
    assert [missing(test) for test in tests if missing(test)] == []


def test_every_close_code_that_the_daemon_knows_is_a_row() -> None:
    assert {str(code) for code in failures.CLOSES} == CLOSE_CODES.keys() - {"any other"}


def test_every_error_code_that_the_daemon_knows_is_a_row() -> None:
    assert failures.ERRORS.keys() == ERROR_CODES.keys() - {"any other"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (f"{CLIENT}::test_that_is_not_there", "there is no"),
        (f"{RESUMED}[1234]", "does not run with 1234"),
        (f"{STOPS}[at_capacity]", "does not run with at_capacity"),
    ],
)
def test_a_test_that_is_missing_is_noticed(name: str, reason: str) -> None:
    assert reason in missing(name)
