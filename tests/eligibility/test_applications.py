"""Life events become rights, proposals and offers; applications are decided by another person."""

from __future__ import annotations

import uuid
from datetime import date, timedelta

import asyncpg
import pytest

from processing.eligibility.application_commands import refusal_text
from processing.eligibility.applications import ApplicationError, Applications, Refusal
from processing.eligibility.candidates import Run
from processing.eligibility.facts import Answer
from processing.eligibility.tasks import Upkeep, daily
from processing.kernel.bucket import bucket_of
from processing.kernel.database import DatabasePool
from tests.eligibility.town import (
    BABY,
    BIRTH,
    DISABILITY,
    DISABLED,
    ELDEST,
    FAMILY,
    MOTHER,
    SECOND,
    TODAY,
    Citizen,
    change,
    town,
)
from tests.plugins.postgres import Database


def run_of(pool: DatabasePool, by: str = "olga", day: date = TODAY) -> Run:
    return Run(pool, day, by, refusal_text)


async def applications_of(database: Database, *people: Citizen) -> dict[tuple[int, str], str]:
    """Return the states of people's applications, by the person's number and the measure."""
    async with database.connect() as connection:
        rows = await connection.fetch(
            "SELECT a.citizen_id, a.measure, a.state FROM eligibility.application AS a"
            " WHERE a.citizen_id = ANY ($1)",
            [one.citizen_id for one in people],
        )
    return {(row["citizen_id"].int, row["measure"]): row["state"] for row in rows}


async def application_for(database: Database, person: Citizen, measure: str) -> uuid.UUID:
    async with database.connect() as connection:
        found = await connection.fetchval(
            "SELECT a.application_id FROM eligibility.application AS a"
            " WHERE a.citizen_id = $1 AND a.measure = $2",
            person.citizen_id,
            measure,
        )
    assert isinstance(found, uuid.UUID)
    return found


async def allowances(
    connection: asyncpg.Connection, holder: uuid.UUID
) -> list[tuple[str, str, int, int, date, date]]:
    rows = await connection.fetch(
        "SELECT a.measure, a.item_class, a.granted, a.period, a.valid_from, a.valid_to"
        " FROM rights.allowance AS a WHERE a.bucket = $1 AND a.holder_id = $2"
        " ORDER BY a.measure, a.item_class",
        bucket_of(holder.bytes),
        holder,
    )
    return [tuple(row) for row in rows]


EXPECTED = {
    # a disability: the taxi, half of the charges and travel come by themselves
    (DISABLED.citizen_id.int, "TAXI.SOCIAL"): "decided",
    (DISABLED.citizen_id.int, "UTIL.50"): "decided",
    (DISABLED.citizen_id.int, "TRANSPORT"): "decided",
    # a third child: meals for both pupils wait for a person, vouchers for the family's choice
    (ELDEST.citizen_id.int, "SCHOOL.MEAL"): "drafted",
    (SECOND.citizen_id.int, "SCHOOL.MEAL"): "drafted",
    (ELDEST.citizen_id.int, "VOUCHER.CHILD"): "offered",
    (SECOND.citizen_id.int, "VOUCHER.CHILD"): "offered",
    (MOTHER.citizen_id.int, "CERT"): "drafted",
    (MOTHER.citizen_id.int, "UTIL.CERT"): "drafted",
}


async def test_an_event_brings_what_its_rules_say_and_only_once(database: Database) -> None:
    async with town(database) as pool:
        report = await run_of(pool).over_new_events()
        assert (report.events, report.granted, report.failed) == (2, 3, ())
        assert (report.awaiting_approval, report.offered) == (4, 2)
        everybody = (MOTHER, ELDEST, SECOND, BABY, DISABLED)
        assert await applications_of(database, *everybody) == EXPECTED
        again = await run_of(pool).over_new_events()
        assert (again.events, again.granted, again.offered) == (0, 0, 0)
        assert await applications_of(database, *everybody) == EXPECTED


async def test_what_is_granted_stands_in_the_register_and_in_the_rights(
    database: Database,
) -> None:
    async with town(database) as pool:
        await run_of(pool).over_new_events()
        async with database.connect() as connection:
            assert await allowances(connection, DISABLED.citizen_id) == [
                ("TAXI.SOCIAL", "TAXI.RIDE", 8, 3, TODAY, date(2027, 11, 30)),
                ("TRANSPORT", "TRIP", 50, 3, TODAY, TODAY + timedelta(days=1_825)),
            ]
            entitlement = await connection.fetchrow(
                "SELECT e.category, e.decision_number, e.decided_on, c.made_by, c.approved_by"
                " FROM register.entitlement AS e INNER JOIN register.change AS c"
                " ON e.change_id = c.change_id WHERE e.measure = 'UTIL.50'"
            )
        assert entitlement is not None
        assert entitlement["category"] == "DISABLED.2"
        assert entitlement["decision_number"].startswith("МСП-2026-00000")
        # Whoever approved the rule has decided.
        assert (entitlement["made_by"], entitlement["approved_by"]) == (
            "spk eligibility run",
            "boris",
        )


