"""The version in force changes nothing; a draft changes what its rules say, and no more."""

from __future__ import annotations

from datetime import date, timedelta

import asyncpg
import pytest

from processing.regulations.document import Regulation, read_regulation
from processing.regulations.replay import Done, Place, ReplayError, Under, replay, under_draft
from processing.regulations.replay_model import Change, Sums
from processing.regulations.scratch import PREFIX
from tests.authorization.world import (
    CHILD,
    DAY,
    NOW,
    Centre,
    build,
    completion,
    goods_back,
    grant,
    pills,
    reserve,
    reversal,
    sale,
)
from tests.plugins.postgres import Database
from tests.regulations.history import DAYS, History

LAST_DAY = DAY + timedelta(days=3 * DAYS)


def places(database: Database) -> list[Place]:
    dsn = database.superuser_dsn
    return [Place(dsn, dsn, (0, 511)), Place(dsn, dsn, (512, 1023))]


def total(done: Done) -> Sums:
    (found,) = (one for one in done.sums if one.level == "all")
    return found


async def net_kopecks(connection: asyncpg.Connection, service: str, first_day: date) -> int:
    """Return what the journal says was covered, net, by another way than the replay's."""
    return int(
        await connection.fetchval(
            "SELECT coalesce(sum(l.covered_kopecks), 0)::bigint FROM reconciliation.day_line AS l "
            "WHERE l.service = $1 AND l.posting_date >= $2 AND l.category IS NOT NULL",
            service,
            first_day,
        )
    )


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("seed", "service", "version", "first_day"),
    [
        (1, "MED", 2, DAY),
        (2, "PART", 1, DAY),
        # what was sold, held and taken back before the period reaches into it
        (3, "MED", 2, DAY + timedelta(days=4)),
        (4, "MONEY", 1, DAY + timedelta(days=2)),
    ],
)
async def test_the_version_in_force_changes_nothing(
    database: Database, seed: int, service: str, version: int, first_day: date
) -> None:
    async with database.connect() as connection:
        await build(connection)
        history = History(Centre(connection), seed)
        await history.live(steps=150)
        expected_kopecks = await net_kopecks(connection, service, first_day)
    done = await replay(places(database), Under(service, version), first_day, LAST_DAY)
    found = total(done)
    assert done.changes == ()
    assert found.transactions > 20
    assert (found.changed, found.gainers, found.losers) == (0, 0, 0)
    assert found.before_kopecks == found.after_kopecks == expected_kopecks
    assert found.before_approved == found.after_approved
    assert found.before_refused == found.after_refused


async def test_rights_that_ended_or_shrank_since_are_replayed_as_they_stood(
    database: Database,
) -> None:
    """What was drawn on was there: a right withdrawn afterwards costs nobody their past."""
    await sold(database)
    async with database.connect() as connection:
        # as rights.accept leaves what was drawn on when its entitlement is withdrawn or cut short
        await connection.execute(
            "UPDATE rights.allowance AS a SET granted = 0, valid_to = a.valid_from"
        )
    done = await replay(places(database), Under("MED", 2), DAY, LAST_DAY)
    found = total(done)
    assert done.changes == ()
    assert found.transactions > 5
    assert found.before_kopecks == found.after_kopecks > 0


def draft(percent: int, reserve_minutes: int | None = 30) -> Regulation:
    """Return the draft of `draft_text`, read."""
    return read_regulation(draft_text(percent, reserve_minutes).encode(), "draft.toml")


def draft_text(percent: int, reserve_minutes: int | None = 30) -> str:
    """Return a draft of MED whose measure HALF covers that many percent."""
    return f"""
        [regulation]
        service = "MED"
        version = 4
        name_ru = "Лекарства"
        name_en = "Medicines"
        agency_ru = "Ведомство"
        agency_en = "Agency"
        basis_ru = "проба"
        provider_kinds = ["pharmacy"]
        valid_from = 2028-01-01
        valid_to = 2028-12-31

        [transaction]
        consumes = "quantity"
        shortage = "refuse"
        evidence = "tap"
        {f"reserve_minutes = {reserve_minutes}" if reserve_minutes else ""}

        [[clause]]
        clause = "1"
        text_ru = "Доля цены"
        text_en = "A share of the price"
        measure = "HALF"
        percent = {percent}
        capped = false
        tariff = "T-HALF"

        [[case]]
        clause = "1"
        title_ru = "Одна"
        rights = [{{ measure = "HALF", item_class = "PILL", granted = 1 }}]
        lines = [{{ item = "PILL", quantity = 1, gross_kopecks = 100 }}]
        expect = {{ outcome = "APPROVED", covered_kopecks = [{percent}] }}
    """


