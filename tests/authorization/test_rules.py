"""What regulations say beyond price and limit: categories, courses, substitution, conditions."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processing.authorization.model import Ruling
from processing.kernel.bucket import bucket_of
from processing.wire.outcome import Outcome
from tests.authorization.test_kinds import told
from tests.authorization.world import (
    HOLDER,
    NOW,
    Centre,
    amounts,
    goods_back,
    grant,
    inquiry,
    outcomes,
    pills,
    sale,
    undone,
)

TODAY = date(2026, 3, 2)

_SERVICES = """
    INSERT INTO regulations.service (
        service, version, name_ru, name_en, consumes, shortage, evidence, valid_from, valid_to,
        substitution, refill_percent, refill_days, conditional
    ) VALUES
        ('CATS', 1, 'К', 'C', 1, 1, 1, '2020-01-01', '2030-12-31', TRUE, NULL, 0, FALSE),
        ('BRAND', 1, 'Т', 'B', 1, 1, 1, '2020-01-01', '2030-12-31', FALSE, NULL, 0, FALSE),
        ('COURSE', 1, 'К', 'C', 1, 1, 1, '2020-01-01', '2030-12-31', TRUE, 75, 2, FALSE),
        ('PARTS', 1, 'К', 'C', 1, 2, 1, '2020-01-01', '2030-12-31', TRUE, 75, 2, FALSE),
        ('POLICY', 1, 'П', 'P', 3, 1, 1, '2020-01-01', '2030-12-31', TRUE, NULL, 0, TRUE),
        ('INFO', 1, 'И', 'I', 4, 1, 1, '2020-01-01', '2030-12-31', TRUE, NULL, 0, FALSE);
    INSERT INTO regulations.price_rule VALUES
        ('CATS', 1, 'FULL', 100, FALSE, 'T1', '1', '{VETERAN}', FALSE),
        ('CATS', 1, 'FULL', 50, FALSE, 'T2', '2', '{CHILD, LARGE}', FALSE),
        ('CATS', 1, 'FULL', 30, FALSE, 'T3', '3', '{VETERAN, CHILD, LARGE}', TRUE),
        ('CATS', 1, 'HALF', 10, FALSE, 'T4', '4', '{VETERAN}', FALSE),
        ('BRAND', 1, 'FULL', 100, FALSE, 'T', '1', NULL, FALSE),
        ('COURSE', 1, 'FULL', 100, FALSE, 'T', '1', NULL, FALSE),
        ('PARTS', 1, 'FULL', 100, FALSE, 'T', '1', NULL, FALSE),
        ('POLICY', 1, 'FULL', 100, FALSE, 'T', '1', NULL, FALSE);
    INSERT INTO regulations.requirement VALUES
        ('POLICY', 1, '2', 'policy', FALSE, 30), ('POLICY', 1, '3', 'attachment', TRUE, 0);
    INSERT INTO terminals.terminal_service
    SELECT t.terminal_id, s.service FROM terminals.terminal AS t
    CROSS JOIN (
        VALUES ('CATS'), ('BRAND'), ('COURSE'), ('PARTS'), ('POLICY'), ('INFO')
    ) AS s (service);