async def test_another_person_approves_what_a_run_proposes(database: Database) -> None:
    async with town(database) as pool:
        report = await run_of(pool).over_new_events()
        with pytest.raises(ApplicationError) as raised:
            await run_of(pool, "olga").approve(report.run_id)
        assert raised.value.refusal is Refusal.SAME_PERSON
        approved = await run_of(pool, "pavel").approve(report.run_id)
        assert (approved.granted, approved.awaiting_approval, approved.failed) == (4, 0, ())
        assert (await run_of(pool, "pavel").approve(report.run_id)).granted == 0
        async with database.connect() as connection:
            assert await allowances(connection, FAMILY) == [
                # five members, from the first of the next month
                ("UTIL.CERT", "UTIL.CERT", 300_000, 3, date(2026, 12, 1), date(2027, 6, 1)),
            ]
            meals = await allowances(connection, ELDEST.citizen_id)
            assert [one[1] for one in meals] == ["MEAL.BREAKFAST", "MEAL.LUNCH"]
            certificate = await allowances(connection, MOTHER.citizen_id)
            assert certificate[0][4] == BABY.birth_date


async def test_without_consent_nothing_comes_unasked(database: Database) -> None:
    async with town(database) as pool:
        async with database.connect() as connection, change(connection):
            await connection.execute("UPDATE register.consent SET withdrawn_on = $1", TODAY)
        report = await run_of(pool).over_new_events()
        assert (report.granted, report.awaiting_approval, report.offered) == (0, 0, 9)


async def test_an_offer_is_answered_with_choices_and_decided_by_another(
    database: Database,
) -> None:
    async with town(database) as pool:
        await run_of(pool).over_new_events()
        voucher = await application_for(database, ELDEST, "VOUCHER.CHILD")
        chosen = {"KIND": "CAMP", "SEASON": "SUMMER"}
        async with pool.connection() as connection:
            steps = Applications(connection, TODAY)
            for choices, refusal in (
                ({"KIND": "CAMP"}, Refusal.CHOICE_MISSING),
                ({"KIND": "MOON", "SEASON": "SUMMER"}, Refusal.CHOICE_UNKNOWN),
            ):
                with pytest.raises(ApplicationError) as raised:
                    await steps.submit(voucher, choices, "irina")
                assert raised.value.refusal is refusal
            with pytest.raises(ApplicationError) as raised:
                await steps.decide(voucher, "pavel", refusal_text)
            assert raised.value.refusal is Refusal.NOT_IN_THIS_STATE
            assert await steps.submit(voucher, chosen, "irina") == TODAY + timedelta(days=15)
            with pytest.raises(ApplicationError) as raised:
                await steps.decide(voucher, "irina", refusal_text)
            assert raised.value.refusal is Refusal.SAME_PERSON
            decision = await steps.decide(voucher, "pavel", refusal_text)
        assert decision.number is not None
        async with database.connect() as connection:
            assert await allowances(connection, ELDEST.citizen_id) == [
                ("VOUCHER.CHILD", "VOUCHER.CHILD", 1, 0, TODAY, date(2026, 12, 31))
            ]
            steps_told = await connection.fetch(
                "SELECT s.state, s.by FROM eligibility.application_step AS s"
                " WHERE s.application_id = $1 ORDER BY s.step",
                voucher,
            )
        assert [tuple(row) for row in steps_told] == [
            ("offered", "spk eligibility run"),
            ("submitted", "irina"),
            ("decided", "pavel"),
        ]


async def test_a_refusal_keeps_its_trace(database: Database) -> None:
    async with town(database) as pool, pool.connection() as connection:
        steps = Applications(connection, TODAY)
        made = await steps.apply(MOTHER.citizen_id, "TAXI.SOCIAL", {}, "irina")
        assert made.answer is Answer.NO
        with pytest.raises(ApplicationError) as raised:
            await steps.apply(MOTHER.citizen_id, "TAXI.SOCIAL", {}, "irina")
        assert raised.value.refusal is Refusal.OPEN_ALREADY
        decision = await steps.decide(made.application_id, "pavel", refusal_text)
        assert decision.number is None
        rule, kept = await steps.kept(made.application_id, "olga", "жалоба")
        assert (rule.title, kept) == ("TAXI.SOCIAL v1", decision.trace)
        async with database.connect() as superuser:
            row = await superuser.fetchrow(
                "SELECT a.state, a.reason, a.trace -> 0 ->> 'answer' AS answer, a.decided_by"
                " FROM eligibility.application AS a"
            )
        assert row is not None
        assert tuple(row) == (
            "refused",
            "не положено: п. 1: Инвалидность I или II группы либо ребёнок-инвалид",
            "no",
            "pavel",
        )