async def sold(database: Database) -> None:
    """Sell to two holders: with a return, a reversal, a completion, a refusal, another service."""
    async with database.connect() as connection:
        await build(connection)
        await grant(connection, "PILL", 10, "HALF")
        await grant(connection, "PILL", 10, "FULL", holder=CHILD, category="CHILD")
        centre = Centre(connection)
        first = sale(1, pills(4, 1_001))
        taken_back = sale(2, pills(1, 500))
        held = reserve(3, pills(2, 600))
        await centre.decide(first, taken_back, sale(4, pills(2, 900), holder=CHILD))
        await centre.decide(held)
        await centre.decide(completion(5, held, pills(1, 300)))
        await centre.decide(goods_back(6, first, pills(1, 200)), reversal(7, taken_back))
        await centre.decide(sale(8, pills(5, 1_000), service="PART"))
        await centre.decide(sale(9, pills(2, 100)), at=NOW + timedelta(minutes=1))


async def test_a_draft_changes_what_its_rules_say(database: Database) -> None:
    await sold(database)
    told: list[Change] = []
    done = await replay(places(database), under_draft(draft(80)), DAY, DAY, on_change=told.append)
    found = total(done)
    # HALF: 1001 → 501 then 801, less what came back, 300 of the completion → 150 then 240. The
    # child's right is of a measure that the draft leaves out: 900 and its approval are gone.
    before = 501 - (501 - 401) + 150 + 900
    assert found.before_kopecks == before
    assert found.after_kopecks == 801 - (801 - 641) + 240
    assert (found.gainers, found.losers) == (1, 1)
    by_stan = {one.stan: one for one in done.changes}
    assert (by_stan[4].before_outcome, by_stan[4].after_outcome) == (703, 601)
    assert by_stan[4].category == "CHILD"
    assert by_stan[4].after_facts["missing"] == "service"
    # Other services keep what they took, so what was refused for want of a rest is so still.
    assert 9 not in by_stan
    assert sorted(one.stan for one in told) == sorted(by_stan)


async def test_a_reservation_that_the_draft_forbids_leaves_its_completion_uncovered(
    database: Database,
) -> None:
    await sold(database)
    done = await replay(places(database), under_draft(draft(50, None)), DAY, DAY)
    by_stan = {one.stan: one for one in done.changes}
    assert by_stan[3].after_outcome == 403
    assert (by_stan[5].before_outcome, by_stan[5].after_outcome) == (703, 701)
    assert by_stan[5].gain_kopecks == -150


async def test_nothing_live_is_touched_and_nothing_is_left(database: Database) -> None:
    await sold(database)
    sums = "SELECT xmin::text, ctid::text, t::text FROM rights.counter AS t ORDER BY ctid"
    async with database.connect() as connection:
        own = await connection.fetchval(
            "SELECT oid FROM pg_database WHERE datname = current_database()"
        )
        abandoned = f"{PREFIX}{own}_killed"
        await database.server.execute(f"CREATE DATABASE {abandoned}")
        before = await connection.fetch(sums)
        events = await connection.fetchval("SELECT count(*) FROM journal.event")
        await replay(places(database), under_draft(draft(10)), DAY, DAY)
        assert await connection.fetch(sums) == before
        assert await connection.fetchval("SELECT count(*) FROM journal.event") == events
        # What a killed run left was swept away, too.
        left = await connection.fetch(
            "SELECT datname FROM pg_database WHERE starts_with(datname, $1)", f"{PREFIX}{own}_"
        )
        assert left == []


async def test_an_archived_period_is_refused(database: Database) -> None:
    await sold(database)
    async with database.connect() as connection:
        await connection.execute(
            "INSERT INTO journal.archive_step (month, step_no, step) VALUES ($1, 1, 'closed')",
            date(2026, 3, 1),
        )
    with pytest.raises(ReplayError, match="archived up to 2026-04-01"):
        await replay(places(database), under_draft(draft(10)), DAY, DAY)
