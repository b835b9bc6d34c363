"""A family, a disabled man and a bachelor: a small register for tests of eligibility."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import date

import asyncpg
import msgspec

from processing.eligibility.shipped import shipped_rules
from processing.eligibility.store import EligibilityStore
from processing.kernel.database import REPORTING_LIMITS, DatabasePool, open_pool
from processing.kernel.roles import Role
from tests.eligibility.conftest import CATEGORIES, CLASSES, MEASURES
from tests.plugins.postgres import Database

TODAY = date(2026, 11, 22)
MONTHS = (date(2026, 8, 1), date(2026, 9, 1), date(2026, 10, 1))
FAMILY, LONE = uuid.UUID(int=0xF), uuid.UUID(int=0xE)


class Citizen(msgspec.Struct, frozen=True):
    """Somebody of the town."""

    citizen_id: uuid.UUID
    snils: str
    sex: str
    birth_date: date


def citizen(number: int, sex: str, birth_date: date) -> Citizen:
    return Citizen(uuid.UUID(int=number), f"{number:011}", sex, birth_date)


MOTHER = citizen(1, "f", date(1990, 3, 8))
FATHER = citizen(2, "m", date(1988, 1, 15))
ELDEST = citizen(3, "m", date(2016, 6, 1))
SECOND = citizen(4, "f", date(2018, 9, 1))
BABY = citizen(5, "f", date(2026, 11, 1))
DISABLED = citizen(6, "m", date(1960, 5, 5))
BACHELOR = citizen(7, "m", date(2000, 2, 29))
PEOPLE = (MOTHER, FATHER, ELDEST, SECOND, BABY, DISABLED, BACHELOR)
RELATIONS = {MOTHER: "head", FATHER: "spouse", ELDEST: "child", SECOND: "child", BABY: "child"}
BIRTH, DISABILITY = uuid.UUID(int=0xB1), uuid.UUID(int=0xD1)


async def directory_rows(connection: asyncpg.Connection) -> None:
    """Write what rules refer to."""
    await connection.execute(
        "INSERT INTO regulations.region VALUES (99, 'Asia/Yekaterinburg', 'Область', 'Region')"
    )
    await connection.executemany(
        "INSERT INTO regulations.measure (measure, name_ru, name_en, funding)"
        " VALUES ($1, $2, $1, 'regional')",
        MEASURES.items(),
    )
    await connection.executemany(
        "INSERT INTO register.benefit_category VALUES ($1, $2, $1)", CATEGORIES.items()
    )
    await connection.executemany(
        "INSERT INTO regulations.item (item, item_class, unit_okei, scale, name_ru, name_en)"
        " VALUES ($1, $1, $2, $3, $1, $1)",
        [(name, unit.unit_okei, unit.scale) for name, unit in CLASSES.items()],
    )


@contextlib.asynccontextmanager
async def change(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """Let a block write to the register."""
    async with connection.transaction():
        await connection.execute("SELECT register.begin_change('clerk', 'test', 'edit')")
        yield


async def insert(connection: asyncpg.Connection, table: str, rows: Sequence[object]) -> None:
    """Write rows given as dictionaries of columns; each gets a key."""
    for row in rows:
        values = {"record_id": str(uuid.uuid4())} | msgspec.to_builtins(row)
        names = ", ".join(values)
        await connection.execute(
            f"INSERT INTO register.{table} ({names}) SELECT {names}"  # noqa: S608
            f" FROM jsonb_populate_record(NULL::register.{table}, $1)",
            msgspec.json.encode(values).decode(),
        )


async def populate(connection: asyncpg.Connection) -> None:
    """Write the town."""
    async with change(connection):
        await connection.executemany(
            "INSERT INTO register.citizen (citizen_id, snils, last_name, first_name, sex,"
            " birth_date, region) VALUES ($1, $2, 'Иванов', 'Иван', $3, $4, 99)",
            [(one.citizen_id, one.snils, one.sex, one.birth_date) for one in PEOPLE],
        )
        await connection.execute(
            "INSERT INTO register.household (household_id, number, region, address)"
            " VALUES ($1, '1', 99, 'Заречный'), ($2, '2', 99, 'Заречный')",
            FAMILY,
            LONE,
        )
        await insert(
            connection,
            "household_member",
            [
                {"household_id": FAMILY, "citizen_id": one.citizen_id, "relation": relation}
                for one, relation in RELATIONS.items()
            ]
            + [{"household_id": LONE, "citizen_id": DISABLED.citizen_id, "relation": "head"}],
        )
        await circumstances(connection)


async def circumstances(connection: asyncpg.Connection) -> None:
    """Write what people have, are and lived through."""
    await insert(
        connection,
        "income",
        [
            {
                "citizen_id": one.citizen_id,
                "income_kind": "salary",
                "month": month,
                "amount_kopecks": kopecks,
            }
            for one, kopecks in ((MOTHER, 2_000_000), (FATHER, 4_000_000))
            for month in MONTHS
        ],
    )
    await insert(
        connection,
        "address",
        [
            {
                "citizen_id": one.citizen_id,
                "address_kind": "registered",
                "line": "Заречный, Садовая, 1",
            }
            for one in (MOTHER, FATHER, DISABLED)
        ],
    )
    await insert(
        connection,
        "consent",
        [
            {"citizen_id": one.citizen_id, "scope": "proactive", "given_on": "2026-01-10"}
            for one in (MOTHER, DISABLED)
        ],
    )
    await insert(
        connection,
        "citizen_category",
        [
            {
                "citizen_id": DISABLED.citizen_id,
                "category": "DISABLED.2",
                "valid_from": "2026-11-10",
                "valid_to": "2027-11-30",
                "evidence": "Справка МСЭ № 1",
            }
        ],
    )
    await insert(
        connection,
        "life_event",
        [
            {
                "record_id": BIRTH,
                "citizen_id": MOTHER.citizen_id,
                "event": "child_born",
                "happened_on": BABY.birth_date,
                "related_citizen_id": BABY.citizen_id,
            },
            {
                "record_id": DISABILITY,
                "citizen_id": DISABLED.citizen_id,
                "event": "disability_set",
                "happened_on": "2026-11-10",
            },
        ],
    )


async def publish_shipped(connection: asyncpg.Connection) -> None:
    """Put the shipped rules in force, as two people would."""
    store = EligibilityStore(connection)
    for rule in shipped_rules():
        assert await store.propose(rule, rule.source.data, "anna") is None
        assert await store.approve(rule, rule.source.data, "boris", TODAY) is None
    for parameter, kopecks in (("PM", 1_600_000), ("PM.CHILD", 1_550_000)):
        assert await store.set_amount(
            99, parameter, date(2026, 1, 1), kopecks, "постановление № 1", "anna"
        )


@contextlib.asynccontextmanager
async def town(database: Database) -> AsyncIterator[DatabasePool]:
    """Give a pool of the register's role in the town, with the shipped rules in force."""
    async with database.connect() as connection:
        await directory_rows(connection)
        await populate(connection)
    async with database.connect(Role.REGISTER) as connection:
        await publish_shipped(connection)
    pool = await open_pool(database.dsn(Role.REGISTER), Role.REGISTER, "test", REPORTING_LIMITS)
    try:
        yield pool
    finally:
        await pool.close()
