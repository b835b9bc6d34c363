"""Social passports over a real register: whose categories, which limits, when a new one is due."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from uuid import UUID

import pytest

from processing.cards.passport import RENEW_WITHIN_DAYS, VALID_DAYS, Passports
from processing.kernel.clock import ManualClock
from processing.kernel.database import DatabasePool
from processing.wire.receipt import key_id_of
from processing.wire.social_passport import OfflineLimit, SocialPassport
from processing.wire.statement import Domain
from tests.cards import population as p
from tests.cards.papers import NOW_MS
from tests.plugins.postgres import Database
from tests.plugins.stop_lists import PUBLIC_KEY, signer_of

CARD = UUID(int=0xC0FFEE, version=4)
DAY_MS = 86_400_000
ANYBODY = OfflineLimit(3, 300_000, 7)


class Desk:
    """A card of the lone pensioner, and passports for it as time goes by."""

    def __init__(self, database: Database, pool: DatabasePool) -> None:
        self.database = database
        self.clock = ManualClock("Asia/Yekaterinburg", NOW_MS)
        self.passports = Passports(pool, signer_of(Domain.SOCIAL_PASSPORT), self.clock)

    @property
    def today(self) -> date:
        return self.clock.local_date()

    async def run(self, *statements: tuple[str, Sequence[object]]) -> None:
        async with self.database.connect() as connection:
            for text, values in statements:
                await connection.execute(text, *values)

    async def held(self, category: str, days: int) -> None:
        """Give the pensioner a category from today on."""
        async with self.database.connect() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO register.benefit_category VALUES ($1, $1, $1) ON CONFLICT DO NOTHING",
                category,
            )
            await connection.execute("SELECT register.begin_change('test', 'test', 'person')")
            await connection.execute(
                """
                INSERT INTO register.citizen_category
                    (record_id, citizen_id, category, valid_from, valid_to, evidence)
                VALUES (gen_random_uuid(), $1, $2, $3, $4, 'справка')
                """,
                p.LONE,
                category,
                self.today,
                self.today + timedelta(days=days),
            )

    async def limit(self, service: str, category: str, *numbers: int) -> None:
        await self.run(
            ("INSERT INTO cards.offline_limit VALUES ($1, $2, $3, $4, $5)",
             [service, category, *numbers]),
        )  # fmt: skip

    async def passport(self) -> SocialPassport:
        data = await self.passports.for_card(CARD, "station test")
        assert data is not None
        return SocialPassport.decode(data, CARD.bytes, [PUBLIC_KEY])


@pytest.fixture
async def desk(populated: Database, issuing_pool: DatabasePool) -> Desk:
    """Give the desk, with the card ordered until 2031."""
    desk = Desk(populated, issuing_pool)
    await desk.run(
        ("SELECT cards.add_station('office', sha256('x'), FALSE)", []),
        (
            """
            INSERT INTO cards.card_order (
                order_id, citizen_id, register_version, station_id, card_id, card_number,
                issuer_region, valid_to, challenge, state, ordered_at
            ) VALUES (
                gen_random_uuid(), $1, 1, 'office', $2, '9643909900000000019', 99, '2031-01-01',
                sha256('x'), 1, now()
            )
            """,
            [p.LONE, CARD],
        ),
    )
    return desk


async def test_a_new_key_signs_anew_what_the_one_before_signed(
    desk: Desk, issuing_pool: DatabasePool
) -> None:
    in_use = key_id_of(PUBLIC_KEY)

    async def key_in_use() -> bytes:
        return in_use

    sign = signer_of(Domain.SOCIAL_PASSPORT)
    desk.passports = Passports(issuing_pool, sign, desk.clock, key_in_use)
    assert [(await desk.passport()).number for _ in range(2)] == [1, 1]
    in_use = bytes(8)
    assert (await desk.passport()).number == 2


async def test_a_citizen_without_categories_has_what_anybody_has(desk: Desk) -> None:
    passport = await desk.passport()
    assert (passport.number, passport.categories, passport.limits) == (1, (), {"*": ANYBODY})
    assert passport.valid_to == desk.today + timedelta(days=VALID_DAYS)


async def test_of_several_limits_the_highest_counts(desk: Desk) -> None:
    await desk.held("VETERAN", 300)
    await desk.held("DISABLED.1", 300)
    await desk.limit("MEDICINE", "VETERAN", 5, 100, 1)
    await desk.limit("MEDICINE", "DISABLED.1", 2, 900, 3)
    await desk.limit("MEDICINE", "ORPHAN", 99, 99_999, 99)
    passport = await desk.passport()
    assert passport.categories == ("DISABLED.1", "VETERAN")
    assert passport.limits == {"*": ANYBODY, "MEDICINE": OfflineLimit(5, 900, 3)}


async def test_a_limit_does_not_outlive_its_category(desk: Desk) -> None:
    await desk.held("VETERAN", 20)
    assert (await desk.passport()).valid_to == desk.today + timedelta(days=VALID_DAYS)
    await desk.limit("MEDICINE", "VETERAN", 5, 100, 1)
    assert (await desk.passport()).valid_to == desk.today + timedelta(days=20)


async def test_a_new_one_is_made_only_when_it_is_due(desk: Desk) -> None:
    first = await desk.passport()
    desk.clock.set_utc_ms(NOW_MS + (VALID_DAYS - RENEW_WITHIN_DAYS) * DAY_MS)
    assert await desk.passport() == first
    desk.clock.set_utc_ms(NOW_MS + (VALID_DAYS - RENEW_WITHIN_DAYS + 1) * DAY_MS)
    second = await desk.passport()
    assert (second.number, second.valid_from) == (2, desk.today)
    await desk.held("VETERAN", 300)
    assert (await desk.passport()).number == 3


async def test_the_read_is_logged_with_its_purpose(desk: Desk) -> None:
    await desk.passport()
    async with desk.database.connect() as connection:
        rows = await connection.fetch("SELECT read_by, purpose, citizen_id FROM register.read_log")
    assert [tuple(row) for row in rows] == [("station test", "social passport", p.LONE)]


async def test_an_unknown_card_has_none(desk: Desk) -> None:
    assert await desk.passports.for_card(UUID(int=1), "station test") is None