"""


@pytest.fixture(autouse=True)
async def rules(world: asyncpg.Connection) -> None:
    """Add the services of these tests to the world."""
    await world.execute(_SERVICES)


@pytest.mark.parametrize(
    ("category", "measure", "covered"),
    [
        ("VETERAN", "FULL", 1_000),
        ("CHILD", "FULL", 500),
        ("LARGE", "FULL", 500),
        ("ANYBODY", "FULL", 300),
        ("VETERAN", "HALF", 100),
        ("CHILD", "HALF", None),
    ],
)
async def test_the_clause_of_the_category_is_chosen(
    world: asyncpg.Connection, centre: Centre, category: str, measure: str, covered: int | None
) -> None:
    await grant(world, "PILL", 5, measure, category=category)
    asked = sale(1, pills(2, 1_000), service="CATS")
    ruling = await centre.decide_one(asked)
    if covered is None:
        facts = {"item": "PILL", "missing": "service"}
        assert told(ruling) == (601, facts, [])
        return
    assert told(ruling) == (703, {}, [(covered, 1_000 - covered)])
    # half of it comes back by the same clause
    back = await centre.decide_one(goods_back(2, asked, pills(1, 500)))
    assert amounts(back) == [(covered // 2, 500 - covered // 2)]


async def test_rights_of_two_categories_are_each_priced_by_their_clause(
    world: asyncpg.Connection, centre: Centre
) -> None:
    await grant(world, "PILL", 1, category="CHILD", priority=1)
    await grant(world, "PILL", 1, category="VETERAN", priority=2)
    ruling = await centre.decide_one(sale(1, pills(2, 1_000), service="CATS"))
    assert amounts(ruling) == [(250 + 500, 250)]


@pytest.mark.parametrize(
    ("granted_item", "service", "asked", "facts"),
    [
        (None, "BRAND", "PILL-B", {}),
        ("PILL", "BRAND", "PILL", {}),
        ("PILL", "BRAND", "PILL-B", {"item": "PILL-B", "missing": "substitute"}),
        ("PILL", "PART", "PILL-B", {}),
    ],
)
async def test_a_trade_name_is_replaced_where_the_regulation_says_so(
    world: asyncpg.Connection,
    centre: Centre,
    granted_item: str | None,
    service: str,
    asked: str,
    facts: dict[str, str],
) -> None:
    await grant(world, "PILL", 5, item=granted_item)
    # together with another line, it is not the usual sale, and must not differ
    await grant(world, "SYRUP", 5)
    for lines in ([pills(1, 100, asked)], [pills(1, 100, asked), pills(1, 50, "SYRUP")] * 2):
        ruling = await centre.decide_one(sale(len(lines), *lines, service=service))
        assert (ruling.outcome, ruling.facts) == (601 if facts else 703, facts)


def on(day: int) -> dict[str, Any]:
    """Return when a sale of that day of the course is signed."""
    return {"business_date": TODAY + timedelta(days=day), "signed_at": NOW + timedelta(days=day)}


async def rung_up(centre: Centre, stan: int, day: int, packs: int, service: str) -> Ruling:
    asked = sale(stan, pills(packs, 100 * packs), service=service, **on(day))
    at, posting = NOW + timedelta(days=day), TODAY + timedelta(days=day)
    return await centre.decide_one(asked, at=at, posting=posting)


@pytest.mark.parametrize("service", ["COURSE", "PARTS"])
async def test_the_next_of_a_course_waits(
    world: asyncpg.Connection, centre: Centre, service: str
) -> None:
    pill = await grant(world, "PILL", 3, course_days=90, valid_from=TODAY)
    # one of three for 90 days: 75 % of 30 days are 22.5, less two days
    for stan, day, outcome, since in (
        (1, 0, 703, None),
        (2, 0, 603, 21),
        (3, 20, 603, 21),
        (4, 21, 703, None),
        (5, 42, 603, 43),
        (6, 43, 703, None),
    ):
        ruling = await rung_up(centre, stan, day, 1, service)
        assert ruling.outcome == outcome
        if since is not None:
            first = TODAY + timedelta(days=since)
            assert ruling.facts == {"item": "PILL", "since": first.isoformat()}
    assert await centre.used(pill) == 3


async def test_sales_of_one_batch_wait_for_each_other(
    world: asyncpg.Connection, centre: Centre
) -> None:
    await grant(world, "PILL", 3, course_days=90, valid_from=TODAY)
    batch = [sale(stan, pills(1, 100), service="COURSE") for stan in (1, 2, 3)]
    assert outcomes(await centre.decide(*batch)) == [703, 603, 603]


async def test_lines_of_one_sale_are_one_supply(world: asyncpg.Connection, centre: Centre) -> None:
    await grant(world, "PILL", 3, course_days=90, valid_from=TODAY)
    lines = [pills(1, 100), pills(1, 100, "PILL-B")]
    assert (await centre.decide_one(sale(1, *lines, service="COURSE"))).outcome == 703


async def test_without_a_course_nothing_waits(world: asyncpg.Connection, centre: Centre) -> None:
    await grant(world, "PILL", 3)
    batch = [sale(stan, pills(1, 100), service="COURSE") for stan in (1, 2, 3)]
    # of the first two lines each, so that they are not decided as the usual sales are
    two = sale(4, pills(1, 100), pills(1, 100), service="COURSE")
    assert outcomes(await centre.decide(*batch[:2])) == [703, 703]
    assert told(await centre.decide_one(two))[:2] == (
        602,
        {"item": "PILL", "remaining": "0", "asked": "1", "ends": "2026-12-31"},
    )
    assert outcomes(await centre.decide(batch[2])) == [703]


async def test_what_happened_too_early_is_a_conflict(
    world: asyncpg.Connection, centre: Centre
) -> None:
    pill = await grant(world, "PILL", 3, course_days=90, valid_from=TODAY)
    await rung_up(centre, 1, 0, 1, "COURSE")
    late = sale(2, pills(1, 100), service="COURSE", advice=True)
    ruling = await centre.decide_one(late)
    facts = {"item": "PILL", "since": "2026-03-23", "reason": "603"}
    assert told(ruling) == (701, facts, [(0, 100)])
    assert await centre.used(pill) == 1


@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(
    granted=st.integers(1, 12),
    course_days=st.integers(1, 120),
    asked=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 4)), max_size=7),
)
async def test_a_course_against_plain_arithmetic(
    world: asyncpg.Connection, granted: int, course_days: int, asked: list[tuple[int, int]]
) -> None:
    """Days between the visits to the pharmacy, and packs asked for."""
    async with undone(world) as centre:
        pill = await grant(world, "PILL", granted, course_days=course_days, valid_from=TODAY)
        used, day = 0, 0
        for stan, (pause, packs) in enumerate(asked, 1):
            day += pause
            ruling = await rung_up(centre, stan, day, packs, "COURSE")
            over_after = Fraction(used * course_days, granted) * Fraction(75, 100) - 2
            if used and over_after > day:
                assert ruling.outcome is Outcome.TOO_EARLY
                assert ruling.facts["since"] > (TODAY + timedelta(days=day)).isoformat()
            elif used + packs > granted:
                assert ruling.outcome is Outcome.ALLOWANCE_EXHAUSTED
            else:
                assert ruling.outcome is Outcome.APPROVED
                used += packs
            assert await centre.used(pill) == used


async def know(world: asyncpg.Connection, fact: str, last: date, provider: str | None) -> None:
    await world.execute(
        "INSERT INTO rights.holder_fact VALUES ($1, $2, $3, '2020-01-01', $4, $5)",
        bucket_of(HOLDER.bytes),
        HOLDER,
        fact,
        last,
        provider,
    )


@pytest.mark.parametrize(
    ("policy_ended_days", "provider", "missing"),
    [
        (0, "APTEKA-7", None),
        (30, "APTEKA-7", None),
        (31, "APTEKA-7", "policy"),
        (None, "APTEKA-7", "policy"),
        (0, "APTEKA-8", "attachment"),
        (0, None, "attachment"),
        (None, None, "policy"),
    ],
)
async def test_what_is_required_of_the_holder_must_be_known(
    world: asyncpg.Connection,
    centre: Centre,
    policy_ended_days: int | None,
    provider: str | None,
    missing: str | None,
) -> None:
    await grant(world, "PILL", 5)
    if policy_ended_days is not None:
        await know(world, "policy", TODAY - timedelta(days=policy_ended_days), None)
    if provider is not None:
        await know(world, "attachment", TODAY, provider)
    ruling = await centre.decide_one(sale(1, pills(1, 100), service="POLICY"))
    if missing is None:
        assert told(ruling) == (703, {}, [(100, 0)])
    else:
        assert told(ruling) == (601, {"missing": missing}, [])
    # whoever only asks is asked for nothing
    assert (await centre.decide_one(inquiry(2, service="POLICY", version=1))).outcome == 703


@pytest.mark.parametrize("advice", [False, True])
async def test_what_consumes_nothing_needs_no_right(
    world: asyncpg.Connection, centre: Centre, advice: bool
) -> None:
    pill = await grant(world, "PILL", 5)
    asked = sale(1, pills(2, 0), pills(1, 300, "SYRUP"), service="INFO", advice=advice)
    assert told(await centre.decide_one(asked)) == (703, {}, [(0, 0), (0, 300)])
    assert await centre.parts(asked) == [(1, 2, 0, 0, 0), (2, 1, 300, 0, 0)]
    assert await centre.used(pill) == 0
    back = await centre.decide_one(goods_back(2, asked, pills(0, 0), pills(1, 300, "SYRUP")))
    assert told(back) == (703, {}, [(0, 0), (0, 300)])


async def test_even_what_consumes_nothing_must_be_in_the_catalogue(
    world: asyncpg.Connection, centre: Centre
) -> None:
    ruling = await centre.decide_one(sale(1, pills(1, 0, "NOTHING"), service="INFO"))
    assert ruling.outcome is Outcome.AMOUNT_WRONG
