"""The closed list of outcomes and the page that documents it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from processing.wire.outcome import TEXTS, Outcome
from processing.wire.outcomes_page import outcomes_page

ROOT = Path(__file__).parents[2]


def test_page_is_the_code() -> None:
    assert (ROOT / "docs" / "outcomes.md").read_text(encoding="utf-8") == outcomes_page()


def test_members_stand_in_precedence_order() -> None:
    values = [int(outcome) for outcome in Outcome]
    assert values == sorted(set(values))
    assert all(100 <= value <= 999 for value in values), "the wire gives a code three digits"


@pytest.mark.parametrize("outcome", Outcome, ids=lambda outcome: str(outcome.name))
def test_every_outcome_has_its_texts(outcome: Outcome) -> None:
    text = TEXTS[outcome]
    assert re.fullmatch(r"[0-9]{2}", text.de39)
    assert text.http_status in {200, 400, 401, 403, 404, 409, 422, 503}
    for ru in (text.ru, text.ru_remedy):
        assert re.search("[а-яё]", ru)
        assert not re.search("[a-z]", ru)
    for en in (text.en, text.en_remedy):
        assert en.isascii()


@pytest.mark.parametrize(
    ("first", "last", "decided", "approved"),
    [
        (100, 199, {False}, {False}),
        (200, 699, {True}, {False}),
        (701, 701, {True}, {False}),
        (702, 703, {True}, {True}),
    ],
)
def test_number_says_what_it_means(
    first: int, last: int, decided: set[bool], approved: set[bool]
) -> None:
    some = [outcome for outcome in Outcome if first <= outcome <= last]
    assert {outcome.decided for outcome in some} == decided
    assert {outcome.approved for outcome in some} == approved


def test_only_a_success_answers_success() -> None:
    for outcome in Outcome:
        success = outcome >= Outcome.RECORDED_IN_CONFLICT
        assert (TEXTS[outcome].http_status == 200) is success
        assert (TEXTS[outcome].de39 in ("00", "10")) is success
        remedy = TEXTS[outcome].en_remedy
        assert ("Nothing was decided" in remedy) is not outcome.decided


def test_refusals_do_not_share_a_response_code() -> None:
    codes = [TEXTS[outcome].de39 for outcome in Outcome if outcome < Outcome.RECORDED_IN_CONFLICT]
    assert len(codes) == len(set(codes))
