import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicekiosk.service.redact import Redactor

KEY = "0123456789abcdef+/="


@pytest.fixture
def redactor():
    redactor = Redactor()
    redactor.hide(KEY)
    return redactor


def test_masks_a_secret_wherever_it_stands(redactor):
    assert redactor.mask(f"a {KEY}b{KEY}") == "a <hidden>b<hidden>"


def test_masks_a_secret_as_it_looks_in_an_address(redactor):
    assert redactor.mask("wss://host/?x=0123456789abcdef%2B%2F%3D&y=1") == "wss://host/?x=<hidden>&y=1"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Authorization: Bearer abc.def-1", "Authorization: Bearer <hidden>"),
        ("> authorization: abc", "> authorization: <hidden>"),
        ("{'Authorization': 'Bearer abc'}", "{'Authorization': 'Bearer <hidden>'}"),
        ("wss://host/v1/ws?token=abc&a=1", "wss://host/v1/ws?token=<hidden>&a=1"),
        ('{"resume_token":"abc","x":1}', '{"resume_token":"<hidden>","x":1}'),
        ("ASSEMBLYAI_API_KEY=abc", "ASSEMBLYAI_API_KEY=<hidden>"),
        ("api_key: abc", "api_key: <hidden>"),
    ],
)
def test_masks_what_looks_like_a_credential_though_nobody_named_it(text, masked):
    assert Redactor().mask(text) == masked


@pytest.mark.parametrize(
    "text", ["there is no API key; set it", "the link is ready", "key pressed", "tokens: none left"]
)
def test_leaves_ordinary_sentences_alone(text):
    assert Redactor().mask(text) == text


def test_a_secret_that_is_part_of_another_does_not_uncover_it(redactor):
    redactor.hide(KEY[:6])
    assert redactor.mask(KEY) == "<hidden>"


def test_does_not_mask_every_occurrence_of_a_trifle():
    redactor = Redactor()
    redactor.hide("a")
    redactor.hide("")
    redactor.hide(None)
    assert redactor.mask("a kiosk") == "a kiosk"


def test_its_own_representation_shows_nothing(redactor):
    assert KEY not in repr(redactor)


def test_masking_twice_changes_nothing_more(redactor):
    once = redactor.mask(f"Authorization: Bearer {KEY}; token={KEY}")
    assert redactor.mask(once) == once


@given(before=st.text(), after=st.text(), secret=st.text("0123456789", min_size=4))
def test_no_secret_survives_whatever_stands_around_it(before, after, secret):
    redactor = Redactor()
    redactor.hide(secret)
    assert secret not in redactor.mask(before + secret + after)


def test_a_passing_secret_is_masked_and_forgotten_after_many_others(redactor):
    for number in range(16):
        redactor.hide_for_now(f"token-{number:04}")
        redactor.hide_for_now(f"token-{number:04}")
    assert redactor.mask("token-0000 token-0015") == "<hidden> <hidden>"
    redactor.hide_for_now("token-0016")
    assert redactor.mask("x token-0000") == "x token-0000"
    assert redactor.mask(KEY) == "<hidden>"


def test_an_empty_passing_secret_hides_nothing(redactor):
    redactor.hide_for_now("")
    assert redactor.mask("abc") == "abc"