async def test_what_is_not_known_is_not_decided(database: Database) -> None:
    async with town(database) as pool, pool.connection() as connection:
        steps = Applications(connection, TODAY)
        made = await steps.apply(DISABLED.citizen_id, "UTIL.CERT", {}, "irina")
        assert made.answer is Answer.UNKNOWN
        assert made.missing == ("income percent",)
        with pytest.raises(ApplicationError) as raised:
            await steps.decide(made.application_id, "pavel", refusal_text)
        assert raised.value.refusal is Refusal.FACTS_MISSING
        await steps.withdraw(made.application_id, "irina", "передумал")


async def test_a_measure_held_already_is_not_granted_twice(database: Database) -> None:
    async with town(database) as pool:
        await run_of(pool).over_new_events()
        async with pool.connection() as connection:
            steps = Applications(connection, TODAY)
            made = await steps.apply(DISABLED.citizen_id, "TAXI.SOCIAL", {}, "irina")
            with pytest.raises(ApplicationError) as raised:
                await steps.decide(made.application_id, "pavel", refusal_text)
        assert raised.value.refusal is Refusal.HELD_ALREADY


async def test_a_corrected_or_withdrawn_event_leaves_a_task(database: Database) -> None:
    async with town(database) as pool:
        await run_of(pool).over_new_events()
        async with database.connect() as connection:
            async with change(connection):
                await connection.execute(
                    "UPDATE register.life_event SET happened_on = $1 WHERE record_id = $2",
                    TODAY,
                    BIRTH,
                )
            async with change(connection):
                await connection.execute(
                    "DELETE FROM register.life_event WHERE record_id = $1", DISABILITY
                )
        async with pool.connection() as connection:
            assert (await daily(connection, TODAY)).follow_ups == 9
            assert (await daily(connection, TODAY)).follow_ups == 0
            rows = await connection.fetch("SELECT * FROM eligibility.open_follow_ups(100)")
            assert {(row["measure"], row["what"]) for row in rows} == {
                ("TAXI.SOCIAL", "withdrawn"),
                ("UTIL.50", "withdrawn"),
                ("TRANSPORT", "withdrawn"),
                ("SCHOOL.MEAL", "corrected"),
                ("VOUCHER.CHILD", "corrected"),
                ("CERT", "corrected"),
                ("UTIL.CERT", "corrected"),
            }
            closed = await connection.fetchval(
                "SELECT eligibility.close_follow_ups($1, 'pavel', 'проверено')",
                rows[0]["application_id"],
            )
            assert closed == 1
            assert len(await connection.fetch("SELECT * FROM eligibility.open_follow_ups(99)")) == 8
        # A corrected event brings nothing a second time.
        assert (await run_of(pool).over_new_events()).events == 0


async def test_offers_lapse_and_endings_are_reminded_of_once(database: Database) -> None:
    async with town(database) as pool:
        await run_of(pool).over_new_events()
        late = TODAY + timedelta(days=61)
        async with pool.connection() as connection:
            # 30 November 2027 is more than 60 days away, 31 December 2026 is not: nothing ends.
            assert await daily(connection, TODAY) == Upkeep(lapsed=0, follow_ups=0, reminders=0)
            assert (await daily(connection, late)).lapsed == 2
            before = date(2027, 11, 1)
            # the category, the taxi and half of the charges end together
            assert (await daily(connection, before)).reminders == 3
            assert (await daily(connection, before)).reminders == 0
            assert (await daily(connection, date(2027, 11, 25))).reminders == 3
        async with database.connect() as superuser:
            rows = await superuser.fetch(
                "SELECT DISTINCT r.kind, r.ends_on, r.days_before, r.channel"
                " FROM register.reminder AS r ORDER BY 1, 3"
            )
        assert [tuple(row) for row in rows] == [
            ("category", date(2027, 11, 30), 7, None),
            ("category", date(2027, 11, 30), 30, None),
            ("entitlement", date(2027, 11, 30), 7, None),
            ("entitlement", date(2027, 11, 30), 30, None),
        ]
