"""In a region: its rules are in force and fit it; a new version takes two persons and its cases."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import date, timedelta

import pytest

from processing.eligibility.check import check_rule
from processing.eligibility.document import Rule, read_rule
from processing.eligibility.publication import (
    RulePublicationError,
    approve,
    propose,
    try_cases,
)
from processing.eligibility.shipped import shipped_rules
from processing.eligibility.store import EligibilityStore
from processing.kernel.database import REPORTING_LIMITS, Connection, open_pool
from processing.kernel.roles import Role
from processing.kernel.target_pools import alone
from processing.region.generate import RegionOrder, generate, load_sources
from processing.region.store import load_region
from processing.regulations.publication import Refusal
from tests.plugins.postgres import Database

TODAY = date(2026, 11, 22)
FIRST_DAY = date(2026, 12, 1)


@contextlib.asynccontextmanager
async def region(database: Database) -> AsyncIterator[Connection]:
    """Give a session of the register's role in a region of sixty citizens."""
    order = RegionOrder(citizens=60, seed=1, today=TODAY)
    pool = await open_pool(database.dsn(Role.OWNER), Role.OWNER, "test", REPORTING_LIMITS)
    await load_region(alone(pool), generate(order, load_sources()), lambda _: None)
    await pool.close()
    async with database.connect(Role.REGISTER) as session:
        yield session


def next_version(voucher: str, version: int = 2) -> Rule:
    """Return the rule with children up to 16, from December on."""
    text = (
        voucher.replace("version = 1", f"version = {version}")
        .replace("valid_from = 2026-01-01", f"valid_from = {FIRST_DAY}")
        .replace("at_most = 15\n", "at_most = 16\n")
        .replace("day = 2026-03-01\n", "day = 2026-12-01\n")
    )
    return read_rule(text.encode(), "voucher.toml")


async def refusal_of(connection: Connection, rule: Rule, by: str) -> Refusal | None:
    try:
        await propose(connection, rule, rule.source.data, by)
    except RulePublicationError as error:
        return error.refusal
    return None


async def test_the_shipped_rules_fit_the_region_and_are_in_force(database: Database) -> None:
    async with region(database) as connection:
        store = EligibilityStore(connection)
        directory = await store.directory()
        assert directory.events["child_born"][0]
        assert directory.records["service_plan"][0]
        for rule in shipped_rules():
            check_rule(rule, directory)
            assert all(result.passed for result in await try_cases(connection, rule))
        in_force = await store.rules_on(TODAY)
        assert sorted(in_force) == sorted(one.eligibility.measure for one in shipped_rules())
        settings = await store.settings_on(TODAY)
        assert set(settings.of(99).amounts_kopecks) == {
            "PM",
            "PM.WORKING",
            "PM.PENSION",
            "PM.CHILD",
        }
        assert (await store.settings_on(date(2025, 1, 1))).of(99).amounts_kopecks == {}


async def test_another_person_approves_and_the_next_day_is_the_first(
    database: Database, voucher: str
) -> None:
    async with region(database) as connection:
        draft = next_version(voucher)
        assert await refusal_of(connection, next_version(voucher, 3), "anna") is Refusal.NOT_NEXT
        assert await refusal_of(connection, draft, "anna") is None
        with pytest.raises(RulePublicationError) as raised:
            await approve(connection, "VOUCHER.CHILD", 2, "anna", TODAY)
        assert raised.value.refusal is Refusal.SAME_PERSON
        assert "другой человек" in raised.value.text("ru")
        with pytest.raises(RulePublicationError) as raised:
            await approve(connection, "VOUCHER.CHILD", 2, "boris", FIRST_DAY)
        assert raised.value.refusal is Refusal.BEGINS_TOO_EARLY
        await approve(connection, "VOUCHER.CHILD", 2, "boris", TODAY)
        with pytest.raises(RulePublicationError) as raised:
            await approve(connection, "VOUCHER.CHILD", 2, "boris", TODAY)
        assert raised.value.refusal is Refusal.APPROVED_ALREADY
        store = EligibilityStore(connection)
        for day, version in ((FIRST_DAY - timedelta(days=1), 1), (FIRST_DAY, 2)):
            rule = (await store.rules_on(day))["VOUCHER.CHILD"].rule
            assert rule.eligibility.version == version


async def test_a_failing_case_stops_publication(database: Database, voucher: str) -> None:
    async with region(database) as connection:
        spoilt = next_version(voucher.replace("at_least = 3", "at_least = 4"))
        assert await refusal_of(connection, spoilt, "anna") is Refusal.CASE_FAILED
        with pytest.raises(RulePublicationError) as raised:
            await approve(connection, "VOUCHER.CHILD", 2, "boris", TODAY)
        assert raised.value.refusal is Refusal.NOT_PROPOSED
        assert "(spk eligibility publish)" in raised.value.text("en")
