"""Visits: a start that holds, a finish that the card signs with the centre's challenge."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processing.authorization.model import Case, Proof
from processing.wire.digest import canonical_bytes
from processing.wire.outcome import Outcome
from processing.wire.transaction import Kind, Line
from tests.authorization.audit import audit
from tests.authorization.test_kinds import expire, told
from tests.authorization.world import (
    CHILD,
    NOW,
    OTHER_TERMINAL,
    Centre,
    amounts,
    case,
    completion,
    grant,
    pills,
    reserve,
    reversal,
    sale,
    undone,
)

MINUTES = 355
LIMIT = timedelta(minutes=120)


def care(minutes: int, gross_kopecks: int = 0) -> Line:
    return Line("CARE", minutes, MINUTES, 0, gross_kopecks)


@pytest.fixture
async def hours(world: asyncpg.Connection) -> Any:
    """Give a service with visits, and an allowance of ten hours for it."""
    return await with_care(world)


async def with_care(world: asyncpg.Connection) -> Any:
    await world.execute(
        """
        INSERT INTO regulations.service (
            service, version, name_ru, name_en, consumes, shortage, evidence, valid_from, valid_to,
            reserve_minutes, visit
        ) VALUES ('CARE', 1, 'Уход', 'Care', 1, 1, 1, '2020-01-01', '2030-12-31', 120, 2);
        INSERT INTO regulations.price_rule VALUES ('CARE', 1, 'FULL', 100, TRUE, 'T');
        INSERT INTO regulations.item VALUES ('CARE', 'CARE', 355, 0, 700, 'Уход', 'Care');
        INSERT INTO terminals.terminal_service
        SELECT t.terminal_id, 'CARE' FROM terminals.terminal AS t;
        """
    )
    return await grant(world, "CARE", 600, unit_okei=MINUTES)


def start(stan: int, *lines: Line, **changes: Any) -> Case:
    return case(Kind.VISIT_START, stan, lines=lines, **({"service": "CARE"} | changes))


def finish(
    stan: int, begun: Case, challenge: str, *lines: Line, after: int = 60, **changes: Any
) -> Case:
    told_of = {"parent": begun.request.key, "service": "CARE", "lines": lines}
    at = {"signed_at": NOW + timedelta(minutes=after)}
    one = case(Kind.VISIT_FINISH, stan, **(told_of | at | changes))
    request = msgspec.structs.replace(one.request, challenge=bytes.fromhex(challenge))
    canonical = canonical_bytes(request)
    return msgspec.structs.replace(
        one, request=request, canonical=canonical, digest=hashlib.sha256(canonical).digest()
    )


def later(minutes: int) -> datetime:
    return NOW + timedelta(minutes=minutes)


async def begin(centre: Centre, begun: Case) -> str:
    """Start a visit and return the challenge that its finish has to sign."""
    ruling = await centre.decide_one(begun)
    assert ruling.outcome is Outcome.APPROVED
    assert ruling.facts["expires"] == "2026-03-02T11:00:00Z"
    return ruling.facts["challenge"]


async def test_a_visit_keeps_what_it_lasted(centre: Centre, hours: Any) -> None:
    begun = start(1, care(90, 63_000))
    challenge = await begin(centre, begun)
    assert await centre.used(hours) == 90
    done = finish(2, begun, challenge, care(60, 42_000))
    ruling = await centre.decide_one(done, at=later(60))
    assert told(ruling) == (703, {}, [(42_000, 0)])
    assert await centre.used(hours) == 60
    again = await centre.decide_one(done, at=later(61))
    assert again.replayed
    assert again.decision == ruling.decision


async def test_a_line_of_which_nothing_was_used_is_left_out(centre: Centre, hours: Any) -> None:
    begun = start(1, care(40, 28_000), care(50, 35_000))
    challenge = await begin(centre, begun)
    done = finish(2, begun, challenge, care(0), care(50, 35_000))
    ruling = await centre.decide_one(done, at=later(60))
    assert told(ruling) == (703, {}, [(0, 0), (35_000, 0)])
    assert await centre.used(hours) == 50


async def test_the_challenge_is_the_same_when_the_start_is_asked_again(
    centre: Centre, hours: Any
) -> None:
    begun = start(1, care(30))
    challenge = await begin(centre, begun)
    assert (await centre.decide_one(begun)).facts["challenge"] == challenge
    assert await begin(centre, start(2, care(30))) != challenge


REFUSED: list[tuple[str, dict[str, Any], int, dict[str, str]]] = [
    ("signed at the start", {"challenge": "00" * 16}, 502, {"field": "challenge"}),
    ("without a challenge", {"challenge": ""}, 502, {"field": "challenge"}),
    ("another holder", {"holder": CHILD}, 502, {"field": "holder"}),
    (
        "more minutes than passed",
        {"after": 29},
        405,
        {"line": "1", "item": "CARE", "remaining": "29"},
    ),
    (
        "more than was begun with",
        {"lines": (care(31),)},
        405,
        {"line": "1", "item": "CARE", "remaining": "30"},
    ),
    ("nothing was done", {"lines": (care(0),)}, 405, {}),
    (
        "another item",
        {"lines": (pills(1, 0),)},
        502,
        {"field": "item", "line": "1", "item": "PILL"},
    ),
    ("too late", {"after": 121}, 501, {"original": "expired"}),
    ("a wrong signature", {"proof": Proof.WRONG}, 302, {}),
]


@pytest.mark.parametrize(
    ("changes", "outcome", "facts"), [pytest.param(*row, id=name) for name, *row in REFUSED]
)
async def test_a_finish_that_does_not_fit_is_refused_and_the_visit_goes_on(
    centre: Centre, hours: Any, changes: dict[str, Any], outcome: int, facts: dict[str, str]
) -> None:
    begun = start(1, care(30, 21_000))
    challenge = await begin(centre, begun)
    words: dict[str, Any] = {
        "challenge": challenge,
        "lines": (care(30, 21_000),),
        "after": 45,
    } | changes
    lines, given = words.pop("lines"), words.pop("challenge")
    wrong = finish(2, begun, given, *lines, **words)
    ruling = await centre.decide_one(wrong, at=later(words["after"]))
    assert told(ruling) == (outcome, facts, [])
    assert await centre.used(hours) == 30
    right = finish(3, begun, challenge, care(30, 21_000))
    assert (await centre.decide_one(right, at=later(60))).outcome is Outcome.APPROVED


async def test_a_visit_that_nobody_finished_gives_its_minutes_back(
    centre: Centre, hours: Any
) -> None:
    begun = start(1, care(30))
    challenge = await begin(centre, begun)
    assert await expire(centre, LIMIT) == 1
    assert await centre.used(hours) == 0
    # in time by its clock, but the centre heard of it too late
    late = finish(2, begun, challenge, care(30), after=119)
    assert told(await centre.decide_one(late, at=later(130))) == (
        501,
        {"original": "expired"},
        [],
    )


async def test_what_was_finished_is_not_finished_again(centre: Centre, hours: Any) -> None:
    begun = start(1, care(30))
    challenge = await begin(centre, begun)
    first, second = (finish(stan, begun, challenge, care(30)) for stan in (2, 3))
    rulings = await centre.decide(first, second, at=later(60))
    assert [told(one)[:2] for one in rulings] == [(703, {}), (501, {"original": "completed"})]
    assert await centre.used(hours) == 30


async def test_a_finish_that_was_answered_into_the_void_comes_again_as_an_advice(
    centre: Centre, hours: Any
) -> None:
    """The terminal had no answer; what it sends later under the same number is no other finish."""
    begun = start(1, care(60, 42_000))
    challenge = await begin(centre, begun)
    done = finish(2, begun, challenge, care(45, 31_500), after=45)
    advice = msgspec.structs.replace(
        done, request=msgspec.structs.replace(done.request, advice=True)
    )
    ruling = await centre.decide_one(done, at=later(45))
    again = await centre.decide_one(advice, at=later(300))
    assert (again.replayed, again.decision) == (True, ruling.decision)
    assert await centre.used(hours) == 45


async def test_a_finish_that_never_arrived_counts_as_an_advice(centre: Centre, hours: Any) -> None:
    begun = start(1, care(60, 42_000))
    challenge = await begin(centre, begun)
    # Signed in time, heard of an hour and a half later, while the hold still stands.
    late = finish(2, begun, challenge, care(20, 14_000), after=20, advice=True)
    assert told(await centre.decide_one(late, at=later(110))) == (703, {}, [(14_000, 0)])
    assert await centre.used(hours) == 20


async def test_a_visit_is_taken_back(centre: Centre, hours: Any) -> None:
    begun, other = start(1, care(30, 21_000)), start(2, care(30))
    done = finish(3, begun, await begin(centre, begun), care(20, 14_000))
    await centre.decide_one(done, at=later(60))
    await begin(centre, other)
    undo = [reversal(4, done, signed_at=later(61)), reversal(5, other, signed_at=later(61))]
    assert [told(one)[:2] for one in await centre.decide(*undo, at=later(61))] == [(703, {})] * 2
    assert await centre.used(hours) == 0


async def test_it_may_be_finished_at_another_terminal_of_the_provider(
    centre: Centre, hours: Any
) -> None:
    begun = start(1, care(30))
    done = finish(2, begun, await begin(centre, begun), care(30), terminal=OTHER_TERMINAL)
    assert (await centre.decide_one(done, at=later(60))).outcome is Outcome.APPROVED


async def test_an_offline_visit_is_recorded_in_conflict(centre: Centre, hours: Any) -> None:
    begun = start(1, care(30, 21_000), advice=True)
    ruling = await centre.decide_one(begun)
    assert told(ruling) == (703, {"expires": "2026-03-02T11:00:00Z"}, [(21_000, 0)])
    done = finish(2, begun, "", care(30, 21_000), advice=True)
    facts = {"reason": "502", "field": "challenge"}
    # what began without the centre has no challenge, so its finish proves nothing of the time
    assert told(await centre.decide_one(done, at=later(60))) == (701, facts, [(0, 21_000)])
    assert await expire(centre, LIMIT) == 1
    assert await centre.used(hours) == 0


WRONG_WAYS: list[tuple[str, Case, dict[str, str]]] = [
    ("at once", sale(1, care(30), service="CARE"), {"version": "1", "visit": "only"}),
    ("put aside", reserve(1, care(30), service="CARE"), {"version": "1", "reserve": "no"}),
    ("no visits", start(1, pills(1, 100), service="PART"), {"version": "1", "reserve": "no"}),
]


@pytest.mark.parametrize(
    ("asked", "facts"), [pytest.param(*row, id=name) for name, *row in WRONG_WAYS]
)
async def test_a_service_is_given_in_its_own_way(
    centre: Centre, hours: Any, asked: Case, facts: dict[str, str]
) -> None:
    assert told(await centre.decide_one(asked)) == (403, facts, [])


async def test_a_completion_ends_no_visit(centre: Centre, hours: Any) -> None:
    begun = start(1, care(30, 100))
    await begin(centre, begun)
    ruling = await centre.decide_one(completion(2, begun, care(30, 100)))
    assert ruling.facts == {"reason": "502", "field": "kind"}
    assert await centre.used(hours) == 30


@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(
    visits=st.lists(
        st.tuples(st.integers(1, 200), st.integers(0, 200), st.integers(0, 130)), max_size=6
    )
)
async def test_minutes_add_up(
    world: asyncpg.Connection, visits: list[tuple[int, int, int]]
) -> None:
    """Planned, claimed and passed minutes of each visit, against plain arithmetic."""
    async with undone(world) as centre:
        hours = await with_care(world)
        used = 0
        for number, (planned, claimed, passed) in enumerate(visits):
            begun = start(2 * number + 1, care(planned, 700 * planned))
            ruling = await centre.decide_one(begun)
            assert (ruling.outcome is Outcome.APPROVED) == (used + planned <= 600)
            if ruling.outcome is not Outcome.APPROVED:
                continue
            done = finish(
                2 * number + 2,
                begun,
                ruling.facts["challenge"],
                *([care(claimed, 700 * claimed)] if claimed else []),
                after=passed,
            )
            ended = await centre.decide_one(done, at=later(passed))
            fits = 0 < claimed <= min(planned, passed) and passed <= 120
            assert (ended.outcome is Outcome.APPROVED) == fits
            used += claimed if fits else planned
            if fits:
                assert amounts(ended) == [(700 * claimed, 0)]
            assert await centre.used(hours) == used
        assert await audit(world) == []
